/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/channel.h"
#include "lib/slot/envelope.h"
#include "lib/text.h"
#include "lib/measure.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/ask.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/metrics.h"
#include "tools/vtpmd/pool_keys.h"
#include "tools/vtpmd/presence.h"
#include "tools/vtpmd/quote.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/bind.h"
#include "tools/vtpmd/witness.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* A guest's; libxl numbers them from 0. */
#define DEVICES_MAX 4
#define FAILED_S    5 /* to exit after FAIL */

void vtpm_guest_load(struct vtpm *v)
{
	guests_load(&v->guests, &(struct guests_place){.xen = v->d->xen,
						       .run_dir = v->d->run_dir,
						       .vtpm = v->meta.uuid});
	if (v->guests.launched)
		v->meta.launched = true;
}

static void on_released(void *ctx)
{
	struct vtpmd *d = ctx;
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next)
		guests_released(&v->guests);
}

int vtpm_guest_watch(struct vtpmd *d)
{
	return d->xen ? xen_watch(d->xen, NULL, on_released, d) : 0;
}

/* The backend's domain of the device at path, libxl's copy of its nodes; -1: it is none of
 * this vTPM's, or one without its uuid is of another domain than its stub domain. */
static int backend_of(const struct vtpm *v, const char *path)
{
	char node[128], text[128];
	uint8_t uuid[16];
	const char *why;
	int domid;

	snprintf(node, sizeof(node), "%s/uuid", path);
	if (xen_read(v->d->xen, node, text, sizeof(text)) || uuid_parse(text, uuid) ||
	    bind_judge(v, uuid, &why))
		return -1;
	snprintf(node, sizeof(node), "%s/backend", path);
	return !xen_read(v->d->xen, node, text, sizeof(text)) &&
			       sscanf(text, "/local/domain/%d/", &domid) == 1
		       ? domid
		       : -1;
}

static bool is_stubdom(const struct vtpmd *d, int domid)
{
	const struct vtpm *v;

	for (v = d->vtpms; v; v = v->next)
		if (vtpm_is(v, VTPM_WITH_BODY) && v->body->domid == domid)
			return true;
	return false;
}

/* Whether the device is of another domain than this vTPM's stub domain, and of no other
 * vTPM's, of which one without a uuid may be. */
static bool is_orphan(const struct vtpm *v, const char *path)
{
	int domid = backend_of(v, path);

	if (domid > 0 && is_stubdom(v->d, domid))
		return false;
	return domid >= 0 && (!vtpm_is(v, VTPM_WITH_BODY) || v->body->domid != domid);
}

/* Whether the toolstack gave this vTPM to the domain: a manager that its guest took over
 * asks for whatever domain it likes. */
bool vtpm_guest_is_given(const struct vtpm *v, uint32_t domid)
{
	int own = v->body->domid > 0 ? v->body->domid : 0;
	char path[64];

	for (unsigned int i = 0; i < DEVICES_MAX; i++) {
		snprintf(path, sizeof(path), "/libxl/%u/device/vtpm/%u", domid, i);
		if (backend_of(v, path) == own)
			return true;
	}
	return false;
}

static bool has_lost(const struct vtpm *v, uint32_t domid)
{
	char path[64];

	if (vtpm_is(v, VTPM_UP) && v->status.at.tv_sec &&
	    v->status.value[STATUS_GUEST_DOMID] == domid)
		return false;
	for (unsigned int i = 0; i < DEVICES_MAX; i++) {
		snprintf(path, sizeof(path), "/libxl/%u/device/vtpm/%u", domid, i);
		if (is_orphan(v, path))
			return true;
	}
	return false;
}

unsigned int vtpm_guest_lost(const struct vtpm *v, uint32_t domids[static GUESTS_MAX])
{
	unsigned int count = 0;

	for (unsigned int i = 0; v->d->xen && i < v->guests.count; i++)
		if (has_lost(v, v->guests.one[i].domid))
			domids[count++] = v->guests.one[i].domid;
	return count;
}

