/* SPDX-License-Identifier: Apache-2.0 */
#include "attest_tpm.h"
#include "ek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CC_NV_READ	  0x14e
#define CC_POLICY_SECRET  0x151
#define CC_QUOTE	  0x158
#define CC_NV_READ_PUBLIC 0x169
#define CC_READ_PUBLIC	  0x173
#define CC_START_SESSION  0x176
#define CC_GET_CAPABILITY 0x17a
#define CC_PCR_READ	  0x17e
#define CC_CREATE_LOADED  0x191

#define ALG_SHA256 0x000b
#define ALG_NULL   0x0010
#define ALG_ECDSA  0x0018
#define ALG_ECC	   0x0023
#define P256	   0x0003

#define CAP_PCRS   5
#define SE_POLICY  1
#define NV_CHUNK   1024
#define NV_MAX	   8192
#define AUTH_EMPTY 4 /* TPM2B_SENSITIVE_CREATE without anything in it */

/* TPMA_OBJECT, Part 2, 8.3 */
#define AK_NEEDS    0x00050032u /* fixedTPM, fixedParent, origin, restricted, sign */
#define AK_DECRYPT  0x00020000u
#define AK_TEMPLATE (AK_NEEDS | 0x00000440u) /* userWithAuth, noDA */

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
	{.alg = 0x0004, .size = 20, .name = "sha1"},
	{.alg = ALG_SHA256, .size = 32, .name = "sha256"},
	{.alg = 0x000c, .size = 48, .name = "sha384"},
	{.alg = 0x000d, .size = 64, .name = "sha512"},
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
	command_begin(c, CC_GET_CAPABILITY);
	cursor_put_u32(&c->in, CAP_PCRS);
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

	command_begin(c, CC_PCR_READ);
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

/* Gives the session's handle. */
static int start_policy(struct command *c)
{
	static const uint8_t nonce[16];

	command_begin(c, CC_START_SESSION);
	c->gives_handle = true;
	cursor_put_u32(&c->in, COMMAND_RH_NULL);
	cursor_put_u32(&c->in, COMMAND_RH_NULL);
	cursor_put_u16(&c->in, sizeof(nonce));
	cursor_put(&c->in, nonce, sizeof(nonce));
	cursor_put_u16(&c->in, 0); /* no salt */
	cursor_put_u8(&c->in, SE_POLICY);
	cursor_put_u16(&c->in, ALG_NULL);
	cursor_put_u16(&c->in, ALG_SHA256);
	return command_run(c);
}

/* What the endorsement keys' policy asks for: EK Credential Profile, B.6 */
static int prove_endorsement(struct command *c, uint32_t session)
{
	command_begin(c, CC_POLICY_SECRET);
	cursor_put_u32(&c->in, COMMAND_RH_ENDORSEMENT);
	cursor_put_u32(&c->in, session);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, 0); /* nonceTPM */
	cursor_put_u16(&c->in, 0); /* cpHashA */
	cursor_put_u16(&c->in, 0); /* policyRef */
	cursor_put_u32(&c->in, 0); /* expiration */
	return command_run(c);
}

static void put_template(struct cursor *w)
{
	size_t mark = cursor_mark_u16(w);

	cursor_put_u16(w, ALG_ECC);
	cursor_put_u16(w, ALG_SHA256);
	cursor_put_u32(w, AK_TEMPLATE);
	cursor_put_u16(w, 0);	     /* authPolicy */
	cursor_put_u16(w, ALG_NULL); /* symmetric */
	cursor_put_u16(w, ALG_ECDSA);
	cursor_put_u16(w, ALG_SHA256);
	cursor_put_u16(w, P256);
	cursor_put_u16(w, ALG_NULL); /* kdf */
	cursor_put_u16(w, 0);
	cursor_put_u16(w, 0);
	cursor_patch_u16(w, mark);
}

/* TPM2_CreateLoaded uses the session up: its continueSession is clear. */
static int create_key(struct command *c, uint32_t parent, uint32_t session,
		      struct attest_quote *out)
{
	struct attest_bytes private;
	int rc;

