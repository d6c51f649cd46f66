/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/poolshare.h"
#include "lib/tpm2/duplicate.h"
#include "lib/tpm2/policy.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

int poolshare_template(const uint8_t *policy_key, size_t policy_key_len,
		       const uint8_t srk_name[TPM2_NAME_SIZE],
		       uint8_t policy[CRYPT_HASH_SIZE], struct tpm2_template *t)
{
	uint8_t name[TPM2_NAME_SIZE], ref[CRYPT_HASH_SIZE];

	*t = (struct tpm2_template){.type = TPM2_ALG_KEYEDHASH,
				    .name_alg = TPM2_ALG_SHA256,
				    .attributes = TPMA_OBJECT_ADMINWITHPOLICY |
						  TPMA_OBJECT_NODA |
						  TPMA_OBJECT_SIGN_ENCRYPT,
				    .policy = {policy, CRYPT_HASH_SIZE},
				    .hmac = TPM2_ALG_SHA256};
	return tpm2_name((struct tpm2_bytes){policy_key, policy_key_len}, name) ||
			       policy_ref(APPROVAL_VTPM, srk_name, ref) ||
			       policy_authorize(policy, name, ref)
		       ? -EIO
		       : 0;
}

static int not_ours(struct error *e)
{
	return error_set(
		e, -EACCES, CAUSE_TPM_REFUSED,
		"the pool's key that the list of hosts has for this host does not open in "
		"its TPM: it was made for another TPM or policy key, or was changed; `vtpmctl "
		"pool publish --new-key --policy-key FILE` makes a new one");
}

/* Whether what failed is what the TPM thinks of the object, and not of the host or session. */
static bool is_of_object(const struct hosttpm *h, int rc)
{
	uint32_t code = h->cmd.rc & 0xbf;

	return rc == -EREMOTEIO && h->cmd.rc & TPM2_RC_FMT1 &&
	       (code == TPM2_RC_INTEGRITY || code == TPM2_RC_ECC_POINT ||
		code == TPM2_RC_VALUE || code == TPM2_RC_SIZE ||
		code == TPM2_RC_BINDING || code == TPM2_RC_POLICY_FAIL ||
		code == TPM2_RC_ATTRIBUTES || code == TPM2_RC_INSUFFICIENT ||
		code == TPM2_RC_TYPE || code == TPM2_RC_HASH || code == TPM2_RC_SCHEME ||
		code == TPM2_RC_KEY_SIZE);
}

/* The object in the form that hosttpm_load() takes.  *len: in, room; out, bytes. */
static int import_share(struct hosttpm *h, const struct tpm2_duplicate *d, uint8_t *out,
			size_t *len, struct error *e)
{
	const struct tpm2_object srk = {h->c->srk_handle, h->c->srk_name};
	struct cursor w = cursor_writer(out, *len);
	struct tpm2_bytes private = {0};
	struct tpm2_session s = {0};
	int rc = hosttpm_start(h, TPM2_SE_HMAC, &s, e);

	if (!rc) {
		rc = tpm2_import(&h->cmd, srk, &(struct tpm2_auth){.session = &s},
				 d->public, d->duplicate, d->seed, &private);
		if (!rc) {
			tpm2_put_2b(&w, d->public);
			tpm2_put_2b(&w, private);
			*len = w.pos;
			rc = cursor_ok(&w) ? 0 : -EBADMSG;
		}
		rc = is_of_object(h, rc) ? not_ours(e) : hosttpm_result(&h->cmd, rc, e);
	}
	hosttpm_end(h, &s);
	return rc;
}

int poolshare_load(struct hosttpm *h, struct tpm2_bytes object, uint32_t *handle,
		   uint8_t name[TPM2_NAME_SIZE], struct error *e)
{
	uint8_t loadable[HOSTTPM_OBJECT_MAX];
	size_t len = sizeof(loadable);
	struct tpm2_duplicate d;
	int rc;

	*handle = 0;
	if (tpm2_duplicate_parse(object, &d) || tpm2_name(d.public, name))
		return not_ours(e);
	rc = import_share(h, &d, loadable, &len, e);
	return rc ? rc : hosttpm_load(h, loadable, len, handle, e);
}

static int run_hmac(struct hosttpm *h, struct tpm2_object key, struct tpm2_bytes data,
		    uint8_t share[CRYPT_HASH_SIZE], struct error *e)
{
	struct tpm2_bytes got = {0};
	struct tpm2_session s = {0};
	int rc = hosttpm_start(h, TPM2_SE_POLICY, &s, e);

	if (!rc)
		rc = hosttpm_satisfy(h, s.handle, APPROVAL_VTPM, false, e);
	if (!rc) {
		tpm2_session_auth(&s, NULL, 0, false);
		rc = tpm2_hmac(&h->cmd, key, &(struct tpm2_auth){.session = &s}, data,
			       &got);
		if (!rc)
			memcpy(share, got.p, CRYPT_HASH_SIZE);
		rc = is_of_object(h, rc) ? not_ours(e) : hosttpm_result(&h->cmd, rc, e);
	}
	hosttpm_end(h, &s);
	return rc;
}

static int derive_once(struct hosttpm *h, struct tpm2_bytes object,
		       struct tpm2_bytes data, uint8_t share[CRYPT_HASH_SIZE],
		       struct error *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	uint32_t handle;
	int rc;

	h->cmd.yields = true;
	rc = poolshare_load(h, object, &handle, name, e);
	if (!rc)
		rc = run_hmac(h, (struct tpm2_object){handle, name}, data, share, e);
	hosttpm_flush(h, handle);
	return rc;
}

int poolshare_derive(const struct hosttpm_config *c, const struct tpm2_transport *t,
		     struct tpm2_bytes object, struct tpm2_bytes data,
		     uint8_t share[CRYPT_HASH_SIZE], struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	struct tpm2_busy busy = {0};
	struct hosttpm h;
	int rc;

	do {
		rc = hosttpm_open(&h, c, t, &why);
		if (!rc)
			rc = derive_once(&h, object, data, share, &why);
	} while (rc && hosttpm_again(&h, &busy, &why));
	hosttpm_close(&h);
	return rc ? error_set(e, rc, why.cause, "%s", why.text) : 0;
}
