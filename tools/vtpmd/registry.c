/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/registry.h"
#include "lib/slot/slot.h"
#include "lib/slot/envelope.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/bind.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/domain_file.h"
#include "tools/vtpmd/hold.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/xen.h"
#include "lib/text.h"
#include "lib/tpm2/marshal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

static json_t *damaged; /* folders whose vtpm.json cannot be used */

static void note_damaged(const char *folder, int rc)
{
	if (!damaged)
		damaged = json_array();
	json_array_append_new(damaged, json_pack("{s:s, s:s}", "folder", folder, "error",
						 strerror(-rc)));
}

static void forget_damaged(const char *folder)
{
	json_t *one;
	size_t i;

	json_array_foreach(damaged, i, one)
	{
		if (strcmp(json_string_value(json_object_get(one, "folder")), folder))
			continue;
		json_array_remove(damaged, i);
		return;
	}
}

json_t *registry_damaged(void)
{
	return damaged ? json_incref(damaged) : json_array();
}

void registry_load_one(void *ctx, const char *folder)
{
	struct vtpmd *d = ctx;
	struct error why = {.cause = CAUSE_NONE};
	struct store s;
	struct meta m;
	struct vtpm *v;
	uint8_t uuid[16];
	int rc;

	if (uuid_parse(folder, uuid))
		return;
	rc = store_open(&s, d->store, uuid, false);
	if (rc) {
		log_line(LOG_ERR, "%s/%s cannot be opened: %s", d->store, folder,
			 strerror(-rc));
		return;
	}
	rc = meta_read(&s, &m);
	if (!rc && describe_stored(&m, &s, &why))
		log_line(LOG_WARNING, "vTPM %s: %s", m.name, why.text);
	if (!rc && vtpms_find(d, m.name))
		rc = -EEXIST;
	v = rc ? NULL : vtpm_new(d, &m, &s);
	if (!v) {
		log_line(LOG_ERR,
			 "%s/%s is left alone: its vtpm.json cannot be used: %s; put it "
			 "back from a copy of the folder, and restart vtpmd",
			 d->store, folder, strerror(rc ? -rc : ENOMEM));
		note_damaged(folder, rc ? rc : -ENOMEM);
		store_close(&s);
		return;
	}
	vtpms_add(d, v);
}

static void resume_one(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	bool wanted = v->meta.wanted;

	if (vtpm_adopt(v)) {
		/* the last vtpmd ended while it was stopping it */
		if (!wanted && vtpm_stop(v, &e))
			log_about(LOG_ERR, VTPM_ABOUT(v), "%s", e.text);
		return;
	}
	/* unless another host of the pool has it, or had it last */
	if (wanted && store_is_here(&v->store))
		vtpm_autostart(v);
}

int registry_load(struct vtpmd *d)
{
	struct vtpm *v;
	int rc = store_list(d->store, registry_load_one, d);

	if (rc)
		return rc;
	(void)anchor_want(d->anchor);
	for (v = d->vtpms; v; v = v->next)
		resume_one(v);
	vtpm_autostart_begin(d);
	return 0;
}

static int check_name(struct vtpmd *d, const char *name, struct error *e)
{
	if (!meta_name_ok(name))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "The name is not usable: give 1 to %d letters, digits, "
				 "'_', '.' or '-', the first a letter or digit.",
				 META_NAME_MAX);
	if (vtpms_find(d, name))
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "There is a vTPM %s already: choose another name, or "
				 "`vtpmctl delete %s` first.",
				 name, name);
	return 0;
}

