/* SPDX-License-Identifier: Apache-2.0 */
#include "hosttpm.h"
#include "stubdom/manager/hosttpm_cmd.h"

#include <errno.h>
#include <string.h>

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
static int load_hosttpm(const struct hosttpm_config *c, const struct hosttpm_transport *t,
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
		rc = load_hosttpm(c, t, &srk, public, private, &handle, e);
	if (!rc)
		rc = unseal_loaded(c, t, &srk, purpose, auth, public, handle, secret, len,
				   e);
	hosttpm_cmd_flush(t, handle);
	return rc;
}
