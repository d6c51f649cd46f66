/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a vTPM comes and goes: what a start takes before its manager is there (its folder and
 * the lease on it, host.json, the anchor, and a body; or the body that an earlier vtpmd
 * left), what ends its manager, and what follows from that.
 */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/hold.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/quote.h"
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/witness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STARTS_AT_ONCE 4
/* Pauses between tries when the cause may pass: 2, 4, ... 64 s, then 60 s. */
#define TRY_S	       2
#define TRIES_DOUBLING 6
#define TRY_MAX_S      60

static int make_body(struct vtpm *v)
{
	if (v->body)
		return 0;
	v->body = v->meta.process ? process_new() : domain_new();
	if (!v->body)
		return -ENOMEM;
	v->body->d = v->d;
	v->body->name = v->meta.name;
	v->body->uuid = v->meta.uuid;
	v->body->memory = v->meta.memory;
	v->body->owner = v->body_owner;
	v->body->ctx = v;
	return 0;
}

int vtpm_claim(struct vtpm *v, struct error *e)
{
	if (!v->store.claimed) {
		v->witness.due = !v->making;
		v->witness.used_ms = 0;
		v->witness.sure = v->making ? store_etcd_stretch() : 0;
		v->witness.claim++;
		v->witness.step = WITNESS_NOT_ASKED;
	}
	return store_claim(&v->store, e);
}

/* Takes the lease, and checks the folder of which the manager will be given, and nothing
 * else: of all that start together, before the TPM is written, once.  On failure
 * refuse_start() follows. */
static int begin_start(struct vtpm *v, struct error *e)
{
	int rc = move_may_start(v, e);

	if (rc)
		return rc;
	rc = v->making ? 0 : store_reopen(&v->store, v->d->store);

	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The folder of %s in %s cannot be opened: %s; see its disk's space and permissions.",
			v->meta.name, v->d->store, strerror(-rc));
	rc = vtpm_claim(v, e);
	if (rc)
		return rc;
	if (!v->making) {
		vtpm_refresh_presence(v);
		/* that it is wanted could not be stored before */
		if (store_is_leased(&v->store))
			(void)!vtpm_keep_meta(v);
	}
	rc = witness_may_start(v, e);
	if (rc)
		return rc;
	if (!v->making)
		registry_witness(v);
	return anchor_begin(v->d->anchor, v, e);
}

/* What it is; of one that is being made, what was asked for stands. */
static int describe_start(struct vtpm *v, struct error *e)
{
	if (!v->meta.creating)
		return describe_stored(&v->meta, &v->store, e);
	if (v->making)
		return 0;
	return error_set(
		e, -ENOENT, CAUSE_NO_STATE,
		"The vTPM %s was being made when the host or vtpmd went down, and is "
		"not whole. `vtpmctl delete %s`, and %s again.",
		v->meta.name, v->meta.name, meta_made_by(&v->meta));
}

int vtpm_check(struct vtpm *v, struct error *e)
{
	int rc = 0;

	if (vtpm_is(v, VTPM_BEGUN) || v->making)
		return 0;
	if (store_reopen(&v->store, v->d->store))
		return error_set(e, -EIO, CAUSE_STORE, "The folder of %s is not there.",
				 v->meta.name);
	rc = anchor_check(v->d->anchor, v, e);
	return rc ? rc : describe_stored(&v->meta, &v->store, e);
}

/* All that a start needs before the manager is there. */
static int prepare(struct vtpm *v, struct error *e)
{
	int rc = anchor_ready(v->d->anchor, v, e);

	if (rc)
		return rc;
	config_put(v->config);
	rc = config_get(&v->d->host, v->d->config, &v->config, e);
	if (!rc)
		rc = describe_start(v, e);
	if (!rc)
		rc = config_covers(v->config, v->meta.policy, e);
	if (rc)
		return rc;
	/* the header of an interrupted creation protects nothing yet */
	if (v->making && !store_has(&v->store, CHANNEL_OBJECT_PERMALL))
		rc = store_drop_header(&v->store);
	else if (v->meta.is_copy || v->meta.imported)
		rc = store_drop_source(&v->store);
	if (!rc)
		rc = store_settle(&v->store);
	if (!rc)
		rc = make_body(v);
	return rc ? error_set(e, rc, CAUSE_STORE, "The vTPM's store is not usable: %s.",
			      strerror(-rc))
		  : 0;
}

