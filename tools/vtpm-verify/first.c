/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/first.h"
#include "lib/binding.h"
#include "lib/crypt.h"
#include "lib/text.h"
#include "tools/vtpm-verify/eventlog.h"

#include <stdio.h>
#include <string.h>

/* NULL: out of memory */
static json_t *hex_text(const uint8_t *bytes, size_t len)
{
	char hex[2 * TPM2_NAME_MAX + 1];

	if (len > TPM2_NAME_MAX)
		return NULL;
	hex_encode(bytes, len, hex);
	return json_string(hex);
}

/* The quoted PCRs of the SHA-256 bank. */
static json_t *first_pcrs(const struct evidence_side *s)
{
	const struct tpm2_hash *sha256 = tpm2_hash_of(TPM2_ALG_SHA256);
	json_t *pcrs = json_object();
	char key[16];
	size_t i, pcr;

	for (i = 0; i < s->banks; i++)
		for (pcr = 0; s->bank[i].alg == sha256 && pcr < TPM2_PCRS; pcr++) {
			if (!(s->bank[i].pcrs & 1u << pcr))
				continue;
			snprintf(key, sizeof(key), "%zu", pcr);
			json_object_set_new(
				pcrs, key, hex_text(s->bank[i].value[pcr], sha256->size));
		}
	return pcrs;
}

static json_t *first_host(const struct evidence *e)
{
	struct tpm2_key ak;
	json_t *host = NULL;

	if (!tpm2_key_parse(e->host.ak.p, e->host.ak.n, &ak))
		host = json_pack("{s:s, s:o, s:[o]}", "name", "host", "ak",
				 hex_text(ak.name, ak.name_len), "pcrs",
				 first_pcrs(&e->host));
	tpm2_key_free(&ak);
	return host;
}

static json_t *first_image(const struct evidence *e)
{
	struct binding b;

	if (binding_decode(e->binding.p, e->binding.n, &b))
		return NULL;
	return json_pack("{s:o*, s:o}", "kernel",
			 b.kernel.n ? hex_text(b.kernel.p, b.kernel.n) : NULL, "manager",
			 hex_text(b.manager.p, b.manager.n));
}

static json_t *first_eks(const struct evidence *e)
{
	json_t *eks = json_array();
	uint8_t hash[CRYPT_HASH_SIZE];
	size_t i;

	for (i = 0; i < e->keys; i++) {
		struct tpm2_key ek;

		if (!tpm2_key_parse(e->ek[i].p, e->ek[i].n, &ek) &&
		    !tpm2_public_digest(&ek.area, hash))
			json_array_append_new(eks, hex_text(hash, sizeof(hash)));
		tpm2_key_free(&ek);
	}
	return eks;
}

json_t *first_policy(const struct evidence *e)
{
	json_t *host = first_host(e), *image = first_image(e);

	if (!host || !image) {
		json_decref(host);
		json_decref(image);
		return NULL;
	}
	return json_pack("{s:i, s:[o], s:[o], s:o}", "version", 1, "hosts", host,
			 "images", image, "eks", first_eks(e));
}

static void add_launch_event(json_t *events, const struct eventlog_event *e,
			     const uint8_t *digest)
{
	char key[16], name[96];
	json_t *list;

	snprintf(key, sizeof(key), "%u", e->pcr);
	eventlog_name(e, name, sizeof(name));
	list = json_object_get(events, key);
	if (!list) {
		list = json_array();
		json_object_set_new(events, key, list);
	}
	json_array_append_new(list, json_pack("{s:s, s:o}", "name", name, "sha256",
					      hex_text(digest, CRYPT_HASH_SIZE)));
}

/* The place of the SHA-256 digests; its number of banks: there are none. */
static size_t sha256_of(const struct eventlog *log)
{
	size_t i;

	for (i = 0; i < log->banks; i++)
		if (log->alg[i]->id == TPM2_ALG_SHA256)
			break;
	return i;
}

json_t *first_launch(const struct policy *p, const struct side *vtpm)
{
	const struct evidence_bytes *log = &vtpm->e->log;
	json_t *all = json_copy(p->all), *events = json_object();
	size_t at = vtpm->log.first, bank = sha256_of(&vtpm->log);
	struct eventlog_event e;

	while (log->p && bank < vtpm->log.banks &&
	       eventlog_next(&vtpm->log, log->p, log->n, &at, &e))
		if (eventlog_is_telling(&e, e.digest[bank]))
			add_launch_event(events, &e, e.digest[bank]);
	if (all && json_object_size(events))
		json_object_set(all, "events", events);
	json_decref(events);
	return all;
}
