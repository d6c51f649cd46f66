/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/policykey.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmctl/file.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#define P256	   "prime256v1"
#define COORDINATE 32

int policykey_make(EVP_PKEY **key, struct error *e)
{
	*key = EVP_EC_gen(P256);
	return *key ? 0
		    : error_set(e, -EIO, CAUSE_RANDOM,
				"OpenSSL could not make the policy key; see that the "
				"system's random generator works");
}

int policykey_load(const char *path, EVP_PKEY **key, struct error *e)
{
	static const char otherwise[] =
		"holds no private P-256 key without passphrase; make one with "
		"`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
	uint8_t public[POLICYKEY_PUBLIC_SIZE];
	int rc = pemfile_key(path, key, otherwise, e);

	if (rc || !policykey_public(*key, public))
		return rc;
	EVP_PKEY_free(*key);
	*key = NULL;
	return error_set(e, -EINVAL, CAUSE_INTERNAL, "%s %s", path, otherwise);
}

int policykey_save(EVP_PKEY *key, const char *path, struct error *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem = NULL;
	long len;
	int rc;

	if (!bio ||
	    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not write the policy key: out of memory?");
	else {
		len = BIO_get_mem_data(bio, &pem);
		rc = file_write(path, 0600, false, pem, (size_t)len, e);
	}
	BIO_free(bio); /* secmem: wiped */
	return rc;
}

static int coordinate(EVP_PKEY *key, const char *which, uint8_t out[COORDINATE])
{
	BIGNUM *n = NULL;
	int ok = EVP_PKEY_get_bn_param(key, which, &n) == 1 &&
		 BN_bn2binpad(n, out, COORDINATE) == COORDINATE;

	BN_free(n);
	return ok ? 0 : -EINVAL;
}

static int is_p256(EVP_PKEY *key)
{
	char group[32];
	BIGNUM *private = NULL;
	int ok = EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group,
						sizeof(group), NULL) == 1 &&
		 !strcmp(group, P256) &&
		 EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &private) == 1;

	BN_clear_free(private);
	return ok;
}

int policykey_public(EVP_PKEY *key, uint8_t out[POLICYKEY_PUBLIC_SIZE])
{
	struct cursor c = cursor_writer(out, POLICYKEY_PUBLIC_SIZE);
	uint8_t x[COORDINATE], y[COORDINATE];

	if (!is_p256(key) || coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, x) ||
	    coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, y))
		return -EINVAL;
	cursor_put_u16(&c, TPM2_ALG_ECC);
	cursor_put_u16(&c, TPM2_ALG_SHA256);
	cursor_put_u32(&c, TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH);
	cursor_put_u16(&c, 0);		   /* authPolicy */
	cursor_put_u16(&c, TPM2_ALG_NULL); /* symmetric */
	cursor_put_u16(&c, TPM2_ALG_ECDSA);
	cursor_put_u16(&c, TPM2_ALG_SHA256);
	cursor_put_u16(&c, TPM2_ECC_NIST_P256);
	cursor_put_u16(&c, TPM2_ALG_NULL); /* kdf */
	cursor_put_u16(&c, COORDINATE);
	cursor_put(&c, x, COORDINATE);
	cursor_put_u16(&c, COORDINATE);
	cursor_put(&c, y, COORDINATE);
	return cursor_ok(&c) ? 0 : -EINVAL;
}

/* What TPM2_PolicyAuthorize wants signed for this purpose. */
static int signed_hash(const struct approval *a, enum approval_purpose purpose,
		       const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		       uint8_t hash[CRYPT_HASH_SIZE])
{
	uint8_t ref[CRYPT_HASH_SIZE];
	int rc = hostpolicy_ref(purpose, srk_name, ref);

	return rc ? rc : hostpolicy_signed(a->digest, ref, hash);
}

static int split_signature(const uint8_t *der, size_t len, struct approval_signature *out)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out->r, sizeof(out->r)) > 0 &&
		 BN_bn2binpad(ECDSA_SIG_get0_s(sig), out->s, sizeof(out->s)) > 0;

	ECDSA_SIG_free(sig);
	return ok ? 0 : -EIO;
}

