/* SPDX-License-Identifier: Apache-2.0 */
#include "ek.h"
#include "lib/tpm2/types.h"

#include <errno.h>

/* fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt;
 * the high range has userWithAuth, too */
#define LOW_ATTRIBUTES	0x000300b2u
#define HIGH_ATTRIBUTES 0x000300f2u

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

static const struct template
{
	uint16_t type, name_alg;
	uint32_t attributes;
	const uint8_t *policy;
	uint16_t policy_len;
	uint16_t aes_bits;
	uint16_t size;	/* key bits, or curve */
	uint16_t nonce; /* zeroes in each field of unique */
}
templates[EK_KINDS] = {
	[EK_P256] = {TPM2_ALG_ECC, TPM2_ALG_SHA256, LOW_ATTRIBUTES, policy_a, 32, 128, 3,
		     32},
	[EK_RSA2048] = {TPM2_ALG_RSA, TPM2_ALG_SHA256, LOW_ATTRIBUTES, policy_a, 32, 128,
			2048, 256},
	[EK_P384] = {TPM2_ALG_ECC, TPM2_ALG_SHA384, HIGH_ATTRIBUTES, policy_b, 48, 256, 4,
		     0},
};

static void put_zeroes(struct cursor *w, uint16_t n)
{
	static const uint8_t zeroes[256];

	cursor_put_u16(w, n);
	cursor_put(w, zeroes, n);
}

/* TPMT_PUBLIC, Part 2, 12.2.4 */
static void put_ek_template(struct cursor *w, const struct template *t)
{
	cursor_put_u16(w, t->type);
	cursor_put_u16(w, t->name_alg);
	cursor_put_u32(w, t->attributes);
	cursor_put_u16(w, t->policy_len);
	cursor_put(w, t->policy, t->policy_len);
	cursor_put_u16(w, TPM2_ALG_AES);
	cursor_put_u16(w, t->aes_bits);
	cursor_put_u16(w, TPM2_ALG_CFB);
	cursor_put_u16(w, TPM2_ALG_NULL); /* scheme */
	cursor_put_u16(w, t->size);
	if (t->type == TPM2_ALG_RSA) {
		cursor_put_u32(w, 0); /* exponent: 65537 */
	} else {
		cursor_put_u16(w, TPM2_ALG_NULL); /* kdf */
		put_zeroes(w, t->nonce);	  /* x; then y */
	}
	put_zeroes(w, t->nonce);
}

int ek_create_primary(enum ek which, struct command *c)
{
	size_t mark;

	command_begin(c, TPM2_CC_CreatePrimary);
	c->gives_handle = true;
	cursor_put_u32(&c->in, TPM2_RH_ENDORSEMENT);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, 4); /* inSensitive: no userAuth, no data */
	cursor_put_u32(&c->in, 0);
	mark = cursor_mark_u16(&c->in);
	put_ek_template(&c->in, &templates[which]);
	cursor_patch_u16(&c->in, mark);
	cursor_put_u16(&c->in, 0); /* outsideInfo */
	cursor_put_u32(&c->in, 0); /* creationPCR */
	return command_run(c);
}

int ek_flush(struct command *c, uint32_t handle)
{
	command_begin(c, TPM2_CC_FlushContext);
	cursor_put_u32(&c->in, handle);
	return command_run(c);
}

int ek_evict_control(struct command *c, uint32_t handle, uint32_t persistent)
{
	command_begin(c, TPM2_CC_EvictControl);
	cursor_put_u32(&c->in, TPM2_RH_OWNER);
	cursor_put_u32(&c->in, handle);
	command_auth(c, NULL, 0);
	cursor_put_u32(&c->in, persistent);
	return command_run(c);
}

int ek_read_public(struct command *c, uint32_t handle)
{
	int rc;

	command_begin(c, TPM2_CC_ReadPublic);
	cursor_put_u32(&c->in, handle);
	rc = command_run(c);
	return rc == -EREMOTEIO ? 0 : rc ? rc : 1;
}
