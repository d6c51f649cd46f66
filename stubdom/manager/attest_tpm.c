/* SPDX-License-Identifier: Apache-2.0 */
#include "attest_tpm.h"
#include "ek.h"
#include "lib/ecdsa.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#define NV_CHUNK   1024
#define NV_MAX	   8192
#define AUTH_EMPTY 4 /* TPM2B_SENSITIVE_CREATE without anything in it */

/* TPMA_OBJECT, Part 2, 8.3: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA,
 * restricted, sign */
#define AK_ATTRIBUTES 0x00050472u

static void take_2b(struct cursor *c, struct attest_bytes *out)
{
	out->n = cursor_u16(c);
	if (out->n > sizeof(out->p)) {
		cursor_fail(c);
		out->n = 0;
	}
	cursor_copy(c, out->p, out->n);
}

static const struct attest_bank known[ATTEST_BANKS] = {
	{.alg = TPM2_ALG_SHA, .size = 20, .name = "sha1"},
	{.alg = TPM2_ALG_SHA256, .size = 32, .name = "sha256"},
	{.alg = TPM2_ALG_SHA384, .size = 48, .name = "sha384"},
	{.alg = TPM2_ALG_SHA512, .size = 64, .name = "sha512"},
};

/* TPMS_PCR_SELECTION, Part 2, 10.6.2 */
static uint32_t take_selection(struct cursor *c, uint16_t *alg)
{
	uint32_t pcrs = 0;
	unsigned int i, n;

	*alg = cursor_u16(c);
	n = cursor_u8(c);
	for (i = 0; i < n && cursor_ok(c); i++) {
		uint8_t bits = cursor_u8(c);

		if (i < ATTEST_PCRS / 8)
			pcrs |= (uint32_t)bits << 8 * i;
	}
	return pcrs;
}

static void add_bank(struct attest_banks *out, uint16_t alg, uint32_t pcrs)
{
	size_t i;

	for (i = 0; pcrs && i < ATTEST_BANKS && out->n < ATTEST_BANKS; i++)
		if (known[i].alg == alg) {
			out->bank[out->n] = known[i];
			out->bank[out->n++].pcrs = pcrs;
		}
}

int attest_tpm_banks(struct command *c, uint32_t pcrs, struct attest_banks *out)
{
	uint32_t n, i, has;
	uint16_t alg;
	int rc;

	out->n = 0;
	command_begin(c, TPM2_CC_GetCapability);
	cursor_put_u32(&c->in, TPM2_CAP_PCRS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, 1);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_bytes(&c->out, 1 + 4); /* moreData, capability */
	n = cursor_u32(&c->out);
	for (i = 0; i < n && cursor_ok(&c->out); i++) {
		has = take_selection(&c->out, &alg);
		add_bank(out, alg, has & pcrs);
	}
	return cursor_ok(&c->out) && out->n ? 0 : -EBADMSG;
}

static void put_selection(struct cursor *w, uint16_t alg, uint32_t pcrs)
{
	unsigned int i;

	cursor_put_u16(w, alg);
	cursor_put_u8(w, ATTEST_PCRS / 8);
	for (i = 0; i < ATTEST_PCRS / 8; i++)
		cursor_put_u8(w, (uint8_t)(pcrs >> 8 * i));
}

int attest_tpm_pcr(struct command *c, const struct attest_bank *b, unsigned int pcr)
{
	uint16_t alg;
	int rc;

	command_begin(c, TPM2_CC_PCR_Read);
	cursor_put_u32(&c->in, 1);
	put_selection(&c->in, b->alg, 1u << pcr);
	rc = command_run(c);
	if (rc)
		return rc;
	(void)cursor_u32(&c->out); /* pcrUpdateCounter */
	if (cursor_u32(&c->out) != 1 || take_selection(&c->out, &alg) != 1u << pcr ||
	    cursor_u32(&c->out) != 1 || cursor_u16(&c->out) != b->size ||
	    cursor_left(&c->out) < b->size)
		return -EBADMSG;
	return 0;
}

/* Each change of a byte here makes another key of every vTPM. */
static void put_template(struct cursor *w)
{
	size_t mark = cursor_mark_u16(w);

	cursor_put_u16(w, TPM2_ALG_ECC);
	cursor_put_u16(w, TPM2_ALG_SHA256);
	cursor_put_u32(w, AK_ATTRIBUTES);
	cursor_put_u16(w, 0);		  /* authPolicy */
	cursor_put_u16(w, TPM2_ALG_NULL); /* symmetric */
	cursor_put_u16(w, TPM2_ALG_ECDSA);
	cursor_put_u16(w, TPM2_ALG_SHA256);
	cursor_put_u16(w, TPM2_ECC_NIST_P256);
	cursor_put_u16(w, TPM2_ALG_NULL); /* kdf */
	cursor_put_u16(w, 0);
	cursor_put_u16(w, 0);
	cursor_patch_u16(w, mark);
}

