/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/policy.h"
#include "lib/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* digest = H(digest || code || data || more) */
static int extend(uint8_t digest[CRYPT_HASH_SIZE], uint32_t code, struct crypt_part data,
		  struct crypt_part more)
{
	uint8_t be[4];
	struct cursor c = cursor_writer(be, sizeof(be));
	const struct crypt_part parts[] = {
		{digest, CRYPT_HASH_SIZE}, {be, sizeof(be)}, data, more};

	cursor_put_u32(&c, code);
	return crypt_sha256(parts, ARRAY_SIZE(parts), digest);
}

/* TPM2_PolicyPCR, of the SHA-256 bank */
static int extend_pcr(uint8_t digest[CRYPT_HASH_SIZE], uint32_t pcrs,
		      const uint8_t pcr_digest[CRYPT_HASH_SIZE])
{
	uint8_t selection[4 + 2 + 1 + TPM2_PCRS / 8];
	struct cursor c = cursor_writer(selection, sizeof(selection));

	cursor_put_u32(&c, 1);
	tpm2_put_selection(&c, TPM2_ALG_SHA256, pcrs);
	return extend(digest, TPM2_CC_PolicyPCR,
		      (struct crypt_part){selection, sizeof(selection)},
		      (struct crypt_part){pcr_digest, CRYPT_HASH_SIZE});
}

/* TPM2_PolicyNV: the counter of revocations equals number. */
static int extend_counter(uint8_t digest[CRYPT_HASH_SIZE],
			  const uint8_t counter_name[TPM2_NAME_SIZE], uint64_t number)
{
	uint8_t operand[8 + 2 + 2], args[CRYPT_HASH_SIZE];
	const struct crypt_part part = {operand, sizeof(operand)};
	struct cursor c = cursor_writer(operand, sizeof(operand));
	int rc;

	cursor_put_u64(&c, number);
	cursor_put_u16(&c, 0); /* offset */
	cursor_put_u16(&c, TPM2_EO_EQ);
	rc = crypt_sha256(&part, 1, args);
	return rc ? rc
		  : extend(digest, TPM2_CC_PolicyNV,
			   (struct crypt_part){args, sizeof(args)},
			   (struct crypt_part){counter_name, TPM2_NAME_SIZE});
}

/* PolicyUpdate() of 23.2.3: a key's Name, then policyRef in a hash of its own. */
static int extend_by_key(uint8_t digest[CRYPT_HASH_SIZE], uint32_t code,
			 const uint8_t name[TPM2_NAME_SIZE], struct crypt_part ref)
{
	const struct crypt_part key = {name, TPM2_NAME_SIZE}, none = {NULL, 0};
	const struct crypt_part again[] = {{digest, CRYPT_HASH_SIZE}, ref};
	int rc = extend(digest, code, key, none);

	return rc ? rc : crypt_sha256(again, ARRAY_SIZE(again), digest);
}

int policy_ref(enum approval_purpose purpose, const uint8_t srk_name[TPM2_NAME_SIZE],
	       uint8_t ref[CRYPT_HASH_SIZE])
{
	static const char label[] = "xen-vtpm approval";
	const uint8_t number = (uint8_t)purpose;
	const struct crypt_part parts[] = {
		{label, sizeof(label) - 1}, {&number, 1}, {srk_name, TPM2_NAME_SIZE}};

	return crypt_sha256(parts, ARRAY_SIZE(parts), ref);
}

int policy_signed(const uint8_t approved[CRYPT_HASH_SIZE],
		  const uint8_t ref[CRYPT_HASH_SIZE], uint8_t hash[CRYPT_HASH_SIZE])
{
	const struct crypt_part parts[] = {{approved, CRYPT_HASH_SIZE},
					   {ref, CRYPT_HASH_SIZE}};

	return crypt_sha256(parts, ARRAY_SIZE(parts), hash);
}

int policy_authorize(uint8_t digest[CRYPT_HASH_SIZE],
		     const uint8_t key_name[TPM2_NAME_SIZE],
		     const uint8_t ref[CRYPT_HASH_SIZE])
{
	memset(digest, 0, CRYPT_HASH_SIZE);
	return extend_by_key(digest, TPM2_CC_PolicyAuthorize, key_name,
			     (struct crypt_part){ref, CRYPT_HASH_SIZE});
}

int policy_key(uint8_t digest[CRYPT_HASH_SIZE], const uint8_t key_name[TPM2_NAME_SIZE])
{
	return extend_by_key(digest, TPM2_CC_PolicySigned, key_name,
			     (struct crypt_part){NULL, 0});
}

int policy_auth_value(uint8_t digest[CRYPT_HASH_SIZE])
{
	const struct crypt_part none = {NULL, 0};

	return extend(digest, TPM2_CC_PolicyAuthValue, none, none);
}

int approval_pcrs_parse(const char *text, uint32_t *pcrs)
{
	uint32_t bits = 0;

	for (;;) {
		unsigned long n;
		char *end;

		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		n = strtoul(text, &end, 10);
		if (n >= APPROVAL_PCRS || end - text > 2 || bits & 1u << n)
			return -EINVAL;
		bits |= 1u << n;
		if (!*end)
			break;
		if (*end != ',')
			return -EINVAL;
		text = end + 1;
	}
	*pcrs = bits;
	return 0;
}

void approval_pcrs_print(uint32_t pcrs, char *out)
{
	const char *comma = "";
	unsigned int n;

	*out = 0;
	for (n = 0; n < APPROVAL_PCRS; n++) {
		if (!(pcrs & 1u << n))
			continue;
		out += sprintf(out, "%s%u", comma, n);
		comma = ",";
	}
}

