/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as evidence may have them. */
#include "tools/vtpm-verify/quote.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[PUBLIC_NAME_MAX], hash[CRYPT_HASH_SIZE];
	struct public p;
	size_t len;
	int rc = public_parse(data, size, &p);

	if (!rc && (!p.key || p.name_len > sizeof(name)))
		abort();
	if (!rc && (public_qualified(&p, TPM2_RH_PLATFORM, name, &len) ||
		    len != p.name_len || public_spki_hash(&p, hash)))
		abort();
	public_free(&p);
	return 0;
}
