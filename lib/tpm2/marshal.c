/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/marshal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

struct tpm2_bytes tpm2_get_2b(struct cursor *c)
{
	size_t n = cursor_u16(c);
	const uint8_t *p = cursor_bytes(c, n);

	return (struct tpm2_bytes){p, p ? n : 0};
}

void tpm2_put_2b(struct cursor *c, struct tpm2_bytes b)
{
	if (b.n > UINT16_MAX)
		cursor_fail(c);
	cursor_put_u16(c, (uint16_t)b.n);
	if (b.n)
		cursor_put(c, b.p, b.n);
}

int tpm2_name(struct tpm2_bytes public, uint8_t name[TPM2_NAME_SIZE])
{
	const struct crypt_part part = {public.p, public.n};
	struct cursor c = cursor_reader(public.p, public.n);
	struct cursor out = cursor_writer(name, 2);

	(void)cursor_u16(&c); /* type */
	if (cursor_u16(&c) != TPM2_ALG_SHA256)
		return -EINVAL;
	cursor_put_u16(&out, TPM2_ALG_SHA256);
	return crypt_sha256(&part, 1, name + 2);
}

const struct tpm2_hash tpm2_hashes[] = {
	{TPM2_ALG_SHA, 20, "sha1"},	     {TPM2_ALG_SHA256, 32, "sha256"},
	{TPM2_ALG_SHA384, 48, "sha384"},     {TPM2_ALG_SHA512, 64, "sha512"},
	{TPM2_ALG_SHA3_256, 32, "sha3-256"}, {TPM2_ALG_SHA3_384, 48, "sha3-384"},
	{TPM2_ALG_SHA3_512, 64, "sha3-512"}, {TPM2_ALG_SM3_256, 32, "sm3"},
};

const struct tpm2_hash *tpm2_hash_of(uint16_t id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tpm2_hashes); i++)
		if (tpm2_hashes[i].id == id)
			return &tpm2_hashes[i];
	return NULL;
}

const struct tpm2_hash *tpm2_hash_named(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tpm2_hashes); i++)
		if (!strcmp(tpm2_hashes[i].name, name))
			return &tpm2_hashes[i];
	return NULL;
}

int tpm2_digest(const struct tpm2_hash *hash, const struct crypt_part *parts,
		size_t count, uint8_t *out)
{
	const EVP_MD *md = EVP_get_digestbyname(hash->name);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = md && ctx && EVP_DigestInit_ex(ctx, md, NULL);
	size_t i;

	for (i = 0; good && i < count; i++)
		good = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n);
	good = good && EVP_DigestFinal_ex(ctx, out, NULL);
	EVP_MD_CTX_free(ctx);
	return good ? 0 : -EIO;
}

void tpm2_put_selection(struct cursor *c, uint16_t alg, uint32_t pcrs)
{
	unsigned int i;

	cursor_put_u16(c, alg);
	cursor_put_u8(c, TPM2_PCRS / 8);
	for (i = 0; i < TPM2_PCRS / 8; i++)
		cursor_put_u8(c, (uint8_t)(pcrs >> 8 * i));
}

uint32_t tpm2_get_selection(struct cursor *c, uint16_t *alg)
{
	uint32_t pcrs = 0;
	unsigned int i, n;

	*alg = cursor_u16(c);
	n = cursor_u8(c);
	if (n > TPM2_PCRS / 8)
		cursor_fail(c);
	for (i = 0; cursor_ok(c) && i < n; i++)
		pcrs |= (uint32_t)cursor_u8(c) << 8 * i;
	return pcrs;
}

