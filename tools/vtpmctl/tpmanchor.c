/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tpmanchor.h"
#include "tools/vtpmctl/tpmrc.h"
#include "lib/crypt.h"

#include <errno.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* NO_DA: nobody locks the host out of its anchor by wrong authorizations. */
#define ATTRIBUTES                                                                    \
	(TPMA_NV_POLICYWRITE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA | \
	 TPM2_NT_ORDINARY << TPMA_NV_TPM2_NT_SHIFT)

static int template(const struct hostconf *h, TPM2B_NV_PUBLIC *out)
{
	*out = (TPM2B_NV_PUBLIC){.nvPublic = {
					 .nvIndex = TPMANCHOR_INDEX,
					 .nameAlg = TPM2_ALG_SHA256,
					 .attributes = ATTRIBUTES,
					 .authPolicy.size = APPROVAL_HASH_SIZE,
					 .dataSize = TPMANCHOR_SIZE,
				 }};
	return policykey_policy(h->policy_key, out->nvPublic.authPolicy.buffer);
}

/* Its Name once it is written (Part 1, 16): the index cannot get it otherwise. */
static int written_name(const struct hostconf *h, uint8_t name[TPM_NAME_SIZE])
{
	TPM2B_NV_PUBLIC public;
	uint8_t bytes[sizeof(TPMS_NV_PUBLIC)];
	struct crypt_part part = {bytes, 0};
	int rc = template(h, &public);

	if (rc)
		return rc;
	public.nvPublic.attributes |= TPMA_NV_WRITTEN;
	if (Tss2_MU_TPMS_NV_PUBLIC_Marshal(&public.nvPublic, bytes, sizeof(bytes),
					   &part.n))
		return -EIO;
	name[0] = TPM2_ALG_SHA256 >> 8;
	name[1] = TPM2_ALG_SHA256 & 0xff;
	return crypt_sha256(&part, 1, name + 2);
}

static int gone(struct error *e)
{
	return error_set(
		e, -ENOENT, CAUSE_ROLLED_BACK,
		"the NV index 0x%08x that anchors this host's vTPMs is not in the host's "
		"TPM: somebody removed it; when you know that the store is the newest, "
		"`vtpmctl host anchor --init --yes` anchors it anew",
		TPMANCHOR_INDEX);
}

static int other(struct error *e)
{
	return error_set(
		e, -ENOENT, CAUSE_ROLLED_BACK,
		"the NV index 0x%08x in the host's TPM is not the one that anchored this "
		"host's vTPMs: somebody made another; when you know that the store is "
		"the newest, `vtpmctl host anchor --init --yes` anchors it anew",
		TPMANCHOR_INDEX);
}

/* The index as the TPM has it, if its Name is the pinned one. */
static int find(struct tpm *t, const struct hostconf *h, ESYS_TR *nv, struct error *e)
{
	uint8_t name[TPM_NAME_SIZE];
	bool used;
	TSS2_RC rc;
	int ret = tpm_handle_used(t, h->anchor_index, &used, e);

	if (ret)
		return ret;
	if (!used)
		return gone(e);
	rc = Esys_TR_FromTPMPublic(t->esys, h->anchor_index, ESYS_TR_NONE, ESYS_TR_NONE,
				   ESYS_TR_NONE, nv);
	if (rc)
		return tpmrc_set(e, rc, "read the anchor's public part");
	if (!tpm_name(t, *nv, name) && !memcmp(name, h->anchor_name, sizeof(name)))
		return 0;
	Esys_TR_Close(t->esys, nv);
	return other(e);
}

int tpmanchor_read(struct tpm *t, const struct hostconf *h, uint8_t value[TPMANCHOR_SIZE],
		   struct error *e)
{
	TPM2B_MAX_NV_BUFFER *data = NULL;
	ESYS_TR nv = ESYS_TR_NONE, audit;
	TSS2_RC rc;
	int ret = find(t, h, &nv, e);

	if (ret)
		return ret;
	/* the answer's HMAC says that it is the TPM's, and of the index of that Name */
	rc = tpm_audit(t, &audit);
	if (!rc)
		rc = Esys_NV_Read(t->esys, nv, nv, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				  TPMANCHOR_SIZE, 0, &data);
	if (!rc && data->size == TPMANCHOR_SIZE)
		memcpy(value, data->buffer, TPMANCHOR_SIZE);
	else if (!rc)
		rc = TSS2_ESYS_RC_GENERAL_FAILURE;
	Esys_Free(data);
	Esys_TR_Close(t->esys, &nv);
	return rc ? tpmrc_set(e, rc, "read the anchor") : 0;
}

/* The approval that fits the PCRs as they are. */
static int find_approval(struct tpm *t, const struct hostconf *h,
			 const struct approval **out, struct error *e)
{
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	size_t i;
	int rc = tpm_pcrs(t, h->pcrs, value, e);

	if (rc)
		return rc;
	for (i = 0; i < h->approval_count; i++) {
		*out = &h->approvals[i];
		if (approval_matches(*out, value) &&
		    !policykey_verify(h->policy_key, *out))
			return 0;
	}
	return error_set(e, -EPERM, CAUSE_PCRS_CHANGED,
			 "this host's boot state is not an approved one, so the anchor "
			 "cannot be written: see `vtpmctl host show`; when the change is "
			 "yours, `vtpmctl host approve`");
}

