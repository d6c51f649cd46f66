/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/signature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#define PART_MAX 512

static const uint8_t *take_2b(struct cursor *c, size_t *len)
{
	*len = cursor_u16(c);
	if (!*len || *len > PART_MAX)
		cursor_fail(c);
	return cursor_bytes(c, *len);
}

int signature_parse(const uint8_t *buf, size_t len, struct signature *s)
{
	struct cursor c = cursor_reader(buf, len);

	memset(s, 0, sizeof(*s));
	s->scheme = cursor_u16(&c);
	s->hash = tpmalg_find(cursor_u16(&c));
	if (s->scheme != TPM2_ALG_ECDSA && s->scheme != TPM2_ALG_RSASSA &&
	    s->scheme != TPM2_ALG_RSAPSS)
		return -EBADMSG;
	s->first = take_2b(&c, &s->first_len);
	if (s->scheme == TPM2_ALG_ECDSA)
		s->second = take_2b(&c, &s->second_len);
	return cursor_done(&c) && s->hash ? 0 : -EBADMSG;
}

/* OpenSSL wants SEQUENCE { r, s }. */
static int ecdsa_der(const struct signature *s, unsigned char **der, size_t *len)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *first = BN_bin2bn(s->first, (int)s->first_len, NULL);
	BIGNUM *second = BN_bin2bn(s->second, (int)s->second_len, NULL);
	int n = -1;

	if (sig && first && second && ECDSA_SIG_set0(sig, first, second)) {
		first = second = NULL;
		n = i2d_ECDSA_SIG(sig, der);
	}
	BN_free(first);
	BN_free(second);
	ECDSA_SIG_free(sig);
	*len = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : -EIO;
}

static bool verify(const struct signature *s, EVP_PKEY *key, const uint8_t *data,
		   size_t data_len, const uint8_t *sig, size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	bool good = ctx && EVP_DigestVerifyInit_ex(ctx, &pctx, s->hash->name, NULL, NULL,
						   key, NULL) > 0;

	if (good && s->scheme == TPM2_ALG_RSAPSS)
		good = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0;
	good = good && EVP_DigestVerify(ctx, sig, sig_len, data, data_len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

bool signature_one_form(const struct signature *s, const struct public *by)
{
	size_t size = ((size_t)EVP_PKEY_get_bits(by->key) + 7) / 8;
	BIGNUM *order = NULL, *second;
	bool good;

	if (s->scheme != TPM2_ALG_ECDSA)
		return true;
	second = BN_bin2bn(s->second, (int)s->second_len, NULL);
	good = s->first_len == size && s->second_len == size && second &&
	       EVP_PKEY_get_bn_param(by->key, OSSL_PKEY_PARAM_EC_ORDER, &order) > 0 &&
	       BN_rshift1(order, order) && BN_cmp(second, order) <= 0;
	BN_free(order);
	BN_free(second);
	return good;
}

int signature_verify(const struct signature *s, const struct public *by,
		     const uint8_t *data, size_t len)
{
	uint16_t wanted = s->scheme == TPM2_ALG_ECDSA ? TPM2_ALG_ECC : TPM2_ALG_RSA;
	unsigned char *der = NULL;
	size_t der_len;
	bool good;

	if (by->type != wanted || s->hash->id == TPM2_ALG_SHA ||
	    (by->scheme != TPM2_ALG_NULL &&
	     (by->scheme != s->scheme || by->scheme_hash != s->hash->id)))
		return -EACCES;
	if (s->scheme != TPM2_ALG_ECDSA)
		return verify(s, by->key, data, len, s->first, s->first_len) ? 0
									     : -EACCES;
	if (ecdsa_der(s, &der, &der_len))
		return -EACCES;
	good = verify(s, by->key, data, len, der, der_len);
	OPENSSL_free(der);
	return good ? 0 : -EACCES;
}
