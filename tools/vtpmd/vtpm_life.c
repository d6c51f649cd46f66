/* SPDX-License-Identifier: Apache-2.0 */
/* How a vTPM comes and goes: what ends its manager, and what follows from that. */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/quote.h"
#include "tools/vtpmd/store_put.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpm_peer.h"
#include "tools/vtpmd/vtpm_start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_S	     10 /* to finish and store, before it is ended */
#define HELLO_S	     3	/* of one that runs, once it is connected */
#define MINUTE_MS    60000
#define PUTS_POLL_US 10000

/* From the loop, since a waiter may free the vTPM. */
static void on_settle(evutil_socket_t fd, short what, void *ctx)
{
	struct vtpm *v = ctx;
	struct vtpm_waiter *w;
	bool more = true;

	vtpm_start_queued(v->d);
	while (more && vtpm_settled(v) && (w = v->waiters)) {
		v->waiters = w->next;
		more = v->waiters != NULL;
		w->settled(w->ctx, v);
	}
}

/* Ends whatever the manager does; on_body_gone() follows. */
static void end_body(struct vtpm *v)
{
	v->failure_reported = true;
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

static void fail_and_rest(struct vtpm *v, enum cause cause, const char *text)
{
	vtpm_fail(v, cause, text);
	store_release(&v->store);
	vtpm_set_state(v, VTPM_FAILED);
}

static void restart_later(struct vtpm *v, const char *why)
{
	time_t pause = 1;

	log_about(LOG_WARNING, VTPM_ABOUT(v, .id = LOG_ID_DIED),
		  "%s It is started again.", why);
	v->restarts++;
	vtpm_note_trouble(v, why);
	v->state = VTPM_STARTING;
	if (v->deaths[VTPM_DEATHS - 2] &&
	    v->deaths[VTPM_DEATHS - 2] + MINUTE_MS > stamp_ms())
		pause = 4;
	vtpm_start_after(v, pause);
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
	vtpm_start_after(v, pause);
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
	pause = vtpm_wear_pause(v);
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
	v->body_alive = false;
	end_is_over(v);
	/* the last word about its generations, before anybody else can write there */
	anchor_note(v->d->anchor, v);
	store_know_nothing(&v->store);
	v->state_opened = v->begun = false;
	config_put(v->config);
	v->config = NULL;
	if (v->state == VTPM_STOPPING) {
		store_release(&v->store);
		log_about(LOG_INFO, VTPM_ABOUT(v, .id = LOG_ID_STOPPED), "stopped");
		vtpm_set_state(v, VTPM_STOPPED);
	} else if (v->failure_reported) {
		store_release(&v->store);
		vtpm_set_state(v, VTPM_FAILED);
		vtpm_try_again_later(v);
	} else if (cause != CAUSE_NONE) {
		fail_and_rest(v, cause, why);
		vtpm_try_again_later(v);
	} else {
		die_unasked(v, why);
	}
}

/* What its manager sent last may be on its way to the disk: until that is over, the
 * lease is kept, and its generations are not final. */
static void look_after_end(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval soon = {.tv_usec = PUTS_POLL_US};
	struct vtpm *v = ctx;

	if (!store_put_busy(&v->store) || event_add(v->ended, &soon))
		after_end(v, v->why_cause, v->why);
}

static void on_body_gone(void *ctx, enum cause cause, const char *why)
{
	struct vtpm *v = ctx;

	if (evtimer_pending(v->ended, NULL))
		return;
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
	return v->hello_pending && !v->failure_reported &&
	       (v->state == VTPM_RUNNING || v->adopted);
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

	if (awaits_hello(v) && (!v->adopted || start_left(v) > 0)) {
		/* an old ring without its manager's attention: connect again */
		vtpm_drop_peer(v);
		if (v->adopted)
			vtpm_set_timer(v, start_left(v));
		v->body->ops->lost(v->body);
		return;
	}
	if (v->state == VTPM_STARTING && !v->failure_reported)
		vtpm_fail(v, CAUSE_RESOURCES,
			  "The vTPM did not become ready in time: when this host is not "
			  "just busy, see the stub domain's console and `journalctl -u "
			  "vtpmd`.");
	if (v->body_alive)
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
	};

	/* the new connection replaces whatever an old one was left as */
	if (v->peer)
		vtpm_drop_peer(v);
	if (peer_new(&env, wire, &vtpm_peer_owner, v, &v->peer)) {
		v->peer = NULL;
		v->body->ops->lost(v->body);
		return;
	}
	v->hello_pending = true;
	if (awaits_hello(v))
		vtpm_set_timer(v, HELLO_S);
	if (v->state == VTPM_STOPPING)
		peer_event(v->peer, CHANNEL_EVENT_STOP);
}

/* One that starts or runs. */
static void stop(struct vtpm *v)
{
	v->state = VTPM_STOPPING;
	vtpm_progress(v, "stopping", NULL);
	if (!v->body_alive) {
		store_release(&v->store);
		v->begun = false;
		vtpm_set_state(v, VTPM_STOPPED);
	} else if (v->peer && !v->hello_pending) {
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
	vtpm_keep_meta(v);
	if (v->unkept)
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
	if (v->adopted && v->state == VTPM_STARTING)
		return false;
	if (v->state == VTPM_RUNNING || v->state == VTPM_STARTING)
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
	v->meta.wanted = v->queued = v->urgent = false;
	vtpm_guest_set_launched(v, false);
	vtpm_cancel_end(v);
	event_del(v->pause);
	if (v->state == VTPM_STOPPED || v->state == VTPM_FAILED) {
		v->meta.error = (struct error){.cause = CAUSE_NONE};
		vtpm_set_state(v, VTPM_STOPPED);
	} else if (v->state != VTPM_STOPPING) {
		vtpm_keep_meta(v);
		stop(v);
	}
	return 0;
}

bool vtpm_leave(struct vtpm *v)
{
	if (!v->body_alive || !v->meta.process)
		return false;
	if (v->state != VTPM_STOPPING) {
		v->state = VTPM_STOPPING;
		if (v->peer)
			peer_event(v->peer, CHANNEL_EVENT_STOP);
	}
	return true;
}

struct vtpm *vtpm_new(struct vtpmd *d, const struct meta *m, struct store *s)
{
	struct vtpm *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->d = d;
	v->meta = *m;
	v->store = *s;
	v->body_owner = &body_owner;
	v->timer = evtimer_new(d->base, on_timer, v);
	v->pause = evtimer_new(d->base, vtpm_on_pause, v);
	v->settle = event_new(d->base, -1, 0, on_settle, v);
	v->ended = evtimer_new(d->base, look_after_end, v);
	v->keep = evtimer_new(d->base, vtpm_on_keep, v);
	if (!v->timer || !v->pause || !v->settle || !v->ended || !v->keep) {
		s->dir = s->lease = -1;
		vtpm_free(v);
		return NULL;
	}
	v->state = m->error.cause ? VTPM_FAILED : VTPM_STOPPED;
	vtpm_guest_load(v);
	return v;
}

void vtpm_free(struct vtpm *v)
{
	quote_forget(v);
	attest_drop(v);
	peer_free(v->peer);
	if (v->body)
		v->body->ops->free(v->body);
	if (v->timer)
		event_free(v->timer);
	if (v->pause)
		event_free(v->pause);
	if (v->settle)
		event_free(v->settle);
	if (v->ended)
		event_free(v->ended);
	if (v->keep)
		event_free(v->keep);
	config_put(v->config);
	store_close(&v->store);
	free(v);
}
