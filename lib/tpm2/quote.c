/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <string.h>

#define CLOCK_SIZE    17 /* TPMS_CLOCK_INFO */
#define FIRMWARE_SIZE 8

static struct tpm2_bytes quote_take_2b(struct cursor *c)
{
	struct tpm2_bytes b = tpm2_get_2b(c);

	if (b.n > TPM2_NAME_MAX)
		cursor_fail(c);
	return b;
}

/* TPMS_PCR_SELECTION; a bank that is named twice would be ambiguous. */
static void take_quote_bank(struct cursor *c, struct tpm2_attest *q, size_t i)
{
	uint16_t alg;
	size_t k;

	q->bank[i].pcrs = tpm2_get_selection(c, &alg);
	q->bank[i].alg = tpm2_hash_of(alg);
	if (!q->bank[i].alg)
		cursor_fail(c);
	for (k = 0; k < i; k++)
		if (q->bank[k].alg == q->bank[i].alg)
			cursor_fail(c);
}

int tpm2_attest_parse(const uint8_t *buf, size_t len, struct tpm2_attest *q)
{
	struct cursor c = cursor_reader(buf, len);
	uint32_t magic = cursor_u32(&c), banks, i;
	uint16_t type = cursor_u16(&c);

	memset(q, 0, sizeof(*q));
	q->signer = quote_take_2b(&c);
	q->extra = quote_take_2b(&c);
	(void)cursor_bytes(&c, CLOCK_SIZE + FIRMWARE_SIZE);
	banks = cursor_u32(&c);
	if (banks > TPM2_ATTEST_BANKS || magic != TPM2_GENERATED_VALUE ||
	    type != TPM2_ST_ATTEST_QUOTE)
		cursor_fail(&c);
	for (i = 0; cursor_ok(&c) && i < banks; i++)
		take_quote_bank(&c, q, i);
	q->banks = cursor_ok(&c) ? banks : 0;
	q->digest = quote_take_2b(&c);
	return cursor_done(&c) ? 0 : -EBADMSG;
}

bool tpm2_attest_fits(const struct tpm2_attest *q, const struct tpm2_hash *hash,
		      const struct tpm2_pcr_bank *bank, size_t banks)
{
	struct crypt_part parts[TPM2_ATTEST_BANKS * TPM2_PCRS];
	uint8_t digest[TPM2_HASH_MAX];
	size_t i, pcr, n = 0;

	if (q->banks != banks || !hash)
		return false;
	for (i = 0; i < banks; i++) {
		if (bank[i].alg != q->bank[i].alg || bank[i].pcrs != q->bank[i].pcrs)
			return false;
		for (pcr = 0; pcr < TPM2_PCRS; pcr++)
			if (bank[i].pcrs & 1u << pcr)
				parts[n++] = (struct crypt_part){bank[i].value[pcr],
								 bank[i].alg->size};
	}
	return !tpm2_digest(hash, parts, n, digest) && q->digest.n == hash->size &&
	       !memcmp(digest, q->digest.p, q->digest.n);
}

bool tpm2_key_attests(const struct tpm2_key *k)
{
	const uint32_t mask = TPM2_AK_ATTRIBUTES | TPMA_OBJECT_DECRYPT;

	return (k->area.attributes & mask) == TPM2_AK_ATTRIBUTES;
}

#define SIGNATURE_PART_MAX 512

static struct tpm2_bytes take_integer(struct cursor *c)
{
	struct tpm2_bytes b = tpm2_get_2b(c);

	if (!b.n || b.n > SIGNATURE_PART_MAX)
		cursor_fail(c);
	return b;
}

int tpm2_signature_parse(const uint8_t *buf, size_t len, struct tpm2_signature *s)
{
	struct cursor c = cursor_reader(buf, len);

	memset(s, 0, sizeof(*s));
	s->scheme = cursor_u16(&c);
	s->hash = tpm2_hash_of(cursor_u16(&c));
	if (s->scheme != TPM2_ALG_ECDSA && s->scheme != TPM2_ALG_RSASSA &&
	    s->scheme != TPM2_ALG_RSAPSS)
		return -EBADMSG;
	s->first = take_integer(&c);
	if (s->scheme == TPM2_ALG_ECDSA)
		s->second = take_integer(&c);
	return cursor_done(&c) && s->hash ? 0 : -EBADMSG;
}

/* OpenSSL wants SEQUENCE { r, s }. */
static int ecdsa_der(const struct tpm2_signature *s, unsigned char **der, size_t *len)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *first = BN_bin2bn(s->first.p, (int)s->first.n, NULL);
	BIGNUM *second = BN_bin2bn(s->second.p, (int)s->second.n, NULL);
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

static bool verify_quote(const struct tpm2_signature *s, EVP_PKEY *key,
			 const uint8_t *data, size_t data_len, const uint8_t *sig,
			 size_t sig_len)
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