void vtpm_guest_set_launched(struct vtpm *v, bool launched)
{
	if (v->meta.launched != launched) {
		v->meta.launched = launched;
		vtpm_keep_meta(v);
	}
	if (guests_set_launched(&v->guests, launched))
		log_about(LOG_ERR, VTPM_ABOUT(v),
			  "vtpmd cannot write its run folder: see `df /run`");
	anchor_launched(v->d->anchor, v);
}

static void note_launch(struct vtpm *v, const struct guests_verdict *judged)
{
	char uuid[37];

	uuid_unparse_lower(judged->uuid, uuid);
	vtpm_audit(v, "launch", v->d->xen ? uuid : NULL);
	if (v->meta.launched)
		return;
	vtpm_guest_set_launched(v, true);
	log_about(LOG_NOTICE, VTPM_ABOUT(v),
		  "serves measured guests only, until it is stopped");
}

/* Tells the journal once a domain: SAME is a driver that came back. */
static void note_guest(struct vtpm *v, uint32_t domid,
		       const struct guests_verdict *judged)
{
	v->refused[0] = '\0';
	if (judged->what == CHANNEL_GUEST_SAME)
		return;
	log_limited(&v->limits.lines, LOG_NOTICE, VTPM_ABOUT(v), "domain %u is %s%s",
		    domid, judged->measured ? "measured" : "not measured",
		    judged->what == CHANNEL_GUEST_RESUMED ? ", and goes on with its PCRs"
							  : "");
	if (judged->measured)
		note_launch(v, judged);
}

static enum guests_served served(const struct vtpm *v)
{
	if (v->meta.measured)
		return GUESTS_MEASURED;
	return v->meta.launched ? GUESTS_MEASURED_UNTIL_STOPPED : GUESTS_ALL;
}

/* The TPM on an HVM guest's board. */
static int start_crb(struct vtpm *v, uint32_t domid, bool lost,
		     struct guests_verdict *judged)
{
	struct crb_guest g = vtpm_guest_crb(v, domid);

	g.restored = lost || judged->what != CHANNEL_GUEST_NEW;
	g.lost = lost;
	if (v->meta.tpm12) {
		judged->why =
			"it is an HVM guest, which needs a TPM 2.0, and this is a TPM "
			"1.2: `vtpmctl create` another one for it";
		return -EPERM;
	}
	return crb_start(v->d, &g, &judged->why);
}

/* A domain that was restored has booted with another TPM than one that is started anew for
 * it: it would find PCRs that are zero, and platformAuth empty.  *lost: it finds none that
 * works; where it still can go on it is refused. */
static int judge_restored(struct vtpm *v, uint32_t domid, uint64_t on, bool *lost,
			  const char **why)
{
	enum guests_restored expect;

	/* its last guest may have requested something, which this one reads */
	crb_release(v->meta.uuid);
	if (!crb_is_restored(v->d, v->meta.uuid, domid))
		return 0;
	expect = guests_expect(&v->guests, domid, on);
	*lost = expect == GUESTS_HAS_LOST;
	*why = "it was restored, and its TPM would begin anew, where its own is here still: "
	       "`vtpmctl resume` this vTPM, then `xl restore` the guest again, or restore it "
	       "with `vtpmctl launch` if that started it";
	return expect == GUESTS_MAY_RESUME ? -EPERM : 0;
}

static void note_lost(struct vtpm *v, uint32_t domid)
{
	char guest[GUEST_NAME_MAX];

	vtpm_guest_name(v, domid, guest);
	snprintf(v->refused, sizeof(v->refused),
		 "%s: it was restored, and what its TPM held is lost: each TPM "
		 "command of it fails until it is started again",
		 guest);
	log_about(LOG_WARNING, VTPM_ABOUT(v), "%s", v->refused);
}

static int answer_vtpm(struct vtpm *v, const struct peer_guest *asked,
		       struct cursor *list, struct cursor *out, const char **why)
{
	uint32_t domid = asked->domid;
	uint64_t on = asked->on;
	struct guests_verdict judged;
	bool crb = crb_is_wanted(v->d, domid), starts, cleared, lost = false;
	int rc = asked->device ? bind_judge(v, asked->device, &judged.why) : 0;

