/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm_call.h"
#include "lib/tpmbusy.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>

static const struct {
	TPM2_CC code;
	const char *name;
} commands[] = {
	{TPM2_CC_PolicyNV, "PolicyNV"},
	{TPM2_CC_Create, "Create"},
	{TPM2_CC_Load, "Load"},
	{TPM2_CC_Unseal, "Unseal"},
	{TPM2_CC_FlushContext, "FlushContext"},
	{TPM2_CC_LoadExternal, "LoadExternal"},
	{TPM2_CC_PolicyAuthorize, "PolicyAuthorize"},
	{TPM2_CC_PolicyAuthValue, "PolicyAuthValue"},
	{TPM2_CC_ReadPublic, "ReadPublic"},
	{TPM2_CC_StartAuthSession, "StartAuthSession"},
	{TPM2_CC_VerifySignature, "VerifySignature"},
	{TPM2_CC_GetRandom, "GetRandom"},
	{TPM2_CC_PCR_Read, "PCR_Read"},
	{TPM2_CC_PolicyPCR, "PolicyPCR"},
	{TPM2_CC_PolicyGetDigest, "PolicyGetDigest"},
};

/* Part 2, 6.6; a format-one code is given without the number of what it is about. */
static const struct {
	uint32_t code;
	const char *words;
} codes[] = {
	{0x082, "attributes that do not fit"},
	{0x084, "a value out of range"},
	{0x08b, "no such handle"},
	{0x08e, "the authorization value is wrong"},
	{0x095, "a structure of the wrong size"},
	{0x09b, "the signature is not valid"},
	{0x09d, "the policy is not satisfied"},
	{0x09f, "the object was not made under this storage key, or was altered"},
	{0x0a0, "the ticket is not valid"},
	{0x0a2, "the authorization is wrong"},
	{0x100, "the TPM was not started"},
	{0x101, "the TPM is in failure mode"},
	{0x128, "the PCRs changed meanwhile"},
	{0x143, "the TPM does not know the command"},
	{0x921, "the TPM is locked out after wrong authorizations"},
};

static const char *command_name(TPM2_CC code)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].code == code)
			return commands[i].name;
	return "?";
}

static const char *code_words(uint32_t code)
{
	size_t i;

	if (code & 0x80) /* format one: 0x80 and six bits of error number */
		code &= 0xbf;
	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].words;
	return "see Part 2, 6.6 of the TPM's specification";
}

void hosttpm_call_begin(struct hosttpm_call *call, TPM2_CC code)
{
	memset(call, 0, sizeof(*call));
	call->code = code;
	call->in = cursor_writer(call->params, sizeof(call->params));
}

void hosttpm_call_handle(struct hosttpm_call *call, uint32_t handle, const uint8_t *name)
{
	if (call->handles == HOSTTPM_HANDLES_MAX) {
		cursor_fail(&call->in);
		return;
	}
	call->handle[call->handles].handle = handle;
	call->handle[call->handles++].name = name;
}

int hosttpm_call_nonsense(const struct hosttpm_call *call, struct error *e)
{
	return error_set(
		e, -EBADMSG, CAUSE_TPM_REFUSED,
		"the host's TPM answered TPM2_%s with something that is malformed "
		"or not authentic: something between this vTPM and the TPM "
		"alters what they say",
		command_name(call->code));
}

/* The first parameter is a TPM2B: encrypts or decrypts its content. */
static int crypt_first(struct hosttpm_call *call, bool command, uint8_t *params,
		       size_t len)
{
	struct cursor c = cursor_reader(params, len);
	uint16_t n = cursor_u16(&c);

	if (!cursor_bytes(&c, n))
		return -EBADMSG;
	return hosttpm_session_crypt(call->session, command, params + 2, n);
}

/* Part 1, 16.7: cpHash = H(commandCode || Names || parameters) */
static int command_hash(const struct hosttpm_call *call, uint8_t hash[CRYPT_HASH_SIZE])
{
	uint8_t head[4 + HOSTTPM_HANDLES_MAX * HOSTTPM_NAME_SIZE];
	struct cursor c = cursor_writer(head, sizeof(head));
	struct crypt_part parts[] = {{head, 0}, {call->params, call->in.pos}};
	size_t i;

	cursor_put_u32(&c, call->code);
	for (i = 0; i < call->handles; i++)
		if (call->handle[i].name)
			cursor_put(&c, call->handle[i].name, HOSTTPM_NAME_SIZE);
		else
			cursor_put_u32(&c, call->handle[i].handle);
	parts[0].n = c.pos;
	return cursor_ok(&c) ? crypt_sha256(parts, ARRAY_SIZE(parts), hash) : -EMSGSIZE;
}

