/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/judge.h"
#include "lib/text.h"
#include "tools/vtpm-verify/firmware.h"
#include "tools/vtpm-verify/first.h"
#include "tools/vtpm-verify/policy.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool malformed(const struct side *s, const char *what, struct verdict *v)
{
	verdict_add(v, "malformed", "the %s's %s does not parse", s->who, what);
	return false;
}

/* Of a log that is there. */
static bool log_open(const struct side *s, const struct evidence_bytes *bytes,
		     struct eventlog *log, struct verdict *v)
{
	if (!bytes->p || !eventlog_replay(bytes->p, bytes->n, log))
		return true;
	verdict_add(v, "malformed", "the %s's event log does not parse, event %zu: %s",
		    s->who, log->count, log->why ? log->why : "a hash failed");
	return false;
}

/* false: it does not parse, *v says what, and nothing more can be said. */
static bool side_open(struct side *s, const char *who, const struct evidence_side *e,
		      struct verdict *v)
{
	memset(s, 0, sizeof(*s));
	s->who = who;
	s->e = e;
	if (tpm2_key_parse(e->ak.p, e->ak.n, &s->ak))
		return malformed(s, "attestation key", v);
	if (tpm2_attest_parse(e->quote.p, e->quote.n, &s->quote))
		return malformed(s, "quote", v);
	if (tpm2_signature_parse(e->signature.p, e->signature.n, &s->signature))
		return malformed(s, "signature", v);
	return log_open(s, &e->log, &s->log, v) && log_open(s, &e->record, &s->record, v);
}

static void side_close(struct side *s)
{
	tpm2_key_free(&s->ak);
}

/* The quote's signer is s->ak, as a primary key of the hierarchy (Part 1, 16.3). */
static bool signed_by_primary(const struct side *s, uint32_t hierarchy)
{
	uint8_t name[TPM2_NAME_MAX];
	size_t len;

	return !tpm2_public_qualified(&s->ak.area, hierarchy, name, &len) &&
	       len == s->quote.signer.n && !memcmp(name, s->quote.signer.p, len);
}

static const struct tpm2_pcr_bank *find_bank(const struct side *s,
					     const struct tpm2_hash *alg)
{
	size_t i;

	for (i = 0; i < s->e->banks; i++)
		if (s->e->bank[i].alg == alg)
			return &s->e->bank[i];
	return NULL;
}

/* The PCR's value as it was quoted; NULL: it was not. */
static const uint8_t *side_pcr(const struct side *s, const struct tpm2_hash *alg,
			       unsigned int pcr)
{
	const struct tpm2_pcr_bank *b = find_bank(s, alg);

	return b && b->pcrs & 1u << pcr ? b->value[pcr] : NULL;
}

/* Every PCR that an event extends has to be what the events make.  The vTPM's have to be
 * quoted, too; a host's firmware and loaders log more than its quote is of. */
static void check_log_bank(const struct side *s, const struct tpm2_pcr_bank *b,
			   struct verdict *v)
{
	unsigned int pcr;

	for (pcr = 0; pcr < EVENTLOG_PCRS; pcr++) {
		const uint8_t *value = eventlog_value(&s->log, b->alg, pcr);

		if (!(s->log.pcrs & 1u << pcr))
			continue;
		if (!(b->pcrs & 1u << pcr) && s->whole_log)
			verdict_add(v, "log",
				    "the %s's event log has events for PCR %u, which was "
				    "not quoted in the %s bank",
				    s->who, pcr, b->alg->name);
		else if (b->pcrs & 1u << pcr && value &&
			 memcmp(value, b->value[pcr], b->alg->size) != 0)
			verdict_add(v, "log",
				    "the %s's event log does not lead to PCR %u as it is "
				    "in the %s bank",
				    s->who, pcr, b->alg->name);
	}
}

static void check_log(const struct side *s, struct verdict *v)
{
	size_t i, common = 0;

	for (i = 0; i < s->e->banks; i++) {
		common += eventlog_value(&s->log, s->e->bank[i].alg, 0) != NULL;
		check_log_bank(s, &s->e->bank[i], v);
	}
	if (!common)
		verdict_add(v, "log", "the %s's event log is of no bank that was quoted",
			    s->who);
}

/* The key's attributes and hierarchy, the signature, the PCRs' digest, and that the log
 * leads to the PCRs. */
