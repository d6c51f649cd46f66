/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpmpub.h"
#include "lib/cursor.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

static const struct {
	uint16_t type, size;
	const char *word, *group;
	size_t field;
} kinds[] = {
	{TPM2_ALG_RSA, 2048, "rsa2048", NULL, 256},
	{TPM2_ALG_RSA, 3072, "rsa3072", NULL, 384},
	{TPM2_ALG_ECC, 3, "ecc-p256", "prime256v1", 32},
	{TPM2_ALG_ECC, 4, "ecc-p384", "secp384r1", 48},
};

static int kind_of(const struct tpmpub *p)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].type == p->type && kinds[i].size == p->size)
			return (int)i;
	return -1;
}

const char *tpmpub_word(const struct tpmpub *p)
{
	int kind = kind_of(p);

	return kind < 0 ? NULL : kinds[kind].word;
}

static const uint8_t *sized(struct cursor *c, uint16_t *len)
{
	*len = cursor_u16(c);
	return cursor_bytes(c, *len);
}

/* TPMU_PUBLIC_PARMS */
static void parse_parameters(struct cursor *c, struct tpmpub *p)
{
	p->symmetric = cursor_u16(c);
	if (p->symmetric != TPM2_ALG_NULL)
		(void)cursor_u32(c); /* key bits and mode */
	p->scheme = cursor_u16(c);
	if (p->scheme == TPM2_ALG_ECDAA) /* has one more field */
		cursor_fail(c);
	p->scheme_hash = p->scheme == TPM2_ALG_NULL ? TPM2_ALG_NULL : cursor_u16(c);
	p->size = cursor_u16(c);
	if (p->type == TPM2_ALG_RSA)
		p->exponent = cursor_u32(c);
	else if (cursor_u16(c) != TPM2_ALG_NULL) /* kdf */
		cursor_fail(c);
}

int tpmpub_parse(const uint8_t *buf, size_t len, struct tpmpub *p)
{
	struct cursor c = cursor_reader(buf, len);

	*p = (struct tpmpub){.whole = buf, .len = len};
	p->type = cursor_u16(&c);
	p->name_alg = cursor_u16(&c);
	p->attributes = cursor_u32(&c);
	p->policy = sized(&c, &p->policy_len);
	if (p->type != TPM2_ALG_RSA && p->type != TPM2_ALG_ECC)
		return -EBADMSG;
	parse_parameters(&c, p);
	p->x = sized(&c, &p->x_len);
	if (p->type == TPM2_ALG_ECC)
		p->y = sized(&c, &p->y_len);
	return cursor_done(&c) ? 0 : -EBADMSG;
}

int tpmpub_name(const struct tpmpub *p, uint8_t name[TPMPUB_NAME_MAX], size_t *len)
{
	struct cursor w = cursor_writer(name, 2);
	unsigned int n = 0;
	const EVP_MD *md;

	if (p->name_alg == TPM2_ALG_SHA256)
		md = EVP_sha256();
	else if (p->name_alg == TPM2_ALG_SHA384)
		md = EVP_sha384();
	else
		return -ENOTSUP;
	cursor_put_u16(&w, p->name_alg);
	if (EVP_Digest(p->whole, p->len, name + 2, &n, md, NULL) != 1)
		return -EIO;
	*len = 2 + n;
	return 0;
}

static int push_rsa(OSSL_PARAM_BLD *b, const struct tpmpub *p, BIGNUM **n)
{
	*n = BN_bin2bn(p->x, p->x_len, NULL);
	return *n && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, *n) &&
	       OSSL_PARAM_BLD_push_ulong(b, OSSL_PKEY_PARAM_RSA_E,
					 p->exponent ? p->exponent : 65537);
}

/* A TPM may leave leading zeroes of a coordinate out. */
static int push_ecc(OSSL_PARAM_BLD *b, const struct tpmpub *p, int kind,
		    uint8_t point[1 + 2 * 48])
{
	size_t field = kinds[kind].field;

	if (p->x_len > field || p->y_len > field)
		return 0;
	memset(point, 0, 1 + 2 * field);
	point[0] = 4; /* uncompressed: SEC 1, 2.3.3 */
	memcpy(point + 1 + field - p->x_len, p->x, p->x_len);
	memcpy(point + 1 + 2 * field - p->y_len, p->y, p->y_len);
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

EVP_PKEY *tpmpub_key(const struct tpmpub *p)
{
	uint8_t point[1 + 2 * 48];
	int kind = kind_of(p), pushed;
	OSSL_PARAM_BLD *b;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;
	BIGNUM *n = NULL;
	bool rsa = p->type == TPM2_ALG_RSA;

	if (kind < 0 || (rsa && p->x_len != kinds[kind].field))
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

int tpmpub_digest(const struct tpmpub *p, uint8_t digest[32])
{
	EVP_PKEY *key = tpmpub_key(p);
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

#define SIZE 32

/* n, the order of P-256's base point: FIPS 186-4, D.1.2.3 */
static const uint8_t order[SIZE] = {
	0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
	0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* A TPM2B of at most SIZE bytes, or with zeroes before them, as SIZE bytes. */
static void take_integer(struct cursor *c, uint8_t out[SIZE])
{
	static const uint8_t zero[SIZE];
	size_t n = cursor_u16(c);
	const uint8_t *p = cursor_bytes(c, n);

	memset(out, 0, SIZE);
	if (!cursor_ok(c))
		return;
	while (n && !*p) {
		p++;
		n--;
	}
	if (n > SIZE) {
		cursor_fail(c);
		return;
	}
	if (n)
		memcpy(out + SIZE - n, p, n);
	if (!memcmp(out, zero, SIZE) || memcmp(out, order, SIZE) >= 0)
		cursor_fail(c);
}

/* out = n - s */
static void negate(const uint8_t s[SIZE], uint8_t out[SIZE])
{
	unsigned int borrow = 0, i, d;

	for (i = SIZE; i-- > 0;) {
		d = 0x100u + order[i] - s[i] - borrow;
		out[i] = (uint8_t)d;
		borrow = d < 0x100u;
	}
}

int ecdsa_p256(const uint8_t *signature, size_t len, uint8_t out[ECDSA_P256])
{
	struct cursor c = cursor_reader(signature, len);
	struct cursor w = cursor_writer(out, ECDSA_P256);
	uint8_t r[SIZE], s[SIZE], other[SIZE];
	uint16_t scheme = cursor_u16(&c), hash = cursor_u16(&c);

	take_integer(&c, r);
	take_integer(&c, s);
	if (!cursor_done(&c) || scheme != TPM2_ALG_ECDSA)
		return -EBADMSG;
	negate(s, other);
	cursor_put_u16(&w, scheme);
	cursor_put_u16(&w, hash);
	cursor_put_u16(&w, SIZE);
	cursor_put(&w, r, SIZE);
	cursor_put_u16(&w, SIZE);
	cursor_put(&w, memcmp(s, other, SIZE) < 0 ? s : other, SIZE);
	return cursor_ok(&w) ? 0 : -EBADMSG;
}