	if (!rc && crb && !vtpm_guest_is_given(v, domid)) {
		judged.why = "its configuration has no vtpm line of this vTPM's";
		rc = -EPERM;
	}
	/* the board of one that comes with its TPM is here later */
	starts = crb && !v->guests.arrives;
	if (!rc && starts)
		rc = judge_restored(v, domid, on, &lost, &judged.why);
	if (!rc)
		rc = guests_judge(&v->guests, domid, on, served(v), &judged, list);
	if (!rc && v->d->xen && list->pos &&
	    measure_is_record(list->wr, list->pos) != crb) {
		judged.why =
			"it is of another type than the file that was launched says: "
			"`vtpmctl launch` it again";
		rc = -EPERM;
	}
	if (!rc && starts)
		rc = start_crb(v, domid, lost, &judged);
	if (rc) {
		*why = judged.why;
		return rc;
	}
	cleared = judged.what == CHANNEL_GUEST_NEW && presence_begin(v, domid);
	cursor_put_u8(out, (uint8_t)judged.what);
	cursor_put_u8(out, (judged.measured ? CHANNEL_GUEST_IS_MEASURED : 0) |
				   (crb ? CHANNEL_GUEST_IS_HVM : 0) |
				   (cleared ? CHANNEL_GUEST_IS_CLEARED : 0));
	cursor_put_u64(out, judged.on);
	if (judged.what == CHANNEL_GUEST_NEW)
		cursor_put(out, list->wr, list->pos);
	note_guest(v, domid, &judged);
	if (lost)
		note_lost(v, domid);
	return 0;
}

/* struct peer_owner's cleared() */
static int on_cleared(void *ctx, uint32_t response, const char **why)
{
	int rc = presence_cleared(ctx, response);

	if (rc && rc != -EPERM)
		*why = "Its vtpm.json could not be written: see vtpmd's log.";
	return rc;
}

/* struct peer_owner's guest() */
static int vtpm_guest_on_ask(void *ctx, const struct peer_guest *asked,
			     struct cursor *out, const char **why)
{
	struct vtpm *v = ctx;
	uint8_t *list;
	struct cursor w;
	int rc;

	/* a manager outside Xen has no guests, but those that tests play */
	if (!v->d->xen && !v->d->unix_dir)
		return -ENOENT;
	list = malloc(MEASURE_MAX);
	if (!list)
		return -ENOMEM;
	w = cursor_writer(list, MEASURE_MAX);
	rc = answer_vtpm(v, asked, &w, out, why);
	if (rc)
		vtpm_guest_refused(v, asked->domid, *why);
	free(list);
	return rc;
}

int vtpm_guest_resume(struct vtpm *v, const uint8_t *launched)
{
	int64_t on = v->status.value[STATUS_POWER_ON];

	return guests_resume(&v->guests, on > 0 ? (uint64_t)on : 0, launched);
}

bool vtpm_guest_restores(struct vtpm *v, const uint8_t uuid[16])
{
	return guests_restores(&v->guests) &&
	       !memcmp(v->guests.saved, uuid, sizeof(v->guests.saved));
}

void vtpm_guest_launched(struct vtpm *v, const uint8_t uuid[16], bool restored)
{
	if (!restored)
		guests_boots(&v->guests, uuid);
	if (!v->meta.launched)
		memcpy(v->launcher, uuid, sizeof(v->launcher));
	/* without Xen, vtpmd tells the manager that a guest comes */
	if (!v->d->xen && !restored && peer_is_greeted(v->peer))
		peer_event(v->peer, CHANNEL_EVENT_GUEST);
}

void vtpm_guest_failed(struct vtpm *v, const uint8_t uuid[16])
{
	if (!memcmp(v->guests.saved, uuid, sizeof(v->guests.saved)))
		guests_revoke(&v->guests);
	if (!v->meta.launched || memcmp(v->launcher, uuid, sizeof(v->launcher)))
		return;
	vtpm_guest_set_launched(v, false);
	log_about(LOG_NOTICE, VTPM_ABOUT(v),
		  "the launch failed: it serves the guests that it served before");
}

#define PCRS 24

static void clear(struct vtpm_attest *a)
{
	free(a->evidence);
	memset(a, 0, sizeof(*a));
}