void tpm2_put_template(struct cursor *w, const struct tpm2_template *t)
{
	cursor_put_u16(w, t->type);
	cursor_put_u16(w, t->name_alg);
	cursor_put_u32(w, t->attributes);
	tpm2_put_2b(w, t->policy);
	if (t->aes_bits) {
		cursor_put_u16(w, TPM2_ALG_AES);
		cursor_put_u16(w, t->aes_bits);
		cursor_put_u16(w, TPM2_ALG_CFB);
	} else if (t->type != TPM2_ALG_KEYEDHASH) {
		cursor_put_u16(w, TPM2_ALG_NULL);
	}
	if (t->hmac)
		cursor_put_u16(w, TPM2_ALG_HMAC);
	else
		cursor_put_u16(w, t->ecdsa ? TPM2_ALG_ECDSA : TPM2_ALG_NULL);
	if (t->ecdsa || t->hmac)
		cursor_put_u16(w, t->hmac ? t->hmac : t->ecdsa);
	if (t->type != TPM2_ALG_KEYEDHASH)
		cursor_put_u16(w, t->size);
	if (t->type == TPM2_ALG_RSA)
		cursor_put_u32(w, 0); /* exponent: 65537 */
	if (t->type == TPM2_ALG_ECC)
		cursor_put_u16(w, TPM2_ALG_NULL); /* kdf */
	tpm2_put_2b(w, t->x);
	if (t->type == TPM2_ALG_ECC)
		tpm2_put_2b(w, t->y);
}

void tpm2_put_public(struct cursor *w, const struct tpm2_template *t)
{
	size_t mark = cursor_mark_u16(w);

	tpm2_put_template(w, t);
	cursor_patch_u16(w, mark);
}

/* The high range has userWithAuth, too. */
#define EK_ATTRIBUTES                                                    \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |                \
	 TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY | \
	 TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

/* PolicySecret(TPM_RH_ENDORSEMENT), SHA-256: B.6 */
static const uint8_t policy_a[32] = {
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
	0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
	0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
};

/* That, or what the NV index 0x01c07f02 says, SHA-384: B.6 */
static const uint8_t policy_b[48] = {
	0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc,
	0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4,
	0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09,
	0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
};

static const uint8_t zeroes[256];

const struct tpm2_template tpm2_eks[TPM2_EKS] = {
	[TPM2_EK_P256] = {.type = TPM2_ALG_ECC,
			  .name_alg = TPM2_ALG_SHA256,
			  .attributes = EK_ATTRIBUTES,
			  .policy = {policy_a, sizeof(policy_a)},
			  .aes_bits = 128,
			  .size = TPM2_ECC_NIST_P256,
			  .x = {zeroes, 32},
			  .y = {zeroes, 32}},
	[TPM2_EK_RSA2048] = {.type = TPM2_ALG_RSA,
			     .name_alg = TPM2_ALG_SHA256,
			     .attributes = EK_ATTRIBUTES,
			     .policy = {policy_a, sizeof(policy_a)},
			     .aes_bits = 128,
			     .size = 2048,
			     .x = {zeroes, 256}},
	[TPM2_EK_P384] = {.type = TPM2_ALG_ECC,
			  .name_alg = TPM2_ALG_SHA384,
			  .attributes = EK_ATTRIBUTES | TPMA_OBJECT_USERWITHAUTH,
			  .policy = {policy_b, sizeof(policy_b)},
			  .aes_bits = 256,
			  .size = TPM2_ECC_NIST_P384},
};

const struct tpm2_template tpm2_attestation_key = {
	.type = TPM2_ALG_ECC,
	.name_alg = TPM2_ALG_SHA256,
	.attributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
		      TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
		      TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
		      TPMA_OBJECT_SIGN_ENCRYPT,
	.ecdsa = TPM2_ALG_SHA256,
	.size = TPM2_ECC_NIST_P256,
};

const struct tpm2_cert tpm2_certs[TPM2_CERTS] = {
	[TPM2_CERT_RSA2048] = {0x01c00002, "01c00002", "rsa2048"},
	[TPM2_CERT_P256] = {0x01c0000a, "01c0000a", "ecc-p256"},
	[TPM2_CERT_P384] = {0x01c00016, "01c00016", "ecc-p384"},
	[TPM2_CERT_PLATFORM] = {0x01c08000, "01c08000", NULL},
};
