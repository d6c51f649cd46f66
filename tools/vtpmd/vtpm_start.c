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
	v->body->owner = &vtpm_body_owner;
	v->body->ctx = v;
	return 0;
}

/* Takes the lease, and checks the folder of which the manager will be given, and nothing
 * else. */
static int begin(struct vtpm *v, struct error *e)
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
	int rc = v->begun ? 0 : begin(v, e);

	v->begun = !rc;
	return rc;
}

/* What it is; of one that is being made, what was asked for stands. */
static int describe(struct vtpm *v, struct error *e)
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
	config_free(&v->config);
	rc = config_load(v->d->config, &v->config, e);
	if (!rc)
		rc = describe(v, e);
	if (!rc)
		rc = config_covers(&v->config, v->meta.policy, e);
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
	v->told = v->opened = v->adopted = v->finish_failed = false;
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
	if (config_load(v->d->config, &v->config, &e))
		log_about(LOG_WARNING, VTPM_ABOUT(v), "%s", e.text);
	v->body_alive = v->adopted = true;
	v->body->ending = v->meta.ending;
	v->told = v->finish_failed = false;
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
	config_free(&v->config);
	/* the last vtpmd did not come to giving it back; nothing runs */
	store_release(&v->store);
	return false;
}
