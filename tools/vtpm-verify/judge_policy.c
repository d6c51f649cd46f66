/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy says about the host's boot state and about what the guest booted. */
#include "tools/vtpm-verify/judge.h"
#include "lib/hex.h"

#include <stdlib.h>
#include <string.h>

#define EV_SEPARATOR 4

static const json_t *find_host(const struct policy *p, const struct side *host)
{
	const json_t *hosts = json_object_get(p->all, "hosts"), *item;
	size_t i;

	json_array_foreach(hosts, i, item) if (policy_has(json_object_get(item, "ak"),
							  host->ak.name,
							  host->ak.name_len)) return item;
	return NULL;
}

/* The number of PCRs of a state that are not as it says; the first of them in *which. */
static int differing(const struct side *host, const json_t *state, unsigned int *which)
{
	const struct tpmalg *sha256 = tpmalg_find(TPM2_ALG_SHA256);
	const char *key;
	json_t *wanted;
	int n = 0;

	json_object_foreach((json_t *)state, key, wanted)
	{
		unsigned int pcr = (unsigned int)strtoul(key, NULL, 10);
		const uint8_t *value = side_pcr(host, sha256, pcr);

		if (value && policy_has(wanted, value, sha256->size))
			continue;
		if (!n++)
			*which = pcr;
	}
	return n;
}

static void check_states(const struct side *host, const json_t *entry, struct verdict *v)
{
	const json_t *states = json_object_get(entry, "pcrs"), *state;
	unsigned int which = 0, nearest = 0;
	int n, best = 0;
	size_t i;

	json_array_foreach(states, i, state)
	{
		n = differing(host, state, &which);
		if (!n)
			return;
		if (!best || n < best) {
			best = n;
			nearest = which;
		}
	}
	verdict_add(v, "host-pcr",
		    "the host %s is in no approved boot state: in the nearest one %d of "
		    "its PCRs differ, PCR %u the first of them",
		    json_string_value(json_object_get(entry, "name")), best, nearest);
}

static void check_placed(const json_t *entry, struct verdict *v)
{
	const json_t *vtpms = json_object_get(entry, "vtpms"), *item;
	size_t i;

	if (!vtpms)
		return;
	json_array_foreach(vtpms, i,
			   item) if (!strcmp(json_string_value(item), v->vtpm)) return;
	verdict_add(v, "host-vtpm", "the vTPM %s is not to run on the host %s", v->vtpm,
		    v->host);
}

void judge_host(const struct policy *p, const struct side *host, const uint8_t uuid[16],
		struct verdict *v)
{
	const json_t *entry = find_host(p, host);
	char hex[2 * PUBLIC_NAME_MAX + 1];

	if (!entry) {
		hex_encode(host->ak.name, host->ak.name_len, hex);
		verdict_add(v, "host",
			    "the host's quote is of a host that the policy does not know "
			    "(attestation key %s)",
			    hex);
		return;
	}
	snprintf(v->host, sizeof(v->host), "%s",
		 json_string_value(json_object_get(entry, "name")));
	check_states(host, entry, v);
	check_placed(entry, v);
}

static void check_values(const struct side *vtpm, const struct tpmalg *alg,
			 const json_t *values, struct verdict *v)
{
	char hex[2 * TPMALG_SIZE_MAX + 1];
	const char *key;
	json_t *wanted;

	json_object_foreach((json_t *)values, key, wanted)
	{
		const uint8_t *value =
			side_pcr(vtpm, alg, (unsigned int)strtoul(key, NULL, 10));

		if (!value) {
			verdict_add(v, "pcr", "PCR %s of the %s bank was not quoted", key,
				    alg->name);
		} else if (!policy_has(wanted, value, alg->size)) {
			hex_encode(value, alg->size, hex);
			verdict_add(v, "pcr",
				    "PCR %s of the %s bank is %s, which the policy does "
				    "not name",
				    key, alg->name, hex);
		}
	}
}

/* A separator of the specification's own bytes says nothing (PFP 1.05, 2.3.4). */
static bool is_separator(const struct eventlog_event *e, const uint8_t *digest)
{
	static const uint8_t zeroes[4];
	const struct crypt_part part = {zeroes, sizeof(zeroes)};
	uint8_t hash[CRYPT_HASH_SIZE];

	return e->type == EV_SEPARATOR && !crypt_sha256(&part, 1, hash) &&
	       !memcmp(digest, hash, sizeof(hash));
}

/* The PCR's next event that says something; *digest is its SHA-256 one. */
static bool next_event(const struct side *s, unsigned int pcr, size_t *at,
		       struct eventlog_event *e, const uint8_t **digest)
{
	const struct evidence_bytes *log = &s->e->log;
	size_t i;

	while (eventlog_next(&s->log, log->p, log->n, at, e)) {
		*digest = NULL;
		for (i = 0; i < s->log.banks; i++)
			if (s->log.alg[i]->id == TPM2_ALG_SHA256)
				*digest = e->digest[i];
		if (e->pcr == pcr && e->type != EVENTLOG_NO_ACTION && *digest &&
		    !is_separator(e, *digest))
			return true;
	}
	return false;
}

static void refuse_event(struct verdict *v, unsigned int pcr, size_t n,
			 const struct eventlog_event *e, const uint8_t *digest,
			 const json_t *wanted)
{
	char hex[2 * CRYPT_HASH_SIZE + 1], name[96];
	const char *expected = json_string_value(json_object_get(wanted, "name"));

	hex_encode(digest, CRYPT_HASH_SIZE, hex);
	eventlog_name(e, name, sizeof(name));
	verdict_add(
		v, "event",
		"PCR %u, event %zu (\"%s\") has the SHA-256 digest %s, and the policy "
		"expects %s%s%s",
		pcr, n, name, hex, expected ? "another for its event \"" : "no event",
		expected ? expected : "", expected ? "\"" : " here");
}

static void check_events(const struct side *vtpm, unsigned int pcr, const json_t *list,
			 struct verdict *v)
{
	struct eventlog_event e;
	const uint8_t *digest;
	size_t at = vtpm->log.first, n = 0;

	while (next_event(vtpm, pcr, &at, &e, &digest)) {
		const json_t *wanted = json_array_get(list, n++);

		if (!wanted || !policy_has(json_object_get(wanted, "sha256"), digest,
					   CRYPT_HASH_SIZE))
			refuse_event(v, pcr, n, &e, digest, wanted);
	}
	for (; n < json_array_size(list); n++)
		verdict_add(v, "event", "PCR %u has no event %zu, \"%s\"", pcr, n + 1,
			    json_string_value(
				    json_object_get(json_array_get(list, n), "name")));
}

void judge_guest(const struct policy *p, const struct side *vtpm, struct verdict *v)
{
	const json_t *banks = json_object_get(p->all, "pcrs");
	const json_t *events = json_object_get(p->all, "events");
	const struct tpmalg *sha256 = tpmalg_find(TPM2_ALG_SHA256);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)banks, key, value)
		check_values(vtpm, tpmalg_named(key), value, v);
	if (!events)
		return;
	if (!vtpm->e->log.p || !eventlog_value(&vtpm->log, sha256, 0)) {
		verdict_add(v, "event",
			    "the policy has events, and the evidence has no "
			    "event log with SHA-256 digests");
		return;
	}
	json_object_foreach((json_t *)events, key, value)
	{
		unsigned int pcr = (unsigned int)strtoul(key, NULL, 10);

		if (!side_pcr(vtpm, sha256, pcr))
			verdict_add(v, "pcr", "PCR %u of the sha256 bank was not quoted",
				    pcr);
		check_events(vtpm, pcr, value, v);
	}
}