static int put_authorization(struct hosttpm_call *call, struct cursor *c)
{
	struct hosttpm_session *s = call->session;
	uint8_t hash[CRYPT_HASH_SIZE], hmac[CRYPT_HASH_SIZE];
	size_t mark, i;
	int rc;

	rc = hosttpm_session_next(s);
	if (!rc && call->attributes & TPMA_SESSION_DECRYPT)
		rc = crypt_first(call, true, call->params, call->in.pos);
	if (!rc)
		rc = command_hash(call, hash);
	if (!rc)
		rc = hosttpm_session_hmac(s, true, hash, call->attributes, hmac);
	if (rc)
		return rc;
	for (i = 0; i < call->handles; i++)
		cursor_put_u32(c, call->handle[i].handle);
	mark = cursor_mark_u32(c);
	cursor_put_u32(c, s->handle);
	cursor_put_u16(c, sizeof(s->ours));
	cursor_put(c, s->ours, sizeof(s->ours));
	cursor_put_u8(c, call->attributes);
	cursor_put_u16(c, sizeof(hmac));
	cursor_put(c, hmac, sizeof(hmac));
	cursor_patch_u32(c, mark);
	return 0;
}

/* Writes the command to call->wire; *len is its length. */
static int build(struct hosttpm_call *call, size_t *len)
{
	struct cursor c = cursor_writer(call->wire, sizeof(call->wire)), size;
	int rc = 0;

	cursor_put_u16(&c, call->session ? TPM2_ST_SESSIONS : TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&c, 0);
	cursor_put_u32(&c, call->code);
	if (call->session)
		rc = put_authorization(call, &c);
	if (rc)
		return rc;
	cursor_put(&c, call->params, call->in.pos);
	if (!cursor_ok(&c) || !cursor_ok(&call->in))
		return -EMSGSIZE;
	size = cursor_writer(call->wire + 2, 4);
	cursor_put_u32(&size, (uint32_t)c.pos);
	*len = c.pos;
	return 0;
}

static int response_hash(const struct hosttpm_call *call, const uint8_t *params,
			 size_t len, uint8_t hash[CRYPT_HASH_SIZE])
{
	uint8_t head[8];
	struct cursor c = cursor_writer(head, sizeof(head));
	const struct crypt_part parts[] = {{head, sizeof(head)}, {params, len}};

	cursor_put_u32(&c, 0); /* only a success carries sessions */
	cursor_put_u32(&c, call->code);
	return crypt_sha256(parts, ARRAY_SIZE(parts), hash);
}

/* Parameters and the session's answer; call->out gets the verified, decrypted
 * parameters. */
static int parse_authorized(struct hosttpm_call *call, struct cursor *c)
{
	uint32_t n = cursor_u32(c);
	const uint8_t *params = cursor_bytes(c, n), *nonce, *hmac;
	uint8_t hash[CRYPT_HASH_SIZE], attributes;
	uint16_t nonce_len, hmac_len;
	int rc;

	nonce_len = cursor_u16(c);
	nonce = cursor_bytes(c, nonce_len);
	attributes = cursor_u8(c);
	hmac_len = cursor_u16(c);
	hmac = cursor_bytes(c, hmac_len);
	if (!cursor_done(c) || nonce_len != HOSTTPM_NONCE_SIZE ||
	    hmac_len != CRYPT_HASH_SIZE || attributes != call->attributes)
		return -EBADMSG;
	rc = response_hash(call, params, n, hash);
	if (!rc)
		rc = hosttpm_session_answer(call->session, nonce, hash, attributes, hmac);
	/* the bytes lie in call->wire, which is ours to write */
	if (!rc && attributes & TPMA_SESSION_ENCRYPT)
		rc = crypt_first(call, false, (uint8_t *)params, n);
	call->out = cursor_reader(params, n);
	return rc;
}

