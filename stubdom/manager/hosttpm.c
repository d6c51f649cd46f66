/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/hosttpm.h"
#include "stubdom/manager/hosttpm_policy.h"

#include <errno.h>
#include <string.h>

/* A format one code without the parameter, handle or session that it is about (Part 2,
 * 6.6.2) */
#define ERROR_FMT1 0x0bfu
/* TPMA_OBJECT of what is sealed: fixedTPM, fixedParent, adminWithPolicy, noDA;
 * no userWithAuth, so that only the policy opens it (Part 2, 8.3). */
#define SEALED_ATTRIBUTES 0x00000492u

struct hosttpm_bytes hosttpm_cmd_get(struct cursor *c)
{
	struct hosttpm_bytes b;

	b.n = cursor_u16(c);
	b.p = cursor_bytes(c, b.n);
	if (!b.p)
		b.n = 0;
	return b;
}

void hosttpm_cmd_put(struct cursor *c, struct hosttpm_bytes b)
{
	cursor_put_u16(c, b.n);
	cursor_put(c, b.p, b.n);
}

int hosttpm_cmd_name(struct hosttpm_bytes public, uint8_t name[HOSTTPM_NAME_SIZE])
{
	const struct crypt_part part = {public.p, public.n};
	struct cursor c = cursor_reader(public.p, public.n);
	struct cursor out = cursor_writer(name, 2);

	(void)cursor_u16(&c);
	if (cursor_u16(&c) != TPM2_ALG_SHA256)
		return -EINVAL;
	cursor_put_u16(&out, TPM2_ALG_SHA256);
	return crypt_sha256(&part, 1, name + 2);
}

/* A coordinate, without leading zeroes perhaps. */
static void get_coordinate(struct cursor *c, uint8_t out[HOSTTPM_ECC_SIZE])
{
	struct hosttpm_bytes b = hosttpm_cmd_get(c);

	memset(out, 0, HOSTTPM_ECC_SIZE);
	if (b.n > HOSTTPM_ECC_SIZE)
		cursor_fail(c);
	else if (b.n)
		memcpy(out + HOSTTPM_ECC_SIZE - b.n, b.p, b.n);
}

/* TPMT_PUBLIC of a storage key on P-256, Part 2, 12.2.4 */
static bool parse_srk(struct hosttpm_bytes public, struct hosttpm_point *srk)
{
	struct cursor c = cursor_reader(public.p, public.n);
	bool ok = cursor_u16(&c) == TPM2_ALG_ECC;

	(void)cursor_u16(&c);	   /* nameAlg, checked with the Name */
	(void)cursor_u32(&c);	   /* attributes */
	(void)hosttpm_cmd_get(&c); /* authPolicy */
	if (cursor_u16(&c) != TPM2_ALG_NULL) {
		(void)cursor_u16(&c); /* symmetric key bits */
		(void)cursor_u16(&c); /* and mode */
	}
	ok = cursor_u16(&c) == TPM2_ALG_NULL && ok; /* scheme */
	ok = cursor_u16(&c) == TPM2_ECC_NIST_P256 && ok;
	ok = cursor_u16(&c) == TPM2_ALG_NULL && ok; /* kdf */
	get_coordinate(&c, srk->x);
	get_coordinate(&c, srk->y);
	return cursor_done(&c) && ok;
}

static int replaced(const struct hosttpm_config *c, const char *how, struct error *e)
{
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"the host's TPM was replaced or cleared (%s at 0x%08X): bring the "
		"old TPM back, or run `vtpmctl host init --force --new-tpm`, then `vtpmctl "
		"recover` for vTPMs with a recovery key; nothing was changed",
		how, c->srk_handle);
}

/* ReadPublic of the storage key: refuses any but the pinned one (-EXDEV). */
static int hosttpm_cmd_srk(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t, struct hosttpm_point *srk,
			   struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	struct hosttpm_bytes public;
	struct error why = {0};
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_ReadPublic);
	cursor_put_u32(&call.in, c->srk_handle);
	rc = hosttpm_call_run(&call, t, &why);
	if (rc == -EREMOTEIO && (call.code_returned & 0xbf) == TPM2_RC_HANDLE)
		return replaced(c, "it has no storage key", e);
	if (rc)
		return error_set(e, rc, why.cause, "%s", why.text);
	public = hosttpm_cmd_get(&call.out);
	/* the Names that follow are what the relay says: ours is computed */
	if (!cursor_ok(&call.out))
		return hosttpm_call_nonsense(&call, e);
	if (hosttpm_cmd_name(public, name) || memcmp(name, c->srk_name, sizeof(name)))
		return replaced(c, "its storage key is not the pinned one", e);
	if (!parse_srk(public, srk))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the host TPM's storage key is no ECC P-256 key: run "
				 "`vtpmctl host init` again");
	return 0;
}