/* EVENT_ATTEST: what the evidence is to be of. */
static void put_attest(struct vtpm *v)
{
	uint8_t out[4 + 2 + BINDING_NONCE_MAX + 2 + BINDING_USER_MAX];
	struct cursor w = cursor_writer(out, sizeof(out));
	const struct vtpm_attest *a = &v->attest;

	cursor_put_u32(&w, a->pcrs);
	cursor_put_u16(&w, (uint16_t)a->nonce_len);
	cursor_put(&w, a->nonce, a->nonce_len);
	cursor_put_u16(&w, (uint16_t)a->user_len);
	cursor_put(&w, a->user, a->user_len);
	peer_event_with(v->peer, CHANNEL_EVENT_ATTEST, out, w.pos);
}

int attest_begin(struct vtpm *v, const char *nonce, const char *user, uint32_t pcrs)
{
	struct vtpm_attest fresh = {.pcrs = pcrs,
				    .nonce_len = sizeof(fresh.nonce),
				    .user_len = sizeof(fresh.user)};

	if (hex_decode(nonce, fresh.nonce, &fresh.nonce_len) ||
	    hex_decode(user, fresh.user, &fresh.user_len) ||
	    fresh.nonce_len < BINDING_NONCE_MIN || !pcrs || pcrs >> PCRS)
		return -EINVAL;
	if (v->attest.pending)
		return -EBUSY;
	if (!vtpm_hears(v))
		return -ENOTCONN;
	clear(&v->attest);
	v->attest = fresh;
	v->attest.pending = true;
	put_attest(v);
	return 0;
}

void attest_drop(struct vtpm *v)
{
	bool pending = v->attest.pending;

	clear(&v->attest);
	if (pending)
		error_set(&v->attest.error, 0, CAUSE_CHANNEL,
			  "The vTPM's manager is gone: see `vtpmctl show %s`.",
			  v->meta.name);
}

/* Answer CHANNEL_ATTEST for a vTPM (struct peer_owner). */
static void attest_on_result(void *ctx, uint32_t cause, const char *text)
{
	struct vtpm *v = ctx;
	struct vtpm_attest *a = &v->attest;

	if (!a->pending)
		return;
	a->pending = false;
	a->evidence = cause ? NULL : strdup(text);
	if (cause)
		error_set(&a->error, 0, (enum cause)cause, "%s", text);
	else if (!a->evidence)
		error_set(&a->error, 0, CAUSE_INTERNAL, "There is no memory.");
	vtpm_audit(v, cause ? "attest-failed" : "attest",
		   cause ? error_word(cause) : NULL);
	ask_check(v->d);
}

/* What a vTPM that is to be made shall be. */
static void put_desc(struct vtpm *v, struct cursor *out)
{
	channel_tlv_put_u16(out, CONFIG_POLICY, meta_policy(v->meta.policy));
	channel_tlv_put_u8(out, CONFIG_LOCALITIES, v->meta.localities);
	channel_tlv_put_u8(out, CONFIG_MEASURED, v->meta.measured);
	channel_tlv_put_u8(out, CONFIG_PCR_BANKS, v->meta.pcr_banks);
	channel_tlv_put_u8(out, CONFIG_TPM_VERSION, v->meta.tpm12 ? 12 : 20);
	if (v->meta.is_copy && !move_is_incoming(v))
		channel_tlv_put(out, CONFIG_COPY_OF, v->meta.copy_of,
				sizeof(v->meta.copy_of));
	else if (v->meta.imported && !move_is_incoming(v))
		channel_tlv_put_u8(out, CONFIG_SOURCE, 1);
}

/* What a TPM of swtpm's had of certificates stays in it until vtpmd has some. */
static void put_certs(struct vtpm *v, struct cursor *out)
{
	json_t *there = cert_list(&v->store);

	if (v->meta.imported && !json_array_size(there))
		channel_tlv_put_u8(out, CONFIG_KEEP_CERTS, 1);
	json_decref(there);
	cert_put_config(&v->store, out);
}

