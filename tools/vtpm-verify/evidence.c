/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/evidence.h"
#include "lib/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX	  (512 * 1024)
#define SMALL_MAX 1024
#define CERT_MAX  8192

/* An object that is being read: every member has to be asked for, in the order in which
 * they stand. */
struct members {
	const json_t *object;
	void *next; /* the member that is due */
	size_t taken;
	bool bad;
};

static struct members members_of(const json_t *object)
{
	return (struct members){.object = object,
				.next = json_object_iter((json_t *)object),
				.bad = !json_is_object(object)};
}

static const json_t *take(struct members *m, const char *key)
{
	json_t *object = (json_t *)m->object;
	void *at = json_object_iter_at(object, key);

	if (!at)
		return NULL;
	m->bad |= at != m->next;
	m->next = json_object_iter_next(object, at);
	m->taken++;
	return json_object_iter_value(at);
}

static struct members take_object(struct members *m, const char *key)
{
	return members_of(take(m, key));
}

static bool whole(const struct members *m)
{
	return !m->bad && m->taken == json_object_size(m->object);
}

static int take_string(const json_t *value, size_t max, struct evidence_bytes *out)
{
	const char *text = json_string_value(value);

	if (!text || !text[0] || strlen(text) != json_string_length(value))
		return -EBADMSG;
	out->n = strlen(text) / 4 * 3 + 3;
	if (out->n > max + 3)
		return -EBADMSG;
	out->p = malloc(out->n);
	if (!out->p)
		return -ENOMEM;
	return base64url_decode(text, out->p, &out->n) ? -EBADMSG : 0;
}

/* May be absent. */
static int take_bytes(struct members *m, const char *key, size_t max,
		      struct evidence_bytes *out)
{
	const json_t *value = take(m, key);

	return value ? take_string(value, max, out) : 0;
}

static int need_bytes(struct members *m, const char *key, size_t max,
		      struct evidence_bytes *out)
{
	int rc = take_bytes(m, key, max, out);

	return rc || out->p ? rc : -EBADMSG;
}

static int take_value(const char *key, const json_t *value, struct tpm2_pcr_bank *bank)
{
	unsigned int pcr = (unsigned int)strtoul(key, NULL, 10);
	size_t n = bank->alg->size;
	char same[16];

	snprintf(same, sizeof(same), "%u", pcr);
	if (pcr >= TPM2_PCRS || strcmp(same, key) != 0 || bank->pcrs >> pcr ||
	    !json_is_string(value) ||
	    base64url_decode(json_string_value(value), bank->value[pcr], &n) ||
	    n != bank->alg->size)
		return -EBADMSG;
	bank->pcrs |= 1u << pcr;
	return 0;
}

static int take_evidence_bank(const char *name, json_t *values,
			      struct tpm2_pcr_bank *bank)
{
	const char *key;
	json_t *value;
	int rc = 0;

	bank->alg = tpm2_hash_named(name);
	if (!bank->alg || !json_is_object(values))
		return -EBADMSG;
	json_object_foreach(values, key, value)
	{
		rc = take_value(key, value, bank);
		if (rc)
			break;
	}
	return rc;
}

static int take_pcrs(struct members *m, struct evidence_side *side)
{
	json_t *banks = (json_t *)take(m, "pcrs"), *values;
	const char *name;
	int rc = 0;

	if (!json_is_object(banks) || json_object_size(banks) > TPM2_ATTEST_BANKS)
		return -EBADMSG;
	json_object_foreach(banks, name, values)
	{
		rc = take_evidence_bank(name, values, &side->bank[side->banks++]);
		if (rc)
			break;
	}
	return rc;
}

static int take_side(struct members *m, struct evidence_side *side)
{
	int rc = need_bytes(m, "ak", SMALL_MAX, &side->ak);

	if (!rc)
		rc = need_bytes(m, "quote", SMALL_MAX, &side->quote);
	if (!rc)
		rc = need_bytes(m, "signature", SMALL_MAX, &side->signature);
	return rc ? rc : take_pcrs(m, side);
}