	command_begin(c, CC_CREATE_LOADED);
	c->gives_handle = true;
	cursor_put_u32(&c->in, parent);
	command_session(c, session);
	cursor_put_u16(&c->in, AUTH_EMPTY);
	cursor_put_u32(&c->in, 0);
	put_template(&c->in);
	rc = command_run(c);
	if (rc)
		return rc;
	take_2b(&c->out, &private);
	take_2b(&c->out, &out->public);
	take_2b(&c->out, &out->name);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

/* An endorsement key and a session for as long as it takes to make a key below it. */
static int make_key(struct command *c, struct attest_quote *out, uint32_t *key)
{
	uint32_t parent, session, rc_tpm;
	int rc = ek_make(EK_P256, c);

	if (rc)
		return rc;
	parent = c->handle;
	rc = start_policy(c);
	session = c->handle;
	if (!rc) {
		rc = prove_endorsement(c, session);
		if (!rc)
			rc = create_key(c, parent, session, out);
		*key = c->handle;
		rc_tpm = c->rc;
		if (rc)
			(void)!ek_flush(c, session);
	} else {
		rc_tpm = c->rc;
	}
	(void)!ek_flush(c, parent);
	c->rc = rc_tpm;
	return rc;
}

static int quote(struct command *c, uint32_t key, const struct attest_banks *banks,
		 const uint8_t *nonce, size_t len, struct attest_quote *out)
{
	size_t i;
	int rc;

	command_begin(c, CC_QUOTE);
	cursor_put_u32(&c->in, key);
	command_auth(c, NULL, 0);
	cursor_put_u16(&c->in, (uint16_t)len);
	cursor_put(&c->in, nonce, len);
	cursor_put_u16(&c->in, ALG_NULL);
	cursor_put_u32(&c->in, (uint32_t)banks->n);
	for (i = 0; i < banks->n; i++)
		put_selection(&c->in, banks->bank[i].alg, banks->bank[i].pcrs);
	rc = command_run(c);
	if (rc)
		return rc;
	take_2b(&c->out, &out->quote);
	out->signature.n = cursor_left(&c->out);
	if (out->signature.n > sizeof(out->signature.p))
		return -EBADMSG;
	cursor_copy(&c->out, out->signature.p, out->signature.n);
	return cursor_ok(&c->out) ? 0 : -EBADMSG;
}

int attest_tpm_quote(struct command *c, const struct attest_banks *banks,
		     const uint8_t *nonce, size_t len, struct attest_quote *out)
{
	uint32_t key = 0, rc_tpm;
	int rc = make_key(c, out, &key);

	if (rc)
		return rc;
	rc = quote(c, key, banks, nonce, len, out);
	rc_tpm = c->rc;
	(void)!ek_flush(c, key);
	c->rc = rc_tpm;
	return rc;
}

int attest_tpm_vouch(struct command *c, uint32_t handle, struct attest_quote *out)
{
	struct cursor public;
	uint32_t attributes;
	int rc;

	command_begin(c, CC_READ_PUBLIC);
	cursor_put_u32(&c->in, handle);
	rc = command_run(c);
	if (rc)
		return rc;
	take_2b(&c->out, &out->public);
	take_2b(&c->out, &out->name);
	public = cursor_reader(out->public.p, out->public.n);
	(void)cursor_u32(&public); /* type, nameAlg */
	attributes = cursor_u32(&public);
	if (!cursor_ok(&c->out) || !cursor_ok(&public))
		return -EBADMSG;
	return (attributes & (AK_NEEDS | AK_DECRYPT)) == AK_NEEDS ? 0 : -EPERM;
}

/* TPMS_NV_PUBLIC, Part 2, 13.5: nvIndex, nameAlg, attributes, authPolicy, dataSize */
static size_t nv_size(struct command *c, uint32_t index)
{
	struct cursor public;

	command_begin(c, CC_NV_READ_PUBLIC);
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

	command_begin(c, CC_NV_READ);
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