/* Appends the configuration of a manager that starts. */
static void put_vtpm_config(struct vtpm *v, bool create, struct cursor *out)
{
	channel_tlv_put(out, CONFIG_UUID, v->meta.uuid, sizeof(v->meta.uuid));
	channel_tlv_put(out, CONFIG_NAME, v->meta.name, strlen(v->meta.name));
	channel_tlv_put_u8(out, CONFIG_CREATE, create);
	if (create)
		put_desc(v, out);
	channel_tlv_put_u64(out, CONFIG_EPOCH, v->store.epoch);
	if (store_is_leased(&v->store))
		channel_tlv_put_u8(out, CONFIG_LEASED, 1);
	if (store_is_leased(&v->store) && v->d->pool.watchdog && !v->meta.process)
		channel_tlv_put_u8(out, CONFIG_WATCHDOG, 1);
	if (move_is_incoming(v))
		move_put_config(v, out);
	cursor_put(out, v->config->tlvs, v->config->len);
	pool_keys_put(v->d, v->config, store_is_leased(&v->store), out);
	if (!v->meta.tpm12)
		identity_put_config(&v->meta, out);
	put_certs(v, out);
}

static int hello_starting(struct vtpm *v, struct cursor *out, const char **why)
{
	/* never again once there is a permanent state, whatever happened since */
	bool create = v->making && !store_has(&v->store, CHANNEL_OBJECT_PERMALL);

	if (!vtpm_is(v, VTPM_STARTING)) {
		*why = "It is running already.";
		return -EBUSY;
	}
	/* what it would be given was checked by the vtpmd that started it */
	if (v->state == VTPM_ADOPTED) {
		*why = "vtpmd was restarted: it is started again.";
		v->body->ops->end(v->body);
		return -EAGAIN;
	}
	put_vtpm_config(v, create, out);
	stamp_now(v->rekey.configured);
	vtpm_step(v, VTPM_HELLO);
	move_on_hello(v);
	return 0;
}

/* host.json as it is now; the filter and the tunnel follow it, too. */
static int on_config(void *ctx, struct cursor *out, const char **why)
{
	struct vtpm *v = ctx;
	struct error e = {.cause = CAUSE_NONE};
	struct config *fresh;
	int rc = config_get(&v->d->host, v->d->config, &fresh, &e);

	if (!rc) {
		rc = config_covers(fresh, v->meta.policy, &e);
		if (rc)
			config_put(fresh);
	}
	if (rc) {
		log_limited(&v->limits.lines, LOG_WARNING, VTPM_ABOUT(v), "%s", e.text);
		*why = "The host's configuration does not do.";
		return rc;
	}
	config_put(v->config);
	v->config = fresh;
	put_vtpm_config(v, false, out);
	stamp_now(v->rekey.configured);
	return 0;
}

/* When the keys were made counts from the configuration that they were made of, and so
 * not for those that an interruption preceded. */
static void note_keys(struct vtpm *v, const char *what)
{
	if (!v->rekey.configured[0] || !strcmp(what, "finished"))
		return;
	strcpy(v->meta.sealed, v->rekey.configured);
	if (!strcmp(what, "deep"))
		strcpy(v->meta.keyed, v->rekey.configured);
	v->rekey.configured[0] = 0;
	vtpm_keep_meta(v);
}

/* Whether the stored header has the way to an older data key. */
static bool has_old_key(struct vtpm *v)
{
	uint16_t kinds[ENVELOPE_SLOTS_MAX];
	size_t i, n = store_slots(&v->store, kinds, ENVELOPE_SLOTS_MAX);

	for (i = 0; i < n; i++)
		if (kinds[i] == ENVELOPE_SLOT_OLD_KEY)
			return true;
	return false;
}

/* An unasked rekey that repeats at each connection is one entry of the audit log. */
static void rekey_failed(struct vtpm *v, bool asked, enum cause cause, const char *text)
{
	error_set(&v->rekey.error, 0, cause, "%s", text);
	log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v, .cause = cause),
		    "not sealed anew: %s", text);
	if (asked || !v->rekey.failed)
		vtpm_audit(v, "rekey-failed", error_word(cause));
	v->rekey.failed = v->rekey.failed || !asked;
}

/* What was done is what was asked for, or was unfinished; that it was done is seen in
 * the store. */