static void side_check(const struct side *s, struct verdict *v)
{
	if (!tpm2_key_attests(&s->ak))
		verdict_add(v, "ak-attributes",
			    "the %s's attestation key is not one that signs only what "
			    "its TPM made (attributes 0x%08x)",
			    s->who, s->ak.area.attributes);
	if (s->is_primary && !signed_by_primary(s, TPM2_RH_PLATFORM) &&
	    !signed_by_primary(s, TPM2_RH_NULL))
		verdict_add(v, "ak-hierarchy",
			    "the %s's attestation key is no primary key of its TPM's "
			    "platform or null hierarchy",
			    s->who);
	if (tpm2_signature_verify(&s->signature, &s->ak, s->e->quote.p, s->e->quote.n))
		verdict_add(v, "signature",
			    "the %s's quote is not signed by its attestation key",
			    s->who);
	else if (!tpm2_signature_one_form(&s->signature, &s->ak))
		verdict_add(v, "signature",
			    "the signature of the %s's quote has another form than what "
			    "its manager, or vtpmctl, writes",
			    s->who);
	if (!tpm2_attest_fits(&s->quote, s->signature.hash, s->e->bank, s->e->banks))
		verdict_add(v, "pcr-digest",
			    "the %s's PCRs are not those that its quote is of", s->who);
	if (s->e->log.p)
		check_log(s, v);
}

/* What the policy says about the host's boot state and about what the guest booted. */

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
	const struct tpm2_hash *sha256 = tpm2_hash_of(TPM2_ALG_SHA256);
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

/* The parts, for judge.c: what the policy says about the host, and about the guest. */
static void judge_host(const struct policy *p, const struct side *host,
		       const uint8_t uuid[16], struct verdict *v)
{
	const json_t *entry = find_host(p, host);
	char hex[2 * TPM2_NAME_MAX + 1];

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

static void check_values(const struct side *vtpm, const struct tpm2_hash *alg,
			 const json_t *values, struct verdict *v)
{
	char hex[2 * TPM2_HASH_MAX + 1];
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
		if (e->pcr == pcr && *digest && eventlog_is_telling(e, *digest))
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

static void check_side_events(const struct side *vtpm, unsigned int pcr,
			      const json_t *list, struct verdict *v)
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
	const struct tpm2_hash *sha256 = tpm2_hash_of(TPM2_ALG_SHA256);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)banks, key, value)
		check_values(vtpm, tpm2_hash_named(key), value, v);
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
		check_side_events(vtpm, pcr, value, v);
	}
}

struct keys {
	size_t n;
	struct tpm2_key key[BINDING_KEYS_MAX];
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
		if (tpm2_key_parse(e->ek[k->n].p, e->ek[k->n].n, &k->key[k->n])) {
			verdict_add(v, "malformed",
				    "endorsement key %zu of the vTPM does not parse",
				    k->n + 1);
			tpm2_key_free(&k->key[k->n]);
			return false;
		}
	return true;
}

static void refuse_certificate(const struct evidence_bytes *cert, int rc, const char *why,
			       struct verdict *v)
{
	const char *word = "ek-certificate";
	char issuer[120];

	if (rc == -EKEYEXPIRED)
		word = "ek-expired";
	else if (rc == -EKEYREVOKED)
		word = "ek-revoked";
	else if (rc == -ENODATA)
		word = "ek-crl";
	else if (rc == -ENOKEY)
		word = "ek-ca";
	chain_issuer(cert->p, cert->n, issuer, sizeof(issuer));
	verdict_add(v, word,
		    "the certificate of the vTPM's endorsement key that \"%s\" issued is "
		    "refused: %s",
		    issuer, why);
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
			refuse_certificate(cert, rc, why, v);
	}
}

/* By the hash of the key alone. */
static bool key_pinned(const struct policy *p, const struct tpm2_key *key)
{
	const json_t *pinned = json_object_get(p->all, "eks");
	uint8_t hash[CRYPT_HASH_SIZE];

	return pinned && !tpm2_public_digest(&key->area, hash) &&
	       policy_has(pinned, hash, sizeof(hash));
}

