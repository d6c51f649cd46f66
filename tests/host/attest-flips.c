/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attest-flips POLICY NONCE EVIDENCE BITS [USER-DATA]: in a file of evidence, which the policy
 * accepts, bits are flipped, one at a time, BITS (1 to 8) of every byte; exits 0 when none
 * of the results is accepted.  With the verifier's own parts, in one process: that many
 * starts of it would take an hour.
 */
#include "lib/text.h"
#include "tools/vtpm-verify/judge.h"

#include <stdlib.h>
#include <string.h>

static char *read_text(const char *path, size_t *len)
{
	char *text = calloc(1, EVIDENCE_MAX + 1);
	FILE *f = fopen(path, "r");

	*len = f && text ? fread(text, 1, EVIDENCE_MAX, f) : 0;
	if (f)
		fclose(f);
	return text;
}

static bool accepted(const struct judge *j, const char *text)
{
	struct verdict *v = calloc(1, sizeof(*v));
	struct evidence *e;
	bool good = false;

	if (v && !evidence_parse(text, &e)) {
		judge(j, e, v);
		good = !v->reasons;
		evidence_free(e);
	}
	free(v);
	return good;
}

int main(int argc, char **argv)
{
	uint8_t nonce[BINDING_NONCE_MAX], user[BINDING_USER_MAX];
	struct judge j = {.nonce = nonce,
			  .nonce_len = sizeof(nonce),
			  .user = user,
			  .user_len = sizeof(user),
			  .at = time(NULL)};
	struct policy p;
	size_t len, policy_len, i, wrong = 0;
	char *policy, *text, why[200];
	unsigned int n, bits;

	if (argc < 5 || argc > 6 || hex_decode(argv[2], nonce, &j.nonce_len) ||
	    hex_decode(argc == 6 ? argv[5] : "", user, &j.user_len))
		return 2;
	bits = (unsigned int)atoi(argv[4]);
	policy = read_text(argv[1], &policy_len);
	text = read_text(argv[3], &len);
	if (!len || policy_parse(policy, &p, why, sizeof(why)))
		return 2;
	j.policy = &p;
	if (!accepted(&j, text))
		return 2;
	for (i = 0; i < len; i++)
		for (n = 0; n < bits; n++) {
			char flip = (char)(1 << (i * 5 + n) % 8);

			text[i] ^= flip;
			if (accepted(&j, text)) {
				printf("# accepted: byte %zu with %02x\n", i,
				       (uint8_t)flip);
				wrong++;
			}
			text[i] ^= flip;
		}
	printf("# %zu bits, %zu accepted\n", bits * len, wrong);
	policy_free(&p);
	free(policy);
	free(text);
	return wrong ? 1 : 0;
}