static bool on_rekeyed(void *ctx, uint32_t cause, const char *text)
{
	struct vtpm *v = ctx;
	struct vtpm_rekey *r = &v->rekey;
	bool asked = r->asked && (!r->unfinished || strcmp(text, "finished") != 0);
	const char *what = !asked ? "finished" : r->asked == REKEY_DEEP ? "deep" : "";
	bool done = asked ? store_seq(&v->store, CHANNEL_OBJECT_HEADER) > r->from
			  : !has_old_key(v);

	if (!asked && !r->unfinished)
		return false;
	if (asked)
		r->asked = REKEY_NOTHING;
	else
		r->unfinished = false;
	r->error = (struct error){.cause = CAUSE_NONE};
	if (cause) {
		rekey_failed(v, asked, (enum cause)cause, text);
	} else if (!done) {
		rekey_failed(v, asked, CAUSE_INTERNAL,
			     "The manager told of new keys, and stored no header.");
	} else {
		log_limited(&v->limits.lines, LOG_NOTICE,
			    VTPM_ABOUT(v, .id = LOG_ID_REKEYED), "sealed anew (%s)",
			    what[0] ? what : "key slots");
		vtpm_audit(v, "rekey", what[0] ? what : NULL);
		note_keys(v, what);
	}
	ask_check(v->d);
	return true;
}

/* What is stored is the last that it put, or the last but one. */
static void know_state(struct vtpm *v, uint64_t seq)
{
	uint8_t *buf;
	size_t len;
	uint64_t stored;

	if (store_get(&v->store, CHANNEL_OBJECT_PERMALL, &buf, &len))
		return;
	if (!store_object_seq(CHANNEL_OBJECT_PERMALL, buf, len, &stored) &&
	    (stored == seq || stored == seq + 1) &&
	    store_know(&v->store, CHANNEL_OBJECT_PERMALL, buf, len))
		log_about(LOG_ERR, VTPM_ABOUT(v), "its state cannot be read");
	free(buf);
}

/* A manager that ran on while vtpmd was away. */
static int hello_resumed(struct vtpm *v, const uint8_t uuid[16], uint64_t seq,
			 const char **why)
{
	uint64_t stored = store_seq(&v->store, CHANNEL_OBJECT_PERMALL);

	if (memcmp(uuid, v->meta.uuid, sizeof(v->meta.uuid))) {
		log_limited(&v->limits.lines, LOG_WARNING, VTPM_ABOUT(v),
			    "its manager claims to be another vTPM's");
		*why = "That is another vTPM.";
		return -EPERM;
	}
	/* one write may be durable here without its reply having arrived there */
	if (stored > seq + 1) {
		log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v),
			    "its manager is older than the store");
		*why = "The store holds a newer state.";
		return -ESTALE;
	}
	know_state(v, seq);
	/* events of the time without a connection were lost */
	peer_event(v->peer, CHANNEL_EVENT_IDENTITY);
	move_on_resumed(v);
	if (!vtpm_is(v, VTPM_STARTING)) {
		vtpm_step(v, VTPM_RESUME);
		return 0;
	}
	vtpm_progress(v, "connected again", LOG_ID_READY);
	v->meta.creating = false;
	v->ready_ms = stamp_ms();
	vtpm_settle(v, VTPM_RESUME);
	return 0;
}

static int on_hello(void *ctx, uint8_t mode, const uint8_t uuid[16], uint64_t seq,
		    struct cursor *out, const char **why)
{
	struct vtpm *v = ctx;
	int rc;

	/* its time to exit runs, however often it connects */
	if (vtpm_is(v, VTPM_GIVEN_UP)) {
		*why = "It gave up, or was ended.";
		return -ESHUTDOWN;
	}
	if (mode == CHANNEL_RESUMED)
		rc = hello_resumed(v, uuid, seq, why);
	else
		rc = hello_starting(v, out, why);
	if (rc)
		return rc;
	if (v->state == VTPM_RUNNING)
		event_del(v->timer);
	v->asked_ms = 0;
	v->rekey.unfinished = has_old_key(v);
	return 0;
}

/* As its header says since it was put. */
static void describe_vtpm(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};

	if (describe_stored(&v->meta, &v->store, &e))
		log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v), "%s", e.text);
}

