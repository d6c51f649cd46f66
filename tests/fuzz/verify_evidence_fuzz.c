/* SPDX-License-Identifier: Apache-2.0 */
/* Files of evidence, up to the verdict: by a policy that knows no host. */
#include "tools/vtpm-verify/judge.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy_text[] =
	"{\"version\": 1, \"hosts\": [{\"name\": \"h\", \"ak\": \"000b\", \"pcrs\": "
	"[{\"0\": \"0000000000000000000000000000000000000000000000000000000000000000\"}]"
	"}], \"images\": [{\"manager\": "
	"\"0000000000000000000000000000000000000000000000000000000000000000\"}], "
	"\"eks\": [\"0000000000000000000000000000000000000000000000000000000000000000\"]"
	"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy policy;
	static const uint8_t nonce[BINDING_NONCE_MIN];
	struct judge j = {.policy = &policy, .nonce = nonce, .nonce_len = sizeof(nonce)};
	struct verdict *v = calloc(1, sizeof(*v));
	struct evidence *e;
	char why[200], *text = malloc(size + 1);

	if (!policy.all && policy_parse(policy_text, &policy, why, sizeof(why)))
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	if (!evidence_parse(text, &e)) {
		judge(&j, e, v);
		if (!v->reasons)
			abort();
		evidence_free(e);
	}
	free(text);
	free(v);
	return 0;
}
