/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/vtpm_start.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/vtpm_peer.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
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

/* Takes the lease, and checks the folder of which the manager will be given, and nothing
 * else. */
static int begin_start(struct vtpm *v, struct error *e)
{
	int rc = v->making ? 0 : store_reopen(&v->store, v->d->store);

	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The folder of %s in %s cannot be opened: %s.",
				 v->meta.name, v->d->store, strerror(-rc));
	rc = store_lease(&v->store, e);
	if (rc)
		return rc;
	return anchor_begin(v->d->anchor, v, e);
}

int vtpm_start_begin(struct vtpm *v, struct error *e)
{
	int rc = v->begun ? 0 : begin_start(v, e);

	v->begun = !rc;
	return rc;
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
		v->meta.name, v->meta.name, v->meta.is_copy ? "clone" : "create it");
}

int vtpm_check(struct vtpm *v, struct error *e)
{
	int rc = 0;

	if (v->body_alive || v->begun || v->making)
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
	else if (v->meta.is_copy)
		rc = store_drop_source(&v->store);
	if (!rc)
		rc = store_settle(&v->store);
	if (!rc)
		rc = make_body(v);
	return rc ? error_set(e, rc, CAUSE_STORE, "The vTPM's store is not usable: %s.",
			      strerror(-rc))
		  : 0;
}

void vtpm_start_failed(struct vtpm *v, const struct error *e)
{
	v->body_alive = v->begun = false;
	store_release(&v->store);
	vtpm_audit_refusal(v, e->cause);
	v->meta.error = *e;
	log_about(LOG_ERR, VTPM_ABOUT(v, .cause = e->cause, .id = LOG_ID_FAILED), "%s",
		  e->text);
	v->failures++;
	vtpm_note_trouble(v, e->text);
}

int vtpm_start_body(struct vtpm *v, struct error *e)
{
	int rc = prepare(v, e);

	if (rc == -EAGAIN)
		return rc;
	v->failure_reported = v->state_opened = v->adopted = v->finish_failed = false;
	clock_gettime(CLOCK_MONOTONIC, &v->started);
	memset(&v->status, 0, sizeof(v->status));
	v->state = VTPM_STARTING;
	if (!rc) {
		v->body_alive = true;
		rc = v->body->ops->start(v->body, e);
	}
	if (!rc)
		vtpm_set_timer(v, VTPM_START_S);
	else
		vtpm_start_failed(v, e);
	return rc;
}

int vtpm_start(struct vtpm *v, struct error *e)
{
	if (v->state == VTPM_STARTING || v->state == VTPM_RUNNING) {
		vtpm_cancel_end(v);
		return 0;
	}
	if (v->state == VTPM_STOPPING)
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s is being stopped: try again in a moment.",
				 v->meta.name);
	v->meta.wanted = true;
	v->meta.error = (struct error){.cause = CAUSE_NONE};
	memset(v->deaths, 0, sizeof(v->deaths));
	v->tries = 0;
	event_del(v->pause);
	v->urgent = true;
	wear_fill(&v->wear);
	peer_tpm_fill(&v->limits);
	vtpm_keep_meta(v);
	vtpm_start_later(v);
	return 0;
}

bool vtpm_adopt(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};

	if (make_body(v) || store_lease(&v->store, &e))
		return false;
	if (config_get(&v->d->host, v->d->config, &v->config, &e))
		log_about(LOG_WARNING, VTPM_ABOUT(v), "%s", e.text);
	v->body_alive = v->adopted = true;
	v->body->ending = v->meta.ending;
	v->failure_reported = v->finish_failed = false;
	v->state = VTPM_STARTING; /* until it says HELLO */
	clock_gettime(CLOCK_MONOTONIC, &v->started);
	vtpm_set_timer(v, VTPM_START_S);
	if (!v->body->ops->adopt(v->body)) {
		log_about(LOG_INFO, VTPM_ABOUT(v), "found running");
		return true;
	}
	v->body_alive = v->body->ending = v->meta.ending = false;
	event_del(v->timer);
	v->state = v->meta.error.cause ? VTPM_FAILED : VTPM_STOPPED;
	config_put(v->config);
	v->config = NULL;
	/* the last vtpmd did not come to giving it back; nothing runs */
	store_release(&v->store);
	return false;
}

