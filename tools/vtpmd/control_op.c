/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/attest.h"
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/control_answer.h"
#include "tools/vtpmd/control_launch.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

/* How long managers may take to tell their status; one that runs a long command
 * is shown without. */
#define ASK_MS	 1500
#define REKEY_S	 60
#define ATTEST_S 40

static void remove_now(struct control *c, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t uuid[16];
	int rc;

	memcpy(uuid, v->meta.uuid, sizeof(uuid));
	rc = registry_remove(v, &e);
	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_anchored(c, uuid);
}

/* A creation that failed leaves nothing, unless a state was stored already. */
static void create_failed(struct control *c, struct vtpm *v)
{
	struct error why = v->meta.error, e = {.cause = CAUSE_NONE};
	bool stored = store_has(&v->store, CHANNEL_OBJECT_PERMALL);
	size_t n = strlen(why.text);

	if (stored)
		snprintf(why.text + n, sizeof(why.text) - n,
			 " The vTPM exists: `vtpmctl start %s` when that is mended.",
			 v->meta.name);
	else if (!registry_remove(v, &e))
		snprintf(why.text + n, sizeof(why.text) - n, " Nothing was created.");
	control_answer_refuse(c, -EIO, &why);
}

static void on_progress(void *ctx, const char *text)
{
	control_send(ctx, json_pack("{s:s}", "progress", text));
}

static void on_settled(void *ctx, struct vtpm *v)
{
	struct control *c = ctx;
	bool up = c->what == CREATE || c->what == START;

	c->waiting = false;
	if (c->what == DELETE && v->state != VTPM_RUNNING)
		remove_now(c, v);
	else if (c->what == STOP && c->ran && v->state != VTPM_RUNNING)
		control_answer_anchored(c, v->meta.uuid);
	else if (up == (v->state == VTPM_RUNNING))
		control_answer_ok(c, v->meta.uuid);
	else if (c->what == CREATE && v->state == VTPM_FAILED)
		create_failed(c, v);
	else if (up && v->state == VTPM_FAILED)
		control_answer_refuse(c, -EIO, &v->meta.error);
	else
		control_answer_word(
			c, "busy",
			"Someone else changed the vTPM's state meanwhile: see "
			"`vtpmctl list`.");
}

/* Answers when the vTPM has settled, which may be now. */
static void wait_for(struct control *c, struct vtpm *v)
{
	if (vtpm_settled(v)) {
		on_settled(c, v);
		return;
	}
	c->waiter = (struct vtpm_waiter){
		.progress = on_progress,
		.settled = on_settled,
		.ctx = c,
	};
	c->waiting = true;
	vtpm_wait(v, &c->waiter);
}

static const char *text_of(const json_t *request, const char *key, const char *fallback)
{
	const json_t *value = json_object_get(request, key);

	return value ? json_string_value(value) : fallback;
}

static void create(struct control *c, const struct registry_new *n)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[META_NAME_MAX + 16];
	struct vtpm *v;
	int rc = registry_create(c->d, n, &v, &e);

	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	if (n->copy_of) {
		snprintf(text, sizeof(text), "copied to %s", n->name);
		vtpm_audit(n->copy_of, "clone", text);
	}
	c->what = CREATE;
	wait_for(c, v);
}

/* A mask of at least the bits of `least`; what is not there stays as it is. */
static int take_mask(const json_t *value, unsigned int least, unsigned int all,
		     uint8_t *mask)
{
	json_int_t got = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || got <= 0 || got > all || (got & least) != least)
		return -EINVAL;
	*mask = (uint8_t)got;
	return 0;
}