/* One "N=HEX"; *rest is what follows its comma, or NULL. */
static int take_value(const char *text, struct approval *a, uint32_t *seen,
		      const char **rest)
{
	char hex[2 * APPROVAL_HASH_SIZE + 1] = {0};
	size_t len = APPROVAL_HASH_SIZE;
	unsigned long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	n = strtoul(text, &end, 10);
	if (n >= APPROVAL_PCRS || *end != '=' || *seen & 1u << n || !(a->pcrs & 1u << n))
		return -EINVAL;
	*seen |= 1u << n;
	text = end + 1;
	if (strcspn(text, ",") != 2 * APPROVAL_HASH_SIZE)
		return -EINVAL;
	memcpy(hex, text, 2 * APPROVAL_HASH_SIZE);
	text += 2 * APPROVAL_HASH_SIZE;
	*rest = *text ? text + 1 : NULL;
	return hex_decode(hex, a->value[n], &len);
}

int approval_values_parse(const char *text, struct approval *a)
{
	uint32_t seen = 0;

	while (text)
		if (take_value(text, a, &seen, &text))
			return -EINVAL;
	return 0;
}

static unsigned int count_pcrs(uint32_t pcrs)
{
	return (unsigned int)__builtin_popcount(pcrs);
}

int approval_pcr_digest(const struct approval *a, uint8_t digest[APPROVAL_HASH_SIZE])
{
	struct crypt_part values[APPROVAL_PCRS];
	uint8_t pcr_digest[APPROVAL_HASH_SIZE];
	size_t count = 0;
	unsigned int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n)
			values[count++] =
				(struct crypt_part){a->value[n], APPROVAL_HASH_SIZE};
	memset(digest, 0, APPROVAL_HASH_SIZE);
	if (crypt_sha256(values, count, pcr_digest))
		return -EIO;
	return extend_pcr(digest, a->pcrs, pcr_digest);
}

int approval_digest(const struct approval *a, const uint8_t counter_name[TPM2_NAME_SIZE],
		    uint8_t digest[APPROVAL_HASH_SIZE])
{
	int rc = approval_pcr_digest(a, digest);

	return rc ? rc : extend_counter(digest, counter_name, a->number);
}

void approval_put_signature(struct cursor *c, const struct approval_signature *s)
{
	cursor_put_u16(c, TPM2_ALG_ECDSA);
	cursor_put_u16(c, TPM2_ALG_SHA256);
	cursor_put_u16(c, APPROVAL_INT_SIZE);
	cursor_put(c, s->r, sizeof(s->r));
	cursor_put_u16(c, APPROVAL_INT_SIZE);
	cursor_put(c, s->s, sizeof(s->s));
}

int approval_encode(const struct approval *a, uint8_t *out, size_t *len)
{
	struct cursor c = cursor_writer(out, *len);
	unsigned int n;

	cursor_put_u8(&c, (uint8_t)count_pcrs(a->pcrs));
	for (n = 0; n < APPROVAL_PCRS; n++) {
		if (!(a->pcrs & 1u << n))
			continue;
		cursor_put_u8(&c, (uint8_t)n);
		cursor_put(&c, a->value[n], APPROVAL_HASH_SIZE);
	}
	cursor_put_u64(&c, a->number);
	cursor_put(&c, a->digest, sizeof(a->digest));
	for (n = 0; n < APPROVAL_PURPOSES; n++)
		approval_put_signature(&c, &a->signature[n]);
	if (!cursor_ok(&c))
		return -ENOSPC;
	*len = c.pos;
	return 0;
}

static void take_policy_values(struct cursor *c, struct approval *a)
{
	unsigned int count = cursor_u8(c);
	int last = -1;

	if (count == 0 || count > APPROVAL_PCRS)
		cursor_fail(c);
	while (count-- && cursor_ok(c)) {
		int n = cursor_u8(c);

		if (n <= last || n >= APPROVAL_PCRS) {
			cursor_fail(c);
			return;
		}
		cursor_copy(c, a->value[n], APPROVAL_HASH_SIZE);
		a->pcrs |= 1u << n;
		last = n;
	}
}

static void take_int(struct cursor *c, uint8_t out[APPROVAL_INT_SIZE])
{
	if (cursor_u16(c) != APPROVAL_INT_SIZE)
		cursor_fail(c);
	cursor_copy(c, out, APPROVAL_INT_SIZE);
}

static void take_signature(struct cursor *c, struct approval_signature *s)
{
	if (cursor_u16(c) != TPM2_ALG_ECDSA || cursor_u16(c) != TPM2_ALG_SHA256)
		cursor_fail(c);
	take_int(c, s->r);
	take_int(c, s->s);
}

int approval_parse(const uint8_t *in, size_t len, struct approval *a)
{
	struct cursor c = cursor_reader(in, len);
	size_t i;

	memset(a, 0, sizeof(*a));
	take_policy_values(&c, a);
	a->number = cursor_u64(&c);
	cursor_copy(&c, a->digest, sizeof(a->digest));
	for (i = 0; i < APPROVAL_PURPOSES; i++)
		take_signature(&c, &a->signature[i]);
	return cursor_done(&c) ? 0 : -EBADMSG;
}

int approval_decode(const uint8_t *in, size_t len,
		    const uint8_t counter_name[TPM2_NAME_SIZE], struct approval *a)
{
	uint8_t digest[APPROVAL_HASH_SIZE];
	int rc = approval_parse(in, len, a);

	if (rc)
		return rc;
	if (approval_digest(a, counter_name, digest))
		return -EIO;
	return memcmp(digest, a->digest, sizeof(digest)) ? -EBADMSG : 0;
}

bool approval_matches(const struct approval *a,
		      const uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE])
{
	unsigned int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n &&
		    memcmp(a->value[n], value[n], APPROVAL_HASH_SIZE))
			return false;
	return true;
}
