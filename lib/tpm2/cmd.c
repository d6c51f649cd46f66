/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/cmd.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>
#include <time.h>

/* An uncompressed point: 4 | x | y (SEC 1, 2.3.3). */
#define OCTETS (1 + 2 * TPM2_ECC_SIZE)

/* 256 bits; the label's terminating zero is part of it. */
static int kdfa(const uint8_t *key, size_t key_len, const char *label,
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

/* KDFe of one hash's length; the label's terminating zero is part of it. */
static int kdfe(const uint8_t z[TPM2_ECC_SIZE], const char *label, const uint8_t *own_x,
		const uint8_t *peer_x, uint8_t out[CRYPT_HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	const struct crypt_part parts[] = {
		{counter, sizeof(counter)}, {z, TPM2_ECC_SIZE},
		{label, strlen(label) + 1}, {own_x, TPM2_ECC_SIZE},
		{peer_x, TPM2_ECC_SIZE},
	};

	return crypt_sha256(parts, ARRAY_SIZE(parts), out);
}

static EVP_PKEY *import_point(const struct tpm2_point *p)
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

	memcpy(octets + 1, p->x, TPM2_ECC_SIZE);
	memcpy(octets + 1 + TPM2_ECC_SIZE, p->y, TPM2_ECC_SIZE);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static bool export_point(EVP_PKEY *key, struct tpm2_point *p)
{
	uint8_t octets[OCTETS];
	size_t len;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets,
					    sizeof(octets), &len) != 1 ||
	    len != sizeof(octets) || octets[0] != 4)
		return false;
	memcpy(p->x, octets + 1, TPM2_ECC_SIZE);
	memcpy(p->y, octets + 1 + TPM2_ECC_SIZE, TPM2_ECC_SIZE);
	return true;
}

int tpm2_make_secret(const struct tpm2_point *peer, const char *label,
		     struct tpm2_point *own, uint8_t secret[CRYPT_HASH_SIZE])
{
	EVP_PKEY *nonce_tpm = import_point(peer);
	EVP_PKEY *nonce_caller = nonce_tpm ? EVP_EC_gen("P-256") : NULL;
	EVP_PKEY_CTX *ctx = nonce_caller ? EVP_PKEY_CTX_new(nonce_caller, NULL) : NULL;
	uint8_t z[TPM2_ECC_SIZE];
	size_t len = sizeof(z);
	int rc = -EIO;

	/* set_peer also checks that the point lies on the curve */
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, nonce_tpm) == 1 &&
	    EVP_PKEY_derive(ctx, z, &len) == 1 && len == sizeof(z) &&
	    export_point(nonce_caller, own))
		rc = kdfe(z, label, own->x, peer->x, secret);
	OPENSSL_cleanse(z, sizeof(z));
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(nonce_caller);
	EVP_PKEY_free(nonce_tpm);
	return rc;
}

int tpm2_crypt_cfb(const uint8_t keys[32], bool encrypt, uint8_t *buf, size_t len)
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

/* A fresh nonce for the next command. */
static int roll_nonce(struct tpm2_session *s)
{
	return crypt_random(s->nonce_caller, sizeof(s->nonce_caller));
}

int tpm2_session_salt(struct tpm2_session *s, const struct tpm2_point *srk,
		      struct tpm2_point *point)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = roll_nonce(s);
	return rc ? rc : tpm2_make_secret(srk, "SECRET", point, s->value);
}

/* Part 1, 19.6.8: sessionKey = KDFa(bind authValue || salt, "ATH", ...) */
int tpm2_session_derive_key(struct tpm2_session *s, uint32_t handle,
			    const uint8_t nonce[TPM2_NONCE_SIZE])
{
	const struct crypt_part nonce_tpm = {s->nonce_tpm, sizeof(s->nonce_tpm)};
	const struct crypt_part nonce_caller = {s->nonce_caller, sizeof(s->nonce_caller)};
	uint8_t salt[CRYPT_HASH_SIZE];
	int rc;

	s->handle = handle;
	memcpy(s->nonce_tpm, nonce, sizeof(s->nonce_tpm));
	memcpy(salt, s->value, sizeof(salt));
	rc = kdfa(salt, sizeof(salt), "ATH", &nonce_tpm, &nonce_caller, s->value);
	OPENSSL_cleanse(salt, sizeof(salt));
	s->value_len = s->hmac_len = CRYPT_HASH_SIZE;
	return rc;
}

