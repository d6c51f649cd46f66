/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/vtpm_queue.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/ready.h"
#include "tools/vtpmd/vtpm_peer.h"
#include "tools/vtpmd/vtpm_start.h"

#include <errno.h>
#include <time.h>

#define STARTS_AT_ONCE 4
/* Pauses between tries when the cause may pass: 2, 4, ... 64 s, then 60 s. */
#define TRY_S	       2
#define TRIES_DOUBLING 6
#define TRY_MAX_S      60

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

void vtpm_start_after(struct vtpm *v, time_t seconds)
{
	struct timeval pause = {.tv_sec = seconds};

	clock_gettime(CLOCK_MONOTONIC, &v->next_try);
	v->next_try.tv_sec += seconds;
	event_add(v->pause, &pause);
}

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

static void refuse(struct vtpm *v)
{
	v->queued = v->urgent = false;
	vtpm_enter(v, VTPM_FAILED);
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
		refuse(v);
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
		refuse(v);
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

void vtpm_autostarted(struct vtpm *v)
{
	const struct log_about about = {.id = LOG_ID_AUTOSTART};
	struct vtpmd *d = v->d;
	bool done;

	if (!v->autostart)
		return;
	v->autostart = false;
	d->autostarted++;
	d->autostart_failed += v->state == VTPM_FAILED;
	done = d->autostarted == d->autostart;
	log_about(done ? LOG_NOTICE : LOG_INFO, &about,
		  "%u of %u vTPMs were started, %u of them failed", d->autostarted,
		  d->autostart, d->autostart_failed);
	ready_progress(d);
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

void vtpm_on_pause(evutil_socket_t fd, short what, void *ctx)
{
	vtpm_start_later(ctx);
}
