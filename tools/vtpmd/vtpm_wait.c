/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for a vTPM to start or to stop: is told when it has, and when the store has all that
 * was set of it; of a pool's, what etcd keeps waiting for, and after a bounded time that it did.
 */
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <stdio.h>

#define PUTS_POLL_US 10000
#define PUTS_SLOW    300  /* looks, about 3 s: then who waits is told ... */
#define PUTS_LATE    3000 /* ... and about 30 s: waits no more, of a pool's */

void vtpm_tell_slow(struct vtpm *v)
{
	char why[300], text[340];

	store_waits_for(&v->store, why, sizeof(why));
	snprintf(text, sizeof(text), "waiting for etcd: %s", why);
	vtpm_progress(v, text, NULL);
}

/* It ends by itself when etcd has all, or lets this host know that it never will. */
static void end_waiting(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	struct waiter *w;
	char why[160];

	store_waits_for(&v->store, why, sizeof(why));
	error_set(
		&e, -ETIMEDOUT, CAUSE_STORE,
		"etcd has not said within %d s that it has all of %s (%s); see `vtpmctl pool "
		"show`. What was asked for goes on then.",
		PUTS_LATE * PUTS_POLL_US / 1000000, v->meta.name, why);
	while ((w = v->waiters)) {
		waiter_cancel(w);
		w->done(w->ctx, &e);
	}
}

/* Each time that somebody may wait for etcd. */
static void count_look(struct vtpm *v)
{
	if (++v->unsettled == PUTS_SLOW)
		vtpm_tell_slow(v);
	if (v->unsettled >= PUTS_LATE && store_is_leased(&v->store))
		end_waiting(v);
}

/* Whether its end waits for etcd: its manager may answer its guest no more, waits for what it
 * put, or is gone. */
static bool is_held_up(const struct vtpm *v)
{
	uint32_t ms = 0;

	return v->waiters && vtpm_is(v, VTPM_LEAVING) && store_is_leased(&v->store) &&
	       (evtimer_pending(v->ended, NULL) ||
		(v->peer && peer_store_error(v->peer)) ||
		store_lease_ms(&v->store, &ms) || !ms);
}

void vtpm_on_settle(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval soon = {.tv_usec = PUTS_POLL_US};
	struct vtpm *v = ctx;
	struct waiter *w;
	bool more = true;

	vtpm_start_queued(v->d);
	/* what they are told is to be true when this host loses power */
	/* who is told of a failure need not wait until that is durable, as it may be the store's */
	if (is_held_up(v) || (v->waiters && vtpm_is(v, VTPM_SETTLED) &&
			      v->state != VTPM_FAILED && !store_is_settled(&v->store))) {
		event_add(v->settle, &soon);
		count_look(v);
		return;
	}
	v->unsettled = 0;
	while (more && vtpm_is(v, VTPM_SETTLED) && (w = v->waiters)) {
		waiter_cancel(w);
		more = v->waiters != NULL;
		w->done(w->ctx, NULL);
	}
}
