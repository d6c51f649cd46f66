/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm_pcr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALL_PCRS   ((1u << HOSTTPM_PCRS) - 1)
#define SHOWN_PCRS 3 /* in an error's one sentence */

struct pcrs {
	uint8_t value[HOSTTPM_PCRS][CRYPT_HASH_SIZE];
};

int hosttpm_pcr_parse(const uint8_t *buf, size_t len, struct hosttpm_approval *a)
{
	struct cursor c = cursor_reader(buf, len);
	uint8_t count = cursor_u8(&c), index;
	size_t i;

	memset(a, 0, sizeof(*a));
	for (; count; count--) {
		index = cursor_u8(&c);
		/* ascending, so that none comes twice */
		if (!cursor_ok(&c) || index >= HOSTTPM_PCRS || a->selection >> index)
			return -EBADMSG;
		a->value[index] = cursor_bytes(&c, CRYPT_HASH_SIZE);
		a->selection |= 1u << index;
	}
	a->number = cursor_u64(&c);
	a->policy = cursor_bytes(&c, CRYPT_HASH_SIZE);
	for (i = 0; i < APPROVAL_PURPOSES; i++)
		a->signature[i] = cursor_bytes(&c, HOSTTPM_SIGNATURE_SIZE);
	return cursor_done(&c) && a->selection ? 0 : -EBADMSG;
}

/* TPML_PCR_SELECTION of one bank, Part 2, 10.6.2 */
static void put_selection(struct cursor *c, uint32_t selection)
{
	size_t i;

	cursor_put_u32(c, 1);
	cursor_put_u16(c, TPM2_ALG_SHA256);
	cursor_put_u8(c, HOSTTPM_PCRS / 8);
	for (i = 0; i < HOSTTPM_PCRS / 8; i++)
		cursor_put_u8(c, (uint8_t)(selection >> 8 * i));
}

static uint32_t get_selection(struct cursor *c)
{
	uint32_t selection = 0, i;
	uint8_t size;

	if (cursor_u32(c) != 1 || cursor_u16(c) != TPM2_ALG_SHA256)
		cursor_fail(c);
	size = cursor_u8(c);
	if (size > HOSTTPM_PCRS / 8)
		cursor_fail(c);
	for (i = 0; cursor_ok(c) && i < size; i++)
		selection |= (uint32_t)cursor_u8(c) << 8 * i;
	return selection;
}

/* One PCR_Read: takes what came out of *wanted. */
static int read_some(const struct hosttpm_transport *t, uint32_t *wanted,
		     struct pcrs *pcrs, struct error *e)
{
	uint32_t selection, count, i;
	struct hosttpm_bytes digest;
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_PCR_Read);
	put_selection(&call.in, *wanted);
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		return rc;
	(void)cursor_u32(&call.out); /* update counter */
	selection = get_selection(&call.out);
	count = cursor_u32(&call.out);
	for (i = 0; i < HOSTTPM_PCRS; i++) {
		if (!(selection & 1u << i))
			continue;
		digest = hosttpm_cmd_get(&call.out);
		if (digest.n != CRYPT_HASH_SIZE || !count--)
			return hosttpm_call_nonsense(&call, e);
		memcpy(pcrs->value[i], digest.p, digest.n);
	}
	if (!cursor_done(&call.out) || count)
		return hosttpm_call_nonsense(&call, e);
	if (!(selection & *wanted))
		return error_set(e, -ENODEV, CAUSE_TPM_REFUSED,
				 "the host's TPM has no SHA-256 PCR bank: allocate it in "
				 "the firmware's setup");
	*wanted &= ~selection;
	return 0;
}

static uint32_t differing(const struct hosttpm_approval *a, const struct pcrs *pcrs)
{
	uint32_t diff = 0, i;

	for (i = 0; i < HOSTTPM_PCRS; i++)
		if (a->value[i] && memcmp(a->value[i], pcrs->value[i], CRYPT_HASH_SIZE))
			diff |= 1u << i;
	return diff;
}

