/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/ready.h"
#include "tools/vtpmd/trail.h"

#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#define KEEP_S 2 /* until vtpm.json is tried again */

static const char *const words[] = {
	[VTPM_STOPPED] = "stopped", [VTPM_STARTING] = "starting",
	[VTPM_RUNNING] = "running", [VTPM_STOPPING] = "stopping",
	[VTPM_FAILED] = "failed",
};

const char *vtpm_state_word(const struct vtpm *v)
{
	if (v->state == VTPM_STARTING && v->meta.creating)
		return "creating";
	return words[v->state];
}

bool vtpm_settled(const struct vtpm *v)
{
	return v->state != VTPM_STARTING && v->state != VTPM_STOPPING;
}

void vtpm_progress(struct vtpm *v, const char *text, const char *id)
{
	struct waiter *w;

	log_about(LOG_INFO, VTPM_ABOUT(v, .id = id), "%s", text);
	for (w = v->waiters; w; w = w->next)
		w->progress(w->ctx, text);
}

void vtpm_keep_meta(struct vtpm *v)
{
	static const struct timeval soon = {.tv_sec = KEEP_S};
	int rc = meta_write(&v->store, &v->meta);

	if (!rc) {
		event_del(v->keep);
		v->unkept = false;
		return;
	}
	if (!v->unkept)
		log_about(LOG_ERR, VTPM_ABOUT(v),
			  "its vtpm.json could not be written: %s; it is tried again",
			  strerror(-rc));
	v->unkept = true;
	event_add(v->keep, &soon);
}

/* The folder may be another machine's by now: then its vtpm.json is, too. */
void vtpm_on_keep(evutil_socket_t fd, short what, void *ctx)
{
	struct error e = {.cause = CAUSE_NONE};
	struct vtpm *v = ctx;
	bool claimed = v->store.claimed;

	if (store_claim(&v->store, &e) && e.cause == CAUSE_LEASE) {
		v->unkept = false;
		return;
	}
	vtpm_keep_meta(v);
	if (!claimed)
		store_release(&v->store);
}

/* It has settled: one more, if it was one of those that are started with the host. */
static void vtpm_autostarted(struct vtpm *v)
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

void vtpm_set_state(struct vtpm *v, enum vtpm_state state)
{
	v->state = state;
	if (!vtpm_settled(v))
		return;
	event_del(v->timer);
	v->adopted = false;
	vtpm_keep_meta(v);
	vtpm_autostarted(v);
	event_active(v->settle, EV_TIMEOUT, 0);
}

void vtpm_set_timer(struct vtpm *v, int seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	event_add(v->timer, &tv);
}

void vtpm_note_trouble(struct vtpm *v, const char *text)
{
	v->trouble.at = time(NULL);
	snprintf(v->trouble.text, sizeof(v->trouble.text), "%s", text);
}

void vtpm_fail(struct vtpm *v, enum cause cause, const char *text)
{
	v->meta.error = (struct error){.cause = CAUSE_NONE};
	error_set(&v->meta.error, 0, cause, "%s", text);
	v->failures++;
	vtpm_note_trouble(v, text);
	log_about(LOG_ERR, VTPM_ABOUT(v, .cause = cause, .id = LOG_ID_FAILED), "%s",
		  text);
}

void vtpm_cancel_end(struct vtpm *v)
{
	if (!v->meta.ending)
		return;
	v->meta.ending = false;
	if (v->body)
		v->body->ending = false;
	vtpm_keep_meta(v);
	log_about(LOG_NOTICE, VTPM_ABOUT(v),
		  "`xl shutdown` of its stub domain does not count any more");
}

void vtpm_audit(const struct vtpm *v, const char *event, const char *detail)
{
	struct audit_event a = {.event = event, .vtpm = v->meta.name, .detail = detail};
	char uuid[37];

	uuid_unparse_lower(v->meta.uuid, uuid);
	a.uuid = uuid;
	trail_add(v->d, &a);
}

void vtpm_audit_refusal(const struct vtpm *v, enum cause cause)
{
	if (!v->tries || v->meta.error.cause != cause)
		vtpm_audit(v, "refuse", error_word(cause));
}
