/* SPDX-License-Identifier: Apache-2.0 */
/* Xen's paravirtual clock (xen/xen.h, struct vcpu_time_info): nanoseconds. */
#ifndef STUB_TIME_H
#define STUB_TIME_H

#include <stdint.h>

#define TIME_SECOND 1000000000ULL
#define TIME_NEVER  UINT64_MAX

/* Since Xen booted; what SCHEDOP_poll takes.  Never goes back.  0 before the shared
 * page is mapped. */
uint64_t time_now(void);
/* Since 1970. */
uint64_t time_of_day(void);
/* The value of time_now() when the processor's counter stood at tsc. */
uint64_t time_at(uint64_t tsc);

#endif
