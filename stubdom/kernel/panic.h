/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the domain. */
#ifndef STUB_PANIC_H
#define STUB_PANIC_H

struct trap_frame;

/* A fault of the kernel's own: says why and ends the domain with SHUTDOWN_crash. */
/*@ assigns \nothing;
    ensures \false; */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* The same, with the place of the fault. */
void panic_at(const struct trap_frame *frame, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
/* Prints where a fault was: rip, rsp, cr2 and the error code, and no other register. */
void panic_print_place(const struct trap_frame *frame);
/* Drains the console and ends the domain: SHUTDOWN_poweroff, SHUTDOWN_crash. */
void panic_shutdown(unsigned int reason) __attribute__((noreturn));

#endif