/* Starts the manager of one that has begun.  -EAGAIN: the TPM has not yet what it is to
 * have; on another failure refuse_start() follows. */
static int start_body(struct vtpm *v, struct error *e)
{
	int rc = prepare(v, e);

	if (rc == -EAGAIN)
		return rc;
	v->rekey.failed = false;
	clock_gettime(CLOCK_MONOTONIC, &v->started);
	memset(&v->status, 0, sizeof(v->status));
	if (!rc && vtpm_step(v, VTPM_BOOT))
		rc = v->body->ops->start(v->body, e);
	if (!rc)
		vtpm_set_timer(v, VTPM_START_S);
	return rc;
}

/* When its turn comes: only some start at the same time. */
static void start_later(struct vtpm *v)
{
	if (!vtpm_step(v, VTPM_START))
		return;
	(void)anchor_want(v->d->anchor);
	/* from the loop: when all that wait are in the queue */
	event_active(v->settle, EV_TIMEOUT, 0);
}

/* It is being stopped. */
static int refuse_leaving(struct vtpm *v, struct error *e)
{
	char why[160];

	if (!store_is_leased(&v->store) || !store_put_busy(&v->store))
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s is being stopped: try again in a moment.",
				 v->meta.name);
	store_waits_for(&v->store, why, sizeof(why));
	return error_set(
		e, -EBUSY, CAUSE_STORE,
		"The vTPM %s is being stopped, and etcd does not have what it wrote "
		"last (%s): start it when `vtpmctl list` says that it is stopped.",
		v->meta.name, why);
}

int vtpm_start(struct vtpm *v, struct error *e)
{
	if (vtpm_is(v, VTPM_STARTING | VTPM_UP)) {
		vtpm_cancel_end(v);
		return 0;
	}
	if (!vtpm_is(v, VTPM_DOWN))
		return refuse_leaving(v, e);
	v->meta.wanted = true;
	v->meta.error = (struct error){.cause = CAUSE_NONE};
	memset(v->deaths, 0, sizeof(v->deaths));
	v->tries = 0;
	event_del(v->pause);
	v->urgent = true;
	wear_fill(&v->wear);
	peer_tpm_fill(&v->limits);
	/* another host may have had it since */
	if (!v->making && !v->store.claimed)
		vtpm_refresh_presence(v);
	vtpm_keep_meta(v);
	start_later(v);
	return 0;
}

/* Whether an earlier vtpmd has left a body. */
static bool adopt_body(struct vtpm *v)
{
	v->body->ending = v->meta.ending;
	v->rekey.failed = false;
	vtpm_step(v, VTPM_ADOPT);
	clock_gettime(CLOCK_MONOTONIC, &v->started);
	vtpm_set_timer(v, VTPM_START_S);
	if (!v->body->ops->adopt(v->body)) {
		log_about(LOG_INFO, VTPM_ABOUT(v), "found running");
		return true;
	}
	v->body->ending = v->meta.ending = false;
	event_del(v->timer);
	vtpm_step(v, v->meta.error.cause ? VTPM_REFUSE : VTPM_ABSENT);
	return false;
}

/* Another host has it: what is left here has answered nothing since this host's lease ran out,
 * and will not. */
static void end_stray(struct vtpm *v)
{
	if (adopt_body(v)) {
		store_tell(&v->store, STORE_LOST);
		return;
	}
	v->body->ops->free(v->body);
	v->body = NULL;
}

