/* SPDX-License-Identifier: Apache-2.0 */
/* Xen's watchdog of a stub domain, as its kernel has it (stubdom/kernel/watchdog.c). */
#ifndef XVTPM_MANAGER_WATCHDOG_H
#define XVTPM_MANAGER_WATCHDOG_H

#include "include/compiler.h"

#include <stdint.h>

/* *fd is -1 when there is none.  -errno */
int __must_check watchdog_open(int *fd);
/* Xen ends this domain in so many seconds; 0: it does not. */
int __must_check watchdog_set(int fd, uint32_t seconds);

#endif
