/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/side.h"
#include "lib/hex.h"

#include <string.h>

static bool malformed(const struct side *s, const char *what, struct verdict *v)
{
	verdict_add(v, "malformed", "the %s's %s does not parse", s->who, what);
	return false;
}

bool side_open(struct side *s, const char *who, const struct evidence_side *e,
	       struct verdict *v)
{
	memset(s, 0, sizeof(*s));
	s->who = who;
	s->e = e;
	if (public_parse(e->ak.p, e->ak.n, &s->ak))
		return malformed(s, "attestation key", v);
	if (quote_parse(e->quote.p, e->quote.n, &s->quote))
		return malformed(s, "quote", v);
	if (signature_parse(e->signature.p, e->signature.n, &s->signature))
		return malformed(s, "signature", v);
	if (e->log.p && eventlog_replay(e->log.p, e->log.n, &s->log))
		return malformed(s, "event log", v);
	return true;
}

void side_close(struct side *s)
{
	public_free(&s->ak);
}

/* The quote's signer is s->ak, as a primary key of the hierarchy (Part 1, 16.3). */
static bool signed_by_primary(const struct side *s)
{
	uint8_t name[PUBLIC_NAME_MAX];
	size_t len;

	return !public_qualified(&s->ak, s->hierarchy, name, &len) &&
	       len == s->quote.signer.n && !memcmp(name, s->quote.signer.p, len);
}

static const struct evidence_bank *find_bank(const struct side *s,
					     const struct tpmalg *alg)
{
	size_t i;

	for (i = 0; i < s->e->banks; i++)
		if (s->e->bank[i].alg == alg)
			return &s->e->bank[i];
	return NULL;
}

const uint8_t *side_pcr(const struct side *s, const struct tpmalg *alg, unsigned int pcr)
{
	const struct evidence_bank *b = find_bank(s, alg);

	return b && b->pcrs & 1u << pcr ? b->value[pcr] : NULL;
}

/* The values, in the quote's order, are what it has the digest of (Part 3, 18.4).  They
 * are none more and none less than it names. */
static bool digest_fits(const struct side *s)
{
	struct crypt_part parts[QUOTE_BANKS * QUOTE_PCRS];
	uint8_t digest[TPMALG_SIZE_MAX];
	size_t i, pcr, n = 0;

	if (s->quote.banks != s->e->banks)
		return false;
	for (i = 0; i < s->quote.banks; i++) {
		const struct tpmalg *alg = s->quote.bank[i].alg;
		const struct evidence_bank *b = &s->e->bank[i];

		if (b->alg != alg || b->pcrs != s->quote.bank[i].pcrs)
			return false;
		for (pcr = 0; pcr < QUOTE_PCRS; pcr++)
			if (b->pcrs & 1u << pcr)
				parts[n++] =
					(struct crypt_part){b->value[pcr], alg->size};
	}
	return !tpmalg_hash(s->signature.hash, parts, n, digest) &&
	       s->quote.digest.n == s->signature.hash->size &&
	       !memcmp(digest, s->quote.digest.p, s->quote.digest.n);
}

/* Every PCR that an event extends has to be what the events make.  The vTPM's have to be
 * quoted, too; a host's firmware and loaders log more than its quote is of. */
static void check_log_bank(const struct side *s, const struct evidence_bank *b,
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

void side_check(const struct side *s, struct verdict *v)
{
	const uint32_t mask = PUBLIC_AK_ATTRIBUTES | TPMA_OBJECT_DECRYPT;

	if ((s->ak.attributes & mask) != PUBLIC_AK_ATTRIBUTES)
		verdict_add(v, "ak-attributes",
			    "the %s's attestation key is not one that signs only what "
			    "its TPM made (attributes 0x%08x)",
			    s->who, s->ak.attributes);
	if (s->hierarchy && !signed_by_primary(s))
		verdict_add(v, "ak-hierarchy",
			    "the %s's attestation key is no primary key of its TPM's "
			    "platform hierarchy",
			    s->who);
	if (signature_verify(&s->signature, &s->ak, s->e->quote.p, s->e->quote.n))
		verdict_add(v, "signature",
			    "the %s's quote is not signed by its attestation key",
			    s->who);
	else if (!signature_one_form(&s->signature, &s->ak))
		verdict_add(v, "signature",
			    "the signature of the %s's quote has another form than what "
			    "its manager, or vtpmctl, writes",
			    s->who);
	if (!digest_fits(s))
		verdict_add(v, "pcr-digest",
			    "the %s's PCRs are not those that its quote is of", s->who);
	if (s->e->log.p)
		check_log(s, v);
}