bool vtpm_adopt(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};

	if (make_body(v))
		return false;
	if (!store_is_here(&v->store)) {
		end_stray(v);
		return false;
	}
	if (store_claim(&v->store, &e))
		return false;
	if (config_get(&v->d->host, v->d->config, &v->config, &e))
		log_about(LOG_WARNING, VTPM_ABOUT(v), "%s", e.text);
	if (adopt_body(v))
		return true;
	config_put(v->config);
	v->config = NULL;
	/* the last vtpmd did not come to giving it back; nothing runs */
	store_release(&v->store);
	return false;
}

/* The queue: of those without a waiting operator, some start at the same time. */

/* In how many seconds it may be started without an operator, as the start costs a write of
 * the host's TPM, or it was ready; 0: at once.  Once for each start. */
static time_t wear_pause(struct vtpm *v)
{
	unsigned int ms;

	/* Nothing was put: the next start has the same epoch.  One that was ready costs other
	 * things besides: a domain whose pages its guest maps stays with Xen. */
	if (v->anchor.unused && !v->ready_ms)
		return 0;
	ms = wear_start(&v->wear, (uint64_t)stamp_ms());
	return (ms + 999) / 1000;
}

/* Starts it again after so many seconds. */
static void start_after(struct vtpm *v, time_t seconds)
{
	struct timeval pause = {.tv_sec = seconds};

	clock_gettime(CLOCK_MONOTONIC, &v->next_try);
	v->next_try.tv_sec += seconds;
	event_add(v->pause, &pause);
}

/* It failed: sees whether time may mend that. */
static void try_again_later(struct vtpm *v)
{
	time_t pause = TRY_S, least;

	if (!v->meta.wanted || v->meta.creating || !error_passes(v->meta.error.cause))
		return;
	/* one that was ready for a moment has not shown that its cause has passed: a guest
	 * may have taken its manager over */
	if (v->ready_ms && stamp_ms() - v->ready_ms >= TRY_MAX_S * 1000)
		v->tries = 0;
	least = wear_pause(v);
	v->ready_ms = 0;
	if (v->tries < TRIES_DOUBLING)
		pause <<= v->tries++;
	else
		pause = TRY_MAX_S;
	if (pause < least)
		pause = least;
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "tried again in %lld s", (long long)pause);
	start_after(v, pause);
}

/* Why it failed that passes without this host, and is no failure then. */
static enum vtpm_for_now passing_reason(const struct vtpm *v, enum cause cause)
{
	if (!store_is_leased(&v->store))
		return VTPM_FOR_GOOD;
	if (cause == CAUSE_ROLLED_BACK && store_etcd_put_back())
		return VTPM_PUT_BACK;
	return cause == CAUSE_LEASE && store_etcd_other_owner(&v->store)[0]
		       ? VTPM_OTHER_HAS_IT
		       : VTPM_FOR_GOOD;
}

static void fail_and_rest(struct vtpm *v, enum cause cause, const char *text)
{
	vtpm_fail(v, cause, text);
	v->for_now = passing_reason(v, cause);
	store_release(&v->store);
	vtpm_settle(v, VTPM_REFUSE);
}

/* It cannot start, and *e is why: the lease is given back. */
static void refuse_start(struct vtpm *v, const struct error *e)
{
	struct error ignored = {.cause = CAUSE_NONE};

	vtpm_audit_refusal(v, e->cause);
	v->urgent = false;
	fail_and_rest(v, e->cause, e->text);
	/* that it moves is no reason for its move to end */
	if (!move_may_start(v, &ignored))
		move_on_gone(v);
	try_again_later(v);
}

/* Begins it, if its store is claimed. */
static void begin_one(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = begin_start(v, &e);

	if (rc == -EAGAIN && (v->store.claiming || v->witness.step != WITNESS_NOT_ASKED))
		queue_leave(
			v); /* STORE_CLAIMED, STORE_LOST, vtpm_witnessed() bring it back */
	else if (rc)
		refuse_start(v, &e);
	else
		vtpm_step(v, VTPM_BEGIN);
}

