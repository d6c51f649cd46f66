/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/vtpm_guest.h"
#include "lib/envelope.h"

#include <string.h>

#include <stdio.h>
#include <uuid/uuid.h>

/* Of the header that was compared with the anchored one: people register these keys. */
static json_t *eks(const struct vtpm *v)
{
	bool known = v->body_alive || store_known(&v->store, CHANNEL_OBJECT_HEADER);

	return known ? identity_show(&v->meta) : json_null();
}

static const char *slot_word(uint16_t kind)
{
	switch (kind) {
	case ENVELOPE_SLOT_HOST:
		return "host";
	case ENVELOPE_SLOT_KMS:
		return "kms";
	case ENVELOPE_SLOT_TPM:
		return "tpm";
	case ENVELOPE_SLOT_RECOVERY:
		return "recovery";
	case ENVELOPE_SLOT_MIGRATE:
		return "migrate";
	case ENVELOPE_SLOT_LOCAL:
		return "local";
	case ENVELOPE_SLOT_OLD_KEY:
		return "old-key";
	}
	return "unknown";
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
		json_array_append_new(array, json_string(slot_word(kinds[i])));
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
	static const char *const names[] = {"sha1", "sha256", "sha384", "sha512"};
	json_t *array = m->pcr_banks ? json_array() : json_null();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (m->pcr_banks >> i & 1)
			json_array_append_new(array, json_string(names[i]));
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

/* A number that the manager tells; null when it does not run or does not tell. */
static json_t *told(struct vtpm *v, enum channel_status what)
{
	if (v->state != VTPM_RUNNING || !v->status.at.tv_sec)
		return json_null();
	return number(v->status.value[what]);
}

static json_t *generation(struct vtpm *v)
{
	uint64_t seq = store_seq(&v->store, CHANNEL_OBJECT_PERMALL);

	return seq ? json_integer((json_int_t)seq) : json_null();
}

static json_t *anchored(struct vtpm *v)
{
	const struct anchor_entry *known = anchor_entry(v->d->anchor, v);

	return known ? json_integer((json_int_t)anchor_entry_seq(known)) : json_null();
}

/* The manager's own figure, which knows nothing of restarts of vtpmd; of an older
 * manager, since this vtpmd knows it. */
static json_t *uptime(struct vtpm *v)
{
	struct timespec now;

	if (v->state != VTPM_RUNNING)
		return json_null();
	if (v->status.at.tv_sec && v->status.value[STATUS_UPTIME_NS] >= 0)
		return json_integer(v->status.value[STATUS_UPTIME_NS] / 1000000000);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return json_integer(now.tv_sec - v->started.tv_sec);
}

/* How long commands took: counts by upper bound; null when it is not told. */
static json_t *latency(struct vtpm *v)
{
	json_t *counts = json_array();
	size_t i;

	if (v->state != VTPM_RUNNING || !v->status.at.tv_sec || !v->status.timed) {
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
		{"guest_domid", STATUS_GUEST_DOMID},
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
		json_object_set_new(o, fields[i].key, told(v, fields[i].what));
	json_object_set_new(o, "latency", latency(v));
	json_object_set_new(o, "seq", generation(v));
	json_object_set_new(o, "anchored", anchored(v));
	json_object_set_new(o, "uptime_s", uptime(v));
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

json_t *registry_approved(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	json_t *array = json_array();
	struct config c;
	unsigned int i, n;

	if (config_load(d->config, &c, &e))
		return array;
	for (i = 0; i < c.approvals; i++) {
		json_t *pcrs = json_array();

		for (n = 0; n < 24; n++)
			if (c.approval[i].pcrs & 1u << n)
				json_array_append_new(pcrs, json_integer((json_int_t)n));
		json_array_append_new(array, json_pack("{s:s, s:s, s:o}", "label",
						       c.approval[i].label, "at",
						       c.approval[i].at, "pcrs", pcrs));
	}
	config_free(&c);
	return array;
}

json_t *registry_show(struct vtpm *v, json_t *approved)
{
	bool failed = v->meta.error.cause != CAUSE_NONE && v->state != VTPM_RUNNING;
	char uuid[37], path[4096], domain[64];
	json_t *o = json_object();
	int rc;

	uuid_unparse_lower(v->meta.uuid, uuid);
	snprintf(path, sizeof(path), "%s/%s", v->d->store, uuid);
	snprintf(domain, sizeof(domain), "vtpm-%s", v->meta.name);
	json_object_set_new(o, "name", json_string(v->meta.name));
	json_object_set_new(o, "uuid", json_string(uuid));
	json_object_set_new(o, "state", json_string(vtpm_state_word(v)));
	json_object_set_new(o, "error",
			    failed ? json_string(v->meta.error.text) : json_null());
	json_object_set_new(o, "cause",
			    failed ? json_string(error_word(v->meta.error.cause))
				   : json_null());
	json_object_set_new(o, "retry_s", number(vtpm_next_try(v)));
	json_object_set_new(o, "ending", json_boolean(v->meta.ending));
	rc = v->peer ? peer_store_error(v->peer) : 0;
	json_object_set_new(o, "store_error",
			    rc ? json_string(strerror(-rc)) : json_null());
	json_object_set_new(o, "tpm", json_string(meta_version(&v->meta)));
	json_object_set_new(o, "localities", localities(v->meta.localities));
	json_object_set_new(o, "pcr_banks", banks(&v->meta));
	json_object_set_new(o, "policy", json_string(v->meta.policy));
	json_object_set_new(o, "guests", json_string(guests_word(&v->meta)));
	json_object_set_new(o, "refused_guest", text(v->refused));
	json_object_set_new(o, "lost_guests", lost_guests(v));
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