static void put_point(struct cursor *c, const struct hosttpm_point *p)
{
	size_t mark = cursor_mark_u16(c);

	hosttpm_cmd_put(c, (struct hosttpm_bytes){p->x, sizeof(p->x)});
	hosttpm_cmd_put(c, (struct hosttpm_bytes){p->y, sizeof(p->y)});
	cursor_patch_u16(c, mark);
}

int hosttpm_cmd_start(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		      uint8_t type, const struct hosttpm_point *srk,
		      struct hosttpm_session *s, struct error *e)
{
	struct hosttpm_point point;
	struct hosttpm_bytes nonce;
	struct hosttpm_call call;
	int rc;

	rc = hosttpm_session_salt(s, srk, &point);
	if (rc)
		return error_set(
			e, rc, CAUSE_RANDOM,
			"no salt can be made for the host's TPM: there is no good "
			"source of random numbers, or its storage key is no point "
			"of P-256");
	hosttpm_call_begin(&call, TPM2_CC_StartAuthSession);
	call.gives_handle = true;
	cursor_put_u32(&call.in, c->srk_handle);
	cursor_put_u32(&call.in, TPM2_RH_NULL); /* bound to nothing */
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){s->ours, sizeof(s->ours)});
	put_point(&call.in, &point);
	cursor_put_u8(&call.in, type);
	cursor_put_u16(&call.in, TPM2_ALG_AES);
	cursor_put_u16(&call.in, 128);
	cursor_put_u16(&call.in, TPM2_ALG_CFB);
	cursor_put_u16(&call.in, TPM2_ALG_SHA256);
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		return rc;
	nonce = hosttpm_cmd_get(&call.out);
	if (!cursor_done(&call.out) || nonce.n != HOSTTPM_NONCE_SIZE ||
	    !call.handle_returned) {
		hosttpm_cmd_flush(t, call.handle_returned);
		return hosttpm_call_nonsense(&call, e);
	}
	rc = hosttpm_session_begin(s, call.handle_returned, nonce.p);
	if (rc)
		hosttpm_cmd_flush(t, call.handle_returned);
	return rc ? error_crypto(e, rc, "HMAC-SHA256") : 0;
}

void hosttpm_cmd_flush(const struct hosttpm_transport *t, uint32_t handle)
{
	struct hosttpm_call call;

	if (!handle)
		return;
	hosttpm_call_begin(&call, TPM2_CC_FlushContext);
	cursor_put_u32(&call.in, handle);
	(void)!hosttpm_call_run(&call, t, NULL);
}

/* A command on the storage key, whose authValue is empty. */
static void begin_on_srk(struct hosttpm_call *call, TPM2_CC code,
			 const struct hosttpm_config *c, struct hosttpm_session *s)
{
	hosttpm_call_begin(call, code);
	call->session = s;
	call->attributes = TPMA_SESSION_CONTINUESESSION;
	hosttpm_call_handle(call, c->srk_handle, c->srk_name);
}

/* TPM2B_PUBLIC of a sealed object. */
static void put_template(struct cursor *c, const uint8_t policy[CRYPT_HASH_SIZE])
{
	size_t mark = cursor_mark_u16(c);

	cursor_put_u16(c, TPM2_ALG_KEYEDHASH);
	cursor_put_u16(c, TPM2_ALG_SHA256);
	cursor_put_u32(c, SEALED_ATTRIBUTES);
	hosttpm_cmd_put(c, (struct hosttpm_bytes){policy, CRYPT_HASH_SIZE});
	cursor_put_u16(c, TPM2_ALG_NULL); /* scheme: data, not a key */
	cursor_put_u16(c, 0);		  /* unique */
	cursor_patch_u16(c, mark);
}

/* Whether a TPMT_PUBLIC is what hosttpm_cmd_create() makes: what else claims to be one of
 * our sealed objects is damaged, and vtpmd lets none but these through. */
static bool hosttpm_cmd_is_sealed(struct hosttpm_bytes public)
{
	struct cursor c = cursor_reader(public.p, public.n);
	bool is = cursor_u16(&c) == TPM2_ALG_KEYEDHASH &&
		  cursor_u16(&c) == TPM2_ALG_SHA256 &&
		  cursor_u32(&c) == SEALED_ATTRIBUTES &&
		  hosttpm_cmd_get(&c).n == CRYPT_HASH_SIZE &&
		  cursor_u16(&c) == TPM2_ALG_NULL &&
		  hosttpm_cmd_get(&c).n == CRYPT_HASH_SIZE; /* unique */

	return cursor_done(&c) && is;
}

