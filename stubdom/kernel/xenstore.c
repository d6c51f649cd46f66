/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <xen/hvm/params.h>
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/ring.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/xenbus.h"
#include "stubdom/kernel/xenstore.h"

static volatile struct xenstore_domain_interface *ring;
static struct evtchn *event;
static bool broken;

/* The message that is coming in. */
static struct xsd_sockmsg header;
static char payload[XENSTORE_PAYLOAD_MAX];
static uint32_t have; /* bytes of both */

void xenstore_init(void)
{
	uint64_t frame = platform_param(HVM_PARAM_STORE_PFN);

	if (!frame) {
		broken = true;
		return;
	}
	map_fixed(LAYOUT_XENSTORE, frame * LAYOUT_PAGE);
	ring = (struct xenstore_domain_interface *)LAYOUT_FIXED_AT(LAYOUT_XENSTORE);
	event = evtchn_adopt((uint32_t)platform_param(HVM_PARAM_STORE_EVTCHN));
	broken = !event;
	evtchn_arm(event);
}

int xenstore_status(void)
{
	return broken ? -EIO : 0;
}

static void give_up(const char *why)
{
	if (!broken)
		print_line("xenstore cannot be used any more: %s", why);
	broken = true;
}

static uint32_t take(void *to, uint32_t want)
{
	uint32_t consumed = ring->rsp_cons, n;

	if (ring_used(ring->rsp_prod, consumed, XENSTORE_RING_SIZE, &n)) {
		give_up("its index is impossible");
		return 0;
	}
	/* The index before the bytes that it covers: pairs with xenstored's. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (n > want)
		n = want;
	ring_get(ring->rsp, XENSTORE_RING_SIZE, consumed, to, n);
	/* Read first, then let them be overwritten. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ring->rsp_cons = consumed + n;
	return n;
}

/* Some bytes of the message in hand; false when nothing has arrived. */
static bool step(void)
{
	uint32_t n;

	if (have < sizeof(header)) {
		n = take((char *)&header + have, sizeof(header) - have);
		have += n;
		if (have == sizeof(header) && header.len > sizeof(payload)) {
			give_up("its message is too long");
			return false;
		}
	} else {
		uint32_t at = have - (uint32_t)sizeof(header);

		n = take(payload + at, header.len - at);
		have += n;
	}
	if (have < sizeof(header) || have < sizeof(header) + header.len)
		return n;
	have = 0;
	xenbus_receive(&header, payload);
	return true;
}

void xenstore_pump(void)
{
	uint32_t before;

	if (broken)
		return;
	(void)evtchn_scan();
	if (!event->fired && !have && ring->rsp_prod == ring->rsp_cons)
		return;
	evtchn_disarm(event);
	evtchn_arm(event);
	before = ring->rsp_cons;
	while (!broken && step())
		;
	if (ring->rsp_cons != before)
		(void)evtchn_notify(event);
}

static uint32_t put(const char *from, uint32_t len)
{
	uint32_t produced = ring->req_prod, n;

	if (ring_room(produced, ring->req_cons, XENSTORE_RING_SIZE, &n)) {
		give_up("its index is impossible");
		return 0;
	}
	if (n > len)
		n = len;
	ring_put(ring->req, XENSTORE_RING_SIZE, produced, from, n);
	/* The bytes before the index: pairs with xenstored's. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	ring->req_prod = produced + n;
	return n;
}

static int put_all(const void *from, uint32_t len)
{
	const char *at = from;

	while (len && !broken) {
		uint32_t n = put(at, len);

		at += n;
		len -= n;
		if (!len || n)
			continue;
		(void)evtchn_notify(event);
		xenstore_pump();
		if (ring->req_prod - ring->req_cons == XENSTORE_RING_SIZE)
			evtchn_wait(TIME_NEVER);
	}
	return xenstore_status();
}

int xenstore_send(const struct xsd_sockmsg *request, const void *bytes)
{
	int rc = put_all(request, sizeof(*request));

	if (!rc)
		rc = put_all(bytes, request->len);
	if (!rc)
		(void)evtchn_notify(event);
	return rc;
}
