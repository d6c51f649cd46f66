/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include "stubdom/kernel/console.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/ring.h"
#include "stubdom/kernel/time.h"

#define STALL_NS 1000000000ULL
#define STEP_NS	 10000000ULL

static volatile struct xencons_interface *ring;
static struct evtchn *event;
static bool stalled;

/* xenconsoled notifies when it has read; its index is looked at again anyhow. */
static void pause(uint64_t until)
{
	uint64_t step = time_now() + STEP_NS;

	evtchn_arm(event);
	evtchn_wait(step < until ? step : until);
	evtchn_disarm(event);
}

static uint32_t put_ring(const char *text, size_t len)
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

/* Waits while the ring is full, but for a second at most: a xenconsoled that stopped
 * must not stop the vTPM.  What does not fit then is lost. */
static void write_ring(const char *text, size_t len)
{
	uint64_t until = 0;
	uint32_t n;

	while (len) {
		n = put_ring(text, len);
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

static void drain_ring(void)
{
	uint64_t until;

	until = time_now() + STALL_NS;
	while (ring->out_cons != ring->out_prod && time_now() < until)
		pause(until);
}

void console_init(void)
{
	uint64_t frame = platform_param(HVM_PARAM_CONSOLE_PFN);

	if (!frame)
		return;
	map_fixed(LAYOUT_CONSOLE, frame * LAYOUT_PAGE);
	event = evtchn_adopt((uint32_t)platform_param(HVM_PARAM_CONSOLE_EVTCHN));
	ring = (struct xencons_interface *)LAYOUT_FIXED_AT(LAYOUT_CONSOLE);
	print_set_console(write_ring, drain_ring);
}