static void op_create(struct control *c, struct vtpm *v, const json_t *request)
{
	const json_t *memory = json_object_get(request, "memory");
	const char *policy = text_of(request, "policy", "host");
	const char *version = text_of(request, "tpm", "2.0");
	const char *placement =
		text_of(request, "placement", c->d->processes ? "process" : "stubdom");
	struct registry_new n = {.name = c->name,
				 .policy = policy,
				 .memory = 8,
				 .localities = META_LOCALITIES};

	if (!policy || !placement ||
	    (strcmp(placement, "process") && strcmp(placement, "stubdom")) || !version ||
	    meta_version_parse(version, &n.tpm12) ||
	    take_mask(json_object_get(request, "localities"), META_LOCALITIES, 31,
		      &n.localities) ||
	    take_mask(json_object_get(request, "pcr_banks"), 0, 15, &n.pcr_banks)) {
		control_answer_word(c, "internal", "The request is malformed.");
		return;
	}
	if (memory)
		n.memory = json_integer_value(memory) < 8 ||
					   json_integer_value(memory) > 4096
				   ? 0
				   : (unsigned int)json_integer_value(memory);
	n.process = !strcmp(placement, "process");
	n.measured = json_is_true(json_object_get(request, "measured"));
	create(c, &n);
}

/* A new vTPM as another one; its state, too, when the identity is to be the same. */
static void op_clone(struct control *c, struct vtpm *source, const json_t *request)
{
	const char *to = text_of(request, "to", NULL);
	const char *identity = text_of(request, "identity", NULL);
	struct registry_new n = {
		.name = to,
		.policy = source->meta.policy,
		.memory = source->meta.memory,
		.process = source->meta.process,
		.localities = source->meta.localities,
		.tpm12 = source->meta.tpm12,
		.pcr_banks = source->meta.pcr_banks,
		.measured = source->meta.measured,
	};
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!to || !identity || (strcmp(identity, "new") && strcmp(identity, "copy"))) {
		control_answer_word(c, "internal", "The request is malformed.");
		return;
	}
	if (!strcmp(identity, "copy")) {
		if (source->meta.creating) {
			control_answer_word(
				c, "busy",
				"The vTPM is just being made: wait until it runs.");
			return;
		}
		/* a state that would not start here does not start as a copy */
		rc = anchor_check(c->d->anchor, source, &e);
		if (rc) {
			control_answer_refuse(c, rc, &e);
			return;
		}
		n.copy_of = source;
	}
	create(c, &n);
}

static void op_backup(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *backup = backup_make(v, &e);

	if (!backup) {
		control_answer_refuse(c, -EIO, &e);
		return;
	}
	control_answer_with(c, json_pack("{s:b, s:o}", "ok", 1, "backup", backup));
}

static void op_restore(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = backup_restore(c->d, json_object_get(request, "backup"),
				text_of(request, "name", NULL), &v, &e);

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
		wait_for(c, v);
}

static bool guest_is_there(const struct vtpm *v)
{
	return v->state == VTPM_RUNNING && v->status.at.tv_sec &&
	       v->status.value[STATUS_GUEST_DOMID] > 0;
}

/* STOP and DELETE, once the manager has told whether a guest is connected. */
static void op_stop(struct control *c, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[200];
	int rc;

	if (!c->force && guest_is_there(v)) {
		snprintf(text, sizeof(text),
			 "Domain %lld uses the vTPM %s: shut it down first, or give "
			 "--force.",
			 (long long)v->status.value[STATUS_GUEST_DOMID], v->meta.name);
		control_answer_word(c, "busy", text);
		return;
	}
	c->ran = v->state != VTPM_STOPPED && v->state != VTPM_FAILED;
	rc = vtpm_stop(v, &e);
	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		wait_for(c, v);
}

/* RESUME, once the manager has told whether it agrees. */
static void op_resume(struct control *c, struct vtpm *v)
{
	char text[240];

	if (v->state == VTPM_RUNNING && v->status.value[STATUS_RESUMES] == 1) {
		log_about(LOG_NOTICE, VTPM_ABOUT(v),
			  "the next guest goes on with its PCRs");
		vtpm_audit(v, "resume", NULL);
		control_answer_ok(c, v->meta.uuid);
		return;
	}
	if (guest_is_there(v))
		snprintf(text, sizeof(text),
			 "Domain %lld uses the vTPM %s now: save it first (`xl save`).",
			 (long long)v->status.value[STATUS_GUEST_DOMID], v->meta.name);
	else
		snprintf(text, sizeof(text),
			 "The vTPM %s was started after its guest was saved, and the "
			 "guest's PCRs are lost: the restored guest has to reboot.",
			 v->meta.name);
	control_answer_word(c, "busy", text);
}