static int parse(struct hosttpm_call *call, size_t len)
{
	struct cursor c = cursor_reader(call->wire, len);
	uint16_t tag = cursor_u16(&c);
	uint32_t size = cursor_u32(&c);

	call->code_returned = cursor_u32(&c);
	if (!cursor_ok(&c) || size != len)
		return -EBADMSG;
	if (call->code_returned)
		return -EREMOTEIO;
	if (tag != (call->session ? TPM2_ST_SESSIONS : TPM2_ST_NO_SESSIONS))
		return -EBADMSG;
	if (call->gives_handle)
		call->handle_returned = cursor_u32(&c);
	if (!cursor_ok(&c))
		return -EBADMSG;
	if (call->session)
		return parse_authorized(call, &c);
	call->out = cursor_sub(&c, cursor_left(&c));
	return 0;
}

static int transport_failed(const struct hosttpm_call *call, int rc, struct error *e)
{
	/* not a command that vtpmd lets through, or not at this time */
	if (rc == -EPERM || rc == -ECANCELED)
		return error_set(
			e, rc, CAUSE_TPM_REFUSED,
			"vtpmd does not let this vTPM send TPM2_%s to the host's TPM: it "
			"took longer than the 180 s it has for that, or vtpmd and the "
			"vTPM are of different versions; see `journalctl -u vtpmd`",
			command_name(call->code));
	if (rc == -EBUSY || rc == -EAGAIN)
		return error_set(e, rc, CAUSE_TPM_BUSY,
				 "vtpmd is busy with another command of this vTPM's for "
				 "the host's TPM; nothing was changed, try again later");
	return error_set(e, rc, CAUSE_TPM_UNREACHABLE,
			 "the host's TPM cannot be reached (%s): see that /dev/tpmrm0 "
			 "exists and that the TPM is enabled; nothing was changed",
			 strerror(-rc));
}

/* A busy TPM changed nothing, so that not even the session's nonces are others (Part 1,
 * 19.6): the same bytes go there again. */
static int exchange(const struct hosttpm_transport *t, const uint8_t *cmd, size_t len,
		    uint8_t *rsp, size_t *rsp_len)
{
	const size_t size = *rsp_len;
	struct tpmbusy busy = {0};
	int rc;

	do {
		*rsp_len = size;
		rc = t->tpm(t->ctx, cmd, len, rsp, rsp_len);
	} while (!rc && *rsp_len <= size && tpmbusy_is_response(rsp, *rsp_len) &&
		 tpmbusy_pause(&busy));
	return rc;
}

/* A warning (Part 2, 6.6.3) that is not waited for, as a lockout, and PCRs that changed in
 * the midst of a policy, pass as well. */
static enum cause refusal(uint32_t code)
{
	bool warns = (code & 0x980) == 0x900;

	return warns || code == 0x128 ? CAUSE_TPM_BUSY : CAUSE_TPM_REFUSED;
}

static int refused(const struct hosttpm_call *call, int rc, struct error *e)
{
	if (tpmbusy_is_code(call->code_returned))
		return error_set(
			e, rc, CAUSE_TPM_BUSY,
			"the host's TPM is busy: it answered TPM2_%s with code 0x%03X for "
			"%d s; nothing was changed, try again later",
			command_name(call->code), call->code_returned, TPMBUSY_S);
	return error_set(e, rc, refusal(call->code_returned),
			 "the host's TPM refused TPM2_%s with code 0x%03X (%s)",
			 command_name(call->code), call->code_returned,
			 code_words(call->code_returned));
}

int hosttpm_call_run(struct hosttpm_call *call, const struct hosttpm_transport *t,
		     struct error *e)
{
	size_t len, rsp_len = sizeof(call->wire);
	uint8_t cmd[sizeof(call->wire)];
	int rc;

	call->code_returned = 0;
	rc = build(call, &len);
	if (rc == -EIO)
		return error_crypto(e, rc, "the host TPM's session");
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL, "TPM2_%s could not be made (%s)",
				 command_name(call->code), strerror(-rc));
	memcpy(cmd, call->wire, len);
	rc = exchange(t, cmd, len, call->wire, &rsp_len);
	OPENSSL_cleanse(cmd, len);
	if (rc)
		return transport_failed(call, rc, e);
	rc = rsp_len > sizeof(call->wire) ? -EBADMSG : parse(call, rsp_len);
	if (rc == -EREMOTEIO)
		return refused(call, rc, e);
	return rc ? hosttpm_call_nonsense(call, e) : 0;
}

void hosttpm_call_wipe(struct hosttpm_call *call)
{
	OPENSSL_cleanse(call, sizeof(*call));
}