static int check_new(struct vtpmd *d, const struct registry_new *n, struct error *e)
{
	struct config *config;
	int rc;

	if (!meta_policy(n->policy))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "There is no policy \"%.20s\": choose host, tpm, kms, "
				 "host-get or kms-get.",
				 n->policy);
	if (n->memory < META_MEMORY_MIN || n->memory > META_MEMORY_MAX)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "A stub domain's memory is %d to %d MiB, not %u.",
				 META_MEMORY_MIN, META_MEMORY_MAX, n->memory);
	if (n->tpm12 && n->pcr_banks)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "A TPM 1.2 has PCRs of SHA-1 alone: leave the PCR banks "
				 "out.");
	rc = check_name(d, n->name, e);
	if (!rc && store_etcd_is(d->store))
		rc = store_etcd_may(e);
	if (rc)
		return rc;
	rc = config_get(&d->host, d->config, &config, e);
	if (rc)
		return rc;
	rc = config_makes(config, n->policy, e);
	config_put(config);
	return rc;
}

static void fill_registry(struct meta *m, const struct registry_new *n)
{
	time_t now = time(NULL);
	struct tm tm;

	memset(m, 0, sizeof(*m));
	strcpy(m->name, n->name);
	strcpy(m->policy, n->policy);
	if (n->has_uuid)
		memcpy(m->uuid, n->uuid, sizeof(m->uuid));
	else
		bind_draw(m->uuid);
	m->memory = n->memory;
	m->localities = n->localities;
	m->presence.denied = n->ppi_denied;
	m->tpm12 = n->tpm12;
	m->pcr_banks = n->pcr_banks;
	m->process = n->process;
	m->by_name = n->by_name;
	m->measured = n->measured;
	m->is_copy = n->copy_of != NULL;
	m->imported = n->source || (m->is_copy && n->copy_of->meta.imported);
	if (m->is_copy) {
		memcpy(m->copy_of, n->copy_of->meta.uuid, sizeof(m->copy_of));
		memcpy(m->names, n->copy_of->meta.names, sizeof(m->names));
		m->eks = n->copy_of->meta.eks;
		memcpy(m->ek, n->copy_of->meta.ek, sizeof(m->ek));
	}
	m->creating = true;
	m->wanted = true;
	gmtime_r(&now, &tm);
	strftime(m->created, sizeof(m->created), "%FT%TZ", &tm);
}

static int lend_source(struct store *s, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len + 1);
	int rc = bytes ? hex_decode(hex, bytes, &len) : -ENOMEM;

	if (rc)
		free(bytes);
	else
		store_lend_source(s, bytes, len);
	return rc;
}

int registry_create(struct vtpmd *d, const struct registry_new *n, struct vtpm **out,
		    struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	struct store s;
	struct meta m;
	struct vtpm *v;
	int rc = check_new(d, n, e);

	if (rc)
		return rc;
	fill_registry(&m, n);
	rc = store_open(&s, d->store, m.uuid, true);
	if (rc == -EEXIST)
		return error_set(e, rc, CAUSE_STATE_EXISTS,
				 "A vTPM with this uuid is in %s already: see `vtpmctl "
				 "list`, and leave --uuid out, or choose another one.",
				 d->store);
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "No folder could be made in %s: %s.",
				 d->store, strerror(-rc));
	rc = meta_write(&s, &m);
	if (!rc && n->copy_of)
		rc = store_take_source(&s, &n->copy_of->store);
	if (!rc && n->copy_of)
		rc = cert_copy(&s, &n->copy_of->store);
	if (!rc && n->source)
		rc = lend_source(&s, n->source);
	v = rc ? NULL : vtpm_new(d, &m, &s);
	if (!v) {
		(void)!s.ops->remove(&s, d->store);
		store_close(&s);
		return error_set(
			e, rc ? rc : -ENOMEM, CAUSE_STORE,
			"The folder in %s could not be written: %s; see its disk's space and permissions.",
			d->store, strerror(rc ? -rc : ENOMEM));
	}
	v->making = true;
	vtpms_add(d, v);
	anchor_claim(d->anchor, v);
	rc = vtpm_start(v, e);
	if (!rc) {
		*out = v;
		return 0;
	}
	if (registry_remove(v, &why))
		log_line(LOG_ERR, "%s", why.text);
	return rc;
}

