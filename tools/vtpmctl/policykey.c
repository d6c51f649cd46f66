/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/policykey.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/tpm2/quote.h"
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
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	const struct tpm2_template t = {
		.type = TPM2_ALG_ECC,
		.name_alg = TPM2_ALG_SHA256,
		.attributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH,
		.ecdsa = TPM2_ALG_SHA256,
		.size = TPM2_ECC_NIST_P256,
		.x = {x, sizeof(x)},
		.y = {y, sizeof(y)},
	};

	if (!is_p256(key) || coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, x) ||
	    coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, y))
		return -EINVAL;
	tpm2_put_template(&c, &t);
	return cursor_ok(&c) ? 0 : -EINVAL;
}

/* What TPM2_PolicyAuthorize wants signed for this purpose. */
static int signed_hash(const struct approval *a, enum approval_purpose purpose,
		       const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		       uint8_t hash[CRYPT_HASH_SIZE])
{
	uint8_t ref[CRYPT_HASH_SIZE];
	int rc = policy_ref(purpose, srk_name, ref);

	return rc ? rc : policy_signed(a->digest, ref, hash);
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

/* Whether the key has signed what TPM2_PolicyAuthorize wants signed: the hash of this. */
static bool is_signed_by(const struct tpm2_key *key, const struct approval *a,
			 enum approval_purpose purpose,
			 const uint8_t srk_name[POLICYKEY_NAME_SIZE])
{
	uint8_t data[2 * CRYPT_HASH_SIZE], bytes[APPROVAL_SIGNATURE_SIZE];
	struct cursor w = cursor_writer(bytes, sizeof(bytes));
	struct tpm2_signature s;

	memcpy(data, a->digest, CRYPT_HASH_SIZE);
	approval_put_signature(&w, &a->signature[purpose - 1]);
	return !policy_ref(purpose, srk_name, data + CRYPT_HASH_SIZE) &&
	       !tpm2_signature_parse(bytes, sizeof(bytes), &s) &&
	       !tpm2_signature_verify(&s, key, data, sizeof(data));
}

int policykey_verify(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
		     const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		     const struct approval *a)
{
	struct tpm2_key key;
	bool ok = !tpm2_key_parse(public, POLICYKEY_PUBLIC_SIZE, &key);
	int i;

	for (i = 0; i < APPROVAL_PURPOSES && ok; i++)
		ok = is_signed_by(&key, a, (enum approval_purpose)(i + 1), srk_name);
	tpm2_key_free(&key);
	return ok ? 0 : -EBADMSG;
}

int policykey_name(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
		   uint8_t name[POLICYKEY_NAME_SIZE])
{
	return tpm2_name((struct tpm2_bytes){public, POLICYKEY_PUBLIC_SIZE}, name);
}

int policykey_policy(const uint8_t public[POLICYKEY_PUBLIC_SIZE],
		     enum approval_purpose purpose,
		     const uint8_t srk_name[POLICYKEY_NAME_SIZE],
		     uint8_t digest[APPROVAL_HASH_SIZE])
{
	uint8_t name[POLICYKEY_NAME_SIZE], ref[CRYPT_HASH_SIZE];

	if (policykey_name(public, name) || policy_ref(purpose, srk_name, ref))
		return -EIO;
	return policy_authorize(digest, name, ref);
}
