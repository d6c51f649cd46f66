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

/* The value of time_now() when the processor's counter stood at tsc. */
uint64_t time_at(uint64_t tsc);

/* The system calls of time: reading it, and waiting for it or for files. */

long clock_time(uint64_t to);
long clock_gettimeofday(uint64_t to, uint64_t zone);
long clock_gettime(uint64_t id, uint64_t to);
long clock_getres(uint64_t id, uint64_t to);
long clock_nanosleep(uint64_t id, uint64_t flags, uint64_t span, uint64_t rest);
long clock_sleep(uint64_t span, uint64_t rest);
long clock_poll(uint64_t fds, uint64_t n, uint64_t milliseconds);
long clock_ppoll(uint64_t fds, uint64_t n, uint64_t span, uint64_t mask);
/* time_now() when the timespec at `span` will have passed; TIME_NEVER for NULL. */
int clock_deadline(uint64_t span, uint64_t *until);

#endif
