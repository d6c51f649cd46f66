/* SPDX-License-Identifier: Apache-2.0 */
/* Quotes as evidence may have them. */
#include "lib/tpm2/quote.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const struct tpm2_bytes *part, const uint8_t *data, size_t size)
{
	if (part->n && (part->p < data || part->p + part->n > data + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tpm2_attest q;
	size_t i;

	if (tpm2_attest_parse(data, size, &q))
		return 0;
	inside(&q.signer, data, size);
	inside(&q.extra, data, size);
	inside(&q.digest, data, size);
	for (i = 0; i < q.banks; i++)
		if (!q.bank[i].alg || q.bank[i].pcrs >> TPM2_PCRS)
			abort();
	return 0;
}
