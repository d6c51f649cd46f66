/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/ready.h"
#include "tools/vtpmd/trail.h"

#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#define KEEP_S 2 /* until vtpm.json is tried again */

const char *vtpm_state_word(const struct vtpm *v)
{
	if (vtpm_is(v, VTPM_STARTING))
		return v->meta.creating ? "creating" : "starting";
	if (vtpm_is(v, VTPM_DOWN))
		return v->state == VTPM_FAILED ? "failed" : "stopped";
	return vtpm_is(v, VTPM_UP) ? "running" : "stopping";
}

void vtpm_progress(struct vtpm *v, const char *text, const char *id)
{
	struct waiter *w;

	log_about(LOG_INFO, VTPM_ABOUT(v, .id = id), "%s", text);
	for (w = v->waiters; w; w = w->next)
		w->progress(w->ctx, text);
}

static int try_to_keep(struct vtpm *v)
{
	static const struct timeval soon = {.tv_sec = KEEP_S};
	/* what this host makes of what another one may have is not for others to read */
	bool told = !store_is_leased(&v->store) || store_is_held(&v->store);
	int rc = 0;

	/* while it moves, its description is the move's */
	if (v->moves)
		rc = -EBUSY;
	else if (told)
		rc = meta_write(&v->store, &v->meta);
	if (rc)
		event_add(v->keep, &soon);
	else
		event_del(v->keep);
	return rc;
}

void vtpm_refresh_presence(struct vtpm *v)
{
	struct meta m;

	if (!evtimer_pending(v->keep, NULL) && !meta_read(&v->store, &m))
		v->meta.presence = m.presence;
}

int vtpm_keep_meta(struct vtpm *v)
{
	bool told = evtimer_pending(v->keep, NULL);
	int rc = try_to_keep(v);

	if (rc && !told)
		log_about(LOG_ERR, VTPM_ABOUT(v),
			  "its vtpm.json could not be written: %s; it is tried again",
			  strerror(-rc));
	return rc;
}

/* The folder may be another machine's by now: then its vtpm.json is, too. */
void vtpm_on_keep(evutil_socket_t fd, short what, void *ctx)
{
	struct error e = {.cause = CAUSE_NONE};
	struct vtpm *v = ctx;
	bool claimed = v->store.claimed;

	/* another host has described it since: to claim it for writing would put this host's
	 * description over that one, and keep others from starting it */
	if (v->store.lost)
		return;
	if (store_claim(&v->store, &e))
		return;
	(void)!try_to_keep(v);
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

bool vtpm_step(struct vtpm *v, enum vtpm_event event)
{
	int to = vtpm_next(v->state, event);

	if (to < 0) {
		log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v),
			    "event %d has no place in state %d (%s), and is left out: "
			    "please report this",
			    event, v->state, vtpm_state_word(v));
		return false;
	}
	v->state = (enum vtpm_state)to;
	queue_put(v);
	return true;
}

void vtpm_settle(struct vtpm *v, enum vtpm_event event)
{
	if (!vtpm_step(v, event))
		return;
	event_del(v->timer);
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
	v->for_now = VTPM_FOR_GOOD;
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

int vtpm_audit(const struct vtpm *v, const char *event, const char *detail)
{
	struct audit_event a = {.event = event, .vtpm = v->meta.name, .detail = detail};
	char uuid[37];

	uuid_unparse_lower(v->meta.uuid, uuid);
	a.uuid = uuid;
	return trail_add(v->d, &a);
}

void vtpm_audit_refusal(const struct vtpm *v, enum cause cause)
{
	if (!v->tries || v->meta.error.cause != cause)
		vtpm_audit(v, "refuse", error_word(cause));
}
