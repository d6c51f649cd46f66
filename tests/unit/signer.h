/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that sign as a TPM, or a policy key, does. */
#ifndef TESTS_SIGNER_H
#define TESTS_SIGNER_H

#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "lib/tpm2/quote.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <string.h>

/* A host's TPM, or a policy key: it signs. */
struct signer {
	EVP_PKEY *key;
	uint8_t public[256];
	size_t public_len;
};

static inline void make_signer(struct signer *s, uint32_t attributes)
{
	struct cursor w = cursor_writer(s->public, sizeof(s->public));
	struct tpm2_template t = tpm2_attestation_key;
	uint8_t x[32], y[32];
	BIGNUM *n = NULL;

	s->key = EVP_EC_gen("prime256v1");
	assert_non_null(s->key);
	assert_int_equal(EVP_PKEY_get_bn_param(s->key, OSSL_PKEY_PARAM_EC_PUB_X, &n), 1);
	BN_bn2binpad(n, x, sizeof(x));
	assert_int_equal(EVP_PKEY_get_bn_param(s->key, OSSL_PKEY_PARAM_EC_PUB_Y, &n), 1);
	BN_bn2binpad(n, y, sizeof(y));
	BN_free(n);
	t.attributes = attributes;
	t.x = (struct tpm2_bytes){x, sizeof(x)};
	t.y = (struct tpm2_bytes){y, sizeof(y)};
	tpm2_put_template(&w, &t);
	assert_true(cursor_ok(&w));
	s->public_len = w.pos;
}

static inline void sign(const struct signer *s, const uint8_t *data, size_t len,
			uint8_t out[TPM2_ECDSA_P256])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[128], raw[TPM2_ECDSA_P256], number[32];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	struct cursor w = cursor_writer(raw, sizeof(raw));
	ECDSA_SIG *sig;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key), 1);
	assert_int_equal(EVP_DigestSign(ctx, der, &n, data, len), 1);
	EVP_MD_CTX_free(ctx);
	sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
	cursor_put_u16(&w, TPM2_ALG_ECDSA);
	cursor_put_u16(&w, TPM2_ALG_SHA256);
	cursor_put_u16(&w, 32);
	BN_bn2binpad(ECDSA_SIG_get0_r(sig), number, 32);
	cursor_put(&w, number, 32);
	cursor_put_u16(&w, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(sig), number, 32);
	cursor_put(&w, number, 32);
	ECDSA_SIG_free(sig);
	assert_int_equal(tpm2_ecdsa_p256(raw, sizeof(raw), out), 0);
}

static inline void put_b(struct cursor *w, const void *p, size_t n)
{
	cursor_put_u16(w, (uint16_t)n);
	cursor_put(w, p, n);
}

#endif
