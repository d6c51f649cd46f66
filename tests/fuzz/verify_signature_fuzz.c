/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures as evidence may have them. */
#include "lib/tpm2/quote.h"

#include <stdlib.h>
#include <openssl/ec.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tpm2_key key;
	struct tpm2_signature s;

	if (!key.key) {
		key.key = EVP_EC_gen("P-256");
		key.area.scheme = TPM2_ALG_NULL;
	}
	if (tpm2_signature_parse(data, size, &s))
		return 0;
	if (!s.hash || s.first.p + s.first.n > data + size ||
	    (s.second.p && s.second.p + s.second.n > data + size))
		abort();
	key.area.type = s.scheme == TPM2_ALG_ECDSA ? TPM2_ALG_ECC : TPM2_ALG_RSA;
	if (key.area.type == TPM2_ALG_ECC && !tpm2_signature_verify(&s, &key, data, size))
		abort();
	return 0;
}
