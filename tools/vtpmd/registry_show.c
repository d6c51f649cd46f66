/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/registry.h"
#include "lib/envelope.h"

#include <string.h>

#include <stdio.h>
#include <uuid/uuid.h>

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
	}
	return "unknown";
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

static json_t *uptime(struct vtpm *v)
{
	struct timespec now;

	if (v->state != VTPM_RUNNING)
		return json_null();
	clock_gettime(CLOCK_MONOTONIC, &now);
	return json_integer(now.tv_sec - v->started.tv_sec);
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
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		json_object_set_new(o, fields[i].key, told(v, fields[i].what));
	json_object_set_new(o, "seq", generation(v));
	json_object_set_new(o, "uptime_s", uptime(v));
	json_object_set_new(o, "memory_mib", json_integer(v->meta.memory));
	json_object_set_new(o, "domid", number(v->body ? v->body->domid : -1));
}

json_t *registry_show(struct vtpm *v)
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
	rc = v->peer ? peer_store_error(v->peer) : 0;
	json_object_set_new(o, "store_error",
			    rc ? json_string(strerror(-rc)) : json_null());
	json_object_set_new(o, "policy", json_string(v->meta.policy));
	json_object_set_new(o, "slots", slots(v));
	json_object_set_new(o, "placement",
			    json_string(v->meta.process ? "process" : "stubdom"));
	json_object_set_new(o, "domain",
			    v->meta.process ? json_null() : json_string(domain));
	json_object_set_new(o, "created", json_string(v->meta.created));
	json_object_set_new(o, "store", json_string(path));
	set_numbers(v, o);
	return o;
}