/* One that has begun; in either case it is in that line no more. */
static void start_one(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = start_body(v, &e);

	/* once it boots, that of fork() is a failure as any other */
	if (rc == -EAGAIN && v->state == VTPM_ANCHORING) {
		queue_hold(v);
		return;
	}
	if (rc)
		refuse_start(v, &e);
	v->urgent = false;
}

/* Whether one more may start for which no operator waits.  Those that move in wait for their
 * guests, and keep nobody waiting. */
static bool has_room(const struct vtpmd *d)
{
	const struct vtpm *v = d->queue.coming.first;
	unsigned int busy = 0;

	for (; v && busy < STARTS_AT_ONCE; v = v->queued.behind)
		busy += !move_waits(v);
	return busy < STARTS_AT_ONCE;
}

void vtpm_start_queued(struct vtpmd *d)
{
	struct queue *q = &d->queue;

	/* how old their states may be is not known yet */
	if (anchor_busy(d->anchor))
		return;
	/* all that wait, so that the TPM is written once for them */
	while (q->begins.first)
		begin_one(q->begins.first);
	while (q->urgent.first)
		start_one(q->urgent.first);
	while (q->later.first && has_room(d))
		start_one(q->later.first);
}

void vtpm_start_anchored(struct vtpmd *d)
{
	queue_let_go(d);
	vtpm_start_queued(d);
}

void vtpm_autostart(struct vtpm *v)
{
	v->autostart = true;
	v->d->autostart++;
	start_later(v);
}

void vtpm_autostart_begin(struct vtpmd *d)
{
	const struct log_about about = {.id = LOG_ID_AUTOSTART};

	if (d->autostart)
		log_about(LOG_NOTICE, &about, "%u vTPM%s started, %d at a time",
			  d->autostart, d->autostart == 1 ? " is" : "s are",
			  STARTS_AT_ONCE);
}

void vtpm_start_again(struct vtpm *v)
{
	event_del(v->pause);
	v->tries = 0;
	start_later(v);
}

/* Nothing is stored of it: that is for who claims it. */
static void clear_failure(struct vtpm *v, const char *why)
{
	v->meta.error = (struct error){.cause = CAUSE_NONE};
	if (vtpm_step(v, VTPM_STOP))
		log_about(LOG_NOTICE, VTPM_ABOUT(v), "%s", why);
}

void vtpm_let_go(struct vtpm *v)
{
	if (v->state == VTPM_FAILED && v->for_now == VTPM_OTHER_HAS_IT)
		clear_failure(v, "the host that had it has let it go");
}

void vtpm_accepted(struct vtpm *v)
{
	if (v->state == VTPM_FAILED && v->for_now == VTPM_PUT_BACK)
		clear_failure(v, "etcd's data as they are were accepted");
}

int64_t vtpm_next_try(const struct vtpm *v)
{
	struct timespec now;

	if (v->state != VTPM_FAILED || !evtimer_pending(v->pause, NULL))
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec >= v->next_try.tv_sec ? 0 : v->next_try.tv_sec - now.tv_sec;
}

/* Of v->pause: the time has come. */
static void on_pause(evutil_socket_t fd, short what, void *ctx)
{
	start_later(ctx);
}

/* The end of its manager. */

#define STOP_S	     10 /* to finish and store, before it is ended */
#define HELLO_S	     3	/* of one that runs, once it is connected */
#define MINUTE_MS    60000
#define PUTS_POLL_US 10000

/* Ends whatever the manager does; on_body_gone() follows. */
static void end_body(struct vtpm *v)
{
	vtpm_step(v, VTPM_GIVE_UP);
	v->body->ops->end(v->body);
}

/* Whether the manager has died too often lately. */
static bool note_death(struct vtpm *v)
{
	int64_t now = stamp_ms();

	memmove(v->deaths, v->deaths + 1, sizeof(v->deaths) - sizeof(v->deaths[0]));
	v->deaths[VTPM_DEATHS - 1] = now;
	return v->deaths[0] && now - v->deaths[0] < MINUTE_MS;
}

