/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures as evidence may have them. */
#include "tools/vtpm-verify/quote.h"

#include <stdlib.h>
#include <openssl/ec.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct public key;
	struct signature s;

	if (!key.key) {
		key.key = EVP_EC_gen("P-256");
		key.scheme = TPM2_ALG_NULL;
	}
	if (signature_parse(data, size, &s))
		return 0;
	if (!s.hash || s.first + s.first_len > data + size ||
	    (s.second && s.second + s.second_len > data + size))
		abort();
	key.type = s.scheme == TPM2_ALG_ECDSA ? TPM2_ALG_ECC : TPM2_ALG_RSA;
	if (key.type == TPM2_ALG_ECC && !signature_verify(&s, &key, data, size))
		abort();
	return 0;
}
