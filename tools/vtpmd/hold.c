/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/hold.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define POLL_US 10000
#define SLOW_MS (STORE_ETCD_SLOW_S * 1000)

static void let_go(struct hold *h)
{
	struct vtpm *v = h->v;
	struct hold **at;

	if (h->poll)
		event_free(h->poll);
	h->poll = NULL;
	h->d = NULL;
	h->v = NULL;
	if (!v)
		return;
	for (at = &v->holds; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	if (!vtpm_is(v, VTPM_DOWN) || v->holds)
		return;
	store_release(&v->store);
	/* what another host did to it meanwhile was not looked at */
	if (store_etcd_is(v->d->store))
		store_etcd_tell_again(v->meta.uuid);
}

static int claim_held(struct hold *h, struct error *e)
{
	int rc;

	if (!h->v)
		return error_set(e, -ENOENT, CAUSE_STORE,
				 "The vTPM %s was deleted meanwhile: see `vtpmctl list`.",
				 h->name);
	/* what runs on a host that was taken out of the list is claimed, and is not to be changed */
	rc = store_etcd_is(h->d->store) ? store_etcd_may(e) : 0;
	if (!rc)
		rc = vtpm_claim(h->v, e);
	if (rc == -ENOENT && h->absent_too) {
		*e = (struct error){.cause = CAUSE_NONE};
		rc = 0;
	}
	return rc;
}

/* -EAGAIN: etcd has not said yet whether it has the change. */
static int see_stored(struct hold *h, struct error *e)
{
	char why[300] = "it has not answered";
	int rc;

	if (!store_etcd_is(h->d->store))
		return 0;
	rc = h->v ? store_etcd_has_done(&h->v->store, h->change)
		  : store_etcd_has_gone(h->uuid, h->change);
	if (rc == -ESTALE)
		return error_set(
			e, rc, CAUSE_STORE,
			"The claim on %s was lost before etcd had the change: `vtpmctl show "
			"%s` tells what is stored.",
			h->name, h->name);
	if (rc != -EAGAIN || stamp_ms() - h->since < HOLD_STORE_S * 1000)
		return rc;
	if (h->v)
		store_waits_for(&h->v->store, why, sizeof(why));
	return error_set(
		e, -ETIMEDOUT, CAUSE_STORE,
		"etcd has not said within %d s whether it has the change of %s (%s); see "
		"`vtpmctl pool show`, and `vtpmctl show %s` then.",
		HOLD_STORE_S, h->name, why, h->name);
}

static void tell_waiting(struct hold *h)
{
	char why[300], text[340];

	if (h->told || !h->v || stamp_ms() - h->since < SLOW_MS)
		return;
	h->told = true;
	store_waits_for(&h->v->store, why, sizeof(why));
	snprintf(text, sizeof(text), "waiting for etcd: %s", why);
	h->progress(h->ctx, text);
}

static int go_on_held(struct hold *h, struct error *e)
{
	int rc;

	if (!h->ran) {
		rc = claim_held(h, e);
		if (rc)
			return rc;
		h->ran = true;
		h->since = stamp_ms();
		rc = h->run(h->ctx, h->v, e);
		if (rc)
			return rc;
		h->change = store_etcd_last(h->uuid);
	}
	return see_stored(h, e);
}

static void hold_step(struct hold *h)
{
	static const struct timeval soon = {.tv_usec = POLL_US};
	struct error e = {.cause = CAUSE_NONE};
	int rc = go_on_held(h, &e);

	if (rc == -EAGAIN) {
		tell_waiting(h);
		if (!event_add(h->poll, &soon))
			return;
		rc = error_set(&e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	}
	let_go(h);
	h->done(h->ctx, rc, &e);
}

static void on_hold(evutil_socket_t fd, short what, void *ctx)
{
	hold_step(ctx);
}

void hold_begin(struct hold *h, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};

	h->d = v->d;
	h->v = v;
	h->next = v->holds;
	v->holds = h;
	memcpy(h->uuid, v->meta.uuid, sizeof(h->uuid));
	snprintf(h->name, sizeof(h->name), "%s", v->meta.name);
	h->ran = h->told = false;
	h->since = stamp_ms();
	h->poll = evtimer_new(v->d->base, on_hold, h);
	if (h->poll) {
		hold_step(h);
		return;
	}
	let_go(h);
	h->done(h->ctx, error_set(&e, -ENOMEM, CAUSE_INTERNAL, "There is no memory."),
		&e);
}

void hold_cancel(struct hold *h)
{
	if (h->d)
		let_go(h);
}

void hold_leave(struct vtpm *v)
{
	while (v->holds) {
		struct hold *h = v->holds;

		v->holds = h->next;
		h->v = NULL;
	}
}
