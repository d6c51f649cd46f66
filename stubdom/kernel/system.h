/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls about the program itself and the machine: names, limits, memory,
 * threads (there is one), signals (none is ever delivered). */
#ifndef STUB_SYSTEM_H
#define STUB_SYSTEM_H

#include <stdint.h>

long system_pid(void);
long system_zero(void); /* of calls that need no work: success, or the user root */
long system_parent(void);
long system_uname(uint64_t to);
long system_sysinfo(uint64_t to);
long system_prlimit(uint64_t pid, uint64_t which, uint64_t new, uint64_t old);
long system_getrlimit(uint64_t which, uint64_t to);
long system_affinity(uint64_t pid, uint64_t size, uint64_t to);
long system_getrandom(uint64_t to, uint64_t n, uint64_t flags);
long system_arch_prctl(uint64_t code, uint64_t address);
long system_prctl(uint64_t option, uint64_t a, uint64_t b);
long system_futex(uint64_t word, uint64_t op, uint64_t value, uint64_t span);
long system_sigaction(uint64_t number, uint64_t new, uint64_t old, uint64_t size);
long system_sigmask(uint64_t how, uint64_t new, uint64_t old, uint64_t size);
long system_sigaltstack(uint64_t new, uint64_t old);
/* A signal to itself ends the program, unless it is 0 or is ignored. */
long system_kill(uint64_t pid, uint64_t number);
long system_tgkill(uint64_t group, uint64_t thread, uint64_t number);
long system_exit(uint64_t status);

#endif