static void still_rekeying(struct control *c)
{
	control_answer_word(
		c, "busy",
		"The vTPM has not answered yet: `journalctl -u vtpmd` will tell; it "
		"opens as before, whatever comes of it.");
}

/* REKEY, once the manager has answered, or did not for a minute. */
static void op_rekey(struct control *c, struct vtpm *v)
{
	if (v->rekeying)
		still_rekeying(c);
	else if (v->rekey_error.cause != CAUSE_NONE)
		control_answer_refuse(c, -EIO, &v->rekey_error);
	else
		control_answer_ok(c, v->meta.uuid);
}

/* ATTEST, once the manager has answered, or did not in time. */
static void op_attest(struct control *c, struct vtpm *v)
{
	if (v->attest.pending)
		control_answer_word(
			c, "busy",
			"The vTPM has not answered yet: ask again in a minute.");
	else if (v->attest.evidence)
		control_answer_with(c, json_pack("{s:b, s:s}", "ok", 1, "evidence",
						 v->attest.evidence));
	else
		control_answer_refuse(c, -EIO, &v->attest.error);
}

static void op_show(struct control *c, struct vtpm *v)
{
	json_t *approved = registry_approved(c->d);

	control_answer_with(
		c, json_pack("{s:b, s:o}", "ok", 1, "vtpm", registry_show(v, approved)));
	json_decref(approved);
}

static void op_list(struct control *c)
{
	json_t *all = json_array(), *approved = registry_approved(c->d);
	struct vtpm *v;

	for (v = c->d->vtpms; v; v = v->next)
		json_array_append_new(all, registry_show(v, approved));
	json_decref(approved);
	control_answer_with(c, json_pack("{s:b, s:o}", "ok", 1, "vtpms", all));
}

static void op_certificates(struct control *c, struct vtpm *v, const json_t *request)
{
	char uuid[37];

	uuid_unparse_lower(v->meta.uuid, uuid);
	control_answer_with(c, json_pack("{s:b, s:s, s:o, s:o}", "ok", 1, "uuid", uuid,
					 "certificates", cert_show(&v->store), "ek",
					 identity_show(&v->meta)));
}

