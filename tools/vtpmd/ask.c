/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/ask.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <string.h>

static bool is_earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Whether a status since then is still to come. */
static bool owes_status(const struct ask *a, const struct vtpm *v)
{
	return vtpm_hears(v) && is_earlier(&v->status.at, &a->since);
}

static bool is_mute(const struct vtpm *v)
{
	return store_put_busy(&v->store) || peer_is_held(v->peer) ||
	       (v->asked_ms && stamp_ms() - v->asked_ms > ASK_TABLE_MS);
}

static bool concerns(const struct ask *a, const struct vtpm *v)
{
	return !a->name || !strcmp(v->meta.name, a->name);
}

static bool still_owes(const struct ask *a, const struct vtpm *v)
{
	if (!concerns(a, v))
		return false;
	if (a->what == ASK_REKEY)
		return v->rekey.asked;
	if (a->what == ASK_ATTEST)
		return v->attest.pending;
	return owes_status(a, v) && (a->name || !is_mute(v));
}

static void ask_status(struct vtpm *v)
{
	peer_event(v->peer, CHANNEL_EVENT_STATUS);
	if (!v->asked_ms)
		v->asked_ms = stamp_ms();
}

static void stop_waiting(struct ask *a)
{
	struct ask **at = &a->d->asks;

	while (*at && *at != a)
		at = &(*at)->next;
	if (*at)
		*at = a->next;
	event_del(a->limit);
}

/* From the loop: a manager's message is being served. */
static void finish_ask(struct ask *a)
{
	stop_waiting(a);
	event_active(a->done, EV_TIMEOUT, 0);
}

/* Goes on where it came to the last time: from the first one for each of thousands of answers
 * would be millions of steps. */
static void check_ask(struct ask *a)
{
	if (!a->at || a->changes != a->d->vtpms_changes)
		a->at = a->d->vtpms;
	a->changes = a->d->vtpms_changes;
	while (a->at && !still_owes(a, a->at))
		a->at = a->at->next;
	if (!a->at)
		finish_ask(a);
}

static void on_ask_limit(evutil_socket_t fd, short what, void *ctx)
{
	finish_ask(ctx);
}

void ask_check(struct vtpmd *d)
{
	struct ask *a, *next;

	for (a = d->asks; a; a = next) {
		next = a->next;
		check_ask(a);
	}
}

int ask_init(struct ask *a, struct vtpmd *d, event_callback_fn answer, void *ctx)
{
	a->d = d;
	a->limit = evtimer_new(d->base, on_ask_limit, a);
	a->done = event_new(d->base, -1, 0, answer, ctx);
	return a->limit && a->done ? 0 : -ENOMEM;
}

void ask_begin(struct ask *a, const char *name, enum ask_what what, unsigned int fresh_ms,
	       unsigned int limit_ms)
{
	const struct timeval limit = {.tv_sec = limit_ms / 1000,
				      .tv_usec = limit_ms % 1000 * 1000};
	struct vtpm *v;

	a->name = name;
	a->what = what;
	clock_gettime(CLOCK_MONOTONIC, &a->since);
	a->since.tv_nsec -= (long)fresh_ms * 1000000;
	if (a->since.tv_nsec < 0) {
		a->since.tv_sec--;
		a->since.tv_nsec += 1000000000;
	}
	a->at = NULL;
	for (v = a->d->vtpms; v; v = v->next)
		if (concerns(a, v) && owes_status(a, v))
			ask_status(v);
	a->next = a->d->asks;
	a->d->asks = a;
	event_add(a->limit, &limit);
	check_ask(a);
}

void ask_end(struct ask *a)
{
	if (a->limit && a->done)
		stop_waiting(a);
	if (a->limit)
		event_free(a->limit);
	if (a->done)
		event_free(a->done);
}