/* The queue: of those that nobody waits for, some start at the same time. */

/* In how many seconds it may be started without an operator, as the start costs a write of
 * the host's TPM, or it was ready; 0: at once.  Once for each start. */
time_t vtpm_wear_pause(struct vtpm *v)
{
	unsigned int ms;

	/* Nothing was put: the next start has the same epoch.  One that was ready costs other
	 * things besides: a domain whose pages its guest maps stays with Xen. */
	if (v->unused && !v->ready_ms)
		return 0;
	ms = wear_start(&v->wear, (uint64_t)stamp_ms());
	return (ms + 999) / 1000;
}

/* Starts it again after so many seconds. */
void vtpm_start_after(struct vtpm *v, time_t seconds)
{
	struct timeval pause = {.tv_sec = seconds};

	clock_gettime(CLOCK_MONOTONIC, &v->next_try);
	v->next_try.tv_sec += seconds;
	event_add(v->pause, &pause);
}

/* It failed: sees whether time may mend that. */
void vtpm_try_again_later(struct vtpm *v)
{
	time_t pause = TRY_S, least;

	if (!v->meta.wanted || v->meta.creating || !error_passes(v->meta.error.cause))
		return;
	/* one that was ready for a moment has not shown that its cause has passed: a guest
	 * may have taken its manager over */
	if (v->ready_ms && stamp_ms() - v->ready_ms >= TRY_MAX_S * 1000)
		v->tries = 0;
	least = vtpm_wear_pause(v);
	v->ready_ms = 0;
	if (v->tries < TRIES_DOUBLING)
		pause <<= v->tries++;
	else
		pause = TRY_MAX_S;
	if (pause < least)
		pause = least;
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "tried again in %lld s", (long long)pause);
	vtpm_start_after(v, pause);
}

static void refuse_start(struct vtpm *v)
{
	v->queued = v->urgent = false;
	vtpm_set_state(v, VTPM_FAILED);
	vtpm_try_again_later(v);
}

/* All that wait, so that the TPM is written once for them. */
static void begin_queued(struct vtpmd *d)
{
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next) {
		struct error e = {.cause = CAUSE_NONE};

		if (!v->queued || !vtpm_start_begin(v, &e))
			continue;
		vtpm_start_failed(v, &e);
		refuse_start(v);
	}
}

/* Whether it is starting now. */
static bool start_one(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = vtpm_start_body(v, &e);

	if (rc == -EAGAIN)
		return false;
	if (rc)
		refuse_start(v);
	v->queued = v->urgent = false;
	return !rc;
}

void vtpm_start_queued(struct vtpmd *d)
{
	unsigned int busy = 0;
	struct vtpm *v;

	/* how old their states may be is not known yet */
	if (anchor_busy(d->anchor))
		return;
	begin_queued(d);
	for (v = d->vtpms; v; v = v->next)
		busy += v->state == VTPM_STARTING && v->body_alive;
	for (v = d->vtpms; v; v = v->next)
		if (v->queued && (v->urgent || busy < STARTS_AT_ONCE))
			busy += start_one(v);
}

void vtpm_start_later(struct vtpm *v)
{
	v->state = VTPM_STARTING;
	v->queued = true;
	(void)anchor_want(v->d->anchor);
	/* from the loop: when all that wait are in the queue */
	event_active(v->settle, EV_TIMEOUT, 0);
}

void vtpm_autostart(struct vtpm *v)
{
	v->autostart = true;
	v->d->autostart++;
	vtpm_start_later(v);
}

void vtpm_autostart_begin(struct vtpmd *d)
{
	const struct log_about about = {.id = LOG_ID_AUTOSTART};

	if (d->autostart)
		log_about(LOG_NOTICE, &about, "%u vTPMs are started, %d at a time",
			  d->autostart, STARTS_AT_ONCE);
}

void vtpm_start_again(struct vtpm *v)
{
	event_del(v->pause);
	v->tries = 0;
	vtpm_start_later(v);
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
void vtpm_on_pause(evutil_socket_t fd, short what, void *ctx)
{
	vtpm_start_later(ctx);
}
