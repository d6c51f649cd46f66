/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions, and the registers as entry.S saves them. */
#ifndef STUB_TRAP_H
#define STUB_TRAP_H

#include <stdint.h>

struct trap_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Called by entry.S. */
void trap_exception(struct trap_frame *frame);
void syscall_entry(struct trap_frame *frame); /* syscall.c */
void trap_bad_return(struct trap_frame *frame) __attribute__((noreturn));

/* Ends the domain for a fault of the program's: cause, place, SHUTDOWN_crash. */
void trap_kill(const struct trap_frame *frame, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

#endif