/* The host's quote binds them all to the attestation key: one of them has to be known. */
static void check_side_keys(const struct judge *j, const struct evidence *e,
			    const struct keys *k, struct verdict *v)
{
	bool known[BINDING_KEYS_MAX] = {false}, any = false;
	size_t i;

	check_certificates(j, e, k, known, v);
	for (i = 0; i < k->n; i++) {
		any |= known[i] || key_pinned(j->policy, &k->key[i]);
		if ((k->key[i].area.attributes &
		     (TPM2_EK_ATTRIBUTES | TPMA_OBJECT_SIGN_ENCRYPT)) !=
		    TPM2_EK_ATTRIBUTES)
			verdict_add(
				v, "ek",
				"endorsement key %zu has the attributes 0x%08x, which "
				"no endorsement key has",
				i + 1, k->key[i].area.attributes);
	}
	if (!any)
		verdict_add(v, "ek-ca",
			    "no endorsement key of the vTPM has a certificate%s",
			    e->certificates
				    ? " of a CA of the policy, or is named in it"
				    : ", or is named in the policy: `vtpmctl cert issue` "
				      "makes one, and the next evidence has it");
}

static bool is_hash_of(struct binding_part hash, const struct evidence_bytes *bytes)
{
	const struct crypt_part part = {bytes->p, bytes->n};
	uint8_t is[CRYPT_HASH_SIZE];

	return !crypt_sha256(&part, 1, is) && same(is, sizeof(is), hash.p, hash.n);
}

/* A launch that the host measured has its own log, whose place no guest's takes. */
static void check_log_bound(const struct side *s, struct binding_part bound,
			    struct verdict *v)
{
	const struct evidence_bytes *log =
		s->e->log_is_guests ? &s->e->record : &s->e->log;

	if (s->e->log_is_guests && !log->p && bound.n)
		verdict_add(v, "log",
			    "the host vouches for the log of a measured launch, and the "
			    "evidence has a log that the guest handed over in its place");
	else if (log->p ? !is_hash_of(bound, log) : bound.n != 0)
		verdict_add(v, "log",
			    "the %s's event log is not the one that the host's "
			    "quote vouches for",
			    s->who);
	if (s->record.pcrs)
		verdict_add(v, "log",
			    "the host measured the guest's launch into its PCRs, and the "
			    "evidence has a log that the guest handed over beside that "
			    "launch's");
}

/* What the host's TPM signed for is what stands in the evidence. */
static void check_binding(const struct judge *j, const struct evidence *e,
			  const struct binding *b, const struct keys *k,
			  const struct side *vtpm, const struct side *host,
			  struct verdict *v)
{
	const struct tpm2_bytes *signed_for = &host->quote.extra;
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

/* The hashes are what a policy has to name, if they are meant. */
static void refuse_image(const struct binding *b, struct verdict *v)
{
	char kernel[2 * CRYPT_HASH_SIZE + 1], manager[2 * CRYPT_HASH_SIZE + 1];

	hex_encode(b->manager.p, b->manager.n, manager);
	if (!b->kernel.n) {
		verdict_add(
			v, "image",
			"the vTPM's manager is a process of domain 0, which the policy "
			"does not name: manager %s",
			manager);
		return;
	}
	hex_encode(b->kernel.p, b->kernel.n, kernel);
	verdict_add(v, "image",
		    "the stub domain runs a kernel and manager that the policy does not "
		    "name: kernel %s, manager %s",
		    kernel, manager);
}

static void check_side_image(const struct policy *p, const struct binding *b,
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
	refuse_image(b, v);
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
	check_side_keys(j, e, k, v);
	check_side_image(j->policy, b, v);
	judge_host(j->policy, host, b->uuid, v);
	/* a log that is missing is the reason for all events that are */
	judge_firmware(j->policy, vtpm, v);
	judge_guest(j->policy, vtpm, v);
	if (j->policy_made && j->is_first && !v->reasons && !e->vtpm.log_is_guests)
		*j->policy_made = first_launch(j->policy, vtpm);
	else if (j->policy_made && !v->reasons && !e->vtpm.log_is_guests)
		verdict_add(
			v, "firmware",
			"there is no log of the guest's firmware in the evidence, from "
			"which a policy could be made: vtpm-attest in the guest puts it "
			"there, and vtpmctl attest --event-log");
	else if (j->policy_made && !v->reasons)
		*j->policy_made = firmware_policy(j->policy, vtpm);
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
	vtpm.is_primary = true;
	if (good)
		judge_sides(j, e, &b, &keys, &vtpm, &host, v);
	side_close(&vtpm);
	side_close(&host);
	while (keys.n)
		tpm2_key_free(&keys.key[--keys.n]);
}
