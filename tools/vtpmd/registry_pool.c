/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/pool_keys.h"
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/pool_seen.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/witness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define SEEN_S	       30 /* what was seen of etcd is noted this often */
#define ENDING_POLL_US 100000

/* A pool that `vtpmctl pool` has set up has a list of its hosts; one that the options name may
 * have. */
static int may_claim(void *ctx, struct error *e)
{
	struct vtpmd *d = ctx;
	size_t len;

	if (!store_etcd_list_of_hosts(&len) && !d->pool.named_by)
		return 0;
	return move_list_has(d, store_etcd_host(), e);
}

/* Another host deleted it. */
static void drop_foreign(struct vtpm *v)
{
	if (v->waiters || v->holds || !vtpm_is(v, VTPM_DOWN))
		return;
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "another host of the pool deleted it");
	anchor_forget(v->d->anchor, v);
	crb_forget(v->d, v->meta.uuid);
	vtpms_remove(v);
	vtpm_free(v);
}

/* Whether what etcd has is newer than what is known.  A header alone, which another host made
 * anew, counts when this host knows that it came behind the one that is anchored. */
static bool is_newer(const struct vtpm *v, uint64_t header, uint64_t permall)
{
	const struct anchor_entry *known = anchor_find(v->d->anchor, v);
	uint64_t seq = known ? anchor_entry_seq(known) : 0;

	return permall > seq || (known && permall == seq && v->anchor.seen_header &&
				 header > v->anchor.seen_header);
}

static void witness_one(struct vtpm *v)
{
	const struct anchor_entry *known = anchor_find(v->d->anchor, v);
	struct store_etcd_put put;
	int64_t of = store_etcd_foreign(&v->store, &put);

	if (!of || of == v->anchor.seen || !vtpm_is(v, VTPM_DOWN))
		return;
	v->anchor.seen = of;
	store_know_nothing(&v->store);
	if (is_newer(v, put.header, put.permall)) {
		v->anchor.seen_header = put.header;
		anchor_witness(v->d->anchor, v);
	} else if (known && put.permall < anchor_entry_seq(known)) {
		log_about(
			LOG_ERR, VTPM_ABOUT(v),
			"another host has put generation %llu into etcd, and generation "
			"%llu was there: it does not start here",
			(unsigned long long)put.permall,
			(unsigned long long)anchor_entry_seq(known));
	} else if (known && !memcmp(put.hash, known->header, sizeof(put.hash))) {
		v->anchor.seen_header = put.header;
	}
}

void registry_witness_all(struct vtpmd *d)
{
	struct vtpm *v;

	struct error e = {.cause = CAUSE_NONE};

	if (!store_etcd_is(d->store) || store_etcd_put_back())
		return;
	(void)!may_claim(d, &e); /* the list's number is anchored, too */
	for (v = d->vtpms; v; v = v->next)
		witness_one(v);
}

void registry_witness(struct vtpm *v)
{
	uint64_t seq = 0;
	uint8_t *buf;
	size_t len;

	if (!store_etcd_is(v->d->store) || !store_etcd_is_taken_over(&v->store) ||
	    anchor_off(v->d->anchor) || anchor_busy(v->d->anchor))
		return;
	store_know_nothing(&v->store);
	if (store_get(&v->store, CHANNEL_OBJECT_PERMALL, &buf, &len))
		return;
	if (store_object_seq(CHANNEL_OBJECT_PERMALL, buf, len, &seq))
		seq = 0;
	free(buf);
	if (is_newer(v, 0, seq))
		anchor_claim(v->d->anchor, v);
}

static void refresh_foreign(struct vtpm *v)
{
	struct error own = v->meta.error;
	struct meta m;

	if (!vtpm_is(v, VTPM_DOWN))
		return;
	store_tell(&v->store, STORE_CHANGED);
	if (meta_read(&v->store, &m))
		return;
	vtpms_remove(v);
	v->meta = m;
	v->meta.error = own; /* why it failed here */
	vtpms_add(v->d, v);
	if (!anchor_busy(v->d->anchor))
		witness_one(v);
}

void registry_foreign(void *ctx, const uint8_t uuid[16], bool there)
{
	struct vtpmd *d = ctx;
	struct vtpm *v = vtpms_find_uuid(d, uuid);
	char text[37];

	if (pool_move_is_of(uuid))
		return;
	uuid_unparse_lower(uuid, text);
	if (v && there)
		refresh_foreign(v);
	else if (v)
		drop_foreign(v);
	else if (there)
		registry_load_one(d, text);
}

static void let_vtpm_go(void *ctx, const uint8_t uuid[16])
{
	struct vtpm *v = vtpms_find_uuid(ctx, uuid);

	if (v)
		vtpm_let_go(v);
}

/* The name behind the last slash. */
static const char *pool_of(const struct vtpmd *d)
{
	return strrchr(d->store, '/') + 1;
}