void tpm2_session_auth(struct tpm2_session *s, const uint8_t *auth, size_t len,
		       bool in_hmac)
{
	/* Part 1, 19.6.4.3: trailing zeroes of an authValue are removed */
	while (len && !auth[len - 1])
		len--;
	if (len > TPM2_AUTH_SIZE)
		len = TPM2_AUTH_SIZE;
	if (len)
		memcpy(s->value + CRYPT_HASH_SIZE, auth, len);
	s->value_len = CRYPT_HASH_SIZE + len;
	s->hmac_len = in_hmac ? s->value_len : CRYPT_HASH_SIZE;
}

/* nonceNewer and nonceOlder: a command's newer nonce is ours. */
static void nonces(const struct tpm2_session *s, bool command, struct crypt_part order[2])
{
	order[!command] = (struct crypt_part){s->nonce_caller, sizeof(s->nonce_caller)};
	order[command] = (struct crypt_part){s->nonce_tpm, sizeof(s->nonce_tpm)};
}

/* Encrypts a command's or decrypts a response's first parameter, in place. */
static int crypt_parameter(const struct tpm2_session *s, bool command, uint8_t *buf,
			   size_t len)
{
	struct crypt_part order[2];
	uint8_t keys[CRYPT_HASH_SIZE];
	int rc;

	nonces(s, command, order);
	rc = kdfa(s->value, s->value_len, "CFB", &order[0], &order[1], keys);
	if (!rc)
		rc = tpm2_crypt_cfb(keys, command, buf, len);
	OPENSSL_cleanse(keys, sizeof(keys));
	return rc;
}

