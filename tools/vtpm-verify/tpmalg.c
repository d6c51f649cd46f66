/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/tpmalg.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>
#include <openssl/evp.h>

static const struct tpmalg algs[] = {
	{TPM2_ALG_SHA, "sha1", 20},	     {TPM2_ALG_SHA256, "sha256", 32},
	{TPM2_ALG_SHA384, "sha384", 48},     {TPM2_ALG_SHA512, "sha512", 64},
	{TPM2_ALG_SHA3_256, "sha3-256", 32}, {TPM2_ALG_SHA3_384, "sha3-384", 48},
	{TPM2_ALG_SHA3_512, "sha3-512", 64}, {TPM2_ALG_SM3_256, "sm3", 32},
};

const struct tpmalg *tpmalg_find(uint16_t id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algs); i++)
		if (algs[i].id == id)
			return &algs[i];
	return NULL;
}

const struct tpmalg *tpmalg_named(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algs); i++)
		if (!strcmp(algs[i].name, name))
			return &algs[i];
	return NULL;
}

int tpmalg_hash(const struct tpmalg *alg, const struct crypt_part *parts, size_t count,
		uint8_t *out)
{
	const EVP_MD *md = EVP_get_digestbyname(alg->name);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = md && ctx && EVP_DigestInit_ex(ctx, md, NULL);
	size_t i;

	for (i = 0; good && i < count; i++)
		good = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n);
	good = good && EVP_DigestFinal_ex(ctx, out, NULL);
	EVP_MD_CTX_free(ctx);
	return good ? 0 : -EIO;
}
