/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include "stubdom/kernel/console.h"
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

	console_drain();
	for (;;)
		(void)hypercall_sched(SCHEDOP_shutdown, &shutdown);
}

void panic_print_registers(const struct trap_frame *f)
{
	print_line("rip %016lx rsp %016lx rflags %08lx cs %lx ss %lx", f->rip, f->rsp,
		   f->rflags, f->cs, f->ss);
	print_line("rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx,
		   f->rdx);
	print_line("rsi %016lx rdi %016lx rbp %016lx r8  %016lx", f->rsi, f->rdi, f->rbp,
		   f->r8);
	print_line("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11,
		   f->r12);
	print_line("r13 %016lx r14 %016lx r15 %016lx cr2 %016lx", f->r13, f->r14, f->r15,
		   x86_read_cr2());
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
		panic_print_registers(frame);
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
