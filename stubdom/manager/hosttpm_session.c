/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/hosttpm_session.h"
#include "lib/tpmbusy.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

static int hosttpm_session_roll_nonce(struct hosttpm_session *s);

/* An uncompressed point: 4 | x | y (SEC 1, 2.3.3). */
#define OCTETS (1 + 2 * HOSTTPM_ECC_SIZE)

/* 256 bits; the label's terminating zero is part of it. */
static int hosttpm_crypt_kdfa(const uint8_t *key, size_t key_len, const char *label,
			      const struct crypt_part *u, const struct crypt_part *v,
			      uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1}, bits[4] = {0, 0, 1, 0};
	const struct crypt_part parts[] = {
		{counter, sizeof(counter)}, {label, strlen(label) + 1}, *u, *v,
		{bits, sizeof(bits)},
	};

	return crypt_hmac(key, key_len, parts, ARRAY_SIZE(parts), out);
}

/* KDFe of one hash's length, label "SECRET". */
static int kdfe(const uint8_t z[HOSTTPM_ECC_SIZE], const uint8_t *own_x,
		const uint8_t *peer_x, uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	const struct crypt_part parts[] = {
		{counter, sizeof(counter)},   {z, HOSTTPM_ECC_SIZE},
		{"SECRET", sizeof("SECRET")}, {own_x, HOSTTPM_ECC_SIZE},
		{peer_x, HOSTTPM_ECC_SIZE},
	};

	return crypt_sha256(parts, ARRAY_SIZE(parts), out);
}

static EVP_PKEY *import_point(const struct hosttpm_point *p)
{
	char group[] = "P-256";
	uint8_t octets[OCTETS] = {4};
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets,
						  sizeof(octets)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	memcpy(octets + 1, p->x, HOSTTPM_ECC_SIZE);
	memcpy(octets + 1 + HOSTTPM_ECC_SIZE, p->y, HOSTTPM_ECC_SIZE);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static bool export_point(EVP_PKEY *key, struct hosttpm_point *p)
{
	uint8_t octets[OCTETS];
	size_t len;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets,
					    sizeof(octets), &len) != 1 ||
	    len != sizeof(octets) || octets[0] != 4)
		return false;
	memcpy(p->x, octets + 1, HOSTTPM_ECC_SIZE);
	memcpy(p->y, octets + 1 + HOSTTPM_ECC_SIZE, HOSTTPM_ECC_SIZE);
	return true;
}

/* A fresh salt for the holder of peer: own is the point to send to it. */
static int hosttpm_crypt_salt(const struct hosttpm_point *peer, struct hosttpm_point *own,
			      uint8_t salt[CRYPT_HASH_SIZE])
{
	EVP_PKEY *nonce_tpm = import_point(peer);
	EVP_PKEY *nonce_caller = nonce_tpm ? EVP_EC_gen("P-256") : NULL;
	EVP_PKEY_CTX *ctx = nonce_caller ? EVP_PKEY_CTX_new(nonce_caller, NULL) : NULL;
	uint8_t z[HOSTTPM_ECC_SIZE];
	size_t len = sizeof(z);
	int rc = -EIO;

	/* set_peer also checks that the point lies on the curve */
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, nonce_tpm) == 1 &&
	    EVP_PKEY_derive(ctx, z, &len) == 1 && len == sizeof(z) &&
	    export_point(nonce_caller, own))
		rc = kdfe(z, own->x, peer->x, salt);
	OPENSSL_cleanse(z, sizeof(z));
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(nonce_caller);
	EVP_PKEY_free(nonce_tpm);
	return rc;
}

/* AES-128-CFB in place; keys: the key's 16 bytes, then the IV's 16. */
static int hosttpm_crypt_cfb(const uint8_t keys[32], bool encrypt, uint8_t *buf,
			     size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;
	bool ok;

	ok = ctx && len <= INT_MAX &&
	     EVP_CipherInit_ex(ctx, EVP_aes_128_cfb128(), NULL, keys, keys + 16,
			       encrypt) == 1 &&
	     (!len || EVP_CipherUpdate(ctx, buf, &n, buf, (int)len) == 1);
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

int hosttpm_session_salt(struct hosttpm_session *s, const struct hosttpm_point *srk,
			 struct hosttpm_point *point)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = hosttpm_session_roll_nonce(s);
	return rc ? rc : hosttpm_crypt_salt(srk, point, s->value);
}

/* Part 1, 19.6.8: sessionKey = KDFa(bind authValue || salt, "ATH", ...) */
int hosttpm_session_derive_key(struct hosttpm_session *s, uint32_t handle,
			       const uint8_t nonce[HOSTTPM_NONCE_SIZE])
{
	const struct crypt_part nonce_tpm = {s->nonce_tpm, sizeof(s->nonce_tpm)};
	const struct crypt_part nonce_caller = {s->nonce_caller, sizeof(s->nonce_caller)};
	uint8_t salt[CRYPT_HASH_SIZE];
	int rc;

	s->handle = handle;
	memcpy(s->nonce_tpm, nonce, sizeof(s->nonce_tpm));
	memcpy(salt, s->value, sizeof(salt));
	rc = hosttpm_crypt_kdfa(salt, sizeof(salt), "ATH", &nonce_tpm, &nonce_caller,
				s->value);
	OPENSSL_cleanse(salt, sizeof(salt));
	s->value_len = s->hmac_len = CRYPT_HASH_SIZE;
	return rc;
}

