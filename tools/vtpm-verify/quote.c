/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-verify/quote.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE_PART_MAX (2 + TPMALG_SIZE_MAX)
#define CLOCK_SIZE     17 /* TPMS_CLOCK_INFO */
#define FIRMWARE_SIZE  8

static struct quote_part quote_take_2b(struct cursor *c)
{
	size_t n = cursor_u16(c);

	if (n > QUOTE_PART_MAX)
		cursor_fail(c);
	return (struct quote_part){cursor_bytes(c, n), n};
}

/* TPMS_PCR_SELECTION; a bank that is named twice would be ambiguous. */
static void take_quote_bank(struct cursor *c, struct quote *q, size_t i)
{
	size_t n, k;

	q->bank[i].alg = tpmalg_find(cursor_u16(c));
	n = cursor_u8(c);
	if (!q->bank[i].alg || n > QUOTE_PCRS / 8)
		cursor_fail(c);
	for (k = 0; cursor_ok(c) && k < n; k++)
		q->bank[i].pcrs |= (uint32_t)cursor_u8(c) << 8 * k;
	for (k = 0; k < i; k++)
		if (q->bank[k].alg == q->bank[i].alg)
			cursor_fail(c);
}

int quote_parse(const uint8_t *buf, size_t len, struct quote *q)
{
	struct cursor c = cursor_reader(buf, len);
	uint32_t magic = cursor_u32(&c), banks, i;
	uint16_t type = cursor_u16(&c);

	memset(q, 0, sizeof(*q));
	q->signer = quote_take_2b(&c);
	q->extra = quote_take_2b(&c);
	(void)cursor_bytes(&c, CLOCK_SIZE + FIRMWARE_SIZE);
	banks = cursor_u32(&c);
	if (banks > QUOTE_BANKS || magic != TPM2_GENERATED_VALUE ||
	    type != TPM2_ST_ATTEST_QUOTE)
		cursor_fail(&c);
	for (i = 0; cursor_ok(&c) && i < banks; i++)
		take_quote_bank(&c, q, i);
	q->banks = cursor_ok(&c) ? banks : 0;
	q->digest = quote_take_2b(&c);
	return cursor_done(&c) ? 0 : -EBADMSG;
}

#define SIGNATURE_PART_MAX 512

static const uint8_t *signature_take_2b(struct cursor *c, size_t *len)
{
	*len = cursor_u16(c);
	if (!*len || *len > SIGNATURE_PART_MAX)
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
	s->first = signature_take_2b(&c, &s->first_len);
	if (s->scheme == TPM2_ALG_ECDSA)
		s->second = signature_take_2b(&c, &s->second_len);
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

static bool verify_quote(const struct signature *s, EVP_PKEY *key, const uint8_t *data,
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
		return verify_quote(s, by->key, data, len, s->first, s->first_len)
			       ? 0
			       : -EACCES;
	if (ecdsa_der(s, &der, &der_len))
		return -EACCES;
	good = verify_quote(s, by->key, data, len, der, der_len);
	OPENSSL_free(der);
	return good ? 0 : -EACCES;
}

#define KEY_BYTES_MAX  512 /* RSA-4096 */
#define COORDINATE_MAX 66  /* P-521 */

struct part {
	const uint8_t *p;
	size_t n;
};

static struct part public_take_2b(struct cursor *c, size_t max)
{
	size_t n = cursor_u16(c);

	if (n > max)
		cursor_fail(c);
	return (struct part){cursor_bytes(c, n), n};
}

/* TPMT_SYM_DEF_OBJECT+, Part 2, 11.1.7 */
static void skip_symmetric(struct cursor *c)
{
	if (cursor_u16(c) != TPM2_ALG_NULL) {
		(void)cursor_u16(c); /* bits */
		(void)cursor_u16(c); /* mode */
	}
}

/* TPMT_RSA_SCHEME+ or TPMT_ECC_SCHEME+, Part 2, 11.2.4.2 and 11.2.5.6 */
static void take_scheme(struct cursor *c, struct public *p)
{
	p->scheme = cursor_u16(c);
	if (p->scheme == TPM2_ALG_NULL || p->scheme == TPM2_ALG_RSAES)
		return;
	p->scheme_hash = cursor_u16(c);
	if (p->scheme == TPM2_ALG_ECDAA)
		(void)cursor_u16(c); /* count */
}

static int from_params(const char *type, OSSL_PARAM_BLD *b, EVP_PKEY **key)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	bool good = params && ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
		    EVP_PKEY_fromdata(ctx, key, EVP_PKEY_PUBLIC_KEY, params) > 0;

	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return good ? 0 : -EBADMSG;
}

static int rsa_key(struct part modulus, uint32_t exponent, EVP_PKEY **key)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL);
	int rc = -EBADMSG;

	if (b && n && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_ulong(b, OSSL_PKEY_PARAM_RSA_E,
				      exponent ? exponent : 65537))
		rc = from_params("RSA", b, key);
	BN_free(n);
	OSSL_PARAM_BLD_free(b);
	return rc;
}

