/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm_crypt.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>

/* An uncompressed point: 4 | x | y (SEC 1, 2.3.3). */
#define OCTETS (1 + 2 * HOSTTPM_ECC_SIZE)

int hosttpm_crypt_kdfa(const uint8_t *key, size_t key_len, const char *label,
		       const struct crypt_part *u, const struct crypt_part *v,
		       uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1}, bits[4] = {0, 0, 1, 0};
	const struct crypt_part parts[] = {
		{counter, sizeof(counter)}, {label, strlen(label) + 1}, *u, *v,
		{bits, sizeof(bits)},
	};

	return crypt_hmac(key, key_len, parts, ARRAY_SIZE(parts), out);
}

/* KDFe of one hash's length, label "SECRET". */
static int kdfe(const uint8_t z[HOSTTPM_ECC_SIZE], const uint8_t *own_x,
		const uint8_t *peer_x, uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	const struct crypt_part parts[] = {
		{counter, sizeof(counter)},   {z, HOSTTPM_ECC_SIZE},
		{"SECRET", sizeof("SECRET")}, {own_x, HOSTTPM_ECC_SIZE},
		{peer_x, HOSTTPM_ECC_SIZE},
	};

	return crypt_sha256(parts, ARRAY_SIZE(parts), out);
}

static EVP_PKEY *import_point(const struct hosttpm_point *p)
{
	char group[] = "P-256";
	uint8_t octets[OCTETS] = {4};
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets,
						  sizeof(octets)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	memcpy(octets + 1, p->x, HOSTTPM_ECC_SIZE);
	memcpy(octets + 1 + HOSTTPM_ECC_SIZE, p->y, HOSTTPM_ECC_SIZE);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static bool export_point(EVP_PKEY *key, struct hosttpm_point *p)
{
	uint8_t octets[OCTETS];
	size_t len;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets,
					    sizeof(octets), &len) != 1 ||
	    len != sizeof(octets) || octets[0] != 4)
		return false;
	memcpy(p->x, octets + 1, HOSTTPM_ECC_SIZE);
	memcpy(p->y, octets + 1 + HOSTTPM_ECC_SIZE, HOSTTPM_ECC_SIZE);
	return true;
}

int hosttpm_crypt_salt(const struct hosttpm_point *peer, struct hosttpm_point *own,
		       uint8_t salt[CRYPT_HASH_SIZE])
{
	EVP_PKEY *theirs = import_point(peer);
	EVP_PKEY *ours = theirs ? EVP_EC_gen("P-256") : NULL;
	EVP_PKEY_CTX *ctx = ours ? EVP_PKEY_CTX_new(ours, NULL) : NULL;
	uint8_t z[HOSTTPM_ECC_SIZE];
	size_t len = sizeof(z);
	int rc = -EIO;

	/* set_peer also checks that the point lies on the curve */
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, theirs) == 1 &&
	    EVP_PKEY_derive(ctx, z, &len) == 1 && len == sizeof(z) &&
	    export_point(ours, own))
		rc = kdfe(z, own->x, peer->x, salt);
	OPENSSL_cleanse(z, sizeof(z));
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(ours);
	EVP_PKEY_free(theirs);
	return rc;
}

int hosttpm_crypt_cfb(const uint8_t keys[32], bool encrypt, uint8_t *buf, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;
	bool ok;

	ok = ctx && len <= INT_MAX &&
	     EVP_CipherInit_ex(ctx, EVP_aes_128_cfb128(), NULL, keys, keys + 16,
			       encrypt) == 1 &&
	     (!len || EVP_CipherUpdate(ctx, buf, &n, buf, (int)len) == 1);
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}