static int write_value(struct tpm *t, const struct hostconf *h, ESYS_TR nv,
		       const uint8_t value[TPMANCHOR_SIZE], struct error *e)
{
	TPM2B_MAX_NV_BUFFER data = {.size = TPMANCHOR_SIZE};
	ESYS_TR session = ESYS_TR_NONE;
	const struct approval *a = NULL;
	TSS2_RC rc;
	int ret = find_approval(t, h, &a, e);

	if (ret)
		return ret;
	memcpy(data.buffer, value, TPMANCHOR_SIZE);
	rc = tpmseal_session(t, TPM2_SE_POLICY, TPMA_SESSION_CONTINUESESSION, &session);
	if (!rc)
		rc = tpmseal_policy(t, h->policy_key, a, session);
	if (!rc)
		rc = Esys_NV_Write(t->esys, nv, nv, session, ESYS_TR_NONE, ESYS_TR_NONE,
				   &data, 0);
	if (session != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, session);
	return rc ? tpmrc_set(e, rc, "write the anchor") : 0;
}

int tpmanchor_write(struct tpm *t, const struct hostconf *h,
		    const uint8_t value[TPMANCHOR_SIZE], struct error *e)
{
	ESYS_TR nv = ESYS_TR_NONE;
	int rc = find(t, h, &nv, e);

	if (rc)
		return rc;
	rc = write_value(t, h, nv, value, e);
	Esys_TR_Close(t->esys, &nv);
	return rc;
}

/* Whether an index is one of ours, written or not; *same: of this policy key, too. */
static bool ours(const TPMS_NV_PUBLIC *there, const TPMS_NV_PUBLIC *wanted, bool *same)
{
	*same = there->authPolicy.size == wanted->authPolicy.size &&
		!memcmp(there->authPolicy.buffer, wanted->authPolicy.buffer,
			wanted->authPolicy.size);
	return there->nameAlg == wanted->nameAlg && there->dataSize == wanted->dataSize &&
	       (there->attributes & ~TPMA_NV_WRITTEN) == wanted->attributes &&
	       there->authPolicy.size == wanted->authPolicy.size;
}

static int foreign(struct error *e)
{
	return error_set(
		e, -EXDEV, CAUSE_TPM_REFUSED,
		"the NV index 0x%08x in the host's TPM is another program's; see "
		"`tpm2_nvreadpublic 0x%08x`, and when nobody needs it, remove it with "
		"`tpm2_nvundefine -C o 0x%08x` and try again",
		TPMANCHOR_INDEX, TPMANCHOR_INDEX, TPMANCHOR_INDEX);
}

/* What is at the handle: *nv if it can stay; what is ours, but of another policy key,
 * is removed.  *written: it has a value. */
static int take_existing(struct tpm *t, const TPMS_NV_PUBLIC *wanted, ESYS_TR *nv,
			 bool *written, struct error *e)
{
	TPM2B_NV_PUBLIC *public = NULL;
	bool mine, same = false;
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, wanted->nvIndex, ESYS_TR_NONE,
					   ESYS_TR_NONE, ESYS_TR_NONE, nv);

	if (!rc)
		rc = Esys_NV_ReadPublic(t->esys, *nv, ESYS_TR_NONE, ESYS_TR_NONE,
					ESYS_TR_NONE, &public, NULL);
	if (rc)
		return tpmrc_set(e, rc, "read the anchor's public part");
	mine = ours(&public->nvPublic, wanted, &same);
	*written = public->nvPublic.attributes & TPMA_NV_WRITTEN;
	Esys_Free(public);
	if (!mine)
		return foreign(e);
	if (same)
		return 0;
	rc = Esys_NV_UndefineSpace(t->esys, ESYS_TR_RH_OWNER, *nv, ESYS_TR_PASSWORD,
				   ESYS_TR_NONE, ESYS_TR_NONE);
	*nv = ESYS_TR_NONE;
	*written = false;
	return rc ? tpmrc_set(e, rc, "remove the anchor of another policy key") : 0;
}

static int define(struct tpm *t, const TPM2B_NV_PUBLIC *public, ESYS_TR *nv,
		  struct error *e)
{
	const TPM2B_AUTH no_auth = {0};
	TSS2_RC rc =
		Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
				    ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, public, nv);

	return rc ? tpmrc_set(e, rc, "make an NV index for the anchor") : 0;
}

int tpmanchor_make(struct tpm *t, struct hostconf *h, bool *made, struct error *e)
{
	static const uint8_t no_table[TPMANCHOR_SIZE];
	TPM2B_NV_PUBLIC public;
	ESYS_TR nv = ESYS_TR_NONE;
	bool used, written = false;
	int rc = tpm_handle_used(t, TPMANCHOR_INDEX, &used, e);

	if (!rc && (template(h, &public) || written_name(h, h->anchor_name)))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not name the anchor");
	if (!rc && used)
		rc = take_existing(t, &public.nvPublic, &nv, &written, e);
	if (!rc && nv == ESYS_TR_NONE)
		rc = define(t, &public, &nv, e);
	if (!rc && !written)
		rc = write_value(t, h, nv, no_table, e);
	if (nv != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &nv);
	if (rc)
		return rc;
	*made = !written;
	h->anchor_index = TPMANCHOR_INDEX;
	/* the proof that the Name is what is pinned, and that it can be read */
	return tpmanchor_read(t, h, (uint8_t[TPMANCHOR_SIZE]){0}, e);
}
