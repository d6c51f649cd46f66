/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tpmnv.h"
#include "tools/vtpmctl/tpmrc.h"
#include "lib/crypt.h"

#include <errno.h>
#include <string.h>
#include <tss2/tss2_mu.h>

int tpmnv_written_name(const TPMS_NV_PUBLIC *public, uint8_t name[TPM_NAME_SIZE])
{
	TPMS_NV_PUBLIC written = *public;
	uint8_t bytes[sizeof(TPMS_NV_PUBLIC)];
	struct crypt_part part = {bytes, 0};

	written.attributes |= TPMA_NV_WRITTEN;
	if (Tss2_MU_TPMS_NV_PUBLIC_Marshal(&written, bytes, sizeof(bytes), &part.n))
		return -EIO;
	name[0] = TPM2_ALG_SHA256 >> 8;
	name[1] = TPM2_ALG_SHA256 & 0xff;
	return crypt_sha256(&part, 1, name + 2);
}

static TSS2_RC load(struct tpm *t, uint32_t index, ESYS_TR *nv)
{
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	return rc ? rc
		  : Esys_TR_FromTPMPublic(t->esys, index, audit, ESYS_TR_NONE,
					  ESYS_TR_NONE, nv);
}

int tpmnv_find(struct tpm *t, uint32_t index, const uint8_t name[TPM_NAME_SIZE],
	       ESYS_TR *nv, struct error *e)
{
	uint8_t there[TPM_NAME_SIZE];
	bool used;
	TSS2_RC rc;
	int ret = tpm_handle_used(t, index, &used, e);

	if (ret)
		return ret;
	if (!used)
		return -ENOENT;
	rc = load(t, index, nv);
	if (rc)
		return tpmrc_set(e, rc, "read an NV index's public part");
	if (!tpm_name(t, *nv, there) && !memcmp(there, name, sizeof(there)))
		return 0;
	Esys_TR_Close(t->esys, nv);
	return -EXDEV;
}

int tpmnv_define(struct tpm *t, const TPMS_NV_PUBLIC *public, const TPM2B_AUTH *auth,
		 ESYS_TR *nv, struct error *e)
{
	const TPM2B_NV_PUBLIC wanted = {.nvPublic = *public};
	const TPM2B_AUTH none = {0};
	ESYS_TR session = ESYS_TR_NONE;
	TSS2_RC rc = tpmseal_session(t, TPM2_SE_HMAC,
				     TPMA_SESSION_DECRYPT | TPMA_SESSION_CONTINUESESSION,
				     &session);

	if (!rc)
		rc = Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, session, ESYS_TR_NONE,
					 ESYS_TR_NONE, auth ? auth : &none, &wanted, nv);
	if (session != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, session);
	return rc ? tpmrc_set(e, rc, "make an NV index") : 0;
}

int tpmnv_remove(struct tpm *t, ESYS_TR *nv, struct error *e)
{
	TSS2_RC rc = Esys_NV_UndefineSpace(t->esys, ESYS_TR_RH_OWNER, *nv,
					   ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE);

	*nv = ESYS_TR_NONE;
	return rc ? tpmrc_set(e, rc, "remove an NV index") : 0;
}

/* Whether an index is one of ours, written or not; *same: of this policy, too. */
static bool ours(const TPMS_NV_PUBLIC *there, const TPMS_NV_PUBLIC *wanted, bool *same)
{
	*same = there->authPolicy.size == wanted->authPolicy.size &&
		!memcmp(there->authPolicy.buffer, wanted->authPolicy.buffer,
			wanted->authPolicy.size);
	return there->nameAlg == wanted->nameAlg && there->dataSize == wanted->dataSize &&
	       (there->attributes & ~TPMA_NV_WRITTEN) == wanted->attributes &&
	       there->authPolicy.size == wanted->authPolicy.size;
}

static int foreign(uint32_t index, struct error *e)
{
	return error_set(
		e, -EXDEV, CAUSE_TPM_REFUSED,
		"the NV index 0x%08x in the host's TPM is another program's; see "
		"`tpm2_nvreadpublic 0x%08x`, and when nobody needs it, remove it with "
		"`tpm2_nvundefine -C o 0x%08x` and try again",
		index, index, index);
}

int tpmnv_take(struct tpm *t, const TPMS_NV_PUBLIC *wanted, ESYS_TR *nv, bool *written,
	       struct error *e)
{
	TPM2B_NV_PUBLIC *public = NULL;
	bool used, mine, same = false;
	ESYS_TR audit;
	TSS2_RC rc;
	int ret = tpm_handle_used(t, wanted->nvIndex, &used, e);

	*written = false;
	if (ret || !used)
		return ret;
	rc = load(t, wanted->nvIndex, nv);
	if (!rc)
		rc = tpm_audit(t, &audit);
	if (!rc)
		rc = Esys_NV_ReadPublic(t->esys, *nv, audit, ESYS_TR_NONE, ESYS_TR_NONE,
					&public, NULL);
	if (rc)
		return tpmrc_set(e, rc, "read an NV index's public part");
	mine = ours(&public->nvPublic, wanted, &same);
	*written = public->nvPublic.attributes & TPMA_NV_WRITTEN;
	Esys_Free(public);
	if (!mine)
		return foreign(wanted->nvIndex, e);
	if (same)
		return 0;
	*written = false;
	return tpmnv_remove(t, nv, e);
}