static void audit_ready(struct vtpm *v)
{
	char detail[64] = "copy of ";

	uuid_unparse_lower(v->meta.copy_of, detail + strlen(detail));
	if (v->meta.creating && v->meta.is_copy)
		vtpm_audit(v, "clone", detail);
	else if (v->meta.creating && v->meta.imported)
		vtpm_audit(v, "import", v->meta.policy);
	else
		vtpm_audit(v, v->meta.creating ? "create" : "open", v->meta.policy);
}

/* A copy has what it was made of; if not now, it is erased before its next start. */
static void drop_source(struct vtpm *v)
{
	bool has = v->meta.creating && (v->meta.is_copy || v->meta.imported);
	int rc = has ? store_drop_source(&v->store) : 0;

	if (rc)
		log_line(LOG_ERR,
			 "vTPM %s: what it was copied from could not be erased: %s",
			 v->meta.name, strerror(-rc));
}

static void on_vtpm_ready(void *ctx, uint64_t seq)
{
	struct vtpm *v = ctx;
	struct timespec now;
	char text[64];

	if (v->state != VTPM_OPENING)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "ready after %.1f s",
		 (double)(now.tv_sec - v->started.tv_sec) +
			 (double)(now.tv_nsec - v->started.tv_nsec) / 1e9);
	if (v->making)
		anchor_made(v->d->anchor, v);
	audit_ready(v);
	drop_source(v);
	if (v->meta.creating)
		note_keys(v, "deep");
	v->rekey.configured[0] = 0;
	v->meta.creating = v->making = false;
	describe_vtpm(v);
	v->ready_ms = stamp_ms();
	v->meta.error = (struct error){.cause = CAUSE_NONE};
	vtpm_progress(v, text, LOG_ID_READY);
	vtpm_settle(v, VTPM_READY);
	anchor_note(v->d->anchor, v);
}

/* While a header does not count yet, the one before it has to stay: no third one. */
static int on_header(struct vtpm *v)
{
	int rc = !anchor_has_header(v->d->anchor, v)	       ? -EBUSY
		 : wear_header(&v->wear, (uint64_t)stamp_ms()) ? 0
							       : -EPERM;

	if (rc)
		log_limited(&v->limits.lines, LOG_WARNING, VTPM_ABOUT(v), "%s",
			    rc == -EBUSY ? "the host's TPM does not have its last header "
					   "yet: no new one is taken"
					 : "its manager stores headers that nobody asked "
					   "for: few more are taken until `vtpmctl "
					   "start` or `rekey` asks for some");
	return rc;
}

static int on_vtpm_put(void *ctx, const struct store_put *put)
{
	struct vtpm *v = ctx;

	v->anchor.unused = false;
	if (put->object != CHANNEL_OBJECT_HEADER || v->making ||
	    store_knows(&v->store, put->object, put->buf, put->len))
		return 0;
	return on_header(v);
}

static void on_header_counts(void *ctx, const struct error *e)
{
	struct vtpm *v = ctx;
	int rc = e ? -EIO : store_settle(&v->store);

	if (rc)
		log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v),
			    "its new header does not count: %s",
			    e ? e->text : strerror(-rc));
	if (v->peer)
		peer_put_counts(v->peer, rc);
}

static bool on_stored(void *ctx, uint16_t object)
{
	struct vtpm *v = ctx;

	if (object != CHANNEL_OBJECT_HEADER)
		return false;
	describe_vtpm(v);
	/* one that is made counts when it is ready */
	if (v->making)
		return false;
	anchor_header(v->d->anchor, v);
	v->anchor.waiter = (struct waiter){.done = on_header_counts, .ctx = v};
	anchor_wait(v->d->anchor, &v->anchor.waiter);
	return true;
}

static void take_latency(struct vtpm_status *s, struct cursor *c)
{
	uint64_t sum = cursor_u64(c), bucket[LATENCY_BUCKETS];
	size_t i;

	for (i = 0; i < LATENCY_BUCKETS; i++)
		bucket[i] = cursor_u64(c);
	if (!cursor_done(c))
		return;
	s->timed = true;
	s->sum_ns = sum;
	memcpy(s->bucket, bucket, sizeof(bucket));
}