static void restart_later(struct vtpm *v, const char *why)
{
	time_t pause = 1;

	log_about(LOG_WARNING, VTPM_ABOUT(v, .id = LOG_ID_DIED),
		  "%s It is started again.", why);
	v->restarts++;
	vtpm_note_trouble(v, why);
	vtpm_step(v, VTPM_GONE);
	if (v->deaths[VTPM_DEATHS - 2] &&
	    v->deaths[VTPM_DEATHS - 2] + MINUTE_MS > stamp_ms())
		pause = 4;
	start_after(v, pause);
}

/* Each start is a write of the host's TPM. */
static void rest_for(struct vtpm *v, time_t pause, const char *why)
{
	char text[300];

	snprintf(text, sizeof(text),
		 "%.150s It ended too often to be started again at once: `vtpmctl start` "
		 "does; see `journalctl -u vtpmd`.",
		 why);
	v->restarts++;
	fail_and_rest(v, CAUSE_INTERNAL, text);
	start_after(v, pause);
}

static void die_unasked(struct vtpm *v, const char *why)
{
	bool often = note_death(v);
	char text[300];
	time_t pause;

	if (v->meta.creating || often) {
		snprintf(text, sizeof(text), "%.150s%s See `journalctl -u vtpmd` and %s.",
			 why, often ? " It died too often within a minute." : "",
			 v->meta.process ? "the kernel's log"
					 : "the stub domain's console");
		fail_and_rest(v, CAUSE_INTERNAL, text);
		return;
	}
	pause = wear_pause(v);
	if (pause)
		rest_for(v, pause, why);
	else
		restart_later(v, why);
}

/* The stub domain that was asked is gone. */
static void end_is_over(struct vtpm *v)
{
	v->body->ending = false;
	if (!v->meta.ending)
		return;
	v->meta.ending = false;
	vtpm_keep_meta(v);
}

static void after_end(struct vtpm *v, enum cause cause, const char *why)
{
	end_is_over(v);
	/* the last word about its generations, before anybody else can write there */
	anchor_note(v->d->anchor, v);
	store_know_nothing(&v->store);
	config_put(v->config);
	v->config = NULL;
	if (vtpm_is(v, VTPM_LEAVING)) {
		log_about(LOG_INFO, VTPM_ABOUT(v, .id = LOG_ID_STOPPED), "stopped");
		/* describes it, which is this host's to do while it has the claim */
		vtpm_settle(v, VTPM_GONE);
		store_release(&v->store);
	} else if (vtpm_is(v, VTPM_GIVEN_UP)) {
		store_release(&v->store);
		vtpm_settle(v, VTPM_GONE);
		try_again_later(v);
	} else if (cause != CAUSE_NONE) {
		fail_and_rest(v, cause, why);
		try_again_later(v);
	} else {
		die_unasked(v, why);
	}
	move_on_gone(v);
}

/* What its manager sent last may be on its way to the disk: until that is over, the
 * lease is kept, and its generations are not final. */
static void look_after_end(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval soon = {.tv_usec = PUTS_POLL_US};
	struct vtpm *v = ctx;

	if (!store_put_busy(&v->store) || event_add(v->ended, &soon))
		after_end(v, v->why_cause, v->why);
	else if (!evtimer_pending(v->settle, NULL))
		event_add(v->settle, &soon); /* who waits is told */
}

static void on_body_gone(void *ctx, enum cause cause, const char *why)
{
	struct vtpm *v = ctx;

	if (evtimer_pending(v->ended, NULL))
		return;
	if (move_is_away(v))
		crb_left(v->meta.uuid);
	else
		crb_lost(v->meta.uuid);
	event_del(v->timer);
	if (v->peer)
		vtpm_drop_peer(v);
	v->why_cause = cause;
	snprintf(v->why, sizeof(v->why), "%s", why);
	look_after_end(-1, 0, v);
}