static int check_stopped(struct vtpm *v, struct error *e)
{
	int rc = move_may_change(v, e);

	if (rc)
		return rc;
	if (!vtpm_is(v, VTPM_DOWN))
		return error_set(
			e, -EBUSY, CAUSE_INTERNAL,
			"The vTPM %s runs: `vtpmctl stop %s` first, once the guest "
			"that has it is shut down.",
			v->meta.name, v->meta.name);
	if (v->waiters || (v->holds && v->holds->next))
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "Someone else waits for the vTPM %s: try again.",
				 v->meta.name);
	return 0;
}

/* Has nobody use it, on this host or another one. */
static int claim_stopped(struct vtpm *v, struct error *e)
{
	int rc = check_stopped(v, e);

	return rc ? rc : store_claim(&v->store, e);
}

int registry_may_rename(struct vtpm *v, const char *to, struct error *e)
{
	int rc = check_name(v->d, to, e);

	return rc ? rc : check_stopped(v, e);
}

int registry_rename(struct vtpm *v, const char *to, struct error *e)
{
	char old[META_NAME_MAX + 1], text[META_NAME_MAX + 16];
	int rc = strcmp(v->meta.name, to) ? check_name(v->d, to, e) : 0;

	if (rc || !strcmp(v->meta.name, to))
		return rc;
	rc = claim_stopped(v, e);
	if (rc)
		return rc;
	strcpy(old, v->meta.name);
	vtpms_remove(v);
	strcpy(v->meta.name, to);
	rc = meta_write(&v->store, &v->meta);
	if (rc)
		strcpy(v->meta.name, old);
	vtpms_add(v->d, v);
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The vtpm.json of %s could not be written: %s; see its disk's space and permissions.",
			old, strerror(-rc));
	domain_file_remove_all(v->d, old);
	snprintf(text, sizeof(text), "it was %s", old);
	vtpm_audit(v, "rename", text);
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "renamed, it was %s", old);
	return 0;
}

int registry_remove(struct vtpm *v, struct error *e)
{
	char text[MOVE_REMOVAL_TEXT];
	int rc = claim_stopped(v, e);

	/* -ENOENT: the store has nothing of it, as it could not even be made there */
	if (rc == -ENOENT)
		*e = (struct error){.cause = CAUSE_NONE};
	else if (rc)
		return rc;
	rc = v->store.ops->remove(&v->store, v->d->store);
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The folder of %s in %s could not be removed: %s; see its disk's space and permissions.",
			v->meta.name, v->d->store, strerror(-rc));
	log_about(LOG_NOTICE, VTPM_ABOUT(v, .id = LOG_ID_DELETED), "deleted");
	vtpm_audit(v, "delete", move_explain_removal(v, text));
	anchor_forget(v->d->anchor, v);
	crb_forget(v->d, v->meta.uuid);
	domain_file_remove_all(v->d, v->meta.name);
	vtpms_remove(v);
	vtpm_free(v);
	return 0;
}

static bool has_object(struct store *s, const char *name)
{
	uint8_t *bytes;
	size_t len;
	int rc = s->ops->get(s, name, CHANNEL_PAYLOAD_MAX, &bytes, &len);

	if (!rc)
		free(bytes);
	return rc != -ENOENT;
}

int registry_sweep(struct vtpmd *d, const uint8_t uuid[16])
{
	char folder[37];
	struct store s;
	int rc;

	if (store_etcd_is(d->store))
		return 0;
	rc = store_open(&s, d->store, uuid, false);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	uuid_unparse_lower(uuid, folder);
	rc = has_object(&s, STORE_DESCRIPTION) ||
			     has_object(&s, store_name(CHANNEL_OBJECT_HEADER))
		     ? -EEXIST
		     : s.ops->remove(&s, d->store);
	store_close(&s);
	if (!rc)
		forget_damaged(folder);
	return rc;
}

