/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenSSL that fails, to be preloaded: FAULT=fetch, it has no AES-256-GCM;
 * FAULT=init, it has, and cannot begin to use it.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

static int fails(const char *at)
{
	const char *fault = getenv("FAULT");

	return fault && !strcmp(fault, at);
}

EVP_CIPHER *EVP_CIPHER_fetch(OSSL_LIB_CTX *ctx, const char *name, const char *properties)
{
	EVP_CIPHER *(*real)(OSSL_LIB_CTX *, const char *, const char *) =
		dlsym(RTLD_NEXT, "EVP_CIPHER_fetch");

	if (fails("fetch") && !strcmp(name, "AES-256-GCM"))
		return NULL;
	return real(ctx, name, properties);
}

int EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *engine,
		      const unsigned char *key, const unsigned char *iv, int encrypt)
{
	int (*real)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *,
		    const unsigned char *, int) = dlsym(RTLD_NEXT, "EVP_CipherInit_ex");

	if (fails("init") && cipher == EVP_aes_256_gcm())
		return 0;
	return real(ctx, cipher, engine, key, iv, encrypt);
}
