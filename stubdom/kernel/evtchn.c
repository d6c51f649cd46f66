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

/*
 * The contracts, which `make prove` proves (docs/proofs.md).
 *   ports_hold  each port of the table has its bit in Xen's page
 *   is_entry    an entry of the table
 */
/*@ predicate ports_hold =
	\forall integer i; 0 <= i < EVTCHN_MAX ==> table[i].port < PORTS_END;
    predicate is_entry(struct evtchn *e) =
	\exists integer i; 0 <= i < EVTCHN_MAX && e == &table[i];
*/

/*@ assigns \nothing;
    ensures \result == \null || is_entry(\result); */
static struct evtchn *find_free(void)
{
	/*@ loop invariant i <= EVTCHN_MAX;
	    loop assigns i;
	    loop variant EVTCHN_MAX - i; */
	for (unsigned int i = 0; i < EVTCHN_MAX; i++)
		if (!table[i].port)
			return &table[i];
	return NULL;
}

/*@ requires port < PORTS_END && \valid(platform_shared);
    assigns platform_shared->evtchn_pending[0 .. 63]; */
static bool take_pending(uint32_t port)
{
	uint64_t bit = 1ULL << (port % 64);
	volatile uint64_t *word = &platform_shared->evtchn_pending[port / 64];

	if (!(*word & bit))
		return false;
	return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

/*@ assigns \nothing; */
static void close_port(uint32_t port)
{
	struct evtchn_close close = {.port = port};

	(void)hypercall_evtchn(EVTCHNOP_close, &close);
}

/*@ requires ports_hold && is_entry(e);
    assigns *e;
    ensures ports_hold && (\result == 0 || \result == -ENOSPC);
    ensures \result == 0 ==> 0 < e->port < PORTS_END; */
static int keep(struct evtchn *e, uint32_t port, const void *owner)
{
	if (!port || port >= PORTS_END) {
		close_port(port);
		return -ENOSPC;
	}
	*e = (struct evtchn){.port = port, .armed = true, .owner = owner};
	return 0;
}

/*@ requires ports_hold;
    assigns table[0 .. EVTCHN_MAX - 1];
    ensures ports_hold && (\result == \null || is_entry(\result)); */
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

/*@ requires ports_hold && is_entry(e) && \valid(platform_shared);
    requires \separated(platform_shared, &table[0 .. EVTCHN_MAX - 1]);
    assigns *e, platform_shared->evtchn_pending[0 .. 63];
    ensures e->port == 0;
    ensures ports_hold; */
void evtchn_close(struct evtchn *e)
{
	close_port(e->port);
	/* The number may come back for another channel: leave no old event. */
	(void)take_pending(e->port);
	evtchn_disarm(e);
	e->owner = NULL;
	e->port = 0; /* the entry is free */
}

/*@ assigns \nothing;
    ensures \result == \null ||
	    (is_entry(\result) && \result->port == port && \result->owner == owner); */
struct evtchn *evtchn_find(const void *owner, uint32_t port)
{
	/*@ loop invariant i <= EVTCHN_MAX;
	    loop assigns i;
	    loop variant EVTCHN_MAX - i; */
	for (unsigned int i = 0; port && i < EVTCHN_MAX; i++)
		if (table[i].port == port && table[i].owner == owner)
			return &table[i];
	return NULL;
}

/*@ requires n < EVTCHN_MAX;
    assigns \nothing;
    ensures \result == &table[n]; */
struct evtchn *evtchn_entry(unsigned int n)
{
	return &table[n];
}

/*@ requires e == \null || is_entry(e);
    assigns e->armed; */
void evtchn_arm(struct evtchn *e)
{
	if (e)
		e->armed = true;
}

/*@ requires e == \null || is_entry(e);
    assigns e->armed, e->fired; */
void evtchn_disarm(struct evtchn *e)
{
	if (e)
		e->armed = e->fired = false;
}

/*@ assigns evtchn_notifications; */
void evtchn_notify_port(uint32_t port)
{
	struct evtchn_send send = {.port = port};

	evtchn_notifications++;
	(void)hypercall_evtchn(EVTCHNOP_send, &send);
}

/*@ requires e == \null || is_entry(e);
    assigns evtchn_notifications; */
int evtchn_notify(struct evtchn *e)
{
	struct evtchn_send send = {.port = e ? e->port : 0};

	if (!e)
		return -ENOTCONN;
	evtchn_notifications++;
	return (int)hypercall_evtchn(EVTCHNOP_send, &send);
}

/*@ requires ports_hold && \valid(platform_shared);
    assigns platform_shared->evtchn_pending[0 .. 63], evtchn_taken,
	    table[0 .. EVTCHN_MAX - 1];
    ensures ports_hold; */
bool evtchn_scan(void)
{
	bool any = false;

	/*@ loop invariant i <= EVTCHN_MAX && ports_hold;
	    loop assigns i, any, platform_shared->evtchn_pending[0 .. 63], evtchn_taken,
		    table[0 .. EVTCHN_MAX - 1];
	    loop variant EVTCHN_MAX - i; */
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

/*@ requires ports_hold && \valid(platform_shared);
    assigns platform_shared->evtchn_pending[0 .. 63], evtchn_taken,
	    table[0 .. EVTCHN_MAX - 1];
    ensures ports_hold; */
void evtchn_wait_since(uint64_t seen, uint64_t until)
{
	evtchn_port_t ports[EVTCHN_MAX];
	struct sched_poll poll = {.timeout = until == TIME_NEVER ? 0 : until};
	unsigned int n = 0;

	if (evtchn_scan() || evtchn_taken != seen)
		return;
	/*@ loop invariant i <= EVTCHN_MAX && n <= i;
	    loop assigns i, n, ports[0 .. EVTCHN_MAX - 1];
	    loop variant EVTCHN_MAX - i; */
	for (unsigned int i = 0; i < EVTCHN_MAX; i++)
		if (table[i].port && table[i].armed)
			ports[n++] = table[i].port;
	set_xen_guest_handle(poll.ports, ports);
	poll.nr_ports = n;
	(void)hypercall_sched(SCHEDOP_poll, &poll);
	(void)evtchn_scan();
}

/*@ requires ports_hold && \valid(platform_shared);
    assigns platform_shared->evtchn_pending[0 .. 63], evtchn_taken,
	    table[0 .. EVTCHN_MAX - 1];
    ensures ports_hold; */
void evtchn_wait(uint64_t until)
{
	evtchn_wait_since(evtchn_taken, until);
}
