/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/approval.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "lib/tpm2/types.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	return hostpolicy_pcr(digest, a->pcrs, pcr_digest);
}

int approval_digest(const struct approval *a,
		    const uint8_t counter_name[HOSTPOLICY_NAME_SIZE],
		    uint8_t digest[APPROVAL_HASH_SIZE])
{
	int rc = approval_pcr_digest(a, digest);

	return rc ? rc : hostpolicy_counter(digest, counter_name, a->number);
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
		    const uint8_t counter_name[HOSTPOLICY_NAME_SIZE], struct approval *a)
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
