/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm_policy.h"
#include "hosttpm_pcr.h"

#include <errno.h>
#include <string.h>

/* One step of a policy (Part 3, 23.2.3): digest = H(digest || code || data). */
static int extend(uint8_t digest[CRYPT_HASH_SIZE], uint32_t code, const uint8_t *data,
		  size_t len)
{
	uint8_t be[4];
	struct cursor c = cursor_writer(be, sizeof(be));
	const struct crypt_part parts[] = {
		{digest, CRYPT_HASH_SIZE}, {be, sizeof(be)}, {data, len}};

	cursor_put_u32(&c, code);
	return crypt_sha256(parts, ARRAY_SIZE(parts), digest);
}

static int policy_key_name(const struct hosttpm_config *c,
			   uint8_t name[HOSTTPM_NAME_SIZE], struct error *e)
{
	const struct hosttpm_bytes key = {c->policy_key, (uint16_t)c->policy_key_len};

	if (!c->policy_key_len || c->policy_key_len > UINT16_MAX ||
	    hosttpm_cmd_name(key, name))
		return error_set(
			e, -EINVAL, CAUSE_NOT_CONFIGURED,
			"the host has no policy key, or one that is damaged: run "
			"`vtpmctl host init`");
	return 0;
}

int hosttpm_policy_digest(const struct hosttpm_config *c, bool with_auth,
			  uint8_t digest[CRYPT_HASH_SIZE], struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	const struct crypt_part again = {digest, CRYPT_HASH_SIZE};
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	/* Part 3, 23.16.3: starts from zeroes, then once more for policyRef */
	memset(digest, 0, CRYPT_HASH_SIZE);
	rc = extend(digest, TPM2_CC_POLICY_AUTHORIZE, name, sizeof(name));
	if (!rc)
		rc = crypt_sha256(&again, 1, digest);
	if (!rc && with_auth)
		rc = extend(digest, TPM2_CC_POLICY_AUTH_VALUE, NULL, 0);
	return rc ? error_crypto(e, rc, "SHA-256") : 0;
}

static int load_policy_key(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t, uint32_t *handle,
			   struct error *e)
{
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_LOAD_EXTERNAL);
	call.gives_handle = true;
	cursor_put_u16(&call.in, 0); /* no private part */
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){c->policy_key,
							 (uint16_t)c->policy_key_len});
	/* of a hierarchy with a proof, or the ticket would be empty */
	cursor_put_u32(&call.in, HOSTTPM_RH_OWNER);
	rc = hosttpm_call_run(&call, t, e);
	*handle = call.handle_returned;
	return rc;
}

/* The TPMT_TK_VERIFIED stays in call->wire; *ticket points to it. */
static int verify_signature(struct hosttpm_call *call, const struct hosttpm_transport *t,
			    uint32_t key, const struct hosttpm_approval *a,
			    struct hosttpm_bytes *ticket, struct error *e)
{
	const struct crypt_part part = {a->policy, CRYPT_HASH_SIZE};
	uint8_t hash[CRYPT_HASH_SIZE];
	struct cursor c;
	int rc;

	rc = crypt_sha256(&part, 1, hash);
	if (rc)
		return error_crypto(e, rc, "SHA-256");
	hosttpm_call_begin(call, TPM2_CC_VERIFY_SIGNATURE);
	cursor_put_u32(&call->in, key);
	hosttpm_cmd_put(&call->in, (struct hosttpm_bytes){hash, sizeof(hash)});
	cursor_put(&call->in, a->signature, a->signature_len);
	rc = hosttpm_call_run(call, t, e);
	if (rc)
		return rc;
	c = call->out;
	(void)cursor_u16(&c); /* TPM_ST_VERIFIED */
	(void)cursor_u32(&c); /* hierarchy */
	(void)hosttpm_cmd_get(&c);
	if (!cursor_done(&c) || c.len > UINT16_MAX)
		return hosttpm_call_nonsense(call, e);
	*ticket = (struct hosttpm_bytes){c.rd, (uint16_t)c.len};
	return 0;
}

static int policy_authorize(const struct hosttpm_config *c,
			    const struct hosttpm_transport *t, uint32_t session,
			    const struct hosttpm_approval *a, struct hosttpm_bytes ticket,
			    struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	struct hosttpm_call call;
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	hosttpm_call_begin(&call, TPM2_CC_POLICY_AUTHORIZE);
	cursor_put_u32(&call.in, session);
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){a->policy, CRYPT_HASH_SIZE});
	cursor_put_u16(&call.in, 0); /* policyRef */
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){name, sizeof(name)});
	cursor_put(&call.in, ticket.p, ticket.n);
	return hosttpm_call_run(&call, t, e);
}

static int authorize(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		     uint32_t session, const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_bytes ticket = {0};
	struct hosttpm_call call;
	uint32_t key = 0;
	int rc;

	rc = load_policy_key(c, t, &key, e);
	if (rc)
		return rc;
	rc = verify_signature(&call, t, key, a, &ticket, e);
	hosttpm_cmd_flush(t, key);
	return rc ? rc : policy_authorize(c, t, session, a, ticket, e);
}

static int policy_auth_value(const struct hosttpm_transport *t, uint32_t session,
			     struct error *e)
{
	struct hosttpm_call call;

	hosttpm_call_begin(&call, TPM2_CC_POLICY_AUTH_VALUE);
	cursor_put_u32(&call.in, session);
	return hosttpm_call_run(&call, t, e);
}

int hosttpm_policy_satisfy(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t,
			   const struct hosttpm_session *s, bool with_auth,
			   struct error *e)
{
	struct hosttpm_approval a;
	int rc;

	rc = hosttpm_pcr_match(c, t, &a, e);
	if (!rc)
		rc = hosttpm_pcr_policy(t, s->handle, &a, e);
	if (!rc)
		rc = authorize(c, t, s->handle, &a, e);
	if (!rc && with_auth)
		rc = policy_auth_value(t, s->handle, e);
	return rc;
}
