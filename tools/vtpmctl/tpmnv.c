/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tpmnv.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/hostconf.h"

#include <errno.h>
#include <openssl/crypto.h>
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

static TSS2_RC load_nv(struct tpm *t, uint32_t index, ESYS_TR *nv)
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
	rc = load_nv(t, index, nv);
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
	TSS2_RC rc = tpm_start_session(
		t, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT | TPMA_SESSION_CONTINUESESSION,
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
	rc = load_nv(t, wanted->nvIndex, nv);
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

#define SIZE 8

/* NO_DA: wrong authorizations cannot lock the host out of its vTPMs. */
static const TPMS_NV_PUBLIC counter_template = {
	.nvIndex = CHANNEL_COUNTER_INDEX,
	.nameAlg = TPM2_ALG_SHA256,
	.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA |
		      TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT,
	.dataSize = SIZE,
};

static TPM2B_AUTH auth_of(const struct hostconf *h)
{
	TPM2B_AUTH auth = {.size = HOSTCONF_AUTH_SIZE};

	memcpy(auth.buffer, h->auth, HOSTCONF_AUTH_SIZE);
	return auth;
}

/* The counter of h's Name, with its authValue set. */
static int find_nv(struct tpm *t, const struct hostconf *h, ESYS_TR *nv, struct error *e)
{
	const TPM2B_AUTH auth = auth_of(h);
	struct error why = {0};
	int rc = tpmnv_find(t, CHANNEL_COUNTER_INDEX, h->counter_name, nv, &why);
	TSS2_RC tpm_rc;

	if (rc && !why.cause)
		return error_set(
			e, -ENOENT, CAUSE_TPM_REFUSED,
			"the counter of revocations (NV index 0x%08x) is not in the "
			"host's TPM: somebody removed it, and no approval is good "
			"without it; `vtpmctl host init --force` with the same policy "
			"key makes it anew",
			CHANNEL_COUNTER_INDEX);
	if (rc)
		return error_set(e, rc, why.cause, "%s", why.text);
	tpm_rc = Esys_TR_SetAuth(t->esys, *nv, &auth);
	return tpm_rc ? tpmrc_set(e, tpm_rc, "use the counter of revocations") : 0;
}

static TSS2_RC increment(struct tpm *t, ESYS_TR nv)
{
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	return rc ? rc
		  : Esys_NV_Increment(t->esys, nv, nv, audit, ESYS_TR_NONE, ESYS_TR_NONE);
}

static bool is_wrong_auth(TSS2_RC rc)
{
	rc &= ~(TSS2_RC)(TPM2_RC_S | TPM2_RC_N_MASK);
	return rc == TPM2_RC_AUTH_FAIL || rc == TPM2_RC_BAD_AUTH;
}

static TSS2_RC read_value(struct tpm *t, ESYS_TR nv, uint64_t *number)
{
	TPM2B_MAX_NV_BUFFER *data = NULL;
	struct cursor c;
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	if (!rc)
		rc = Esys_NV_Read(t->esys, nv, nv, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				  SIZE, 0, &data);
	if (!rc) {
		c = cursor_reader(data->buffer, data->size);
		*number = cursor_u64(&c);
		if (!cursor_done(&c))
			rc = TSS2_ESYS_RC_MALFORMED_RESPONSE;
	}
	Esys_Free(data);
	return rc;
}

/* One that is in place, if its authValue is the right one. */
static int keep_nv(struct tpm *t, const TPM2B_AUTH *auth, bool written, ESYS_TR *nv,
		   struct error *e)
{
	uint64_t number;
	TSS2_RC rc = Esys_TR_SetAuth(t->esys, *nv, auth);

	if (!rc)
		rc = written ? read_value(t, *nv, &number) : increment(t, *nv);
	if (is_wrong_auth(rc))
		return tpmnv_remove(t, nv, e);
	return rc ? tpmrc_set(e, rc, "use the counter of revocations that it has") : 0;
}

static int make_nv(struct tpm *t, const TPM2B_AUTH *auth, ESYS_TR *nv, struct error *e)
{
	int ret = tpmnv_define(t, &counter_template, auth, nv, e);
	TSS2_RC rc;

	if (ret)
		return ret;
	rc = Esys_TR_SetAuth(t->esys, *nv, auth);
	if (!rc)
		rc = increment(t, *nv);
	return rc ? tpmrc_set(e, rc, "start the counter of revocations") : 0;
}

int tpmcounter_make(struct tpm *t, struct hostconf *h, struct error *e)
{
	const TPM2B_AUTH auth = auth_of(h);
	ESYS_TR nv = ESYS_TR_NONE;
	bool written;
	int rc = tpmnv_take(t, &counter_template, &nv, &written, e);

	if (!rc && tpmnv_written_name(&counter_template, h->counter_name))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "OpenSSL could not name the counter of revocations");
	if (!rc && nv != ESYS_TR_NONE)
		rc = keep_nv(t, &auth, written, &nv, e);
	if (!rc && nv == ESYS_TR_NONE)
		rc = make_nv(t, &auth, &nv, e);
	if (nv != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &nv);
	return rc;
}

int tpmcounter_read(struct tpm *t, const struct hostconf *h, uint64_t *number,
		    struct error *e)
{
	ESYS_TR nv = ESYS_TR_NONE;
	TSS2_RC rc;
	int ret = find_nv(t, h, &nv, e);

	if (ret)
		return ret;
	rc = read_value(t, nv, number);
	Esys_TR_Close(t->esys, &nv);
	if (is_wrong_auth(rc))
		return error_set(
			e, -EACCES, CAUSE_TPM_REFUSED,
			"the counter of revocations in the host's TPM has another "
			"authorization value than host.json: `vtpmctl host init` made it "
			"again since; bring the newest host.json back, or run `vtpmctl "
			"host init --force` with the same --policy-key");
	return rc ? tpmrc_set(e, rc, "read the counter of revocations") : 0;
}

int tpmcounter_increment(struct tpm *t, const struct hostconf *h, struct error *e)
{
	ESYS_TR nv = ESYS_TR_NONE;
	TSS2_RC rc;
	int ret = find_nv(t, h, &nv, e);

	if (ret)
		return ret;
	rc = increment(t, nv);
	Esys_TR_Close(t->esys, &nv);
	return rc ? tpmrc_set(e, rc, "count a revocation") : 0;
}