/* Of the header that was compared with the anchored one: people register these keys. */
static json_t *eks(const struct vtpm *v)
{
	bool known = vtpm_is(v, VTPM_WITH_BODY) ||
		     store_known(&v->store, CHANNEL_OBJECT_HEADER);

	return known ? identity_show(&v->meta) : json_null();
}

/* Which guests it serves. */
static const char *guests_word(const struct meta *m)
{
	if (m->measured)
		return "measured";
	return m->launched ? "measured, until it is stopped" : "all";
}

static json_t *slots(struct vtpm *v)
{
	uint16_t kinds[ENVELOPE_SLOTS_MAX];
	size_t i, n = store_slots(&v->store, kinds, ENVELOPE_SLOTS_MAX);
	json_t *array = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(array, json_string(slot_kind_name(kinds[i])));
	return array;
}

static json_t *localities(uint8_t mask)
{
	json_t *array = json_array();
	int i;

	for (i = 0; i < 5; i++)
		if (mask >> i & 1)
			json_array_append_new(array, json_integer(i));
	return array;
}

/* null: those that a new TPM has */
static json_t *banks(const struct meta *m)
{
	json_t *array = m->pcr_banks ? json_array() : json_null();
	size_t i;

	for (i = 0; i < TPM2_BANKS; i++)
		if (m->pcr_banks >> i & 1)
			json_array_append_new(array, json_string(tpm2_hashes[i].name));
	return array;
}

static json_t *text(const char *value)
{
	return value[0] ? json_string(value) : json_null();
}