/* The HMAC over a cpHash (command) or rpHash. */
static int session_hmac(const struct tpm2_session *s, bool command,
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
static int verify_response(struct tpm2_session *s, const uint8_t nonce[TPM2_NONCE_SIZE],
			   const uint8_t rphash[CRYPT_HASH_SIZE], uint8_t attributes,
			   const uint8_t hmac[CRYPT_HASH_SIZE])
{
	uint8_t want[CRYPT_HASH_SIZE];
	int rc;

	if (!memcmp(nonce, s->nonce_tpm, TPM2_NONCE_SIZE))
		return -EBADMSG;
	memcpy(s->nonce_tpm, nonce, TPM2_NONCE_SIZE);
	rc = session_hmac(s, false, rphash, attributes, want);
	if (!rc && CRYPTO_memcmp(want, hmac, sizeof(want)))
		rc = -EBADMSG;
	OPENSSL_cleanse(want, sizeof(want));
	return rc;
}

void tpm2_session_wipe(struct tpm2_session *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

void tpm2_begin(struct tpm2_cmd *c, TPM2_CC code)
{
	const struct tpm2_transport *transport = c->transport;
	bool waits = c->waits, yields = c->yields, yielded = c->yielded;

	memset(c, 0, sizeof(*c));
	c->transport = transport;
	c->waits = waits;
	c->yields = yields;
	c->yielded = yielded;
	c->code = code;
	c->in = cursor_writer(c->cmd, sizeof(c->cmd));
	cursor_put_u16(&c->in, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&c->in, 0);
	cursor_put_u32(&c->in, code);
}

void tpm2_handle(struct tpm2_cmd *c, uint32_t handle, const uint8_t *name)
{
	if (c->handles == TPM2_HANDLES_MAX) {
		cursor_fail(&c->in);
		return;
	}
	c->name[c->handles++] = name;
	cursor_put_u32(&c->in, handle);
}

/* TPMS_AUTH_COMMAND, Part 2, 10.13.2; a session's nonce and HMAC are written by run. */
void tpm2_authorize(struct tpm2_cmd *c, const struct tpm2_auth *auth,
		    TPMA_SESSION attributes)
{
	static const struct tpm2_auth empty;
	static const uint8_t later[CRYPT_HASH_SIZE];
	struct cursor tag = cursor_writer(c->cmd, 2);

	if (!auth)
		auth = &empty;
	if (!c->authorizes) {
		cursor_put_u16(&tag, TPM2_ST_SESSIONS);
		c->auth_mark = cursor_mark_u32(&c->in);
	} else if (auth->session) {
		cursor_fail(&c->in);
	}
	c->authorizes = true;
	if (auth->session) {
		c->session = auth->session;
		c->attributes = (uint8_t)(attributes | TPMA_SESSION_CONTINUESESSION);
		c->session_at = c->in.pos;
		cursor_put_u32(&c->in, auth->session->handle);
		cursor_put_u16(&c->in, TPM2_NONCE_SIZE);
		cursor_put(&c->in, later, TPM2_NONCE_SIZE);
		cursor_put_u8(&c->in, c->attributes);
		cursor_put_u16(&c->in, CRYPT_HASH_SIZE);
		cursor_put(&c->in, later, CRYPT_HASH_SIZE);
	} else {
		cursor_put_u32(&c->in, TPM2_RH_PW);
		cursor_put_u16(&c->in, 0); /* nonce */
		cursor_put_u8(&c->in, 0);  /* attributes */
		cursor_put_u16(&c->in, (uint16_t)auth->len);
		cursor_put(&c->in, auth->password, auth->len);
	}
	cursor_patch_u32(&c->in, c->auth_mark);
	c->params_at = c->in.pos;
}

/* The first parameter is a TPM2B: encrypts or decrypts its content. */
static int crypt_first(const struct tpm2_cmd *c, bool command, uint8_t *params,
		       size_t len)
{
	struct cursor in = cursor_reader(params, len);
	uint16_t n = cursor_u16(&in);

	if (!cursor_bytes(&in, n))
		return -EBADMSG;
	return crypt_parameter(c->session, command, params + 2, n);
}

/* Part 1, 16.7: cpHash = H(commandCode || Names || parameters) */
static int command_hash(const struct tpm2_cmd *c, uint8_t hash[CRYPT_HASH_SIZE])
{
	uint8_t head[4 + TPM2_HANDLES_MAX * TPM2_NAME_SIZE];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct cursor handles = cursor_reader(c->cmd, c->in.pos);
	struct crypt_part parts[] = {{head, 0},
				     {c->cmd + c->params_at, c->in.pos - c->params_at}};
	size_t i;

	(void)cursor_bytes(&handles, 2 + 4 + 4);
	cursor_put_u32(&w, c->code);
	for (i = 0; i < c->handles; i++) {
		uint32_t handle = cursor_u32(&handles);

		if (c->name[i])
			cursor_put(&w, c->name[i], TPM2_NAME_SIZE);
		else
			cursor_put_u32(&w, handle);
	}
	parts[0].n = w.pos;
	return cursor_ok(&w) ? crypt_sha256(parts, ARRAY_SIZE(parts), hash) : -EMSGSIZE;
}

/* Encrypts the first parameter, and writes the session's nonce and HMAC. */
static int put_authorization(struct tpm2_cmd *c)
{
	struct tpm2_session *s = c->session;
	struct cursor w =
		cursor_writer(c->cmd + c->session_at, c->in.pos - c->session_at);
	uint8_t hash[CRYPT_HASH_SIZE], hmac[CRYPT_HASH_SIZE];
	int rc;

	rc = roll_nonce(s);
	if (!rc && c->attributes & TPMA_SESSION_DECRYPT)
		rc = crypt_first(c, true, c->cmd + c->params_at,
				 c->in.pos - c->params_at);
	if (!rc)
		rc = command_hash(c, hash);
	if (!rc)
		rc = session_hmac(s, true, hash, c->attributes, hmac);
	if (rc)
		return rc;
	cursor_put_u32(&w, s->handle);
	cursor_put_u16(&w, sizeof(s->nonce_caller));
	cursor_put(&w, s->nonce_caller, sizeof(s->nonce_caller));
	cursor_put_u8(&w, c->attributes);
	cursor_put_u16(&w, sizeof(hmac));
	cursor_put(&w, hmac, sizeof(hmac));
	return 0;
}

static int response_hash(const struct tpm2_cmd *c, const uint8_t *params, size_t len,
			 uint8_t hash[CRYPT_HASH_SIZE])
{
	uint8_t head[8];
	struct cursor w = cursor_writer(head, sizeof(head));
	const struct crypt_part parts[] = {{head, sizeof(head)}, {params, len}};

	cursor_put_u32(&w, 0); /* only a success carries sessions */
	cursor_put_u32(&w, c->code);
	return crypt_sha256(parts, ARRAY_SIZE(parts), hash);
}

/* Parameters and the session's answer; c->out gets the verified, decrypted parameters. */
static int parse_authorized(struct tpm2_cmd *c, struct cursor *r)
{
	uint32_t n = cursor_u32(r);
	const uint8_t *params = cursor_bytes(r, n), *nonce, *hmac;
	uint8_t hash[CRYPT_HASH_SIZE], attributes;
	uint16_t nonce_len, hmac_len;
	int rc;

	c->out = cursor_reader(params, params ? n : 0);
	if (!c->session)
		return cursor_ok(r) ? 0 : -EBADMSG;
	nonce_len = cursor_u16(r);
	nonce = cursor_bytes(r, nonce_len);
	attributes = cursor_u8(r);
	hmac_len = cursor_u16(r);
	hmac = cursor_bytes(r, hmac_len);
	if (!cursor_done(r) || nonce_len != TPM2_NONCE_SIZE ||
	    hmac_len != CRYPT_HASH_SIZE || attributes != c->attributes)
		return -EBADMSG;
	rc = response_hash(c, params, n, hash);
	if (!rc)
		rc = verify_response(c->session, nonce, hash, attributes, hmac);
	/* the bytes lie in c->rsp, which is ours to write */
	if (!rc && attributes & TPMA_SESSION_ENCRYPT)
		rc = crypt_first(c, false, (uint8_t *)params, n);
	return rc;
}

static int parse_response(struct tpm2_cmd *c, size_t len)
{
	struct cursor r = cursor_reader(c->rsp, len), asked = cursor_reader(c->cmd, 2);
	uint16_t tag = cursor_u16(&r), wanted = cursor_u16(&asked);
	uint32_t size = cursor_u32(&r);

	c->rc = cursor_u32(&r);
	if (!cursor_ok(&r) || size != len)
		return -EBADMSG;
	if (c->rc)
		return -EREMOTEIO;
	/* a TPM 1.2 answers under another tag than it was asked under */
	if (wanted >= TPM2_ST_NO_SESSIONS && tag != wanted)
		return -EBADMSG;
	if (c->gives_handle)
		c->handle = cursor_u32(&r);
	if (!cursor_ok(&r))
		return -EBADMSG;
	if (c->authorizes)
		return parse_authorized(c, &r);
	c->out = cursor_sub(&r, cursor_left(&r));
	return 0;
}

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 1000

bool tpm2_busy_is_code(uint32_t code)
{
	switch (code) {
	case 0x902: /* TPM_RC_OBJECT_MEMORY: others use it at the same time */
	case 0x903: /* TPM_RC_SESSION_MEMORY */
	case 0x908: /* TPM_RC_YIELDED */
	case 0x90a: /* TPM_RC_TESTING */
	case 0x920: /* TPM_RC_NV_RATE */
	case 0x922: /* TPM_RC_RETRY */
	case 0x923: /* TPM_RC_NV_UNAVAILABLE */
		return true;
	}
	return false;
}

bool tpm2_busy_is_memory(uint32_t code)
{
	return code == 0x902 || code == 0x903;
}

uint32_t tpm2_response_code(const uint8_t *rsp, size_t len)
{
	struct cursor c = cursor_reader(rsp, len);
	uint32_t code;

	(void)cursor_u16(&c);
	(void)cursor_u32(&c);
	code = cursor_u32(&c);
	return cursor_ok(&c) ? code : 0;
}

bool tpm2_busy_is_response(const uint8_t *rsp, size_t len)
{
	return tpm2_busy_is_code(tpm2_response_code(rsp, len));
}

bool tpm2_busy_pause(struct tpm2_busy *b)
{
	/* as long as it has waited altogether: twice as long each time */
	unsigned int ms = b->waited_ms;
	struct timespec pause;

	if (b->waited_ms >= 1000 * TPM2_BUSY_S)
		return false;
	if (ms < PAUSE_MIN_MS)
		ms = PAUSE_MIN_MS;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	pause = (struct timespec){ms / 1000, (long)(ms % 1000) * 1000000};
	nanosleep(&pause, NULL);
	b->waited_ms += ms;
	return true;
}

/* A busy TPM changed nothing, so that not even the session's nonces are others (Part 1,
 * 19.6): the same bytes go there again. */
static int exchange_command(struct tpm2_cmd *c, size_t *len)
{
	const struct tpm2_transport *t = c->transport;
	struct tpm2_busy busy = {0};
	uint32_t code;
	int rc;

	do {
		*len = sizeof(c->rsp);
		rc = t->exchange(t->ctx, c->cmd, c->in.pos, c->rsp, len);
		code = rc || *len > sizeof(c->rsp) ? 0 : tpm2_response_code(c->rsp, *len);
		if (c->yields && busy.waited_ms >= TPM2_YIELD_MS &&
		    tpm2_busy_is_memory(code)) {
			c->yielded = true;
			break;
		}
	} while (c->waits && tpm2_busy_is_code(code) && tpm2_busy_pause(&busy));
	return rc;
}

int tpm2_run(struct tpm2_cmd *c)
{
	struct cursor size = cursor_writer(c->cmd + 2, 4);
	size_t len;
	int rc;

	c->stage = TPM2_NOT_SENT;
	c->rc = 0;
	if (!cursor_ok(&c->in))
		return -EMSGSIZE;
	cursor_put_u32(&size, (uint32_t)c->in.pos);
	rc = c->session ? put_authorization(c) : 0;
	if (rc)
		return rc;
	c->stage = TPM2_NOT_ANSWERED;
	rc = exchange_command(c, &len);
	if (rc)
		return rc;
	c->stage = TPM2_ANSWERED;
	rc = len > sizeof(c->rsp) ? -EBADMSG : parse_response(c, len);
	return rc && rc != -EREMOTEIO ? -EBADMSG : rc;
}

void tpm2_wipe(struct tpm2_cmd *c)
{
	OPENSSL_cleanse(c, sizeof(*c));
}