static int parse_rsa(struct cursor *c, struct public *p)
{
	struct part modulus;
	uint32_t exponent;
	uint16_t bits;

	skip_symmetric(c);
	take_scheme(c, p);
	bits = cursor_u16(c);
	exponent = cursor_u32(c);
	modulus = public_take_2b(c, KEY_BYTES_MAX);
	if (!cursor_done(c) || bits < 2048 || modulus.n * 8 != bits)
		return -EBADMSG;
	return rsa_key(modulus, exponent, &p->key);
}

static const struct curve {
	uint16_t id;
	const char *group;
	size_t size;
} curves[] = {
	{TPM2_ECC_NIST_P256, "P-256", 32},
	{TPM2_ECC_NIST_P384, "P-384", 48},
	{TPM2_ECC_NIST_P521, "P-521", 66},
};

/* A coordinate may have lost its leading zeroes (Part 1, C.8). */
static int ecc_key(const struct curve *curve, struct part x, struct part y,
		   EVP_PKEY **key)
{
	uint8_t point[1 + 2 * COORDINATE_MAX] = {4};
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	int rc = -EBADMSG;

	if (x.n > curve->size || y.n > curve->size || !x.n || !y.n)
		goto out;
	memcpy(point + 1 + curve->size - x.n, x.p, x.n);
	memcpy(point + 1 + 2 * curve->size - y.n, y.p, y.n);
	if (b &&
	    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, curve->group,
					    0) &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point,
					     1 + 2 * curve->size))
		rc = from_params("EC", b, key);
out:
	OSSL_PARAM_BLD_free(b);
	return rc;
}

static int parse_ecc(struct cursor *c, struct public *p)
{
	struct part x, y;
	uint16_t curve;
	size_t i;

	skip_symmetric(c);
	take_scheme(c, p);
	curve = cursor_u16(c);
	if (cursor_u16(c) != TPM2_ALG_NULL) /* TPMT_KDF_SCHEME+ */
		(void)cursor_u16(c);
	x = public_take_2b(c, COORDINATE_MAX);
	y = public_take_2b(c, COORDINATE_MAX);
	if (!cursor_done(c))
		return -EBADMSG;
	for (i = 0; i < ARRAY_SIZE(curves); i++)
		if (curves[i].id == curve)
			return ecc_key(&curves[i], x, y, &p->key);
	return -EBADMSG;
}

/* nameAlg || H(publicArea), Part 1, 16.1 */
static int set_name(const struct public *p, const struct crypt_part *parts, size_t count,
		    uint8_t out[PUBLIC_NAME_MAX], size_t *len)
{
	out[0] = (uint8_t)(p->name_alg->id >> 8);
	out[1] = (uint8_t)p->name_alg->id;
	*len = 2 + p->name_alg->size;
	return tpmalg_hash(p->name_alg, parts, count, out + 2);
}

int public_parse(const uint8_t *buf, size_t len, struct public *p)
{
	struct cursor c = cursor_reader(buf, len);
	const struct crypt_part whole = {buf, len};

	memset(p, 0, sizeof(*p));
	p->type = cursor_u16(&c);
	p->name_alg = tpmalg_find(cursor_u16(&c));
	p->attributes = cursor_u32(&c);
	(void)public_take_2b(&c, TPMALG_SIZE_MAX); /* authPolicy */
	if (!cursor_ok(&c) || !p->name_alg ||
	    set_name(p, &whole, 1, p->name, &p->name_len))
		return -EBADMSG;
	if (p->type == TPM2_ALG_RSA)
		return parse_rsa(&c, p);
	return p->type == TPM2_ALG_ECC ? parse_ecc(&c, p) : -EBADMSG;
}

void public_free(struct public *p)
{
	EVP_PKEY_free(p->key);
	p->key = NULL;
}

int public_qualified(const struct public *p, uint32_t hierarchy,
		     uint8_t out[PUBLIC_NAME_MAX], size_t *len)
{
	const uint8_t handle[] = {(uint8_t)(hierarchy >> 24), (uint8_t)(hierarchy >> 16),
				  (uint8_t)(hierarchy >> 8), (uint8_t)hierarchy};
	const struct crypt_part parts[] = {{handle, sizeof(handle)},
					   {p->name, p->name_len}};

	return set_name(p, parts, ARRAY_SIZE(parts), out, len);
}

int public_spki_hash(const struct public *p, uint8_t out[CRYPT_HASH_SIZE])
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(p->key, &der);
	const struct crypt_part part = {der, n > 0 ? (size_t)n : 0};
	int rc = n > 0 ? crypt_sha256(&part, 1, out) : -EIO;

	OPENSSL_free(der);
	return rc;
}

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