/* Whether a manager that has run all the time is to say HELLO. */
static bool awaits_hello(const struct vtpm *v)
{
	return v->peer && !peer_is_greeted(v->peer) &&
	       (v->state == VTPM_RUNNING || v->state == VTPM_ADOPTED);
}

/* What is left of the time that a start has. */
static int start_left(const struct vtpm *v)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return VTPM_START_S - (int)(now.tv_sec - v->started.tv_sec);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct vtpm *v = ctx;

	if (awaits_hello(v) && (v->state == VTPM_RUNNING || start_left(v) > 0)) {
		/* an old ring without its manager's attention: connect again */
		vtpm_drop_peer(v);
		if (v->state == VTPM_ADOPTED)
			vtpm_set_timer(v, start_left(v));
		v->body->ops->lost(v->body);
		return;
	}
	if (vtpm_is(v, VTPM_COMING))
		vtpm_fail(v, CAUSE_RESOURCES,
			  "The vTPM did not become ready in time: when this host is not "
			  "just busy, see the stub domain's console and `journalctl -u "
			  "vtpmd`.");
	if (vtpm_is(v, VTPM_WITH_BODY))
		end_body(v);
}

static void on_body_progress(void *ctx, const char *text)
{
	vtpm_progress(ctx, text, NULL);
}

static void on_wire(void *ctx, struct wire *wire)
{
	struct vtpm *v = ctx;
	struct peer_env env = {
		.base = v->d->base,
		.name = v->meta.name,
		.tpm = v->d->tpm,
		.store = &v->store,
		.config = &v->config,
		.limits = &v->limits,
		.copy_of = v->making && v->meta.is_copy ? v->meta.copy_of : NULL,
	};

	/* the new connection replaces whatever an old one was left as */
	if (v->peer)
		vtpm_drop_peer(v);
	if (peer_new(&env, wire, &vtpm_peer_owner, v, &v->peer)) {
		v->peer = NULL;
		v->body->ops->lost(v->body);
		return;
	}
	if (awaits_hello(v))
		vtpm_set_timer(v, HELLO_S);
	if (vtpm_is(v, VTPM_LEAVING))
		peer_event(v->peer, CHANNEL_EVENT_STOP);
}

/* One that starts or runs. */
static void stop(struct vtpm *v)
{
	vtpm_progress(v, "stopping", NULL);
	if (!vtpm_is(v, VTPM_WITH_BODY)) {
		store_release(&v->store);
		vtpm_settle(v, VTPM_STOP);
		return;
	}
	vtpm_step(v, VTPM_STOP);
	if (peer_is_greeted(v->peer)) {
		peer_event(v->peer, CHANNEL_EVENT_STOP);
		vtpm_set_timer(v, STOP_S);
	} else {
		end_body(v);
	}
}

static int on_asked(void *ctx)
{
	struct vtpm *v = ctx;

	if (v->body->ending)
		return 0;
	v->meta.ending = true;
	if (vtpm_keep_meta(v))
		return -EIO;
	v->body->ending = true;
	log_about(LOG_NOTICE, VTPM_ABOUT(v),
		  "`xl shutdown`: it ends when no guest uses it, and starts again "
		  "with the host");
	return 0;
}

/* No administrative stop: it stays wanted, and starts again with the host. */
static bool on_unused(void *ctx)
{
	struct vtpm *v = ctx;

	/* one that ran on while vtpmd was away ends in order once it is connected */
	if (v->state == VTPM_ADOPTED)
		return false;
	if (vtpm_is(v, VTPM_STARTING | VTPM_UP))
		stop(v);
	return true;
}

static const struct body_owner body_owner = {
	.wire = on_wire,
	.asked = on_asked,
	.unused = on_unused,
	.gone = on_body_gone,
	.progress = on_body_progress,
};

