/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/movejudge.h"
#include "lib/jsonread.h"
#include "lib/pool.h"
#include "lib/text.h"
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX 1024

struct part {
	uint8_t p[PART_MAX];
	size_t n;
};

/* The proof, as it was taken apart. */
struct proof {
	struct part ak, quote, signature, binding;
	struct tpm2_key key;
	struct tpm2_attest attest;
	struct tpm2_signature signed_by;
	struct move_binding bound;
	struct tpm2_pcr_bank bank;
};

static int refuse_peer(struct error *e, int rc, const char *why)
{
	return error_set(e, rc, CAUSE_PEER, "The destination is refused: %s.", why);
}

/* A member, base64url. */
static int read_part(struct binding_part json, const char *path, struct part *out)
{
	char text[BASE64URL_SIZE(PART_MAX) + 1];
	int rc = jsonread_text((const char *)json.p, json.n, path, text, sizeof(text));

	out->n = sizeof(out->p);
	return rc ? rc : base64url_decode(text, out->p, &out->n);
}

/* Those of the SHA-256 bank that are there. */
static int read_pcrs(struct binding_part json, struct tpm2_pcr_bank *bank)
{
	struct part value;
	char path[24];
	unsigned int n;
	int rc;

	bank->alg = tpm2_hash_of(TPM2_ALG_SHA256);
	for (n = 0; n < TPM2_PCRS; n++) {
		snprintf(path, sizeof(path), "pcrs.sha256.%u", n);
		rc = read_part(json, path, &value);
		if (rc == -ENOENT)
			continue;
		if (rc || value.n != CRYPT_HASH_SIZE)
			return -EBADMSG;
		memcpy(bank->value[n], value.p, value.n);
		bank->pcrs |= 1u << n;
	}
	return 0;
}

static int read_proof(struct binding_part json, struct proof *p)
{
	if (read_part(json, "ak", &p->ak) || read_part(json, "quote", &p->quote) ||
	    read_part(json, "signature", &p->signature) ||
	    read_part(json, "binding", &p->binding) || read_pcrs(json, &p->bank))
		return -EBADMSG;
	if (tpm2_key_parse(p->ak.p, p->ak.n, &p->key) ||
	    tpm2_attest_parse(p->quote.p, p->quote.n, &p->attest) ||
	    tpm2_signature_parse(p->signature.p, p->signature.n, &p->signed_by) ||
	    move_binding_decode(p->binding.p, p->binding.n, &p->bound))
		return -EBADMSG;
	return 0;
}

static bool is_hash(const void *bytes, size_t len, const uint8_t *hash, size_t hash_len)
{
	const struct crypt_part part = {bytes, len};
	uint8_t own[CRYPT_HASH_SIZE];

	return hash_len == sizeof(own) && !crypt_sha256(&part, 1, own) &&
	       !memcmp(own, hash, sizeof(own));
}

/* The quote is this key's, of these PCRs, for this binding. */
static const char *check_quote(const struct proof *p)
{
	if (!tpm2_key_attests(&p->key))
		return "its attestation key is not one that signs only what its TPM made";
	if (tpm2_signature_verify(&p->signed_by, &p->key, p->quote.p, p->quote.n) ||
	    !tpm2_signature_one_form(&p->signed_by, &p->key))
		return "its quote is not signed by its attestation key";
	if (!tpm2_attest_fits(&p->attest, p->signed_by.hash, &p->bank, 1))
		return "its PCRs are not those that its quote is of";
	if (!is_hash(p->binding.p, p->binding.n, p->attest.extra.p, p->attest.extra.n))
		return "its quote is not for what it says";
	return NULL;
}

/* The binding is for this transfer, and for the key that is to get it. */
static const char *check_bound(const struct movejudge *j, const struct move_accept *a,
			       const struct proof *p)
{
	const struct move_binding *b = &p->bound;

	if (!is_hash(j->offer.p, j->offer.n, b->offer, sizeof(b->offer)))
		return "its proof is for another offer";
	if (memcmp(b->uuid, j->uuid, sizeof(b->uuid)) != 0)
		return "its proof is for another vTPM";
	if (!is_hash(a->key.p, a->key.n, b->key, sizeof(b->key)))
		return "its proof is for another key";
	return NULL;
}

static bool is_in_state(const struct pool_state *s, const struct tpm2_pcr_bank *bank)
{
	unsigned int n;

	for (n = 0; n < POOL_PCRS; n++)
		if (s->pcrs & 1u << n &&
		    (!(bank->pcrs & 1u << n) ||
		     memcmp(s->value[n], bank->value[n], CRYPT_HASH_SIZE) != 0))
			return false;
	return true;
}

static bool is_same_part(struct binding_part a, struct binding_part b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static const char *check_pool(const struct pool *pool, const struct proof *p)
{
	struct cursor images = pool->image;
	struct pool_image image;
	struct pool_state state;
	struct pool_host host;
	bool approved = false, known = false;

	if (!pool_find_ak(pool, p->key.name, p->key.name_len, &host))
		return "its attestation key is not in the list of hosts: `vtpmctl peer "
		       "add`, with what `vtpmctl peer self` prints there, has it, when "
		       "it is that host";
	while (!approved && pool_next_state(&host.state, &state))
		approved = is_in_state(&state, &p->bank);
	if (!approved)
		return "it is in no boot state that is approved for it: `vtpmctl peer "
		       "add`, with what `vtpmctl peer self` prints there, approves one";
	while (!known && pool_next_image(&images, &image))
		known = is_same_part(image.kernel, p->bound.kernel) &&
			is_same_part(image.manager, p->bound.manager);
	return known ? NULL
		     : "its manager is of no image in the list of hosts: install one "
		       "release on both hosts, or `vtpmctl peer add`, with what `vtpmctl "
		       "peer self` prints there";
}

static const char *judge_proof(const struct movejudge *j, const struct pool *pool,
			       const struct move_accept *a, struct proof *p)
{
	const char *why = check_quote(p);

	if (!why)
		why = check_bound(j, a, p);
	return why ? why : check_pool(pool, p);
}

int movejudge_check(const struct movejudge *j, struct error *e)
{
	struct move_accept a;
	struct pool pool;
	struct proof *p;
	const char *why;
	int rc;

	if (!j->pool.p)
		return refuse_peer(e, -EACCES,
				   "this host has no pool: `vtpmctl peer add` makes one");
	if (pool_open(j->pool.p, j->pool.n, j->policy_key.p, j->policy_key.n, &pool))
		return refuse_peer(e, -EACCES,
				   "the pool is not signed by this host's policy key: "
				   "`vtpmctl peer add` writes it anew");
	if (move_accept_decode(j->accept.p, j->accept.n, &a))
		return refuse_peer(e, -EBADMSG, "its answer does not parse");
	p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(e, -ENOMEM, CAUSE_RESOURCES,
				 "There is no memory to judge the destination.");
	rc = read_proof(a.proof, p);
	why = rc ? "its proof does not parse" : judge_proof(j, &pool, &a, p);
	tpm2_key_free(&p->key);
	free(p);
	return why ? refuse_peer(e, rc ? rc : -EACCES, why) : 0;
}
