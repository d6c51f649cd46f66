/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of time: reading it, and waiting for it or for files. */
#ifndef STUB_CLOCK_H
#define STUB_CLOCK_H

#include <stdint.h>

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