/* CERTIFY, once the manager has told how many the TPM has. */
static void op_certify(struct control *c, struct vtpm *v)
{
	if (v->state != VTPM_RUNNING ||
	    v->status.value[STATUS_CERTIFICATES] == cert_count(&v->store))
		control_answer_ok(c, v->meta.uuid);
	else
		control_answer_word(
			c, "busy",
			"The certificates are in the store, but not all in the TPM: its "
			"NV memory may be full, or it has not answered yet; it gets "
			"them when its guest starts the next time.");
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

static bool concerns(const struct control *c, const struct vtpm *v)
{
	return c->what == LIST || !strcmp(v->meta.name, c->name);
}

/* Whether a running manager's answer to c's question is still to come. */
static bool still_owes(const struct control *c, const struct vtpm *v)
{
	if (c->what == REKEY)
		return concerns(c, v) && v->rekeying;
	if (c->what == ATTEST)
		return concerns(c, v) && v->attest.pending;
	return concerns(c, v) && vtpm_owes_status(v, &c->asked);
}

static void answer_asked(struct control *c)
{
	struct vtpm *v = c->what == LIST ? NULL : registry_find(c->d, c->name);

	c->asking = false;
	event_del(c->timer);
	if (c->what == LIST)
		op_list(c);
	else if (!v)
		control_answer_no_such(c);
	else if (c->what == SHOW)
		op_show(c, v);
	else if (c->what == RESUME)
		op_resume(c, v);
	else if (c->what == REKEY)
		op_rekey(c, v);
	else if (c->what == ATTEST)
		op_attest(c, v);
	else if (c->what == CERTIFY)
		op_certify(c, v);
	else
		op_stop(c, v);
}

void control_op_status(struct control *c)
{
	struct vtpm *v;

	if (!c->asking)
		return;
	if (evtimer_pending(c->timer, NULL))
		for (v = c->d->vtpms; v; v = v->next)
			if (still_owes(c, v))
				return;
	/* from the loop: a manager's message is being served */
	c->asking = false;
	event_del(c->timer);
	event_active(c->answer, EV_TIMEOUT, 0);
}

void control_op_answer(struct control *c)
{
	answer_asked(c);
}

/* Asks all managers concerned for their status, then answers. */
static void ask(struct control *c)
{
	struct timeval limit = {.tv_sec = ASK_MS / 1000, .tv_usec = ASK_MS % 1000 * 1000};
	struct vtpm *v;

	if (c->what == REKEY) /* a TPM and a KMS have to be heard */
		limit = (struct timeval){.tv_sec = REKEY_S};
	if (c->what == ATTEST)
		limit = (struct timeval){.tv_sec = ATTEST_S};
	clock_gettime(CLOCK_MONOTONIC, &c->asked);
	for (v = c->d->vtpms; v; v = v->next)
		if (concerns(c, v))
			vtpm_ask_status(v);
	c->asking = true;
	event_add(c->timer, &limit);
	control_op_status(c);
}

static void ask_first(struct control *c, struct vtpm *v, const json_t *request)
{
	ask(c);
}

static void begin_resume(struct control *c, struct vtpm *v, const json_t *request)
{
	if (vtpm_resume_next(v))
		ask(c);
	else
		control_answer_word(
			c, "busy",
			"The vTPM does not run: start it (`vtpmctl start`); its guest's "
			"PCRs are lost, and the guest has to reboot.");
}

static void begin_rekey(struct control *c, struct vtpm *v, const json_t *request)
{
	if (v->rekeying)
		still_rekeying(c);
	else if (vtpm_rekey(v, json_is_true(json_object_get(request, "deep"))))
		ask(c);
	else
		control_answer_word(c, "busy",
				    "The vTPM does not run: its key slots are made anew "
				    "while its state is open; `vtpmctl start` it first.");
}

static void begin_attest(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *nonce = text_of(request, "nonce", NULL);
	json_int_t pcrs = json_integer_value(json_object_get(request, "pcrs"));
	int rc = nonce && pcrs > 0 && pcrs <= UINT32_MAX
			 ? attest_begin(v, nonce, (uint32_t)pcrs)
			 : -EINVAL;

	if (!rc)
		ask(c);
	else if (rc == -EINVAL)
		control_answer_word(c, "internal", "The request is malformed.");
	else if (rc == -EBUSY)
		control_answer_word(
			c, "busy",
			"Evidence of this vTPM is being made for somebody else: "
			"ask again.");
	else
		control_answer_word(c, "busy",
				    "The vTPM does not run: `vtpmctl start` it first.");
}

static void begin_certify(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = cert_install(v, json_object_get(request, "certificates"), &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		ask(c);
}

static const struct {
	const char *word;
	bool host; /* about no vTPM that is there: run() gets NULL */
	void (*run)(struct control *c, struct vtpm *v, const json_t *request);
} ops[] = {
	[CREATE] = {"create", true, op_create},
	[START] = {"start", false, op_start},
	[STOP] = {"stop", false, ask_first},
	[DELETE] = {"delete", false, ask_first},
	[SHOW] = {"show", false, ask_first},
	[LIST] = {"list", true, ask_first},
	[RESUME] = {"resume", false, begin_resume},
	[BACKUP] = {"backup", false, op_backup},
	[RESTORE] = {"restore", true, op_restore},
	[RESEAL] = {"reseal", false, op_reseal},
	[REKEY] = {"rekey", false, begin_rekey},
	[RELOAD] = {"reload", true, op_reload},
	[ACCEPT] = {"accept", false, op_accept},
	[CLONE] = {"clone", false, op_clone},
	[ATTEST] = {"attest", false, begin_attest},
	[CERTIFY] = {"certify", false, begin_certify},
	[CERTIFICATES] = {"certificates", false, op_certificates},
	[LAUNCH] = {"launch", true, control_launch},
	[LAUNCHED] = {"launched", true, control_launched},
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
		control_answer_word(c, "internal", "The request is malformed.");
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