/* 1 to BINDING_KEYS_MAX byte strings. */
static int take_list(const json_t *array, size_t max, struct evidence_bytes *out,
		     size_t *count)
{
	json_t *item;
	size_t i;
	int rc = 0;

	if (!json_array_size(array) || json_array_size(array) > BINDING_KEYS_MAX)
		return -EBADMSG;
	json_array_foreach(array, i, item)
	{
		rc = take_string(item, max, &out[i]);
		if (rc)
			break;
		*count = i + 1;
	}
	return rc;
}

static int take_certificates(struct members *m, struct evidence *e)
{
	const json_t *array = take(m, "certificates");

	return array ? take_list(array, CERT_MAX, e->certificate, &e->certificates) : 0;
}

/* Of its launch, which the host vouches for, and of its firmware; either may be absent. */
static int take_guest_log(struct members *m, struct evidence_side *side)
{
	int rc = take_bytes(m, "log", LOG_MAX, &side->record);

	if (!rc)
		rc = take_bytes(m, "firmware_log", LOG_MAX, &side->log);
	side->log_is_guests = side->log.p != NULL;
	if (!rc && !side->log_is_guests) {
		side->log = side->record;
		side->record = (struct evidence_bytes){0};
	}
	return rc;
}

static int take_submods(struct members *m, struct evidence *e)
{
	struct members vtpm = take_object(m, "vtpm"), host = take_object(m, "host");
	int rc = take_side(&vtpm, &e->vtpm);

	if (!rc)
		rc = take_guest_log(&vtpm, &e->vtpm);
	if (!rc)
		rc = take_certificates(&vtpm, e);
	if (!rc)
		rc = take_side(&host, &e->host);
	if (!rc)
		rc = need_bytes(&host, "binding", BINDING_SIZE_MAX, &e->binding);
	if (!rc)
		rc = take_list(take(&host, "ek"), SMALL_MAX, e->ek, &e->keys);
	if (!rc)
		rc = take_bytes(&host, "log", LOG_MAX, &e->host.log);
	return !rc && (!whole(&vtpm) || !whole(&host)) ? -EBADMSG : rc;
}

static int take_all(const json_t *all, struct evidence *e)
{
	struct members top = members_of(all), submods;
	const char *profile = json_string_value(take(&top, "eat_profile"));
	int rc = profile && !strcmp(profile, EVIDENCE_PROFILE) ? 0 : -EBADMSG;

	if (!rc)
		rc = need_bytes(&top, "eat_nonce", BINDING_NONCE_MAX, &e->nonce);
	if (!rc)
		rc = take_bytes(&top, "user_data", BINDING_USER_MAX, &e->user);
	submods = take_object(&top, "submods");
	if (!rc)
		rc = take_submods(&submods, e);
	return !rc && (!whole(&top) || !whole(&submods)) ? -EBADMSG : rc;
}

/* Whether the text is what this object is written as; a line's end may follow. */
static bool one_form(const json_t *all, const char *text)
{
	char *again = json_dumps(all, JSON_COMPACT);
	size_t n = again ? strlen(again) : 0;
	bool same = again && !strncmp(again, text, n) &&
		    (!text[n] || !strcmp(text + n, "\n"));

	free(again);
	return same;
}

int evidence_parse(const char *text, struct evidence **out)
{
	json_t *all = strlen(text) > EVIDENCE_MAX
			      ? NULL
			      : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	struct evidence *e = calloc(1, sizeof(*e));
	int rc = e ? -EBADMSG : -ENOMEM;

	if (e && all && one_form(all, text))
		rc = take_all(all, e);
	json_decref(all);
	if (rc)
		evidence_free(e);
	else
		*out = e;
	return rc;
}

static void free_side(struct evidence_side *side)
{
	free(side->ak.p);
	free(side->quote.p);
	free(side->signature.p);
	free(side->log.p);
	free(side->record.p);
}

void evidence_free(struct evidence *e)
{
	size_t i;

	if (!e)
		return;
	for (i = 0; i < BINDING_KEYS_MAX; i++) {
		free(e->ek[i].p);
		free(e->certificate[i].p);
	}
	free(e->nonce.p);
	free(e->user.p);
	free(e->binding.p);
	free_side(&e->vtpm);
	free_side(&e->host);
	free(e);
}