bool tpm2_signature_one_form(const struct tpm2_signature *s, const struct tpm2_key *by)
{
	size_t size = ((size_t)EVP_PKEY_get_bits(by->key) + 7) / 8;
	BIGNUM *order = NULL, *second;
	bool good;

	if (s->scheme != TPM2_ALG_ECDSA)
		return true;
	second = BN_bin2bn(s->second.p, (int)s->second.n, NULL);
	good = s->first.n == size && s->second.n == size && second &&
	       EVP_PKEY_get_bn_param(by->key, OSSL_PKEY_PARAM_EC_ORDER, &order) > 0 &&
	       BN_rshift1(order, order) && BN_cmp(second, order) <= 0;
	BN_free(order);
	BN_free(second);
	return good;
}

int tpm2_signature_verify(const struct tpm2_signature *s, const struct tpm2_key *by,
			  const uint8_t *data, size_t len)
{
	uint16_t wanted = s->scheme == TPM2_ALG_ECDSA ? TPM2_ALG_ECC : TPM2_ALG_RSA;
	unsigned char *der = NULL;
	size_t der_len;
	bool good;

	if (by->area.type != wanted || s->hash->id == TPM2_ALG_SHA ||
	    (by->area.scheme != TPM2_ALG_NULL &&
	     (by->area.scheme != s->scheme || by->area.scheme_hash != s->hash->id)))
		return -EACCES;
	if (s->scheme != TPM2_ALG_ECDSA)
		return verify_quote(s, by->key, data, len, s->first.p, s->first.n)
			       ? 0
			       : -EACCES;
	if (ecdsa_der(s, &der, &der_len))
		return -EACCES;
	good = verify_quote(s, by->key, data, len, der, der_len);
	OPENSSL_free(der);
	return good ? 0 : -EACCES;
}

int tpm2_key_parse(const uint8_t *buf, size_t len, struct tpm2_key *k)
{
	memset(k, 0, sizeof(*k));
	if (tpm2_public_parse(buf, len, &k->area) ||
	    tpm2_public_name(&k->area, k->name, &k->name_len))
		return -EBADMSG;
	k->key = tpm2_public_key(&k->area);
	return k->key ? 0 : -EBADMSG;
}

void tpm2_key_free(struct tpm2_key *k)
{
	EVP_PKEY_free(k->key);
	k->key = NULL;
}

#define P256_SIZE 32

/* n, the order of P-256's base point: FIPS 186-4, D.1.2.3 */
static const uint8_t order[P256_SIZE] = {
	0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
	0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* A TPM2B of at most P256_SIZE bytes, or with zeroes before them, as P256_SIZE bytes. */
static void take_padded(struct cursor *c, uint8_t out[P256_SIZE])
{
	static const uint8_t zero[P256_SIZE];
	size_t n = cursor_u16(c);
	const uint8_t *p = cursor_bytes(c, n);

	memset(out, 0, P256_SIZE);
	if (!cursor_ok(c))
		return;
	while (n && !*p) {
		p++;
		n--;
	}
	if (n > P256_SIZE) {
		cursor_fail(c);
		return;
	}
	if (n)
		memcpy(out + P256_SIZE - n, p, n);
	if (!memcmp(out, zero, P256_SIZE) || memcmp(out, order, P256_SIZE) >= 0)
		cursor_fail(c);
}

/* out = n - s */
static void negate(const uint8_t s[P256_SIZE], uint8_t out[P256_SIZE])
{
	unsigned int borrow = 0, i, d;

	for (i = P256_SIZE; i-- > 0;) {
		d = 0x100u + order[i] - s[i] - borrow;
		out[i] = (uint8_t)d;
		borrow = d < 0x100u;
	}
}

int tpm2_ecdsa_p256(const uint8_t *signature, size_t len, uint8_t out[TPM2_ECDSA_P256])
{
	struct cursor c = cursor_reader(signature, len);
	struct cursor w = cursor_writer(out, TPM2_ECDSA_P256);
	uint8_t r[P256_SIZE], s[P256_SIZE], other[P256_SIZE];
	uint16_t scheme = cursor_u16(&c), hash = cursor_u16(&c);

	take_padded(&c, r);
	take_padded(&c, s);
	if (!cursor_done(&c) || scheme != TPM2_ALG_ECDSA)
		return -EBADMSG;
	negate(s, other);
	cursor_put_u16(&w, scheme);
	cursor_put_u16(&w, hash);
	cursor_put_u16(&w, P256_SIZE);
	cursor_put(&w, r, P256_SIZE);
	cursor_put_u16(&w, P256_SIZE);
	cursor_put(&w, memcmp(s, other, P256_SIZE) < 0 ? s : other, P256_SIZE);
	return cursor_ok(&w) ? 0 : -EBADMSG;
}
