/* SPDX-License-Identifier: Apache-2.0 */
/* Public areas as a manager that was taken over may tell them: whatever parses has a
 * digest or none, and never reaches past its bytes. */
#include "lib/tpm2/public.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[TPM2_NAME_MAX], digest[32];
	struct tpm2_public p;
	size_t len;

	if (tpm2_public_parse(data, size, &p))
		return 0;
	if (p.x.p + p.x.n > data + size || p.policy.p + p.policy.n > data + size)
		abort();
	if (!tpm2_public_name(&p, name, &len) && len > sizeof(name))
		abort();
	if (!tpm2_public_digest(&p, digest) && !tpm2_public_word(&p))
		abort();
	return 0;
}