static void first_hex(const uint8_t *value, char out[9])
{
	snprintf(out, 9, "%02x%02x%02x%02x", value[0], value[1], value[2], value[3]);
}

/* Says which PCRs keep the nearest approval from fitting. */
static int changed(const struct hosttpm_approval *a, uint32_t diff,
		   const struct pcrs *pcrs, struct error *e)
{
	char list[192] = "", is[9], was[9];
	int used = 0, shown = 0, i;

	for (i = 0; i < HOSTTPM_PCRS && shown < SHOWN_PCRS; i++) {
		if (!(diff & 1u << i))
			continue;
		first_hex(pcrs->value[i], is);
		first_hex(a->value[i], was);
		used += snprintf(list + used, sizeof(list) - used,
				 "%sPCR %d is %s.. but %s.. was approved",
				 shown++ ? ", " : "", i, is, was);
		diff &= ~(1u << i);
	}
	if (diff)
		snprintf(list + used, sizeof(list) - used, ", and %d more differ",
			 __builtin_popcount(diff));
	return error_set(e, -EACCES, CAUSE_PCRS_CHANGED,
			 "the host's boot state is not approved: %s; boot the approved "
			 "software, or, when the change is yours, run `vtpmctl host "
			 "approve`",
			 list);
}

static int parse_all(const struct hosttpm_config *c, struct hosttpm_approval *a,
		     uint32_t *wanted, struct error *e)
{
	size_t i;

	if (!c->approvals)
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"no boot state of this host is approved yet: run `vtpmctl "
			"host init`");
	for (i = 0; i < c->approvals; i++) {
		if (hosttpm_pcr_parse(c->approval[i], c->approval_len[i], a))
			return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
					 "approval %zu of this host is damaged: run "
					 "`vtpmctl host approve`",
					 i + 1);
		*wanted |= a->selection;
	}
	return 0;
}

int hosttpm_pcr_match(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		      struct hosttpm_approval *a, struct error *e)
{
	uint32_t wanted = 0, diff, best_diff = ALL_PCRS;
	size_t i, best = 0;
	struct pcrs pcrs;
	int rc;

	rc = parse_all(c, a, &wanted, e);
	while (!rc && wanted)
		rc = read_some(t, &wanted, &pcrs, e);
	if (rc)
		return rc;
	for (i = 0; i < c->approvals; i++) {
		rc = hosttpm_pcr_parse(c->approval[i], c->approval_len[i], a);
		diff = differing(a, &pcrs);
		if (rc || !diff)
			return rc;
		if (!i || __builtin_popcount(diff) < __builtin_popcount(best_diff)) {
			best = i;
			best_diff = diff;
		}
	}
	rc = hosttpm_pcr_parse(c->approval[best], c->approval_len[best], a);
	return rc ? rc : changed(a, best_diff, &pcrs, e);
}

int hosttpm_pcr_policy(const struct hosttpm_transport *t, uint32_t session,
		       const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_call call;

	hosttpm_call_begin(&call, TPM2_CC_PolicyPCR);
	cursor_put_u32(&call.in, session);
	cursor_put_u16(&call.in, 0); /* pcrDigest: whatever they are now */
	put_selection(&call.in, a->selection);
	return hosttpm_call_run(&call, t, e);
}

int hosttpm_pcr_approved(const struct hosttpm_transport *t, uint32_t session,
			 const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_bytes digest;
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_PolicyGetDigest);
	cursor_put_u32(&call.in, session);
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		return rc;
	digest = hosttpm_cmd_get(&call.out);
	if (!cursor_done(&call.out))
		return hosttpm_call_nonsense(&call, e);
	if (digest.n != CRYPT_HASH_SIZE || memcmp(digest.p, a->policy, CRYPT_HASH_SIZE))
		return error_set(e, -EACCES, CAUSE_PCRS_CHANGED,
				 "the host's boot state changed while it was checked, or "
				 "its approval is damaged: try again, then run `vtpmctl "
				 "host approve`");
	return 0;
}