static void save_seen(struct vtpmd *d)
{
	static struct session_seen saved;
	static bool failed;
	struct session_seen seen = store_etcd_seen();
	int rc;

	pool_keys_save(d);
	if (!seen.cluster_id || !memcmp(&seen, &saved, sizeof(seen)))
		return;
	rc = pool_seen_save(d->folder, pool_of(d), &seen);
	if (!rc)
		saved = seen;
	else if (!failed)
		log_line(LOG_ERR,
			 "%s/" POOL_SEEN_FILE
			 " could not be written: %s; see its disk's space and "
			 "permissions",
			 d->folder, strerror(-rc));
	failed = rc != 0;
}

static void on_seen_tick(evutil_socket_t fd, short what, void *ctx)
{
	save_seen(ctx);
}

static void wake_pool(struct vtpmd *d)
{
	struct waiter *w;

	while ((w = d->pool.waiters)) {
		waiter_cancel(w);
		w->done(w->ctx, NULL);
	}
}

/* Those that ran go on with states that are not there any more: they have ended first. */
static void on_ending(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval soon = {.tv_usec = ENDING_POLL_US};
	struct vtpmd *d = ctx;
	struct vtpm *v = d->vtpms;

	while (v && vtpm_is(v, VTPM_DOWN))
		v = v->next;
	if (v)
		event_add(d->pool.ending, &soon);
	else if (store_etcd_put_back())
		store_etcd_accept();
}

static void on_accepted(void *ctx)
{
	struct audit_event line = {.event = "pool-accept"};
	struct vtpmd *d = ctx;
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next) {
		store_know_nothing(&v->store);
		v->anchor.seen = 0;
		v->anchor.seen_header = 0;
		witness_forget(v);
		anchor_claim(d->anchor, v);
		vtpm_accepted(v);
	}
	trail_add(d, &line);
	save_seen(d);
	wake_pool(d);
}

/* What was accepted once, and then learned again of a host that had not accepted it yet. */
static bool is_to_accept(struct vtpm *v)
{
	const struct anchor_entry *known = anchor_find(v->d->anchor, v);

	return vtpm_is(v, VTPM_DOWN) && !store_etcd_owner(&v->store)[0] &&
	       (witness_has_newer(v) ||
		(known && anchor_entry_seq(known) > witness_stored(v)));
}

static void accept_one(struct vtpm *v)
{
	store_know_nothing(&v->store);
	v->anchor.seen = 0;
	v->anchor.seen_header = 0;
	witness_forget(v);
	anchor_claim(v->d->anchor, v);
}

/* Whether there was one. */
static bool accept_again(struct vtpmd *d)
{
	struct audit_event line = {.event = "pool-accept"};
	bool any = false;

	for (struct vtpm *v = d->vtpms; v; v = v->next)
		if (is_to_accept(v)) {
			accept_one(v);
			any = true;
		}
	if (any)
		trail_add(d, &line);
	return any;
}

void registry_pool_accept(struct vtpmd *d, struct waiter *w)
{
	struct error e = {.cause = CAUSE_NONE};

	if (!store_etcd_is(d->store))
		error_set(&e, -EINVAL, CAUSE_INTERNAL,
			  "The store of this vtpmd is a folder, and no pool's: `vtpmctl "
			  "host anchor --accept` is for that.");
	else if (!store_etcd_put_back() && accept_again(d)) {
		w->done(w->ctx, NULL);
		return;
	} else if (!store_etcd_put_back())
		error_set(&e, -EALREADY, CAUSE_INTERNAL,
			  "There is nothing to accept: etcd's data are those that this "
			  "host knew.");
	if (e.text[0]) {
		w->done(w->ctx, &e);
		return;
	}
	waiter_add(&d->pool.waiters, w);
	store_etcd_lose_all();
	event_active(d->pool.ending, EV_TIMEOUT, 0);
}

int registry_join_pool(struct vtpmd *d, struct error *e)
{
	static const struct timeval often = {.tv_sec = SEEN_S};
	struct store_etcd_options o = {.base = d->base,
				       .url = d->store,
				       .ca = d->pool.ca,
				       .cert = d->pool.cert,
				       .key = d->pool.key,
				       .ttl = d->pool.ttl,
				       .on_foreign = registry_foreign,
				       .on_free = let_vtpm_go,
				       .on_accepted = on_accepted,
				       .may = may_claim,
				       .ctx = d};
	int rc;

	if (!store_etcd_is(d->store))
		return 0;
	rc = strrchr(d->store, '/') ? pool_seen_load(d->folder, pool_of(d), &o.seen, e)
				    : 0;
	if (!rc)
		rc = store_etcd_begin(&o, e);
	if (rc)
		return rc;
	save_seen(d);
	if (witness_new(d))
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	d->pool.tick = event_new(d->base, -1, EV_PERSIST, on_seen_tick, d);
	d->pool.ending = evtimer_new(d->base, on_ending, d);
	return d->pool.tick && d->pool.ending && !event_add(d->pool.tick, &often)
		       ? 0
		       : error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
}

void registry_leave_pool(struct vtpmd *d)
{
	if (!store_etcd_is(d->store))
		return;
	save_seen(d);
	witness_free(d);
	if (d->pool.tick)
		event_free(d->pool.tick);
	if (d->pool.ending)
		event_free(d->pool.ending);
	store_etcd_end();
}
