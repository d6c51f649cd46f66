/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/trap.h"
#include "stubdom/kernel/x86.h"

#define TEXT_MAX 256

uint64_t __stack_chk_guard;
void __stack_chk_fail(void) __attribute__((noreturn));

static bool panicking;

void panic_shutdown(unsigned int reason)
{
	struct sched_shutdown shutdown = {.reason = reason};

	print_drain();
	for (;;)
		(void)hypercall_sched(SCHEDOP_shutdown, &shutdown);
}

/* Only what tells where it was: the others may hold keys of the program's, and dom0
 * keeps what is printed here. */
void panic_print_place(const struct trap_frame *f)
{
	print_line("rip %016lx rsp %016lx cr2 %016lx error %lx", f->rip, f->rsp,
		   x86_read_cr2(), f->error);
}

static void __attribute__((noreturn))
end(const struct trap_frame *frame, const char *format, va_list list)
{
	char text[TEXT_MAX];

	/* A panic inside a panic: what worked so far has been said. */
	if (panicking)
		panic_shutdown(SHUTDOWN_crash);
	panicking = true;
	print_list(text, sizeof(text), format, list);
	print_line("panic: %s", text);
	if (frame)
		panic_print_place(frame);
	panic_shutdown(SHUTDOWN_crash);
}

void panic(const char *format, ...)
{
	struct trap_frame frame = {
		.rip = (uint64_t)__builtin_return_address(0),
		.rsp = (uint64_t)__builtin_frame_address(0),
	};
	va_list list;

	va_start(list, format);
	end(&frame, format, list);
}

void panic_at(const struct trap_frame *frame, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	end(frame, format, list);
}

void __stack_chk_fail(void)
{
	panic("a stack canary was overwritten");
}