static void on_vtpm_status(void *ctx, const uint8_t *tlvs, size_t len)
{
	struct vtpm *v = ctx;
	struct cursor c = cursor_reader(tlvs, len);
	struct channel_tlv t;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(v->status.value); i++)
		v->status.value[i] = -1;
	v->status.timed = false;
	while (channel_tlv_next(&c, &t)) {
		uint64_t value;

		if (t.tag == STATUS_LATENCY) {
			take_latency(&v->status, &t.value);
			continue;
		}
		value = cursor_u64(&t.value);
		if (cursor_done(&t.value) && t.tag < ARRAY_SIZE(v->status.value) &&
		    value <= INT64_MAX)
			v->status.value[t.tag] = (int64_t)value;
	}
	if (v->status.value[STATUS_TOKEN_S] > 0 &&
	    v->status.value[STATUS_TOKEN_USED_MS] >= 0)
		metrics_token(v->d, v->status.value[STATUS_TOKEN_S],
			      v->status.value[STATUS_TOKEN_USED_MS]);
	clock_gettime(CLOCK_MONOTONIC, &v->status.at);
	v->asked_ms = 0;
	ask_check(v->d);
}

bool vtpm_rekey(struct vtpm *v, bool deep)
{
	if (!vtpm_hears(v))
		return false;
	log_line(LOG_INFO, "vTPM %s: asked for new %s", v->meta.name,
		 deep ? "keys" : "key slots");
	v->rekey.asked = deep ? REKEY_DEEP : REKEY_SLOTS;
	v->rekey.failed = false;
	v->rekey.from = store_seq(&v->store, CHANNEL_OBJECT_HEADER);
	v->rekey.error = (struct error){.cause = CAUSE_NONE};
	wear_fill(&v->wear);
	peer_tpm_fill(&v->limits);
	peer_tpm_open(v->peer);
	peer_event(v->peer, deep ? CHANNEL_EVENT_REKEY_DEEP : CHANNEL_EVENT_REKEY);
	return true;
}

void vtpm_drop_peer(struct vtpm *v)
{
	peer_free(v->peer);
	v->peer = NULL;
	if (v->rekey.asked)
		error_set(&v->rekey.error, 0, CAUSE_CHANNEL,
			  "The vTPM's manager is gone: see `vtpmctl show %s`.",
			  v->meta.name);
	v->rekey.asked = REKEY_NOTHING;
	waiter_cancel(&v->anchor.waiter);
	quote_forget(v);
	attest_drop(v);
	ask_check(v->d);
}

static void on_fail(void *ctx, uint32_t cause, const char *text)
{
	struct vtpm *v = ctx;

	/* once is enough, also when it connects again to say it again */
	if (vtpm_is(v, VTPM_GIVEN_UP))
		return;
	vtpm_audit_refusal(v, (enum cause)cause);
	vtpm_fail(v, cause == CAUSE_NONE ? CAUSE_INTERNAL : (enum cause)cause, text);
	vtpm_step(v, VTPM_GIVE_UP);
	/* it exits by itself; if not, it is ended */
	vtpm_set_timer(v, FAILED_S);
}

static void on_vtpm_gone(void *ctx)
{
	struct vtpm *v = ctx;

	vtpm_drop_peer(v);
	move_on_gone(v);
	if (vtpm_is(v, VTPM_WITH_BODY))
		v->body->ops->lost(v->body);
}

static bool may_answer(void *ctx)
{
	return witness_may_go_on(ctx);
}

const struct peer_owner vtpm_peer_owner = {
	.hello = on_hello,
	.ready = on_vtpm_ready,
	.may_answer = may_answer,
	.put = on_vtpm_put,
	.stored = on_stored,
	.config = on_config,
	.guest = vtpm_guest_on_ask,
	.refused = vtpm_guest_on_refused,
	.cleared = on_cleared,
	.rekeyed = on_rekeyed,
	.identity = identity_on_peer,
	.quote = quote_on_peer,
	.attested = attest_on_result,
	.moved = move_on_peer,
	.fail = on_fail,
	.status = on_vtpm_status,
	.gone = on_vtpm_gone,
};
