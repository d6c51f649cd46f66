/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_backup.h"
#include "lib/text.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/trial.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* For `vtpmctl recover`, which makes no file, nothing is to follow. */
static void answer_backup(struct control *c, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *backup = backup_make(v, &e);

	if (!backup) {
		control_answer_refuse(c, -EIO, &e);
		return;
	}
	if (!c->recovers)
		backup_give(v, &c->given);
	control_answer_with(c, json_pack("{s:b, s:o}", "ok", 1, "backup", backup));
}

/* On the connection that got the backup: "error": why there is no file of it. */
void control_op_backed_up(struct control *c, struct vtpm *none, const json_t *request)
{
	const char *why = json_string_value(json_object_get(request, "error"));

	if (!c->given.waits) {
		control_answer_malformed(c);
		return;
	}
	backup_told(c->d, &c->given, why);
	control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

/* A backup that is restored, here or elsewhere, counts as the newest: what would not start
 * here, an older state for one, is not to come back in that way. */
static void on_backup_known(void *ctx, const struct error *why)
{
	struct error e = why ? *why : (struct error){.cause = CAUSE_NONE};
	struct control *c = ctx;
	struct vtpm *v = vtpms_find(c->d, c->name);
	size_t n;

	if (!v) {
		control_answer_no_such(c);
		return;
	}
	if (!why && !vtpm_check(v, &e)) {
		answer_backup(c, v);
		return;
	}
	n = strlen(e.text);
	snprintf(e.text + n, sizeof(e.text) - n,
		 " `vtpmctl backup --unchecked` takes what is there as it is.");
	control_answer_refuse(c, -EIO, &e);
}

void control_op_backup(struct control *c, struct vtpm *v, const json_t *request)
{
	c->recovers = json_is_true(json_object_get(request, "recover"));
	if (vtpm_is(v, VTPM_WITH_BODY) ||
	    json_is_true(json_object_get(request, "unchecked"))) {
		answer_backup(c, v);
		return;
	}
	c->waiter = (struct waiter){.done = on_backup_known, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->waiter);
}

static void answer_done(struct control *c, int rc, const struct error *e, struct vtpm *v)
{
	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_anchored(c, v->meta.uuid);
}

static void on_changed(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	json_decref(c->held);
	c->held = NULL;
	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_anchored(c, c->uuid);
}

/* All was asked for already. */
static int run_nothing(void *ctx, struct vtpm *v, struct error *e)
{
	return 0;
}

/* What a pool did not take is not here. */
static void on_restored(void *ctx, int rc, const struct error *e)
{
	struct error ignored = {.cause = CAUSE_NONE};
	struct control *c = ctx;
	struct vtpm *v = rc ? vtpms_find_uuid(c->d, c->uuid) : NULL;

	if (v && registry_remove(v, &ignored))
		log_line(LOG_ERR, "%s", ignored.text);
	on_changed(ctx, rc, e);
}

static void restored(struct control *c, int rc, const struct error *e, struct vtpm *v)
{
	if (!rc)
		strcpy(c->name, v->meta.name);
	if (rc || !store_is_leased(&v->store))
		answer_done(c, rc, e, v);
	else
		control_hold(c, v, run_nothing, on_restored);
}

/* Has opened, or not, what is to replace the vTPM that is here. */
static void on_tried(void *ctx, const struct error *why, const json_t *backup)
{
	struct error e = why ? *why : (struct error){.cause = CAUSE_NONE};
	struct control *c = ctx;
	struct vtpm *v = backup_find(c->d, backup);
	size_t n = strlen(e.text);

	if (why) {
		snprintf(e.text + n, sizeof(e.text) - n,
			 "; so the backup does not open here, and nothing was changed");
		control_answer_refuse(c, -EIO, &e);
	} else if (v) {
		restored(c, backup_replace(v, backup, c->name, &e), &e, v);
	} else {
		control_answer_word(c, "no-such-vtpm",
				    "The vTPM was deleted meanwhile: restore it "
				    "without --replace.");
	}
}

void control_op_restore(struct control *c, struct vtpm *v, const json_t *request)
{
	json_t *backup = json_object_get(request, "backup");
	bool replace = json_is_true(json_object_get(request, "replace"));
	bool lost = replace && json_is_true(json_object_get(request, "yes"));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	v = replace ? backup_find(c->d, backup) : NULL;
	if (!v) {
		rc = backup_restore(c->d, backup, c->name, lost, &v, &e);
		restored(c, rc, &e, v);
		return;
	}
	rc = backup_may_replace(v, &e);
	if (!rc)
		rc = trial_begin(c->d, backup, on_tried, c, &e);
	if (rc)
		control_answer_refuse(c, rc, &e);
}

/* The vTPM that a backup is of, if it is here; null. */
static json_t *is_here(struct control *c, const json_t *backup)
{
	struct vtpm *v = backup_find(c->d, backup);

	return v ? json_pack("{s:s, s:s, s:I}", "name", v->meta.name, "state",
			     vtpm_state_word(v), "seq",
			     (json_int_t)store_seq(&v->store, CHANNEL_OBJECT_PERMALL))
		 : json_null();
}

static void on_verified(void *ctx, const struct error *e, const json_t *backup)
{
	struct control *c = ctx;

	if (e)
		control_answer_refuse(c, -EIO, e);
	else
		control_answer_with(
			c, json_pack("{s:b, s:o}", "ok", 1, "here", is_here(c, backup)));
}

void control_op_verify(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc =
		trial_begin(c->d, json_object_get(request, "backup"), on_verified, c, &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
}

static int run_reseal(void *ctx, struct vtpm *v, struct error *e)
{
	struct control *c = ctx;

	return backup_reseal(v, json_object_get(c->held, "header"), e);
}

/* Replaces the header of a vTPM that does not run; the previous one is kept as
 * header.prev. */
void control_op_reseal(struct control *c, struct vtpm *v, const json_t *request)
{
	c->held = json_incref((json_t *)request);
	control_hold(c, v, run_reseal, on_changed);
}

void control_op_accept(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = backup_accept(v, &e);

	answer_done(c, rc, &e, v);
}
