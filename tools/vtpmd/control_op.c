/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/control_answer.h"
#include "tools/vtpmd/control_ask.h"
#include "tools/vtpmd/control_create.h"
#include "tools/vtpmd/control_launch.h"
#include "tools/vtpmd/control_settle.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/reload.h"
#include "tools/vtpmd/trail.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

static void answer_backup(struct control *c, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *backup = backup_make(v, &e);

	if (!backup) {
		control_answer_refuse(c, -EIO, &e);
		return;
	}
	control_answer_with(c, json_pack("{s:b, s:o}", "ok", 1, "backup", backup));
}

/* A backup that is restored, here or elsewhere, counts as the newest: what would not start
 * here, an older state for one, is not to come back in that way. */
static void on_backup_known(void *ctx, const struct error *why)
{
	struct error e = why ? *why : (struct error){.cause = CAUSE_NONE};
	struct control *c = ctx;
	struct vtpm *v = registry_find(c->d, c->name);
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

static void op_backup(struct control *c, struct vtpm *v, const json_t *request)
{
	if (v->body_alive || json_is_true(json_object_get(request, "unchecked"))) {
		answer_backup(c, v);
		return;
	}
	c->anchored = (struct anchor_waiter){.done = on_backup_known, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->anchored);
}

static void op_restore(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct error e = {.cause = CAUSE_NONE};
	int rc = backup_restore(c->d, json_object_get(request, "backup"), name, &v, &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_anchored(c, v->meta.uuid);
}

/* Another header for a vTPM that does not run; the one of before is kept. */
static void op_reseal(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = backup_reseal(v, json_object_get(request, "header"), &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_anchored(c, v->meta.uuid);
}

static void op_accept(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = backup_accept(v, &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_anchored(c, v->meta.uuid);
}

static void op_start(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = vtpm_start(v, &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_settle(c, v);
}

static void op_certificates(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = vtpm_check(v, &e);
	char uuid[37];

	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	uuid_unparse_lower(v->meta.uuid, uuid);
	control_answer_with(c, json_pack("{s:b, s:s, s:s, s:o, s:o}", "ok", 1, "uuid",
					 uuid, "tpm", meta_version(&v->meta),
					 "certificates", cert_show(&v->store), "ek",
					 identity_show(&v->meta)));
}

static void op_reload(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = reload(c->d, &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

/* Where the audit log ends, once it is known what the host's TPM knows of that. */
static void on_audit_known(void *ctx, const struct error *e)
{
	struct control *c = ctx;
	char hash[AUDIT_HASH_HEX];

	if (e) {
		control_answer_refuse(c, -EIO, e);
		return;
	}
	hex_encode(c->d->audited.hash, AUDIT_HASH_SIZE, hash);
	control_answer_with(c, json_pack("{s:b, s:I, s:s, s:b}", "ok", 1, "entries",
					 (json_int_t)c->d->audited.n, "last", hash,
					 "anchor", !anchor_off(c->d->anchor)));
}

static void op_audit_end(struct control *c, struct vtpm *v, const json_t *request)
{
	c->anchored = (struct anchor_waiter){.done = on_audit_known, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->anchored);
}

static void on_audit_rotate(void *ctx, const struct error *why)
{
	struct error e = {.cause = CAUSE_NONE};
	struct control *c = ctx;
	int rc = why ? -EIO : trail_rotate(c->d, &e);

	if (rc)
		control_answer_refuse(c, rc, why ? why : &e);
	else
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

static void op_audit_rotate(struct control *c, struct vtpm *v, const json_t *request)
{
	c->anchored = (struct anchor_waiter){.done = on_audit_rotate, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->anchored);
}

static const struct {
	const char *word;
	bool host; /* about no vTPM that is there: run() gets NULL */
	void (*run)(struct control *c, struct vtpm *v, const json_t *request);
} ops[] = {
	[CREATE] = {"create", true, control_create},
	[START] = {"start", false, op_start},
	[STOP] = {"stop", false, control_ask},
	[DELETE] = {"delete", false, control_ask},
	[SHOW] = {"show", false, control_ask},
	[LIST] = {"list", true, control_ask},
	[RESUME] = {"resume", false, control_ask_resume},
	[BACKUP] = {"backup", false, op_backup},
	[RESTORE] = {"restore", true, op_restore},
	[RESEAL] = {"reseal", false, op_reseal},
	[REKEY] = {"rekey", false, control_ask_rekey},
	[RELOAD] = {"reload", true, op_reload},
	[ACCEPT] = {"accept", false, op_accept},
	[CLONE] = {"clone", false, control_clone},
	[ATTEST] = {"attest", false, control_ask_attest},
	[CERTIFY] = {"certify", false, control_ask_certify},
	[CERTIFICATES] = {"certificates", false, op_certificates},
	[LAUNCH] = {"launch", true, control_launch},
	[LAUNCHED] = {"launched", true, control_launched},
	[LAUNCH_FAILED] = {"launch-failed", true, control_launch_failed},
	[AUDIT_END] = {"audit-end", true, op_audit_end},
	[AUDIT_ROTATE] = {"audit-rotate", true, op_audit_rotate},
};

static enum control_what parse_op(const char *op)
{
	size_t i;

	for (i = 0; op && i < ARRAY_SIZE(ops); i++)
		if (!strcmp(op, ops[i].word))
			return (enum control_what)i;
	return NO_OP;
}

static void run(struct control *c, const json_t *request)
{
	struct vtpm *v = ops[c->what].host ? NULL : registry_find(c->d, c->name);

	if (v || ops[c->what].host)
		ops[c->what].run(c, v, request);
	else
		control_answer_no_such(c);
}

void control_op(struct control *c, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(request, "name"));

	c->what = parse_op(json_string_value(json_object_get(request, "op")));
	c->force = json_is_true(json_object_get(request, "force"));
	/* one that is too long is no vTPM's name, and stays too long when cut */
	snprintf(c->name, sizeof(c->name), "%s", name ? name : "");
	if (c->what == NO_OP || (c->what == CREATE && !name) ||
	    (!ops[c->what].host && !name))
		control_answer_malformed(c);
	else
		run(c, request);
	json_decref(request);
}

void control_op_cancel(struct control *c)
{
	struct vtpm *v;

	if (c->waiting)
		for (v = c->d->vtpms; v; v = v->next)
			vtpm_cancel(v, &c->waiter);
	anchor_cancel(c->d->anchor, &c->anchored);
	c->waiting = c->asking = false;
}