int vtpm_stop(struct vtpm *v, struct error *e)
{
	v->meta.wanted = v->urgent = false;
	vtpm_guest_set_launched(v, false);
	vtpm_cancel_end(v);
	event_del(v->pause);
	if (vtpm_is(v, VTPM_DOWN)) {
		v->meta.error = (struct error){.cause = CAUSE_NONE};
		vtpm_settle(v, VTPM_STOP);
	} else if (!vtpm_is(v, VTPM_LEAVING)) {
		vtpm_keep_meta(v);
		stop(v);
		event_active(v->settle, EV_TIMEOUT, 0); /* when somebody waits */
	}
	return 0;
}

bool vtpm_leave(struct vtpm *v)
{
	if (!vtpm_is(v, VTPM_WITH_BODY) || !v->meta.process)
		return false;
	if (!vtpm_is(v, VTPM_LEAVING)) {
		vtpm_step(v, VTPM_STOP);
		if (v->peer)
			peer_event(v->peer, CHANNEL_EVENT_STOP);
	}
	return true;
}

/* One that waits for its claim asks for it again, or hears how that ended. */
static void begin_again(struct vtpm *v)
{
	queue_put(v);
	event_active(v->settle, EV_TIMEOUT, 0);
}

void vtpm_witnessed(struct vtpm *v)
{
	if (v->state == VTPM_QUEUED)
		begin_again(v);
}

/* Fails closed: without the claim its state may be going on elsewhere. */
static void lose_claim(struct vtpm *v)
{
	/* one that begins, or waits for its claim, asks for that again */
	if (v->state == VTPM_QUEUED)
		begin_again(v);
	else if (v->state == VTPM_ANCHORING && vtpm_step(v, VTPM_LOSE))
		event_active(v->settle, EV_TIMEOUT, 0);
	if (!vtpm_is(v, VTPM_WITH_BODY))
		return;
	vtpm_audit_refusal(v, CAUSE_LEASE);
	if (store_etcd_put_back())
		vtpm_fail(
			v, CAUSE_ROLLED_BACK,
			"etcd's data were put back, and `vtpmctl pool accept` took them as "
			"they are: what the vTPM wrote since is lost. `vtpmctl start` it.");
	else
		vtpm_fail(
			v, CAUSE_LEASE,
			"The claim on the vTPM's store was lost, and another host may have "
			"started it: see there, and start it here once it is stopped there.");
	end_body(v);
}

static void on_store_event(void *ctx, enum store_event what)
{
	struct vtpm *v = ctx;

	if (what == STORE_LOST)
		lose_claim(v);
	else if (what == STORE_SLOW)
		vtpm_tell_slow(v);
	else if (what == STORE_CLAIMED && v->state == VTPM_QUEUED)
		begin_again(v);
}

struct vtpm *vtpm_new(struct vtpmd *d, const struct meta *m, struct store *s)
{
	struct vtpm *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->d = d;
	v->meta = *m;
	v->body_owner = &body_owner;
	v->timer = evtimer_new(d->base, on_timer, v);
	v->pause = evtimer_new(d->base, on_pause, v);
	v->settle = event_new(d->base, -1, 0, vtpm_on_settle, v);
	v->ended = evtimer_new(d->base, look_after_end, v);
	v->keep = evtimer_new(d->base, vtpm_on_keep, v);
	if (!v->timer || !v->pause || !v->settle || !v->ended || !v->keep) {
		vtpm_free(v);
		return NULL;
	}
	v->store = *s;
	v->store.on_event = on_store_event;
	v->store.ctx = v;
	v->state = m->error.cause ? VTPM_FAILED : VTPM_STOPPED;
	vtpm_guest_load(v);
	return v;
}

void vtpm_free(struct vtpm *v)
{
	struct event *const events[] = {v->timer, v->pause, v->settle, v->ended, v->keep};

	hold_leave(v);
	queue_leave(v);
	quote_forget(v);
	attest_drop(v);
	peer_free(v->peer);
	if (v->body)
		v->body->ops->free(v->body);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	config_put(v->config);
	store_close(&v->store);
	free(v);
}
