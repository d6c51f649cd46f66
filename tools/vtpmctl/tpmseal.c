/* SPDX-License-Identifier: Apache-2.0 */
/* Objects under the storage key, and the policy of the approved boot states (tpm.h). */
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/hostconf.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/tpmnv.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static void flush(struct tpm *t, ESYS_TR object)
{
	if (object != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, object);
}

TSS2_RC tpmseal_marshal(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
			uint8_t *object, size_t *len)
{
	size_t used = 0;
	TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, object, *len, &used);

	if (!rc)
		rc = Tss2_MU_TPM2B_PRIVATE_Marshal(private, object, *len, &used);
	*len = used;
	return rc;
}

TSS2_RC tpmseal_load(struct tpm *t, ESYS_TR session, const uint8_t *object, size_t len,
		     const uint8_t auth_value[HOSTCONF_AUTH_SIZE], ESYS_TR *out)
{
	TPM2B_PUBLIC public = {0};
	TPM2B_PRIVATE private = {0};
	TPM2B_AUTH auth = {.size = HOSTCONF_AUTH_SIZE};
	size_t used = 0;
	TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Unmarshal(object, len, &used, &public);

	memcpy(auth.buffer, auth_value, HOSTCONF_AUTH_SIZE);
	if (!rc)
		rc = Tss2_MU_TPM2B_PRIVATE_Unmarshal(object, len, &used, &private);
	if (!rc)
		rc = Esys_Load(t->esys, t->srk, session, ESYS_TR_NONE, ESYS_TR_NONE,
			       &private, &public, out);
	if (!rc)
		rc = Esys_TR_SetAuth(t->esys, *out, &auth);
	OPENSSL_cleanse(&auth, sizeof(auth));
	return rc;
}

TSS2_RC tpmseal_load_public(struct tpm *t, const uint8_t public[POLICYKEY_PUBLIC_SIZE],
			    ESYS_TR *key)
{
	TPM2B_PUBLIC area = {0};
	size_t used = 0;
	TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Unmarshal(public, POLICYKEY_PUBLIC_SIZE, &used,
						   &area.publicArea);

	/* of a hierarchy with a proof, or a ticket would be empty */
	return rc ? rc
		  : Esys_LoadExternal(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
				      NULL, &area, ESYS_TR_RH_OWNER, key);
}

TPMT_SIGNATURE tpmseal_signature(const struct approval_signature *s)
{
	TPMT_SIGNATURE signature = {.sigAlg = TPM2_ALG_ECDSA,
				    .signature.ecdsa = {
					    .hash = TPM2_ALG_SHA256,
					    .signatureR.size = APPROVAL_INT_SIZE,
					    .signatureS.size = APPROVAL_INT_SIZE,
				    }};

	memcpy(signature.signature.ecdsa.signatureR.buffer, s->r, APPROVAL_INT_SIZE);
	memcpy(signature.signature.ecdsa.signatureS.buffer, s->s, APPROVAL_INT_SIZE);
	return signature;
}

/* The TPM checks the approval's signature for a purpose and gives a ticket for it. */
static TSS2_RC verify_approval(struct tpm *t, const struct hostconf *h,
			       enum approval_purpose purpose, const struct approval *a,
			       const TPM2B_DIGEST *ref, TPM2B_NAME **name,
			       TPMT_TK_VERIFIED **ticket)
{
	const TPMT_SIGNATURE signature = tpmseal_signature(&a->signature[purpose - 1]);
	TPM2B_DIGEST hash = {.size = CRYPT_HASH_SIZE};
	ESYS_TR key = ESYS_TR_NONE;
	TSS2_RC rc = tpmseal_load_public(t, h->policy_key, &key);

	if (!rc && hostpolicy_signed(a->digest, ref->buffer, hash.buffer))
		rc = TSS2_ESYS_RC_GENERAL_FAILURE;
	if (!rc)
		rc = Esys_TR_GetName(t->esys, key, name);
	if (!rc)
		rc = Esys_VerifySignature(t->esys, key, ESYS_TR_NONE, ESYS_TR_NONE,
					  ESYS_TR_NONE, &hash, &signature, ticket);
	flush(t, key);
	return rc;
}

static TSS2_RC policy_pcr(struct tpm *t, const struct approval *a, ESYS_TR session)
{
	const TPML_PCR_SELECTION pcrs = {
		.count = 1,
		.pcrSelections = {
			{.hash = TPM2_ALG_SHA256,
			 .sizeofSelect = 3,
			 .pcrSelect = {(uint8_t)a->pcrs, (uint8_t)(a->pcrs >> 8),
				       (uint8_t)(a->pcrs >> 16)}}}};
	const TPM2B_DIGEST no_digest = {0};

	return Esys_PolicyPCR(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			      &no_digest, &pcrs);
}

TSS2_RC tpmseal_policy(struct tpm *t, const struct hostconf *h,
		       enum approval_purpose purpose, const struct approval *a,
		       ESYS_TR session)
{
	TPM2B_DIGEST approved = {.size = APPROVAL_HASH_SIZE},
		     ref = {.size = CRYPT_HASH_SIZE};
	TPM2B_NAME *name = NULL;
	TPMT_TK_VERIFIED *ticket = NULL;
	TSS2_RC rc = policy_pcr(t, a, session);

	memcpy(approved.buffer, a->digest, APPROVAL_HASH_SIZE);
	if (!rc)
		rc = tpmcounter_policy(t, h, a->number, session);
	if (!rc && hostpolicy_ref(purpose, h->srk_name, ref.buffer))
		rc = TSS2_ESYS_RC_GENERAL_FAILURE;
	if (!rc)
		rc = verify_approval(t, h, purpose, a, &ref, &name, &ticket);
	if (!rc)
		rc = Esys_PolicyAuthorize(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
					  ESYS_TR_NONE, &approved, &ref, name, ticket);
	Esys_Free(name);
	Esys_Free(ticket);
	return rc;
}