void hosttpm_session_auth(struct hosttpm_session *s, const uint8_t *auth, size_t len,
			  bool in_hmac)
{
	/* Part 1, 19.6.4.3: trailing zeroes of an authValue are removed */
	while (len && !auth[len - 1])
		len--;
	if (len > HOSTTPM_AUTH_SIZE)
		len = HOSTTPM_AUTH_SIZE;
	if (len)
		memcpy(s->value + CRYPT_HASH_SIZE, auth, len);
	s->value_len = CRYPT_HASH_SIZE + len;
	s->hmac_len = in_hmac ? s->value_len : CRYPT_HASH_SIZE;
}

/* A fresh nonce for the next command. */
static int hosttpm_session_roll_nonce(struct hosttpm_session *s)
{
	return crypt_random(s->nonce_caller, sizeof(s->nonce_caller));
}

/* nonceNewer and nonceOlder: a command's newer nonce is ours. */
static void nonces(const struct hosttpm_session *s, bool command,
		   struct crypt_part order[2])
{
	order[!command] = (struct crypt_part){s->nonce_caller, sizeof(s->nonce_caller)};
	order[command] = (struct crypt_part){s->nonce_tpm, sizeof(s->nonce_tpm)};
}

/* Encrypts a command's or decrypts a response's first parameter, in place. */
static int hosttpm_session_crypt(const struct hosttpm_session *s, bool command,
				 uint8_t *buf, size_t len)
{
	struct crypt_part order[2];
	uint8_t keys[CRYPT_HASH_SIZE];
	int rc;

	nonces(s, command, order);
	rc = hosttpm_crypt_kdfa(s->value, s->value_len, "CFB", &order[0], &order[1],
				keys);
	if (!rc)
		rc = hosttpm_crypt_cfb(keys, command, buf, len);
	OPENSSL_cleanse(keys, sizeof(keys));
	return rc;
}

/* The HMAC over a cpHash (command) or rpHash. */
static int hosttpm_session_hmac(const struct hosttpm_session *s, bool command,
				const uint8_t hash[CRYPT_HASH_SIZE], uint8_t attributes,
				uint8_t out[CRYPT_HASH_SIZE])
{
	struct crypt_part parts[4] = {
		{hash, CRYPT_HASH_SIZE},
		[3] = {&attributes, 1},
	};

	nonces(s, command, parts + 1);
	return crypt_hmac(s->value, s->hmac_len, parts, ARRAY_SIZE(parts), out);
}

/* Takes the TPM's next nonce and checks the response's HMAC: -EBADMSG. */
static int hosttpm_session_verify_response(struct hosttpm_session *s,
					   const uint8_t nonce[HOSTTPM_NONCE_SIZE],
					   const uint8_t rphash[CRYPT_HASH_SIZE],
					   uint8_t attributes,
					   const uint8_t hmac[CRYPT_HASH_SIZE])
{
	uint8_t want[CRYPT_HASH_SIZE];
	int rc;

	if (!memcmp(nonce, s->nonce_tpm, HOSTTPM_NONCE_SIZE))
		return -EBADMSG;
	memcpy(s->nonce_tpm, nonce, HOSTTPM_NONCE_SIZE);
	rc = hosttpm_session_hmac(s, false, rphash, attributes, want);
	if (!rc && CRYPTO_memcmp(want, hmac, sizeof(want)))
		rc = -EBADMSG;
	OPENSSL_cleanse(want, sizeof(want));
	return rc;
}

void hosttpm_session_wipe(struct hosttpm_session *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

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

	rc = hosttpm_session_roll_nonce(s);
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
	cursor_put_u16(c, sizeof(s->nonce_caller));
	cursor_put(c, s->nonce_caller, sizeof(s->nonce_caller));
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
		rc = hosttpm_session_verify_response(call->session, nonce, hash,
						     attributes, hmac);
	/* the bytes lie in call->wire, which is ours to write */
	if (!rc && attributes & TPMA_SESSION_ENCRYPT)
		rc = crypt_first(call, false, (uint8_t *)params, n);
	call->out = cursor_reader(params, n);
	return rc;
}

static int parse_session(struct hosttpm_call *call, size_t len)
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
static int exchange_command(const struct hosttpm_transport *t, const uint8_t *cmd,
			    size_t len, uint8_t *rsp, size_t *rsp_len)
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
	rc = exchange_command(t, cmd, len, call->wire, &rsp_len);
	OPENSSL_cleanse(cmd, len);
	if (rc)
		return transport_failed(call, rc, e);
	rc = rsp_len > sizeof(call->wire) ? -EBADMSG : parse_session(call, rsp_len);
	if (rc == -EREMOTEIO)
		return refused(call, rc, e);
	return rc ? hosttpm_call_nonsense(call, e) : 0;
}

void hosttpm_call_wipe(struct hosttpm_call *call)
{
	OPENSSL_cleanse(call, sizeof(*call));
}
