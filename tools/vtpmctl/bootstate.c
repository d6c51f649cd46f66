/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/bootstate.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A PCR that nothing was measured into tells no boot state from another. */
static void warn_unmeasured(const struct approval *a)
{
	static const uint8_t zeroes[APPROVAL_HASH_SIZE];
	char list[APPROVAL_PCRS * 3];
	uint32_t unmeasured = 0;
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n && !memcmp(a->value[n], zeroes, sizeof(zeroes)))
			unmeasured |= 1u << n;
	if (!unmeasured)
		return;
	approval_pcrs_print(unmeasured, list);
	fprintf(stderr,
		"Warning: nothing was measured into PCRs %s: they are the same whatever\n"
		"boots; see that the firmware and the boot loader measure, or choose others\n",
		list);
}

static void show_value(int n, const uint8_t *now, const uint8_t *before)
{
	char hex[2 * APPROVAL_HASH_SIZE + 1];

	hex_encode(now, APPROVAL_HASH_SIZE, hex);
	fprintf(stderr, "PCR %-2d  %s%s\n", n, hex,
		!before					   ? ""
		: !memcmp(now, before, APPROVAL_HASH_SIZE) ? "  as approved last"
							   : "  changed; last was:");
	if (!before || !memcmp(now, before, APPROVAL_HASH_SIZE))
		return;
	hex_encode(before, APPROVAL_HASH_SIZE, hex);
	fprintf(stderr, "        %s\n", hex);
}

void bootstate_show(const struct approval *a, const struct approval *last)
{
	int n;

	for (n = 0; n < APPROVAL_PCRS; n++)
		if (a->pcrs & 1u << n)
			show_value(n, a->value[n],
				   last && last->pcrs & 1u << n ? last->value[n] : NULL);
}

bool bootstate_confirm(void)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool yes;

	fprintf(stderr, "vTPMs will open in this boot state. Sign it (yes)? ");
	n = getline(&line, &room, stdin);
	if (n <= 0)
		fputc('\n', stderr);
	yes = n > 0 && (!strcmp(line, "yes\n") || !strcmp(line, "yes"));
	free(line);
	return yes;
}

int bootstate_sign(EVP_PKEY *key, const struct hostconf *h, struct approval *a,
		   struct error *e)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE];

	warn_unmeasured(a);
	if (approval_digest(a, h->counter_name, a->digest) ||
	    policykey_sign(key, h->srk_name, a) || policykey_public(key, public) ||
	    policykey_verify(public, h->srk_name, a))
		return error_set(
			e, -EIO, CAUSE_INTERNAL,
			"OpenSSL could not sign the boot state: out of memory, or "
			"the policy key is damaged");
	return 0;
}

int bootstate_check(struct tpm *t, const struct approval *a, struct error *e)
{
	uint8_t theirs[APPROVAL_HASH_SIZE], ours[APPROVAL_HASH_SIZE];
	int rc = tpm_policy_digest(t, a->pcrs, theirs, e);

	if (!rc && (approval_pcr_digest(a, ours) || memcmp(theirs, ours, sizeof(theirs))))
		rc = error_set(e, -EAGAIN, CAUSE_TPM_REFUSED,
			       "the PCRs changed while they were read; try again when no "
			       "other program extends them");
	return rc;
}