static json_t *number(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

bool registry_guest_ended(const struct vtpm *v)
{
	int64_t domid = v->status.value[STATUS_GUEST_DOMID];
	uint8_t uuid[16];

	return v->d->xen && domid > 0 && xen_uuid(v->d->xen, (uint32_t)domid, uuid);
}

/* A number that the manager tells; null when it does not run or does not tell. */
static json_t *registry_told(struct vtpm *v, enum channel_status what)
{
	if (!vtpm_is(v, VTPM_UP) || !v->status.at.tv_sec)
		return json_null();
	return number(v->status.value[what]);
}

static json_t *registry_generation(struct vtpm *v)
{
	uint64_t seq = store_seq(&v->store, CHANNEL_OBJECT_PERMALL);

	return seq ? json_integer((json_int_t)seq) : json_null();
}

static json_t *anchored(struct vtpm *v)
{
	const struct anchor_entry *known = anchor_find(v->d->anchor, v);

	return known ? json_integer((json_int_t)anchor_entry_seq(known)) : json_null();
}

/* The manager's own figure, which knows nothing of restarts of vtpmd; of an older
 * manager, since this vtpmd knows it. */
static json_t *registry_uptime(struct vtpm *v)
{
	struct timespec now;

	if (!vtpm_is(v, VTPM_UP))
		return json_null();
	if (v->status.at.tv_sec && v->status.value[STATUS_UPTIME_NS] >= 0)
		return json_integer(v->status.value[STATUS_UPTIME_NS] / 1000000000);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return json_integer(now.tv_sec - v->started.tv_sec);
}

/* How long commands took: counts by upper bound; null: not known. */
static json_t *latency(struct vtpm *v)
{
	json_t *counts = json_array();
	size_t i;

	if (!vtpm_is(v, VTPM_UP) || !v->status.at.tv_sec || !v->status.timed) {
		json_decref(counts);
		return json_null();
	}
	for (i = 0; i < LATENCY_BUCKETS; i++)
		json_array_append_new(counts,
				      json_integer((json_int_t)v->status.bucket[i]));
	return json_pack("{s:I, s:I, s:o}", "first_ns", (json_int_t)LATENCY_FIRST_NS,
			 "sum_ns", (json_int_t)v->status.sum_ns, "counts", counts);
}

static void set_trouble(struct vtpm *v, json_t *o)
{
	char at[32] = "";
	struct tm tm;

	json_object_set_new(o, "last_error",
			    v->trouble.at ? json_string(v->trouble.text) : json_null());
	if (v->trouble.at && gmtime_r(&v->trouble.at, &tm))
		strftime(at, sizeof(at), "%FT%TZ", &tm);
	json_object_set_new(o, "last_error_at", at[0] ? json_string(at) : json_null());
	json_object_set_new(o, "restarts", json_integer((json_int_t)v->restarts));
}

static void set_numbers(struct vtpm *v, json_t *o)
{
	static const struct {
		const char *key;
		enum channel_status what;
	} fields[] = {
		{"commands", STATUS_COMMANDS},
		{"refused", STATUS_REFUSED},
		{"state_writes", STATUS_STATE_WRITES},
		{"hypercalls", STATUS_HYPERCALLS},
		{"notifications", STATUS_NOTIFICATIONS},
		{"ready_ns", STATUS_READY_NS},
		{"unlock_ns", STATUS_UNLOCK_NS},
		{"free_kib", STATUS_FREE_KIB},
		{"resident_kib", STATUS_RESIDENT_KIB},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		json_object_set_new(o, fields[i].key, registry_told(v, fields[i].what));
	json_object_set_new(o, "guest_domid",
			    registry_guest_ended(v)
				    ? json_null()
				    : registry_told(v, STATUS_GUEST_DOMID));
	json_object_set_new(o, "latency", latency(v));
	json_object_set_new(o, "seq", registry_generation(v));
	json_object_set_new(o, "anchored", anchored(v));
	json_object_set_new(o, "uptime_s", registry_uptime(v));
	json_object_set_new(o, "memory_mib", json_integer(v->meta.memory));
	json_object_set_new(o, "domid", number(v->body ? v->body->domid : -1));
}

static json_t *lost_guests(struct vtpm *v)
{
	uint32_t domids[GUESTS_MAX];
	unsigned int count = vtpm_guest_lost(v, domids);
	json_t *array = json_array();

	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(array, json_integer((json_int_t)domids[i]));
	return array;
}

/* "domain 7 (web1)", for people; in the order of lost_guests(). */
static json_t *lost_names(struct vtpm *v)
{
	uint32_t domids[GUESTS_MAX];
	unsigned int count = vtpm_guest_lost(v, domids);
	json_t *array = json_array();
	char name[GUEST_NAME_MAX];

	for (unsigned int i = 0; i < count; i++) {
		vtpm_guest_name(v, domids[i], name);
		json_array_append_new(array, json_string(name));
	}
	return array;
}

json_t *registry_approved(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *array = json_array();
	struct config *c;
	size_t i;
	int n;

	if (config_get(&d->host, d->config, &c, &e))
		return array;
	for (i = 0; i < c->host.approval_count; i++) {
		json_t *pcrs = json_array();

		for (n = 0; n < APPROVAL_PCRS; n++)
			if (c->host.approvals[i].pcrs & 1u << n)
				json_array_append_new(pcrs, json_integer(n));
		json_array_append_new(array,
				      json_pack("{s:s, s:s, s:o}", "label",
						c->host.notes[i].label, "at",
						c->host.notes[i].at, "pcrs", pcrs));
	}
	config_put(c);
	return array;
}

/* The other host of the pool that has it, if one has. */
static json_t *in_use_on(const struct vtpm *v)
{
	return text(store_etcd_is(v->d->store) ? store_etcd_other_owner(&v->store) : "");
}

json_t *registry_show(struct vtpm *v, json_t *approved)
{
	bool failed = v->meta.error.cause != CAUSE_NONE && !vtpm_is(v, VTPM_UP);
	char uuid[37], path[4096], domain[64];
	json_t *o = json_object();
	int rc;

	uuid_unparse_lower(v->meta.uuid, uuid);
	snprintf(path, sizeof(path), "%s/%s", v->d->store, uuid);
	snprintf(domain, sizeof(domain), "vtpm-%s", v->meta.name);
	json_object_set_new(o, "name", json_string(v->meta.name));
	json_object_set_new(o, "uuid", json_string(uuid));
	json_object_set_new(o, "state", json_string(vtpm_state_word(v)));
	json_object_set_new(o, "in_use_on", in_use_on(v));
	json_object_set_new(o, "error",
			    failed ? json_string(v->meta.error.text) : json_null());
	json_object_set_new(o, "cause",
			    failed ? json_string(error_word(v->meta.error.cause))
				   : json_null());
	json_object_set_new(o, "retry_s", number(vtpm_next_try(v)));
	json_object_set_new(o, "ending", json_boolean(v->meta.ending));
	json_object_set_new(o, "handover", move_show(v));
	rc = v->peer ? peer_store_error(v->peer) : 0;
	json_object_set_new(o, "store_error",
			    rc ? json_string(strerror(-rc)) : json_null());
	json_object_set_new(o, "tpm", json_string(meta_version(&v->meta)));
	json_object_set_new(o, "localities", localities(v->meta.localities));
	json_object_set_new(o, "bind", json_string(bind_word(&v->meta)));
	json_object_set_new(o, "ppi", json_string(meta_ppi(&v->meta)));
	json_object_set_new(o, "ppi_request",
			    v->meta.presence.request
				    ? json_integer(v->meta.presence.request)
				    : json_null());
	json_object_set_new(o, "pcr_banks", banks(&v->meta));
	json_object_set_new(o, "policy", json_string(v->meta.policy));
	json_object_set_new(o, "guests", json_string(guests_word(&v->meta)));
	json_object_set_new(o, "refused_guest", text(v->refused));
	json_object_set_new(o, "lost_guests", lost_guests(v));
	json_object_set_new(o, "lost_names", lost_names(v));
	json_object_set_new(o, "slots", slots(v));
	json_object_set_new(o, "placement",
			    json_string(v->meta.process ? "process" : "stubdom"));
	json_object_set_new(o, "domain",
			    v->meta.process ? json_null() : json_string(domain));
	json_object_set_new(o, "created", json_string(v->meta.created));
	if (v->meta.is_copy)
		uuid_unparse_lower(v->meta.copy_of, uuid);
	json_object_set_new(o, "copy_of",
			    v->meta.is_copy ? json_string(uuid) : json_null());
	json_object_set_new(o, "imported",
			    v->meta.imported ? json_string("swtpm") : json_null());
	json_object_set_new(o, "sealed", text(v->meta.sealed));
	json_object_set_new(o, "keyed", text(v->meta.keyed));
	json_object_set_new(o, "ek", eks(v));
	json_object_set_new(o, "certificates", cert_list(&v->store));
	json_object_set_new(o, "store", json_string(path));
	json_object_set(o, "approved", approved);
	set_trouble(v, o);
	set_numbers(v, o);
	return o;
}

int reload(struct vtpmd *d, struct error *e)
{
	const struct log_about about = {.id = LOG_ID_RELOADED};
	unsigned int again = 0;
	struct config *c;
	struct vtpm *v;
	int rc;

	config_forget(&d->host);
	rc = config_get(&d->host, d->config, &c, e);
	d->reload_failed = rc != 0;
	if (rc) {
		log_about(LOG_ERR, &(struct log_about){.cause = e->cause},
			  "not reloaded: %s", e->text);
		return rc;
	}
	config_put(c);
	d->reloaded = time(NULL);
	for (v = d->vtpms; v; v = v->next)
		if (v->meta.wanted && v->state == VTPM_FAILED &&
		    error_by_config(v->meta.error.cause)) {
			vtpm_start_again(v);
			again++;
		}
	log_about(LOG_NOTICE, &about,
		  "%s is read anew; %u vTPM%s that had failed %s tried again", d->config,
		  again, again == 1 ? "" : "s", again == 1 ? "is" : "are");
	return 0;
}
