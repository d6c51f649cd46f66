/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control.h"
#include "lib/text.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/bind.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/control_backup.h"
#include "tools/vtpmd/control_launch.h"
#include "tools/vtpmd/control_pool.h"
#include "tools/vtpmd/control_rekey.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/metrics.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/newvtpm.h"
#include "tools/vtpmd/presence.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

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
	control_settle(c, v);
}

/* What can be changed of a vTPM that is there, at once. */
static int set_vtpm(struct vtpm *v, const json_t *ppi, const json_t *bind)
{
	bool denied = v->meta.presence.denied, before = v->meta.by_name;
	int rc = 0;

	if (newvtpm_ppi(ppi, &denied) || newvtpm_bind(bind, &v->meta.by_name))
		return -EINVAL;
	if (ppi)
		rc = presence_set(v, denied);
	if (!rc && bind && before != v->meta.by_name) {
		rc = vtpm_keep_meta(v);
		if (!rc)
			vtpm_audit(v, "set",
				   v->meta.by_name ? "--bind name" : "--bind uuid");
	}
	if (rc)
		v->meta.by_name = before;
	return rc;
}

static void on_changed(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	json_decref(c->held);
	c->held = NULL;
	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

static int run_set(void *ctx, struct vtpm *v, struct error *e)
{
	const json_t *request = ((struct control *)ctx)->held;
	int rc = set_vtpm(v, json_object_get(request, "ppi"),
			  json_object_get(request, "bind"));

	return rc ? error_set(
			    e, rc, CAUSE_STORE,
			    "The vtpm.json of %s could not be written: %s; see its disk's space and permissions.",
			    v->meta.name, strerror(-rc))
		  : 0;
}

static void op_set(struct control *c, struct vtpm *v, const json_t *request)
{
	const json_t *ppi = json_object_get(request, "ppi");
	const json_t *bind = json_object_get(request, "bind");
	struct error e = {.cause = CAUSE_NONE};
	int rc = !ppi && !bind ? -EINVAL : 0;
	bool ignored;

	if (!rc && bind && v->meta.process) {
		control_answer_word(c, "internal", BIND_PROCESS);
		return;
	}
	if (rc || newvtpm_ppi(ppi, &ignored) || newvtpm_bind(bind, &ignored)) {
		control_answer_malformed(c);
		return;
	}
	c->held = json_incref((json_t *)request);
	/* a folder's description may be written while nobody has it, or this host */
	if (store_is_leased(&v->store))
		control_hold(c, v, run_set, on_changed);
	else
		on_changed(c, run_set(c, v, &e), &e);
}

/* One that is there, and is as the client wants it, is left as it is. */
static void create_again(struct control *c, struct vtpm *v, const json_t *request,
			 const struct registry_new *n)
{
	struct error e = {.cause = CAUSE_NONE};
	char uuid[37];
	int rc;

	/* what another host of the pool has made was not asked for here */
	if (!strcmp(v->meta.policy, META_NO_POLICY))
		(void)!describe_stored(&v->meta, &v->store, NULL);
	rc = newvtpm_compare(v, request, n, &e);

	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	uuid_unparse_lower(v->meta.uuid, uuid);
	control_answer_with(c, json_pack("{s:b, s:s, s:b, s:s}", "ok", 1, "uuid", uuid,
					 "changed", 0, "state", vtpm_state_word(v)));
}

static void control_create(struct control *c, struct vtpm *none, const json_t *request)
{
	struct vtpm *there = vtpms_find(c->d, c->name);
	struct error e = {.cause = CAUSE_NONE};
	struct registry_new n;
	int rc;

	if (newvtpm_parse(c->d, request, &n)) {
		control_answer_malformed(c);
		return;
	}
	n.name = c->name;
	/* what is about to move away, or may not come, is not there as asked for */
	rc = there ? move_may_change(there, &e) : 0;
	if (rc)
		control_answer_refuse(c, rc, &e);
	else if (n.by_name && n.process)
		control_answer_word(c, "internal", BIND_PROCESS);
	else if (there && !there->meta.creating && !n.source)
		create_again(c, there, request, &n);
	else
		create(c, &n);
}

/* A new vTPM as another one; its state, too, when the identity is to be the same. */
static void control_clone(struct control *c, struct vtpm *source, const json_t *request)
{
	const char *to = text_of(request, "to", NULL);
	const char *identity = text_of(request, "identity", NULL);
	struct error e = {.cause = CAUSE_NONE};
	struct registry_new n;
	int rc;

	if (!to || !identity || (strcmp(identity, "new") && strcmp(identity, "copy"))) {
		control_answer_malformed(c);
		return;
	}
	/* what would not start here is not what a new one is to be */
	rc = vtpm_check(source, &e);
	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	n = (struct registry_new){
		.name = to,
		.policy = source->meta.policy,
		.memory = source->meta.memory,
		.process = source->meta.process,
		.by_name = source->meta.by_name,
		.localities = source->meta.localities,
		.ppi_denied = source->meta.presence.denied,
		.tpm12 = source->meta.tpm12,
		.pcr_banks = source->meta.pcr_banks,
		.measured = source->meta.measured,
	};
	if (!strcmp(identity, "copy")) {
		if (source->meta.creating) {
			control_answer_word(
				c, "busy",
				"The vTPM is just being made: wait until it runs.");
			return;
		}
		n.copy_of = source;
	}
	create(c, &n);
}

/* For an answer that decides, and none would be taken for a no. */
#define DECIDE_MS 30000
#define ATTEST_MS 40000

static bool guest_is_there(const struct vtpm *v)
{
	return vtpm_is(v, VTPM_UP) && v->status.at.tv_sec &&
	       v->status.value[STATUS_GUEST_DOMID] > 0 && !registry_guest_ended(v);
}

/* Whether a pool has it that some host starts the vTPM, which does not run here. */
static bool is_wanted_in_pool(struct vtpm *v)
{
	struct meta m;

	return store_is_leased(&v->store) && !meta_read(&v->store, &m) && m.wanted;
}

static int run_unwanted(void *ctx, struct vtpm *v, struct error *e)
{
	int rc = vtpm_keep_meta(v);

	return rc ? error_set(e, rc, CAUSE_STORE,
			      "That %s is stopped could not be stored: %s.", v->meta.name,
			      strerror(-rc))
		  : 0;
}

static void on_unwanted(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_ok(c, c->uuid);
}

/* STOP and DELETE, once the manager's status says whether a guest is connected. */
static void op_stop(struct control *c, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[320];
	int rc;

	if (!c->force && guest_is_there(v)) {
		snprintf(text, sizeof(text),
			 "Domain %lld uses the vTPM %s: shut it down first, or give "
			 "--force.",
			 (long long)v->status.value[STATUS_GUEST_DOMID], v->meta.name);
		control_answer_word(c, "busy", text);
		return;
	}
	if (vtpm_is(v, VTPM_DOWN) && store_etcd_is(v->d->store) &&
	    store_etcd_other_owner(&v->store)[0]) {
		snprintf(text, sizeof(text),
			 "The vTPM %s is in use on the host %s, and does not run here: "
			 "`vtpmctl stop %s` there.",
			 v->meta.name, store_etcd_other_owner(&v->store), v->meta.name);
		control_answer_word(c, "busy", text);
		return;
	}
	c->ran = !vtpm_is(v, VTPM_DOWN);
	rc = move_may_stop(v, &e);
	if (!rc)
		rc = vtpm_stop(v, &e);
	if (rc)
		control_answer_refuse(c, rc, &e);
	else if (c->what == STOP && !c->ran && is_wanted_in_pool(v))
		control_hold(c, v, run_unwanted, on_unwanted);
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
	else if (rc == -ESRCH)
		snprintf(text, size,
			 "The vTPM %s served another guest after this one was saved, "
			 "and what it held for this one is lost: launch it without "
			 "--restore.",
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

/* RESUME, once the manager's status has its TPM's power-on. */
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
	if (c->has_saved && v->d->xen && !guests_was_last(&v->guests, c->saved))
		rc = -ESRCH;
	else
		rc = vtpm_is(v, VTPM_UP)
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

static void op_list(struct control *c, struct vtpm *none)
{
	json_t *all = json_array(), *approved = registry_approved(c->d);
	struct vtpm *v;

	for (v = c->d->vtpms; v; v = v->next)
		json_array_append_new(all, registry_show(v, approved));
	json_decref(approved);
	control_answer_with(c, json_pack("{s:b, s:o, s:o}", "ok", 1, "vtpms", all,
					 "damaged", registry_damaged()));
}

/* CERTIFY, once the manager's status has the number of certificates. */
static void op_certify(struct control *c, struct vtpm *v)
{
	if (!vtpm_is(v, VTPM_UP) ||
	    v->status.value[STATUS_CERTIFICATES] == cert_count(&v->store))
		control_answer_ok(c, v->meta.uuid);
	else
		control_answer_word(
			c, "busy",
			"The certificates are in the store, but not all in the TPM: its "
			"NV memory may be full, or it has not answered yet; it gets "
			"them when its guest starts the next time.");
}

/* Asks the manager concerned for its status, LIST all of them, then answers. */
static void ask_managers(struct control *c, enum ask_what what, unsigned int limit_ms)
{
	ask_begin(&c->ask, c->what == LIST ? NULL : c->name, what, 0, limit_ms);
}

/* SHOW, LIST, and, as it depends on whether a guest is there, STOP and DELETE. */
static void control_ask(struct control *c, struct vtpm *v, const json_t *request)
{
	ask_managers(c, ASK_STATUS, ASK_TABLE_MS);
}

static void control_ask_resume(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *uuid = json_string_value(json_object_get(request, "uuid"));
	const char *saved = json_string_value(json_object_get(request, "saved"));

	if (json_is_true(json_object_get(request, "revoke"))) {
		guests_revoke(&v->guests);
		control_answer_ok(c, v->meta.uuid);
		return;
	}
	c->launched = uuid && !uuid_parse(uuid, c->domain);
	c->has_saved = saved && !uuid_parse(saved, c->saved);
	if ((uuid && !c->launched) || (saved && !c->has_saved))
		control_answer_malformed(c);
	else if (vtpm_hears(v))
		ask_managers(c, ASK_STATUS, DECIDE_MS);
	else
		control_answer_not_running(
			c, v,
			"The vTPM does not run: start it (`vtpmctl start`); its guest's "
			"PCRs are lost, and the guest has to reboot.");
}

/* "nonce": hex, "pcrs": a mask -> "evidence" */
static void control_ask_attest(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *nonce = json_string_value(json_object_get(request, "nonce"));
	const char *user = json_string_value(json_object_get(request, "user"));
	json_int_t pcrs = json_integer_value(json_object_get(request, "pcrs"));
	int rc = v->meta.tpm12 ? -EOPNOTSUPP
		 : nonce && pcrs > 0 && pcrs <= UINT32_MAX
			 ? attest_begin(v, nonce, user ? user : "", (uint32_t)pcrs)
			 : -EINVAL;

	if (!rc)
		ask_managers(c, ASK_ATTEST, ATTEST_MS);
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
		control_answer_not_running(
			c, v, "The vTPM does not run: `vtpmctl start` it first.");
}

static int run_certify(void *ctx, struct vtpm *v, struct error *e)
{
	struct control *c = ctx;

	return cert_install(v, json_object_get(c->held, "certificates"), e);
}

static void on_certified(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	json_decref(c->held);
	c->held = NULL;
	if (rc)
		control_answer_refuse(c, rc, e);
	else
		ask_managers(c, ASK_STATUS, DECIDE_MS);
}

/* "certificates": as cert_install() takes them */
static void control_ask_certify(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};

	c->held = json_incref((json_t *)request);
	if (store_is_leased(&v->store))
		control_hold(c, v, run_certify, on_certified);
	else
		on_certified(c, run_certify(c, v, &e), &e);
}

static int run_rename(void *ctx, struct vtpm *v, struct error *e)
{
	struct control *c = ctx;

	return registry_rename(v, json_string_value(json_object_get(c->held, "to")), e);
}

static void on_renamed(void *ctx, int rc, const struct error *e)
{
	struct control *c = ctx;

	json_decref(c->held);
	c->held = NULL;
	if (rc)
		control_answer_refuse(c, rc, e);
	else
		control_answer_ok(c, c->uuid);
}

static void op_rename(struct control *c, struct vtpm *v, const json_t *request)
{
	const char *to = json_string_value(json_object_get(request, "to"));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!to) {
		control_answer_malformed(c);
		return;
	}
	if (!strcmp(to, v->meta.name)) {
		control_answer_ok(c, v->meta.uuid);
		return;
	}
	rc = registry_may_rename(v, to, &e);
	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	c->held = json_incref((json_t *)request);
	control_hold(c, v, run_rename, on_renamed);
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

static void on_reload_anchored(void *ctx, const struct error *e)
{
	struct control *c = ctx;

	if (e)
		control_answer_refuse(c, -EIO, e);
	else
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

/* With "anchored", the answer comes when the host's TPM has what is known: host.json may
 * name another index of it. */
static void op_reload(struct control *c, struct vtpm *v, const json_t *request)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = reload(c->d, &e);

	if (rc) {
		control_answer_refuse(c, rc, &e);
		return;
	}
	if (json_is_true(json_object_get(request, "anchored"))) {
		c->waiter = (struct waiter){.done = on_reload_anchored, .ctx = c};
		anchor_wait(c->d->anchor, &c->waiter);
	} else {
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
	}
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
	c->waiter = (struct waiter){.done = on_audit_known, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->waiter);
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
	c->waiter = (struct waiter){.done = on_audit_rotate, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->waiter);
}

/* "left_s": how long the host's token for Vault lasts, which was used just now */
static void op_kms_token(struct control *c, struct vtpm *none, const json_t *request)
{
	json_int_t left = json_integer_value(json_object_get(request, "left_s"));

	if (left < 0) {
		control_answer_malformed(c);
		return;
	}
	metrics_token(c->d, left, 0);
	control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

static void on_marks_known(void *ctx, const struct error *e)
{
	struct control *c = ctx;
	json_t *request = c->held;

	c->held = NULL;
	move_know_marks(c->d);
	if (e)
		control_answer_refuse(c, -EIO, e);
	else
		move_on_control(c, request);
	json_decref(request);
}

/* Until it is known what the host's TPM has of a handover, its record may be an older one, and
 * nothing is said or done by it.  Who looks each second whether something waits does not have a TPM that
 * does not tell asked each time. */
static void op_move(struct control *c, struct vtpm *none, const json_t *request)
{
	const char *event = json_string_value(json_object_get(request, "event"));

	if (anchor_is_known(c->d->anchor)) {
		move_on_control(c, request);
		return;
	}
	c->held = json_incref((json_t *)request);
	c->waiter = (struct waiter){.done = on_marks_known, .ctx = c};
	if (event && !strcmp(event, "waiting"))
		anchor_ask_known(c->d->anchor, &c->waiter);
	else
		anchor_wait_known(c->d->anchor, &c->waiter);
}

/* Of a vTPM that is in a handover, an operation is refused ... */
enum in_handover {
	OR_ASKS,     /* ... or not, as what it calls says */
	WHILE_AWAY,  /* ... while its manager does not run here, or is frozen */
	UNTIL_MOVED, /* ... since what it changes would not move along */
};

static const struct {
	const char *word;
	bool host; /* about no vTPM that is there: run() gets NULL */
	void (*run)(struct control *c, struct vtpm *v, const json_t *request);
	/* when it asks managers: what they told is known */
	void (*answer)(struct control *c, struct vtpm *v);
	enum in_handover refused;
} ops[] = {
	[CREATE] = {"create", true, control_create},
	[START] = {"start", false, op_start, NULL, WHILE_AWAY},
	[STOP] = {"stop", false, control_ask, op_stop},
	[DELETE] = {"delete", false, control_ask, op_stop, UNTIL_MOVED},
	[SHOW] = {"show", false, control_ask, op_show},
	[LIST] = {"list", true, control_ask, op_list},
	[RESUME] = {"resume", false, control_ask_resume, op_resume, WHILE_AWAY},
	[BACKUP] = {"backup", false, control_op_backup, NULL, WHILE_AWAY},
	[BACKED_UP] = {"backed-up", true, control_op_backed_up},
	[RESTORE] = {"restore", true, control_op_restore},
	[VERIFY] = {"verify", true, control_op_verify},
	[RESEAL] = {"reseal", false, control_op_reseal},
	[REKEY] = {"rekey", false, control_op_rekey, control_on_rekeyed, UNTIL_MOVED},
	[RELOAD] = {"reload", true, op_reload},
	[ACCEPT] = {"accept", false, control_op_accept},
	[CLONE] = {"clone", false, control_clone, NULL, WHILE_AWAY},
	[RENAME] = {"rename", false, op_rename},
	[SET] = {"set", false, op_set, NULL, UNTIL_MOVED},
	[ATTEST] = {"attest", false, control_ask_attest, op_attest, WHILE_AWAY},
	[CERTIFY] = {"certify", false, control_ask_certify, op_certify, UNTIL_MOVED},
	[CERTIFICATES] = {"certificates", false, op_certificates},
	[LAUNCH] = {"launch", true, control_op_launch},
	[LAUNCHED] = {"launched", true, control_op_launched},
	[LAUNCH_FAILED] = {"launch-failed", true, control_op_launch_failed},
	[AUDIT_END] = {"audit-end", true, op_audit_end},
	[AUDIT_ROTATE] = {"audit-rotate", true, op_audit_rotate},
	[MOVE] = {"move", true, op_move},
	[POOL_SHOW] = {"pool", true, control_op_pool},
	[POOL_LIST] = {"pool-list", true, control_op_pool_list},
	[POOL_WITNESS] = {"pool-witness", true, control_op_pool_witness},
	[POOL_ACCEPT] = {"pool-accept", true, control_op_pool_accept},
	[POOL_MOVE] = {"pool-move", true, control_op_pool_move},
	[KMS_TOKEN] = {"kms-token", true, op_kms_token},
};

static enum control_what parse_op(const char *op)
{
	size_t i;

	for (i = 0; op && i < ARRAY_SIZE(ops); i++)
		if (!strcmp(op, ops[i].word))
			return (enum control_what)i;
	return NO_OP;
}

/* Whether the vTPM that it is about is there; false: that was answered. */
static bool find_vtpm(struct control *c, struct vtpm **v)
{
	*v = ops[c->what].host ? NULL : vtpms_find(c->d, c->name);
	if (!*v && !ops[c->what].host)
		control_answer_no_such(c);
	return *v || ops[c->what].host;
}

/* Whether the vTPM is in a handover that keeps the operation from it; that was answered. */
static bool is_kept_by_move(struct control *c, const struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	enum in_handover refused = ops[c->what].refused;
	int rc = 0;

	if (refused == WHILE_AWAY)
		rc = move_may_start(v, &e);
	else if (refused == UNTIL_MOVED)
		rc = move_may_change(v, &e);
	if (rc)
		control_answer_refuse(c, rc, &e);
	return rc != 0;
}

static void answer_asked(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c = ctx;
	struct vtpm *v;

	if (find_vtpm(c, &v))
		ops[c->what].answer(c, v);
}

static void run_request(struct control *c, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(request, "name"));
	struct vtpm *v;

	c->what = parse_op(json_string_value(json_object_get(request, "op")));
	c->force = json_is_true(json_object_get(request, "force"));
	if (c->what != BACKED_UP)
		backup_told(c->d, &c->given, "vtpmctl did not tell of a file");
	/* one that is too long is no vTPM's name, and stays too long when cut */
	snprintf(c->name, sizeof(c->name), "%s", name ? name : "");
	if (c->what == NO_OP || (c->what == CREATE && !name) ||
	    (!ops[c->what].host && !name))
		control_answer_malformed(c);
	else if (find_vtpm(c, &v) && !(v && is_kept_by_move(c, v)))
		ops[c->what].run(c, v, request);
	json_decref(request);
}

const struct control_handlers control_ops = {
	.request = run_request,
	.answer = answer_asked,
};
