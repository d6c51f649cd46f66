/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/judge.h"
#include "tools/vtpm-verify/chain.h"

#include <errno.h>
#include <string.h>

struct keys {
	size_t n;
	struct public key[BINDING_KEYS_MAX];
};

static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (!a_len || !memcmp(a, b, a_len));
}

static void format_uuid(const uint8_t u[16], char out[37])
{
	snprintf(out, 37,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
}

static bool open_keys(const struct evidence *e, struct keys *k, struct verdict *v)
{
	for (k->n = 0; k->n < e->keys; k->n++)
		if (public_parse(e->ek[k->n].p, e->ek[k->n].n, &k->key[k->n])) {
			verdict_add(v, "malformed",
				    "endorsement key %zu of the vTPM does not parse",
				    k->n + 1);
			public_free(&k->key[k->n]);
			return false;
		}
	return true;
}

static void refuse_certificate(int rc, const char *why, struct verdict *v)
{
	const char *word = "ek-certificate";

	if (rc == -EKEYEXPIRED)
		word = "ek-expired";
	else if (rc == -EKEYREVOKED)
		word = "ek-revoked";
	else if (rc == -ENODATA)
		word = "ek-crl";
	else if (rc == -ENOKEY)
		word = "ek-ca";
	verdict_add(v, word,
		    "the certificate of the vTPM's endorsement key is refused: %s", why);
}

/* Every certificate that is there has to be good, be it of the key that matters or not. */
static void check_certificates(const struct judge *j, const struct evidence *e,
			       const struct keys *k, bool known[], struct verdict *v)
{
	const char *why = "";
	size_t i, n;
	int rc;

	for (i = 0; j->policy->ca && i < e->certificates; i++) {
		const struct evidence_bytes *cert = &e->certificate[i];

		rc = -EKEYREJECTED;
		for (n = 0; n < k->n && rc == -EKEYREJECTED; n++) {
			rc = chain_check(j->policy->ca, j->at, cert->p, cert->n,
					 &k->key[n], &why);
			known[n] |= !rc;
		}
		if (rc)
			refuse_certificate(rc, why, v);
	}
}

/* By the hash of the key alone. */
static bool key_pinned(const struct policy *p, const struct public *key)
{
	const json_t *pinned = json_object_get(p->all, "eks");
	uint8_t hash[CRYPT_HASH_SIZE];

	return pinned && !public_spki_hash(key, hash) &&
	       policy_has(pinned, hash, sizeof(hash));
}

/* The host's quote binds them all to the attestation key: one of them has to be known. */
static void check_keys(const struct judge *j, const struct evidence *e,
		       const struct keys *k, struct verdict *v)
{
	bool known[BINDING_KEYS_MAX] = {false}, any = false;
	size_t i;

	check_certificates(j, e, k, known, v);
	for (i = 0; i < k->n; i++) {
		any |= known[i] || key_pinned(j->policy, &k->key[i]);
		if ((k->key[i].attributes &
		     (PUBLIC_EK_ATTRIBUTES | TPMA_OBJECT_SIGN_ENCRYPT)) !=
		    PUBLIC_EK_ATTRIBUTES)
			verdict_add(
				v, "ek",
				"endorsement key %zu has the attributes 0x%08x, which "
				"no endorsement key has",
				i + 1, k->key[i].attributes);
	}
	if (!any)
		verdict_add(v, "ek-ca",
			    "no endorsement key of the vTPM has a certificate of a CA of "
			    "the policy, or is named in it");
}

static bool is_hash_of(struct binding_part hash, const struct evidence_bytes *bytes)
{
	const struct crypt_part part = {bytes->p, bytes->n};
	uint8_t is[CRYPT_HASH_SIZE];

	return !crypt_sha256(&part, 1, is) && same(is, sizeof(is), hash.p, hash.n);
}

static void check_log_bound(const struct side *s, struct binding_part bound,
			    struct verdict *v)
{
	if (s->e->log.p ? !is_hash_of(bound, &s->e->log) : bound.n != 0)
		verdict_add(v, "log",
			    "the %s's event log is not the one that the host's "
			    "quote vouches for",
			    s->who);
}

/* What the host's TPM signed for is what stands in the evidence. */
static void check_binding(const struct judge *j, const struct evidence *e,
			  const struct binding *b, const struct keys *k,
			  const struct side *vtpm, const struct side *host,
			  struct verdict *v)
{
	const struct quote_part *signed_for = &host->quote.extra;
	size_t i;

	if (!is_hash_of((struct binding_part){signed_for->p, signed_for->n}, &e->binding))
		verdict_add(v, "binding",
			    "the host's quote was not made for this vTPM's "
			    "evidence");
	if (!same(b->nonce.p, b->nonce.n, j->nonce, j->nonce_len))
		verdict_add(v, "nonce",
			    "the host's quote is for another nonce: it is a "
			    "replay, or an answer to somebody else");
	if (!same(b->user.p, b->user.n, e->user.p, e->user.n))
		verdict_add(v, "user-data",
			    "the host's quote is for other user data than the "
			    "evidence's");
	if (!same(b->ak.p, b->ak.n, vtpm->ak.name, vtpm->ak.name_len))
		verdict_add(v, "ak",
			    "the host vouches for another attestation key than "
			    "the one that the vTPM's quote is signed with");
	if (!is_hash_of(b->quote, &vtpm->e->quote))
		verdict_add(v, "quote",
			    "the host vouches for another quote of the vTPM: it was made "
			    "at another time, or by somebody else");
	if (b->keys != k->n)
		verdict_add(v, "ek", "the host vouches for other endorsement keys");
	for (i = 0; i < b->keys && i < k->n; i++)
		if (!same(b->ek[i].p, b->ek[i].n, k->key[i].name, k->key[i].name_len))
			verdict_add(v, "ek",
				    "the host vouches for another endorsement key than "
				    "number %zu of the evidence: it is another vTPM's",
				    i + 1);
	check_log_bound(vtpm, b->guest_log, v);
	check_log_bound(host, b->host_log, v);
}

static void check_image(const struct policy *p, const struct binding *b,
			struct verdict *v)
{
	const json_t *images = json_object_get(p->all, "images"), *image;
	size_t i;

	json_array_foreach(images, i, image)
	{
		const json_t *kernel = json_object_get(image, "kernel");

		if (policy_has(json_object_get(image, "manager"), b->manager.p,
			       b->manager.n) &&
		    (kernel ? policy_has(kernel, b->kernel.p, b->kernel.n)
			    : !b->kernel.n))
			return;
	}
	verdict_add(v, "image",
		    "the stub domain runs a kernel and manager that the "
		    "policy does not name");
}

/* Both have to say the same: user data that the verifier knows nothing of were signed for
 * somebody else, who does. */
static void check_user(const struct judge *j, const struct evidence *e, struct verdict *v)
{
	if (same(e->user.p, e->user.n, j->user, j->user_len))
		return;
	if (!e->user.n)
		verdict_add(v, "user-data", "the evidence is without user data");
	else if (!j->user_len)
		verdict_add(v, "user-data",
			    "the evidence has user data, and the verifier named none "
			    "(--user-data)");
	else
		verdict_add(v, "user-data",
			    "the evidence has other user data: it was made for another "
			    "channel, or purpose");
}

static void judge_sides(const struct judge *j, const struct evidence *e,
			const struct binding *b, const struct keys *k,
			const struct side *vtpm, const struct side *host,
			struct verdict *v)
{
	format_uuid(b->uuid, v->vtpm);
	side_check(vtpm, v);
	side_check(host, v);
	if (!same(e->nonce.p, e->nonce.n, j->nonce, j->nonce_len) ||
	    !same(vtpm->quote.extra.p, vtpm->quote.extra.n, j->nonce, j->nonce_len))
		verdict_add(v, "nonce",
			    "the vTPM's quote is for another nonce: it is a "
			    "replay, or an answer to somebody else");
	check_user(j, e, v);
	check_binding(j, e, b, k, vtpm, host, v);
	check_keys(j, e, k, v);
	check_image(j->policy, b, v);
	judge_host(j->policy, host, b->uuid, v);
	judge_guest(j->policy, vtpm, v);
}

void judge(const struct judge *j, const struct evidence *e, struct verdict *v)
{
	struct side vtpm = {0}, host = {0};
	struct keys keys = {0};
	struct binding b;
	bool good;

	good = side_open(&vtpm, "vTPM", &e->vtpm, v);
	good = side_open(&host, "host", &e->host, v) && good;
	good = open_keys(e, &keys, v) && good;
	if (binding_decode(e->binding.p, e->binding.n, &b)) {
		verdict_add(v, "malformed", "the host's binding does not parse");
		good = false;
	}
	vtpm.whole_log = true;
	vtpm.hierarchy = TPM2_RH_PLATFORM;
	host.hierarchy = 0;
	if (good)
		judge_sides(j, e, &b, &keys, &vtpm, &host, v);
	side_close(&vtpm);
	side_close(&host);
	while (keys.n)
		public_free(&keys.key[--keys.n]);
}