/* Create under the storage key: object is TPM2B_PUBLIC | TPM2B_PRIVATE. */
static int hosttpm_cmd_create(const struct hosttpm_config *c,
			      const struct hosttpm_transport *t,
			      struct hosttpm_session *s,
			      const uint8_t policy[CRYPT_HASH_SIZE],
			      struct hosttpm_bytes auth, struct hosttpm_bytes secret,
			      uint8_t *object, size_t *len, struct error *e)
{
	struct cursor out = cursor_writer(object, *len);
	struct hosttpm_bytes private, public;
	struct hosttpm_call call;
	size_t mark;
	int rc;

	begin_on_srk(&call, TPM2_CC_Create, c, s);
	call.attributes |= TPMA_SESSION_DECRYPT;
	mark = cursor_mark_u16(&call.in);
	hosttpm_cmd_put(&call.in, auth);
	hosttpm_cmd_put(&call.in, secret);
	cursor_patch_u16(&call.in, mark);
	put_template(&call.in, policy);
	cursor_put_u16(&call.in, 0); /* outsideInfo */
	cursor_put_u32(&call.in, 0); /* creationPCR */
	rc = hosttpm_call_run(&call, t, e);
	if (rc)
		goto out;
	private = hosttpm_cmd_get(&call.out);
	public = hosttpm_cmd_get(&call.out);
	if (!cursor_ok(&call.out)) {
		rc = hosttpm_call_nonsense(&call, e);
		goto out;
	}
	hosttpm_cmd_put(&out, public);
	hosttpm_cmd_put(&out, private);
	*len = out.pos;
	if (!cursor_ok(&out))
		rc = error_set(e, -ENOSPC, CAUSE_INTERNAL, "a sealed object is too long");
out:
	hosttpm_call_wipe(&call);
	return rc;
}

int hosttpm_cmd_policy_nv(const struct hosttpm_config *c,
			  const struct hosttpm_transport *t, struct hosttpm_session *s,
			  uint32_t policy, uint64_t number, uint32_t *code,
			  struct error *e)
{
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_PolicyNV);
	call.session = s;
	call.attributes = TPMA_SESSION_CONTINUESESSION;
	hosttpm_call_handle(&call, CHANNEL_COUNTER_INDEX, c->counter_name);
	hosttpm_call_handle(&call, CHANNEL_COUNTER_INDEX, c->counter_name);
	hosttpm_call_handle(&call, policy, NULL);
	cursor_put_u16(&call.in, sizeof(number));
	cursor_put_u64(&call.in, number);
	cursor_put_u16(&call.in, 0); /* offset */
	cursor_put_u16(&call.in, 0); /* TPM_EO_EQ */
	rc = hosttpm_call_run(&call, t, e);
	*code = call.code_returned;
	return rc;
}

static int hosttpm_cmd_load(const struct hosttpm_config *c,
			    const struct hosttpm_transport *t, struct hosttpm_session *s,
			    struct hosttpm_bytes public, struct hosttpm_bytes private,
			    uint32_t *handle, struct error *e)
{
	struct hosttpm_call call;
	int rc;

	begin_on_srk(&call, TPM2_CC_Load, c, s);
	call.gives_handle = true;
	hosttpm_cmd_put(&call.in, private);
	hosttpm_cmd_put(&call.in, public);
	rc = hosttpm_call_run(&call, t, e);
	*handle = call.handle_returned;
	return rc;
}

/* len: room in, bytes out. */
static int hosttpm_cmd_unseal(const struct hosttpm_transport *t,
			      struct hosttpm_session *s, uint32_t handle,
			      const uint8_t name[HOSTTPM_NAME_SIZE], uint8_t *out,
			      size_t *len, struct error *e)
{
	struct hosttpm_bytes secret;
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_Unseal);
	call.session = s;
	call.attributes = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT;
	hosttpm_call_handle(&call, handle, name);
	rc = hosttpm_call_run(&call, t, e);
	if (rc == -EREMOTEIO && (call.code_returned & TPM2_RC_FMT1) &&
	    (call.code_returned & ERROR_FMT1) == TPM2_RC_BAD_AUTH)
		rc = -EKEYREJECTED;
	if (rc)
		goto out;
	secret = hosttpm_cmd_get(&call.out);
	if (!cursor_done(&call.out) || secret.n > *len) {
		rc = hosttpm_call_nonsense(&call, e);
		goto out;
	}
	memcpy(out, secret.p, secret.n);
	*len = secret.n;
out:
	hosttpm_call_wipe(&call);
	return rc;
}

#define SECRET_MAX 128 /* Part 2, 11.1.15: MAX_SYM_DATA */

int hosttpm_random(const struct hosttpm_transport *t, uint8_t *out, size_t len,
		   struct error *e)
{
	struct hosttpm_bytes got;
	struct hosttpm_call call;
	int rc = 0;

