/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/trap.h"
#include "stubdom/kernel/x86.h"

#define VECTOR_PAGE_FAULT 14
#define ERROR_PRESENT	  1
#define ERROR_WRITE	  2
#define ERROR_USER	  4
#define ERROR_FETCH	  16
#define TEXT_MAX	  160

struct fixup {
	uint64_t at, resume;
};

extern const struct fixup kernel_faults_start[], kernel_faults_end[];

static const char *const names[] = {
	"divide error",
	"debug trap",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range",
	"invalid opcode",
	"no FPU",
	"double fault",
	"coprocessor",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	"reserved",
	"x87 fault",
	"alignment check",
	"machine check",
	"SIMD fault",
	"virtualization",
	"control protection",
};

static const char *name(uint64_t vector)
{
	return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "exception";
}

void trap_kill(const struct trap_frame *frame, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list list;

	va_start(list, format);
	print_list(text, sizeof(text), format, list);
	va_end(list);
	print_line("the program was stopped: %s", text);
	panic_print_place(frame);
	process_end(SHUTDOWN_crash);
}

void trap_bad_return(struct trap_frame *frame)
{
	trap_kill(frame, "return to an address that is not canonical");
}

static const char *access_name(uint64_t error)
{
	if (error & ERROR_FETCH)
		return "execution of";
	return error & ERROR_WRITE ? "write to" : "read of";
}

/* A fault inside copy.S on an address of the program's. */
static bool fix_up(struct trap_frame *frame)
{
	for (const struct fixup *f = kernel_faults_start; f < kernel_faults_end; f++) {
		if (f->at != frame->rip)
			continue;
		frame->rip = f->resume;
		return true;
	}
	return false;
}

static bool may_fault(const struct trap_frame *frame)
{
	for (const struct fixup *f = kernel_faults_start; f < kernel_faults_end; f++)
		if (f->at == frame->rip)
			return true;
	return frame->cs == LAYOUT_USER_CS;
}

static void page_fault(struct trap_frame *frame)
{
	uint64_t at = x86_read_cr2();

	/* Only the stack grows on demand; a page that is there was refused. */
	if (!(frame->error & (ERROR_PRESENT | ERROR_FETCH)) && at < LAYOUT_USER_TOP &&
	    may_fault(frame)) {
		int rc = memory_grow_stack(at);

		if (!rc)
			return;
		if (frame->cs == LAYOUT_USER_CS && rc == -ENOMEM)
			trap_kill(frame, "no memory left for its stack");
	}
	if (frame->cs == LAYOUT_USER_CS)
		trap_kill(frame, "page fault, %s %p, error %lx",
			  access_name(frame->error), (void *)at, frame->error);
	if (at < LAYOUT_USER_TOP && fix_up(frame))
		return;
	panic_at(frame, "page fault in the kernel, %s %p, error %lx",
		 access_name(frame->error), (void *)at, frame->error);
}

void trap_exception(struct trap_frame *frame)
{
	if (frame->vector == VECTOR_PAGE_FAULT) {
		page_fault(frame);
		return;
	}
	/* An NMI, a machine check and a double fault say nothing of the program. */
	if (frame->cs == LAYOUT_USER_CS && frame->vector != 2 && frame->vector != 8 &&
	    frame->vector != 18)
		trap_kill(frame, "%s, error %lx", name(frame->vector), frame->error);
	/* A non-canonical address gives #GP, not a page fault. */
	if (frame->vector == 13 && fix_up(frame))
		return;
	panic_at(frame, "%s, error %lx", name(frame->vector), frame->error);
}
