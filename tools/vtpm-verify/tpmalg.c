/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/tpmalg.h"

#include <errno.h>
#include <string.h>
#include <openssl/evp.h>

static const struct tpmalg algs[] = {
	{TPMALG_SHA1, "sha1", 20}, {TPMALG_SHA256, "sha256", 32},
	{0x000c, "sha384", 48},	   {0x000d, "sha512", 64},
	{0x0027, "sha3-256", 32},  {0x0028, "sha3-384", 48},
	{0x0029, "sha3-512", 64},  {0x0012, "sm3", 32},
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
