/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/public.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

#define POINT_MAX (1 + 2 * 66) /* P-521 */

static const struct {
	uint16_t type, size;
	const char *word, *group;
	size_t field;
} kinds[] = {
	{TPM2_ALG_RSA, 2048, "rsa2048", NULL, 256},
	{TPM2_ALG_RSA, 3072, "rsa3072", NULL, 384},
	{TPM2_ALG_RSA, 4096, "rsa4096", NULL, 512},
	{TPM2_ALG_ECC, TPM2_ECC_NIST_P256, "ecc-p256", "prime256v1", 32},
	{TPM2_ALG_ECC, TPM2_ECC_NIST_P384, "ecc-p384", "secp384r1", 48},
	{TPM2_ALG_ECC, TPM2_ECC_NIST_P521, "ecc-p521", "secp521r1", 66},
};

static int kind_of(const struct tpm2_public *p)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == p->type && kinds[i].size == p->size)
			return (int)i;
	return -1;
}

const char *tpm2_public_word(const struct tpm2_public *p)
{
	int kind = kind_of(p);

	return kind < 0 ? NULL : kinds[kind].word;
}

/* TPMU_PUBLIC_PARMS, 12.2.3.7 */
static void parse_parameters(struct cursor *c, struct tpm2_public *p)
{
	p->symmetric = cursor_u16(c);
	if (p->symmetric != TPM2_ALG_NULL)
		(void)cursor_u32(c); /* key bits and mode */
	p->scheme = cursor_u16(c);
	p->scheme_hash = TPM2_ALG_NULL;
	if (p->scheme != TPM2_ALG_NULL && p->scheme != TPM2_ALG_RSAES)
		p->scheme_hash = cursor_u16(c);
	if (p->scheme == TPM2_ALG_ECDAA)
		(void)cursor_u16(c); /* count */
	p->size = cursor_u16(c);
	if (p->type == TPM2_ALG_RSA)
		p->exponent = cursor_u32(c);
	else if (cursor_u16(c) != TPM2_ALG_NULL) /* TPMT_KDF_SCHEME+ */
		(void)cursor_u16(c);
}

int tpm2_public_parse(const uint8_t *buf, size_t len, struct tpm2_public *p)
{
	struct cursor c = cursor_reader(buf, len);

	*p = (struct tpm2_public){.whole = {buf, len}};
	p->type = cursor_u16(&c);
	p->name_alg = cursor_u16(&c);
	p->attributes = cursor_u32(&c);
	p->policy = tpm2_get_2b(&c);
	if (p->type != TPM2_ALG_RSA && p->type != TPM2_ALG_ECC)
		return -EBADMSG;
	parse_parameters(&c, p);
	p->x = tpm2_get_2b(&c);
	if (p->type == TPM2_ALG_ECC)
		p->y = tpm2_get_2b(&c);
	return cursor_done(&c) ? 0 : -EBADMSG;
}

/* nameAlg || H(parts), Part 1, 16 */
static int put_name(const struct tpm2_public *p, const struct crypt_part *parts,
		    size_t count, uint8_t name[TPM2_NAME_MAX], size_t *len)
{
	const struct tpm2_hash *hash = tpm2_hash_of(p->name_alg);
	struct cursor w = cursor_writer(name, 2);

	if (!hash || hash->id == TPM2_ALG_SHA)
		return -ENOTSUP;
	cursor_put_u16(&w, hash->id);
	*len = 2 + hash->size;
	return tpm2_digest(hash, parts, count, name + 2);
}

int tpm2_public_name(const struct tpm2_public *p, uint8_t name[TPM2_NAME_MAX],
		     size_t *len)
{
	const struct crypt_part whole = {p->whole.p, p->whole.n};

	return put_name(p, &whole, 1, name, len);
}

int tpm2_public_qualified(const struct tpm2_public *p, uint32_t hierarchy,
			  uint8_t name[TPM2_NAME_MAX], size_t *len)
{
	uint8_t handle[4], own[TPM2_NAME_MAX];
	struct cursor w = cursor_writer(handle, sizeof(handle));
	struct crypt_part parts[] = {{handle, sizeof(handle)}, {own, 0}};
	int rc = tpm2_public_name(p, own, &parts[1].n);

	cursor_put_u32(&w, hierarchy);
	return rc ? rc : put_name(p, parts, ARRAY_SIZE(parts), name, len);
}

static int push_rsa(OSSL_PARAM_BLD *b, const struct tpm2_public *p, BIGNUM **n)
{
	*n = BN_bin2bn(p->x.p, (int)p->x.n, NULL);
	return *n && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, *n) &&
	       OSSL_PARAM_BLD_push_ulong(b, OSSL_PKEY_PARAM_RSA_E,
					 p->exponent ? p->exponent : 65537);
}

/* A TPM may leave leading zeroes of a coordinate out. */
static int push_ecc(OSSL_PARAM_BLD *b, const struct tpm2_public *p, int kind,
		    uint8_t point[POINT_MAX])
{
	size_t field = kinds[kind].field;

	if (!p->x.n || !p->y.n || p->x.n > field || p->y.n > field)
		return 0;
	memset(point, 0, 1 + 2 * field);
	point[0] = 4; /* uncompressed: SEC 1, 2.3.3 */
	memcpy(point + 1 + field - p->x.n, p->x.p, p->x.n);
	memcpy(point + 1 + 2 * field - p->y.n, p->y.p, p->y.n);
	return OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME,
					       kinds[kind].group, 0) &&
	       OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point,
						1 + 2 * field);
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *tpm2_public_key(const struct tpm2_public *p)
{
	uint8_t point[POINT_MAX];
	int kind = kind_of(p), pushed;
	OSSL_PARAM_BLD *b;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;
	BIGNUM *n = NULL;
	bool rsa = p->type == TPM2_ALG_RSA;

	if (kind < 0 || (rsa && p->x.n != kinds[kind].field))
		return NULL;
	b = OSSL_PARAM_BLD_new();
	if (!b)
		return NULL;
	pushed = rsa ? push_rsa(b, p, &n) : push_ecc(b, p, kind, point);
	if (pushed == 1)
		params = OSSL_PARAM_BLD_to_param(b);
	if (params)
		key = make_key(rsa ? "RSA" : "EC", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	return key;
}

int tpm2_public_digest(const struct tpm2_public *p, uint8_t digest[32])
{
	EVP_PKEY *key = tpm2_public_key(p);
	uint8_t *der = NULL;
	int len = key ? i2d_PUBKEY(key, &der) : -1;
	int rc = -EBADMSG;

	if (len > 0 &&
	    EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1)
		rc = 0;
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	return rc;
}