int policykey_sign_hash(EVP_PKEY *key, const uint8_t hash[CRYPT_HASH_SIZE],
			struct approval_signature *s)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t der[96];
	size_t len = sizeof(der);
	int ok = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
		 EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		 EVP_PKEY_sign(ctx, der, &len, hash, CRYPT_HASH_SIZE) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok ? split_signature(der, len, s) : -EIO;
}

int policykey_sign(EVP_PKEY *key, const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		   struct approval *a)
{
	uint8_t hash[CRYPT_HASH_SIZE];
	int i, rc = 0;

	for (i = 0; i < APPROVAL_PURPOSES && !rc; i++) {
		rc = signed_hash(a, (enum approval_purpose)(i + 1), srk_name, hash);
		if (!rc)
			rc = policykey_sign_hash(key, hash, &a->signature[i]);
	}
	return rc;
}

/* The EVP_PKEY of a TPMT_PUBLIC that policykey_public() made; NULL for others. */
static EVP_PKEY *import(const uint8_t public[POLICYKEY_PUBLIC_SIZE])
{
	uint8_t point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
	char group[] = P256;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point,
						  sizeof(point)),
		OSSL_PARAM_construct_end(),
	};
	struct cursor c = cursor_reader(public, POLICYKEY_PUBLIC_SIZE);
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;

	(void)cursor_bytes(&c, POLICYKEY_PUBLIC_SIZE - 2 * (2 + COORDINATE));
	(void)cursor_u16(&c);
	cursor_copy(&c, point + 1, COORDINATE);
	(void)cursor_u16(&c);
	cursor_copy(&c, point + 1 + COORDINATE, COORDINATE);
	ctx = cursor_done(&c) ? EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL) : NULL;
	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static int join_signature(const struct approval_signature *a, uint8_t **der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(a->r, sizeof(a->r), NULL);
	BIGNUM *s = BN_bin2bn(a->s, sizeof(a->s), NULL);
	int len = -1;

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* they are the signature's now */
		len = i2d_ECDSA_SIG(sig, der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len;
}

static bool verifies(EVP_PKEY *key, const uint8_t hash[CRYPT_HASH_SIZE],
		     const struct approval_signature *s)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t *der = NULL;
	int len = join_signature(s, &der);
	bool ok = ctx && len > 0 && EVP_PKEY_verify_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		  EVP_PKEY_verify(ctx, der, (size_t)len, hash, CRYPT_HASH_SIZE) == 1;

	OPENSSL_free(der);
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

int policykey_verify(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
		     const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		     const struct approval *a)
{
	EVP_PKEY *key = import(public);
	uint8_t hash[CRYPT_HASH_SIZE];
	bool ok = key;
	int i;

	for (i = 0; i < APPROVAL_PURPOSES && ok; i++)
		ok = !signed_hash(a, (enum approval_purpose)(i + 1), srk_name, hash) &&
		     verifies(key, hash, &a->signature[i]);
	EVP_PKEY_free(key);
	return ok ? 0 : -EBADMSG;
}

/* Part 1 clause 16: Name = nameAlg || H(TPMT_PUBLIC). */
int policykey_name(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
		   uint8_t name[POLICYKEY_NAME_SIZE])
{
	const struct crypt_part part = {public, POLICYKEY_PUBLIC_SIZE};
	struct cursor c = cursor_writer(name, POLICYKEY_NAME_SIZE);
	uint8_t hash[CRYPT_HASH_SIZE];
	int rc = crypt_sha256(&part, 1, hash);

	cursor_put_u16(&c, TPM2_ALG_SHA256);
	cursor_put(&c, hash, sizeof(hash));
	return rc;
}

int policykey_policy(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
		     enum approval_purpose purpose,
		     const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		     uint8_t digest[APPROVAL_HASH_SIZE])
{
	uint8_t name[POLICYKEY_NAME_SIZE], ref[CRYPT_HASH_SIZE];

	if (policykey_name(public, name) || hostpolicy_ref(purpose, srk_name, ref))
		return -EIO;
	return hostpolicy_authorize(digest, name, ref);
}
