/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as evidence may have them. */
#include "lib/tpm2/quote.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[TPM2_NAME_MAX], hash[CRYPT_HASH_SIZE];
	struct tpm2_key p;
	size_t len;
	int rc = tpm2_key_parse(data, size, &p);

	if (!rc && (!p.key || p.name_len > sizeof(name)))
		abort();
	if (!rc && (tpm2_public_qualified(&p.area, TPM2_RH_PLATFORM, name, &len) ||
		    len != p.name_len || tpm2_public_digest(&p.area, hash)))
		abort();
	tpm2_key_free(&p);
	return 0;
}
