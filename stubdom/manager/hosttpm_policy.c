/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm_policy.h"
#include "hosttpm_pcr.h"
#include "lib/hostpolicy.h"
#include "lib/tpm2/types.h"

#include <errno.h>
#include <string.h>

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

int hosttpm_policy_digest(const struct hosttpm_config *c, enum approval_purpose purpose,
			  bool with_auth, uint8_t digest[CRYPT_HASH_SIZE],
			  struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE], ref[CRYPT_HASH_SIZE];
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	rc = hostpolicy_ref(purpose, c->srk_name, ref);
	if (!rc)
		rc = hostpolicy_authorize(digest, name, ref);
	if (!rc && with_auth)
		rc = hostpolicy_auth_value(digest);
	return rc ? error_crypto(e, rc, "SHA-256") : 0;
}

static int load_policy_key(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t, uint32_t *handle,
			   struct error *e)
{
	struct hosttpm_call call;
	int rc;

	hosttpm_call_begin(&call, TPM2_CC_LoadExternal);
	call.gives_handle = true;
	cursor_put_u16(&call.in, 0); /* no private part */
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){c->policy_key,
							 (uint16_t)c->policy_key_len});
	/* of a hierarchy with a proof, or the ticket would be empty */
	cursor_put_u32(&call.in, TPM2_RH_OWNER);
	rc = hosttpm_call_run(&call, t, e);
	*handle = call.handle_returned;
	return rc;
}

/* The TPMT_TK_VERIFIED stays in call->wire; *ticket points to it. */
static int verify_signature(struct hosttpm_call *call, const struct hosttpm_transport *t,
			    uint32_t key, const uint8_t hash[CRYPT_HASH_SIZE],
			    const uint8_t signature[HOSTTPM_SIGNATURE_SIZE],
			    struct hosttpm_bytes *ticket, struct error *e)
{
	struct cursor c;
	int rc;

	hosttpm_call_begin(call, TPM2_CC_VerifySignature);
	cursor_put_u32(&call->in, key);
	hosttpm_cmd_put(&call->in, (struct hosttpm_bytes){hash, CRYPT_HASH_SIZE});
	cursor_put(&call->in, signature, HOSTTPM_SIGNATURE_SIZE);
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
			    const struct hosttpm_approval *a,
			    const uint8_t ref[CRYPT_HASH_SIZE],
			    struct hosttpm_bytes ticket, struct error *e)
{
	uint8_t name[HOSTTPM_NAME_SIZE];
	struct hosttpm_call call;
	int rc;

	rc = policy_key_name(c, name, e);
	if (rc)
		return rc;
	hosttpm_call_begin(&call, TPM2_CC_PolicyAuthorize);
	cursor_put_u32(&call.in, session);
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){a->policy, CRYPT_HASH_SIZE});
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){ref, CRYPT_HASH_SIZE});
	hosttpm_cmd_put(&call.in, (struct hosttpm_bytes){name, sizeof(name)});
	cursor_put(&call.in, ticket.p, ticket.n);
	return hosttpm_call_run(&call, t, e);
}

static int authorize(const struct hosttpm_config *c, const struct hosttpm_transport *t,
		     uint32_t session, const struct hosttpm_approval *a,
		     enum approval_purpose purpose, struct error *e)
{
	uint8_t ref[CRYPT_HASH_SIZE], hash[CRYPT_HASH_SIZE];
	struct hosttpm_bytes ticket = {0};
	struct hosttpm_call call;
	uint32_t key = 0;
	int rc;

	rc = hostpolicy_ref(purpose, c->srk_name, ref);
	if (!rc)
		rc = hostpolicy_signed(a->policy, ref, hash);
	if (rc)
		return error_crypto(e, rc, "SHA-256");
	rc = load_policy_key(c, t, &key, e);
	if (rc)
		return rc;
	rc = verify_signature(&call, t, key, hash, a->signature[purpose - 1], &ticket, e);
	hosttpm_cmd_flush(t, key);
	return rc ? rc : policy_authorize(c, t, session, a, ref, ticket, e);
}

/* The refusals of TPM2_PolicyNV that say that the approval is no longer one: the counter
 * has another value (TPM_RC_POLICY), no value, or is not there. */
static int revoked(uint32_t code, struct error *e)
{
	if (code == TPM2_RC_POLICY)
		return error_set(
			e, -EACCES, CAUSE_PCRS_CHANGED,
			"the approval of this host's boot state was revoked; boot "
			"software that is approved, or run `vtpmctl host approve` "
			"with the policy key");
	return error_set(
		e, -EACCES, CAUSE_TPM_REFUSED,
		"the counter of revocations (NV index 0x%08x) is not in the host's TPM, "
		"or not the one that approvals were given with (code 0x%03x): somebody "
		"removed it; `vtpmctl host init --force` with the same policy key makes it "
		"anew",
		CHANNEL_COUNTER_INDEX, code);
}

static int policy_counter(const struct hosttpm_config *c,
			  const struct hosttpm_transport *t,
			  const struct hosttpm_point *srk, uint32_t session,
			  const struct hosttpm_approval *a, struct error *e)
{
	struct hosttpm_session s = {0};
	struct error why = {0};
	uint32_t code = 0;
	int rc = hosttpm_cmd_start(c, t, TPM2_SE_HMAC, srk, &s, e);

	if (rc)
		goto out;
	hosttpm_session_auth(&s, c->auth, sizeof(c->auth), true);
	rc = hosttpm_cmd_policy_nv(c, t, &s, session, a->number, &code, &why);
	hosttpm_cmd_flush(t, s.handle);
	if (rc == -EREMOTEIO)
		rc = revoked(code, e);
	else if (rc)
		rc = error_set(e, rc, why.cause, "%s", why.text);
out:
	hosttpm_session_wipe(&s);
	return rc;
}

static int policy_auth_value(const struct hosttpm_transport *t, uint32_t session,
			     struct error *e)
{
	struct hosttpm_call call;

	hosttpm_call_begin(&call, TPM2_CC_PolicyAuthValue);
	cursor_put_u32(&call.in, session);
	return hosttpm_call_run(&call, t, e);
}

int hosttpm_policy_satisfy(const struct hosttpm_config *c,
			   const struct hosttpm_transport *t,
			   const struct hosttpm_point *srk,
			   const struct hosttpm_session *s, enum approval_purpose purpose,
			   bool with_auth, struct error *e)
{
	struct hosttpm_approval a;
	int rc;

	rc = hosttpm_pcr_match(c, t, &a, e);
	if (!rc)
		rc = hosttpm_pcr_policy(t, s->handle, &a, e);
	if (!rc)
		rc = policy_counter(c, t, srk, s->handle, &a, e);
	if (!rc)
		rc = hosttpm_pcr_approved(t, s->handle, &a, e);
	if (!rc)
		rc = authorize(c, t, s->handle, &a, purpose, e);
	if (!rc && with_auth)
		rc = policy_auth_value(t, s->handle, e);
	return rc;
}
