/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/crypt.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

/* Each fetched once: what is there now does not fail later but for want of memory. */
/*@ assigns \nothing; */
static const char *missing(void)
{
	EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_CIPHER *gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	EVP_CIPHER *cfb = EVP_CIPHER_fetch(NULL, "AES-128-CFB", NULL);
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_KEYMGMT *ec = EVP_KEYMGMT_fetch(NULL, "EC", NULL);
	EVP_SIGNATURE *ecdsa = EVP_SIGNATURE_fetch(NULL, "ECDSA", NULL);
	EVP_KEYEXCH *ecdh = EVP_KEYEXCH_fetch(NULL, "ECDH", NULL);
	const char *name = !md	    ? "SHA-256"
			   : !gcm   ? "AES-256-GCM"
			   : !cfb   ? "AES-128-CFB"
			   : !hmac  ? "HMAC"
			   : !ec    ? "elliptic curves"
			   : !ecdsa ? "ECDSA"
			   : !ecdh  ? "ECDH"
				    : NULL;

	EVP_KEYEXCH_free(ecdh);
	EVP_SIGNATURE_free(ecdsa);
	EVP_KEYMGMT_free(ec);
	EVP_MAC_free(hmac);
	EVP_CIPHER_free(cfb);
	EVP_CIPHER_free(gcm);
	EVP_MD_free(md);
	return name;
}

const char *crypt_init(void)
{
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return "everything";
	return missing();
}

int crypt_sha256(const struct crypt_part *parts, size_t count,
		 uint8_t out[CRYPT_HASH_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	size_t i;

	/*@ loop invariant i <= count && (ok ==> ctx != \null);
	    loop assigns i, ok;
	    loop variant count - i; */
	for (i = 0; ok && i < count; i++)
		if (parts[i].p && parts[i].n)
			ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int crypt_hmac(const uint8_t *key, size_t key_len, const struct crypt_part *parts,
	       size_t count, uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t no_key[1];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	size_t i, len = 0;
	/* EVP_MAC_init() takes a NULL key for "keep the previous key" */
	bool ok = ctx && EVP_MAC_init(ctx, key_len ? key : no_key, key_len, params) == 1;

	/*@ loop invariant i <= count && (ok ==> ctx != \null);
	    loop assigns i, ok;
	    loop variant count - i; */
	for (i = 0; ok && i < count; i++)
		if (parts[i].p && parts[i].n)
			ok = EVP_MAC_update(ctx, parts[i].p, parts[i].n) == 1;
	ok = ok && EVP_MAC_final(ctx, out, &len, CRYPT_HASH_SIZE) == 1 &&
	     len == CRYPT_HASH_SIZE;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ok ? 0 : -EIO;
}

int crypt_hkdf(const uint8_t *ikm, size_t ikm_len, const uint8_t *salt, size_t salt_len,
	       const uint8_t *info, size_t info_len, uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t zeroes[CRYPT_HASH_SIZE];
	const struct crypt_part input = {ikm, ikm_len};
	/* T(1) = HMAC(PRK, info | 0x01) is all that one hash of output needs */
	const struct crypt_part expand[] = {{info, info_len}, {"\x01", 1}};
	uint8_t prk[CRYPT_HASH_SIZE];
	int rc;

	if (!salt) {
		salt = zeroes;
		salt_len = sizeof(zeroes);
	}
	rc = crypt_hmac(salt, salt_len, &input, 1, prk);
	if (!rc)
		rc = crypt_hmac(prk, sizeof(prk), expand, ARRAY_SIZE(expand), out);
	OPENSSL_cleanse(prk, sizeof(prk));
	/*@ assert crypt_wiped(&prk[0], CRYPT_HASH_SIZE); */
	if (rc)
		OPENSSL_cleanse(out, CRYPT_HASH_SIZE);
	return rc;
}

/*@ requires ctx != \null && \valid_read(aad + (0 .. aad_len - 1));
    requires \valid_read(in + (0 .. len - 1)) && \valid(out + (0 .. len - 1));
    assigns out[0 .. len - 1]; */
static bool gcm_feed(EVP_CIPHER_CTX *ctx, const uint8_t *aad, size_t aad_len,
		     const uint8_t *in, size_t len, uint8_t *out)
{
	int n;

	if (aad_len > INT_MAX || len > INT_MAX)
		return false;
	if (aad_len && EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1)
		return false;
	return !len || EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1;
}

int crypt_gcm_seal(const uint8_t key[CRYPT_KEY_SIZE], const uint8_t iv[CRYPT_IV_SIZE],
		   const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
		   uint8_t *out, uint8_t tag[CRYPT_TAG_SIZE])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t end[CRYPT_TAG_SIZE];
	int n;
	bool ok;

	ok = ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, 1) == 1 &&
	     gcm_feed(ctx, aad, aad_len, in, len, out) &&
	     EVP_CipherFinal_ex(ctx, end, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CRYPT_TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int crypt_gcm_open(const uint8_t key[CRYPT_KEY_SIZE], const uint8_t iv[CRYPT_IV_SIZE],
		   const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
		   uint8_t *out, const uint8_t tag[CRYPT_TAG_SIZE])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t end[CRYPT_TAG_SIZE];
	int n, rc = -EIO;

	if (ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, 0) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CRYPT_TAG_SIZE,
				(void *)tag) == 1 &&
	    gcm_feed(ctx, aad, aad_len, in, len, out))
		rc = EVP_CipherFinal_ex(ctx, end, &n) == 1 ? 0 : -EBADMSG;
	EVP_CIPHER_CTX_free(ctx);
	if (rc)
		OPENSSL_cleanse(out, len);
	return rc;
}

int crypt_random(uint8_t *out, size_t len)
{
	if (len > INT_MAX || RAND_status() != 1 || RAND_priv_bytes(out, (int)len) != 1)
		return -EIO;
	return 0;
}
