/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_ask.h"
#include "tools/vtpmd/attest.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/control_answer.h"
#include "tools/vtpmd/control_settle.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/vtpm_guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

/* The same where the answer decides, and none would be taken for a no. */
#define DECIDE_S 30
#define REKEY_S	 60 /* a TPM and a KMS have to be heard */
#define ATTEST_S 40

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
		control_settle(c, v);
}

static void say_resume(int rc, const char *name, char *text, size_t size)
{
	if (rc == -ESTALE)
		snprintf(text, size,
			 "The vTPM %s was started after its guest was saved, and the "
			 "guest's PCRs are lost: the restored guest has to reboot.",
			 name);
	else if (rc == -EBUSY)
		snprintf(text, size,
			 "A `vtpmctl launch --restore` that runs restores a guest of the "
			 "vTPM %s: wait for its end, see `xl list`.",
			 name);
	else
		snprintf(text, size,
			 "That %s is to resume cannot be written to vtpmd's run folder: "
			 "see `df /run`.",
			 name);
}

/* RESUME, once the manager has told which power-on its TPM has. */
static void op_resume(struct control *c, struct vtpm *v)
{
	char text[240];
	int rc;

	if (guest_is_there(v)) {
		snprintf(text, sizeof(text),
			 "Domain %lld uses the vTPM %s now: save it first (`xl save`).",
			 (long long)v->status.value[STATUS_GUEST_DOMID], v->meta.name);
		control_answer_word(c, "busy", text);
		return;
	}
	rc = v->state == VTPM_RUNNING
		     ? vtpm_guest_resume(v, c->launched ? c->domain : NULL)
		     : -ESTALE;
	if (!rc) {
		log_about(LOG_NOTICE, VTPM_ABOUT(v),
			  "the next guest goes on with its PCRs");
		vtpm_audit(v, "resume", NULL);
		control_answer_ok(c, v->meta.uuid);
		return;
	}
	say_resume(rc, v->meta.name, text, sizeof(text));
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
	struct error ignored = {.cause = CAUSE_NONE};

	/* the endorsement keys of one that does not run are shown if it could start */
	(void)!vtpm_check(v, &ignored);
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
	if (c->what == LIST && vtpm_is_mute(v))
		return false;
	return concerns(c, v) && vtpm_owes_status(v, &c->asked);
}

void control_ask_answer(struct control *c)
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

void control_ask_status(struct control *c)
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

static struct timeval limit_of(const struct control *c)
{
	switch (c->what) {
	case REKEY:
		return (struct timeval){.tv_sec = REKEY_S};
	case ATTEST:
		return (struct timeval){.tv_sec = ATTEST_S};
	case CERTIFY:
	case RESUME:
		return (struct timeval){.tv_sec = DECIDE_S};
	default:
		return (struct timeval){.tv_sec = VTPM_TABLE_MS / 1000,
					.tv_usec = VTPM_TABLE_MS % 1000 * 1000};
	}
}

/* Asks all managers concerned for their status, then answers. */
static void ask(struct control *c)
{
	const struct timeval limit = limit_of(c);
	struct vtpm *v;

	clock_gettime(CLOCK_MONOTONIC, &c->asked);
	for (v = c->d->vtpms; v; v = v->next)
		if (concerns(c, v))
			vtpm_ask_status(v);
	c->asking = true;
	event_add(c->timer, &limit);
	control_ask_status(c);
}

void control_ask(struct control *c, struct vtpm *v, const json_t *request)
{
	ask(c);
}

void control_ask_resume(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *uuid = json_string_value(json_object_get(request, "uuid"));

	if (json_is_true(json_object_get(request, "revoke"))) {
		vtpm_guest_revoke(v);
		control_answer_ok(c, v->meta.uuid);
		return;
	}
	c->launched = uuid && !uuid_parse(uuid, c->domain);
	if (uuid && !c->launched)
		control_answer_malformed(c);
	else if (v->peer && !v->greeting && v->state == VTPM_RUNNING)
		ask(c);
	else
		control_answer_word(
			c, "busy",
			"The vTPM does not run: start it (`vtpmctl start`); its guest's "
			"PCRs are lost, and the guest has to reboot.");
}

void control_ask_rekey(struct control *c, struct vtpm *v, const json_t *request)
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

void control_ask_attest(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *nonce = json_string_value(json_object_get(request, "nonce"));
	const char *user = json_string_value(json_object_get(request, "user"));
	json_int_t pcrs = json_integer_value(json_object_get(request, "pcrs"));
	int rc = v->meta.tpm12 ? -EOPNOTSUPP
		 : nonce && pcrs > 0 && pcrs <= UINT32_MAX
			 ? attest_begin(v, nonce, user ? user : "", (uint32_t)pcrs)
			 : -EINVAL;

	if (!rc)
		ask(c);
	else if (rc == -EINVAL)
		control_answer_malformed(c);
	else if (rc == -EOPNOTSUPP)
		control_answer_word(
			c, "busy",
			"A TPM 1.2 has no evidence of this kind: give its guest a "
			"TPM 2.0 (`vtpmctl create`).");
	else if (rc == -EBUSY)
		control_answer_word(
			c, "busy",
			"Evidence of this vTPM is being made for somebody else: "
			"ask again.");
	else
		control_answer_word(c, "busy",
				    "The vTPM does not run: `vtpmctl start` it first.");
}

void control_ask_certify(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = cert_install(v, json_object_get(request, "certificates"), &e);

	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		ask(c);
}
