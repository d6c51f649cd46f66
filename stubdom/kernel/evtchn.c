/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/sched.h>
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/time.h"

#define PORTS_END 4096 /* the two-level ABI's limit */

uint64_t evtchn_notifications;
uint64_t evtchn_taken;

static struct evtchn table[EVTCHN_MAX];

static struct evtchn *find_free(void)
{
	for (unsigned int i = 0; i < EVTCHN_MAX; i++)
		if (!table[i].port)
			return &table[i];
	return NULL;
}

static bool take_pending(uint32_t port)
{
	uint64_t bit = 1ULL << (port % 64);
	volatile uint64_t *word = &platform_shared->evtchn_pending[port / 64];

	if (!(*word & bit))
		return false;
	return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

static void close_port(uint32_t port)
{
	struct evtchn_close close = {.port = port};

	(void)hypercall_evtchn(EVTCHNOP_close, &close);
}

static int keep(struct evtchn *e, uint32_t port, const void *owner)
{
	if (!port || port >= PORTS_END) {
		close_port(port);
		return -ENOSPC;
	}
	*e = (struct evtchn){.port = port, .armed = true, .owner = owner};
	return 0;
}

struct evtchn *evtchn_adopt(uint32_t port)
{
	struct evtchn *e = find_free();

	if (!e || !port || port >= PORTS_END)
		return NULL;
	*e = (struct evtchn){.port = port};
	return e;
}

int evtchn_bind_interdomain(const void *owner, uint32_t domid, uint32_t remote,
			    struct evtchn **out)
{
	struct evtchn_bind_interdomain bind = {.remote_dom = (domid_t)domid,
					       .remote_port = remote};
	long rc;

	*out = find_free();
	if (!*out)
		return -ENOSPC;
	if (domid > DOMID_SELF)
		return -EINVAL;
	rc = hypercall_evtchn(EVTCHNOP_bind_interdomain, &bind);
	return rc ? (int)rc : keep(*out, bind.local_port, owner);
}

int evtchn_bind_unbound(const void *owner, uint32_t domid, struct evtchn **out)
{
	struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF,
					     .remote_dom = (domid_t)domid};
	long rc;

	*out = find_free();
	if (!*out)
		return -ENOSPC;
	if (domid > DOMID_SELF)
		return -EINVAL;
	rc = hypercall_evtchn(EVTCHNOP_alloc_unbound, &alloc);
	return rc ? (int)rc : keep(*out, alloc.port, owner);
}

void evtchn_close(struct evtchn *e)
{
	close_port(e->port);
	/* The number may come back for another channel: leave no old event. */
	(void)take_pending(e->port);
	*e = (struct evtchn){0};
}

struct evtchn *evtchn_find(const void *owner, uint32_t port)
{
	for (unsigned int i = 0; port && i < EVTCHN_MAX; i++)
		if (table[i].port == port && table[i].owner == owner)
			return &table[i];
	return NULL;
}

struct evtchn *evtchn_entry(unsigned int n)
{
	return &table[n];
}

void evtchn_arm(struct evtchn *e)
{
	if (e)
		e->armed = true;
}

void evtchn_disarm(struct evtchn *e)
{
	if (e)
		e->armed = e->fired = false;
}

void evtchn_notify_port(uint32_t port)
{
	struct evtchn_send send = {.port = port};

	evtchn_notifications++;
	(void)hypercall_evtchn(EVTCHNOP_send, &send);
}

int evtchn_notify(struct evtchn *e)
{
	struct evtchn_send send = {.port = e ? e->port : 0};

	if (!e)
		return -ENOTCONN;
	evtchn_notifications++;
	return (int)hypercall_evtchn(EVTCHNOP_send, &send);
}

bool evtchn_scan(void)
{
	bool any = false;

	for (unsigned int i = 0; i < EVTCHN_MAX; i++) {
		struct evtchn *e = &table[i];

		if (!e->port || !e->armed || !take_pending(e->port))
			continue;
		e->armed = false;
		e->fired = true;
		evtchn_taken++;
		any = true;
	}
	return any;
}

void evtchn_wait_since(uint64_t seen, uint64_t until)
{
	evtchn_port_t ports[EVTCHN_MAX];
	struct sched_poll poll = {.timeout = until == TIME_NEVER ? 0 : until};
	unsigned int n = 0;

	if (evtchn_scan() || evtchn_taken != seen)
		return;
	for (unsigned int i = 0; i < EVTCHN_MAX; i++)
		if (table[i].port && table[i].armed)
			ports[n++] = table[i].port;
	set_xen_guest_handle(poll.ports, ports);
	poll.nr_ports = n;
	(void)hypercall_sched(SCHEDOP_poll, &poll);
	(void)evtchn_scan();
}

void evtchn_wait(uint64_t until)
{
	evtchn_wait_since(evtchn_taken, until);
}
