/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/ring.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/trap.h"
#include "stubdom/kernel/x86.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/sched.h>
#include <xen/xen.h>

#define STALL_NS 1000000000ULL
#define STEP_NS	 10000000ULL

static volatile struct xencons_interface *ring;
static struct evtchn *event;
static bool stalled;

void console_init(void)
{
	uint64_t frame = platform_param(HVM_PARAM_CONSOLE_PFN);

	if (!frame)
		return;
	map_fixed(LAYOUT_CONSOLE, frame * LAYOUT_PAGE);
	event = evtchn_adopt((uint32_t)platform_param(HVM_PARAM_CONSOLE_EVTCHN));
	ring = (struct xencons_interface *)LAYOUT_FIXED_AT(LAYOUT_CONSOLE);
}

/* xenconsoled notifies when it has read; its index is looked at again anyhow. */
static void pause(uint64_t until)
{
	uint64_t step = time_now() + STEP_NS;

	evtchn_arm(event);
	evtchn_wait(step < until ? step : until);
	evtchn_disarm(event);
}

static uint32_t put(const char *text, size_t len)
{
	uint32_t produced = ring->out_prod, room;

	/* An impossible index of xenconsoled's counts as a full ring. */
	if (ring_room(produced, ring->out_cons, sizeof(ring->out), &room))
		return 0;
	if (room > len)
		room = (uint32_t)len;
	ring_put(ring->out, sizeof(ring->out), produced, text, room);
	/* The text before the index: xenconsoled reads them in the other order. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	ring->out_prod = produced + room;
	return room;
}

void console_write(const char *text, size_t len)
{
	uint64_t until = 0;
	uint32_t n;

	if (!ring) {
		(void)hypercall_log(text, len);
		return;
	}
	while (len) {
		n = put(text, len);
		text += n;
		len -= n;
		if (n)
			stalled = false;
		if (!len || stalled)
			break;
		evtchn_notify(event);
		if (n || !until)
			until = time_now() + STALL_NS;
		stalled = time_now() >= until;
		pause(until);
	}
	evtchn_notify(event);
}

/* Waits, for a while, until all of it was read. */
static void console_drain(void)
{
	uint64_t until;

	if (!ring)
		return;
	until = time_now() + STALL_NS;
	while (ring->out_cons != ring->out_prod && time_now() < until)
		pause(until);
}

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