	while (len && !rc) {
		hosttpm_call_begin(&call, TPM2_CC_GetRandom);
		cursor_put_u16(&call.in, len > 32 ? 32 : (uint16_t)len);
		rc = hosttpm_call_run(&call, t, e);
		if (rc)
			break;
		got = hosttpm_cmd_get(&call.out);
		if (!cursor_done(&call.out) || !got.n || got.n > len) {
			rc = hosttpm_call_nonsense(&call, e);
			break;
		}
		memcpy(out, got.p, got.n);
		out += got.n;
		len -= got.n;
	}
	hosttpm_call_wipe(&call);
	return rc;
}

int hosttpm_seal(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		 enum approval_purpose purpose, const uint8_t *auth,
		 const uint8_t *secret, size_t len, uint8_t *object, size_t *object_len,
		 struct error *e)
{
	const struct hosttpm_bytes key = {auth, auth ? HOSTTPM_AUTH_SIZE : 0};
	const struct hosttpm_bytes data = {secret, (uint16_t)len};
	struct hosttpm_session s = {0};
	uint8_t policy[CRYPT_HASH_SIZE];
	struct hosttpm_point srk;
	int rc;

	if (!len || len > SECRET_MAX)
		return error_set(e, -EINVAL, CAUSE_INTERNAL, "%zu bytes cannot be sealed",
				 len);
	rc = hosttpm_policy_digest(c, purpose, auth, policy, e);
	if (!rc)
		rc = hosttpm_cmd_srk(c, t, &srk, e);
	if (!rc)
		rc = hosttpm_cmd_start(c, t, TPM2_SE_HMAC, &srk, &s, e);
	if (rc)
		goto out;
	rc = hosttpm_cmd_create(c, t, &s, policy, key, data, object, object_len, e);
	hosttpm_cmd_flush(t, s.handle);
out:
	hosttpm_session_wipe(&s);
	return rc;
}

/* Loads the object in a session of its own, which is gone afterwards. */
static int load(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		const struct hosttpm_point *srk, struct hosttpm_bytes public,
		struct hosttpm_bytes private, uint32_t *handle, struct error *e)
{
	struct hosttpm_session s = {0};
	int rc;

	rc = hosttpm_cmd_start(c, t, TPM2_SE_HMAC, srk, &s, e);
	if (!rc) {
		rc = hosttpm_cmd_load(c, t, &s, public, private, handle, e);
		hosttpm_cmd_flush(t, s.handle);
	}
	hosttpm_session_wipe(&s);
	return rc;
}

static int damaged(struct error *e)
{
	return error_set(
		e, -EBADMSG, CAUSE_HEADER_CORRUPT,
		"a sealed object of this vTPM is damaged: restore its header from "
		"the previous generation or a backup");
}

static int unseal_loaded(const struct hosttpm_config *c,
			 const struct hosttpm_transport *t,
			 const struct hosttpm_point *srk, enum approval_purpose purpose,
			 const uint8_t *auth, struct hosttpm_bytes public,
			 uint32_t object, uint8_t *secret, size_t *len, struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	struct hosttpm_session s = {0};
	int rc;

	if (hosttpm_cmd_name(public, name))
		return damaged(e);
	rc = hosttpm_cmd_start(c, t, TPM2_SE_POLICY, srk, &s, e);
	if (rc)
		goto out;
	rc = hosttpm_policy_satisfy(c, t, srk, &s, purpose, auth, e);
	if (!rc) {
		hosttpm_session_auth(&s, auth, auth ? HOSTTPM_AUTH_SIZE : 0, auth);
		rc = hosttpm_cmd_unseal(t, &s, object, name, secret, len, e);
	}
	hosttpm_cmd_flush(t, s.handle);
out:
	hosttpm_session_wipe(&s);
	return rc;
}

int hosttpm_unseal(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		   enum approval_purpose purpose, const uint8_t *auth,
		   const uint8_t *object, size_t object_len, uint8_t *secret, size_t *len,
		   struct error *e)
{
	struct cursor cur = cursor_reader(object, object_len);
	struct hosttpm_bytes public = hosttpm_cmd_get(&cur);
	struct hosttpm_bytes private = hosttpm_cmd_get(&cur);
	struct hosttpm_point srk;
	uint32_t handle = 0;
	int rc;

	if (!cursor_done(&cur) || !hosttpm_cmd_is_sealed(public) ||
	    object_len > HOSTTPM_OBJECT_MAX)
		return damaged(e);
	rc = hosttpm_cmd_srk(c, t, &srk, e);
	if (!rc)
		rc = load(c, t, &srk, public, private, &handle, e);
	if (!rc)
		rc = unseal_loaded(c, t, &srk, purpose, auth, public, handle, secret, len,
				   e);
	hosttpm_cmd_flush(t, handle);
	return rc;
}