/* TPM2_CreatePrimary, Part 3, 24.1: c->handle is the key. */
static int make_key(struct command *c, const struct firmware *f, struct attest_quote *out)
{
	int rc;

	command_begin(c, TPM2_CC_CreatePrimary);
	c->gives_handle = true;
	cursor_put_u32(&c->in, TPM2_RH_PLATFORM);
	command_auth(c, f->platform_auth, f->platform_auth_len);
	cursor_put_u16(&c->in, AUTH_EMPTY);
	cursor_put_u32(&c->in, 0);
	put_template(&c->in);
	cursor_put_u16(&c->in, 0); /* outsideInfo */
	cursor_put_u32(&c->in, 0); /* creationPCR */
	rc = command_run(c);
	OPENSSL_cleanse(c->cmd, sizeof(c->cmd));
	if (rc)
		return rc;
	take_2b(&c->out, &out->public);
	(void)cursor_bytes(&c->out, cursor_u16(&c->out)); /* creationData */
	(void)cursor_bytes(&c->out, cursor_u16(&c->out)); /* creationHash */
	(void)cursor_bytes(&c->out, 2 + 4); /* creationTicket: tag, hierarchy */
	(void)cursor_bytes(&c->out, cursor_u16(&c->out));
	take_2b(&c->out, &out->name);
	if (cursor_ok(&c->out))
		return 0;
	(void)!ek_flush(c, c->handle);
	return -EBADMSG;
}

static int quote(struct command *c, uint32_t key, const struct attest_banks *banks,
		 const uint8_t *nonce, size_t len, struct attest_quote *out)
{
	size_t i, left;
	int rc;

	command_begin(c, TPM2_CC_Quote);
	cursor_put_u32(&c->in, key);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, (uint16_t)len);
	cursor_put(&c->in, nonce, len);
	cursor_put_u16(&c->in, TPM2_ALG_NULL);
	cursor_put_u32(&c->in, (uint32_t)banks->n);
	for (i = 0; i < banks->n; i++)
		put_selection(&c->in, banks->bank[i].alg, banks->bank[i].pcrs);
	rc = command_run(c);
	if (rc)
		return rc;
	take_2b(&c->out, &out->quote);
	left = cursor_left(&c->out);
	out->signature.n = ECDSA_P256;
	return ecdsa_p256(cursor_bytes(&c->out, left), left, out->signature.p);
}

int attest_tpm_quote(struct command *c, const struct firmware *f,
		     const struct attest_banks *banks, const uint8_t *nonce, size_t len,
		     struct attest_quote *out)
{
	uint32_t key, rc_tpm;
	int rc = make_key(c, f, out);

	if (rc)
		return rc;
	key = c->handle;
	rc = quote(c, key, banks, nonce, len, out);
	rc_tpm = c->rc;
	(void)!ek_flush(c, key);
	c->rc = rc_tpm;
	return rc;
}

/* TPMS_NV_PUBLIC, Part 2, 13.5: nvIndex, nameAlg, attributes, authPolicy, dataSize */
static size_t nv_size(struct command *c, uint32_t index)
{
	struct cursor public;

	command_begin(c, TPM2_CC_NV_ReadPublic);
	cursor_put_u32(&c->in, index);
	if (command_run(c))
		return 0;
	public = cursor_sub(&c->out, cursor_u16(&c->out));
	(void)cursor_bytes(&public, 4 + 2 + 4);
	(void)cursor_bytes(&public, cursor_u16(&public));
	return cursor_u16(&public);
}

static int nv_read(struct command *c, uint32_t index, uint8_t *to, size_t at, size_t n)
{
	int rc;

	command_begin(c, TPM2_CC_NV_Read);
	cursor_put_u32(&c->in, index);
	cursor_put_u32(&c->in, index);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, (uint16_t)n);
	cursor_put_u16(&c->in, (uint16_t)at);
	rc = command_run(c);
	if (!rc && cursor_u16(&c->out) != n)
		rc = -EBADMSG;
	if (!rc)
		cursor_copy(&c->out, to, n);
	return rc;
}

uint8_t *attest_tpm_nv(struct command *c, uint32_t index, size_t *len)
{
	size_t at, n, size = nv_size(c, index);
	uint8_t *bytes = size && size <= NV_MAX ? malloc(size) : NULL;

	for (at = 0; bytes && at < size; at += n) {
		n = size - at < NV_CHUNK ? size - at : NV_CHUNK;
		if (nv_read(c, index, bytes + at, at, n)) {
			free(bytes);
			bytes = NULL;
		}
	}
	*len = size;
	return bytes;
}
