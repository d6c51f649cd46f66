/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpm-attest/guestkey.h"

#include <stdbool.h>
#include <stddef.h>

/* The template L-2 of the TCG's EK Credential Profile, B.3.4 */
static const TPM2B_PUBLIC ek_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				    TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED |
				    TPMA_OBJECT_DECRYPT,
		.authPolicy = {.size = 32,
			       .buffer = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3,
					  0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5,
					  0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06,
					  0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b,
					  0x33, 0x14, 0x69, 0xaa}},
		.parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
						       .keyBits.aes = 128,
						       .mode.aes = TPM2_ALG_CFB},
					 .scheme.scheme = TPM2_ALG_NULL,
					 .curveID = TPM2_ECC_NIST_P256,
					 .kdf.scheme = TPM2_ALG_NULL},
		.unique.ecc = {.x.size = 32, .y.size = 32},
	}};

static const TPM2B_PUBLIC ak_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				    TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
				    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
		.parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
					 .scheme = {.scheme = TPM2_ALG_ECDSA,
						    .details.ecdsa.hashAlg =
							    TPM2_ALG_SHA256},
					 .curveID = TPM2_ECC_NIST_P256,
					 .kdf.scheme = TPM2_ALG_NULL},
	}};

static TSS2_RC make_ek(ESYS_CONTEXT *esys, ESYS_TR *ek)
{
	const TPM2B_SENSITIVE_CREATE no_secret = {0};
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};

	return Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
				  ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &ek_template,
				  &no_data, &no_pcrs, ek, NULL, NULL, NULL, NULL);
}

/* A session that may use the endorsement key, once: its policy is PolicySecret of the
 * endorsement hierarchy. */
static TSS2_RC prove(ESYS_CONTEXT *esys, ESYS_TR *session)
{
	const TPMT_SYM_DEF no_cipher = {.algorithm = TPM2_ALG_NULL};
	TSS2_RC rc = Esys_StartAuthSession(
		esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
		ESYS_TR_NONE, NULL, TPM2_SE_POLICY, &no_cipher, TPM2_ALG_SHA256, session);

	if (!rc)
		rc = Esys_PolicySecret(esys, ESYS_TR_RH_ENDORSEMENT, *session,
				       ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, NULL,
				       NULL, NULL, 0, NULL, NULL);
	return rc;
}

static void flush(ESYS_CONTEXT *esys, ESYS_TR *object)
{
	if (*object != ESYS_TR_NONE)
		(void)!Esys_FlushContext(esys, *object);
	*object = ESYS_TR_NONE;
}

/* Both commands use a session up. */
static TSS2_RC make_child(ESYS_CONTEXT *esys, ESYS_TR ek, struct guestkey *k)
{
	const TPM2B_SENSITIVE_CREATE no_secret = {0};
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR session = ESYS_TR_NONE;
	TSS2_RC rc = prove(esys, &session);

	if (!rc)
		rc = Esys_Create(esys, ek, session, ESYS_TR_NONE, ESYS_TR_NONE,
				 &no_secret, &ak_template, &no_data, &no_pcrs, &private,
				 &public, NULL, NULL, NULL);
	flush(esys, &session);
	if (!rc)
		rc = prove(esys, &session);
	if (!rc)
		rc = Esys_Load(esys, ek, session, ESYS_TR_NONE, ESYS_TR_NONE, private,
			       public, &k->key);
	flush(esys, &session);
	Esys_Free(private);
	Esys_Free(public);
	return rc;
}

TSS2_RC guestkey_make(ESYS_CONTEXT *esys, struct guestkey *k, const char **doing)
{
	ESYS_TR ek = ESYS_TR_NONE;
	TSS2_RC rc;

	k->key = ESYS_TR_NONE;
	*doing = "make its endorsement key";
	rc = make_ek(esys, &ek);
	if (rc)
		return rc;
	*doing = "make an attestation key";
	rc = make_child(esys, ek, k);
	flush(esys, &ek);
	return rc ? rc : Esys_TR_GetTpmHandle(esys, k->key, &k->handle);
}

/* The banks that the TPM has, with these PCRs. */
static TSS2_RC select_pcrs(ESYS_CONTEXT *esys, uint32_t pcrs, TPML_PCR_SELECTION *out)
{
	TPMS_CAPABILITY_DATA *data = NULL;
	const TPML_PCR_SELECTION *has;
	TPMI_YES_NO more;
	unsigned int i, n;
	TSS2_RC rc = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
					TPM2_CAP_PCRS, 0, 1, &more, &data);

	if (rc)
		return rc;
	*out = (TPML_PCR_SELECTION){0};
	has = &data->data.assignedPCR;
	for (i = 0; i < has->count; i++) {
		TPMS_PCR_SELECTION s = has->pcrSelections[i];
		bool some = false;

		for (n = 0; n < s.sizeofSelect; n++) {
			s.pcrSelect[n] &= n < 3 ? (uint8_t)(pcrs >> 8 * n) : 0;
			some |= s.pcrSelect[n] != 0;
		}
		if (some)
			out->pcrSelections[out->count++] = s;
	}
	Esys_Free(data);
	return 0;
}

TSS2_RC guestkey_quote(ESYS_CONTEXT *esys, struct guestkey *k, const TPM2B_DATA *nonce,
		       uint32_t pcrs, const char **doing)
{
	const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
	TPML_PCR_SELECTION selection;
	TPM2B_ATTEST *quote = NULL;
	TPMT_SIGNATURE *signature = NULL;
	TSS2_RC rc;

	*doing = "quote its PCRs";
	rc = select_pcrs(esys, pcrs, &selection);
	if (!rc)
		rc = Esys_Quote(esys, k->key, ESYS_TR_PASSWORD, ESYS_TR_NONE,
				ESYS_TR_NONE, nonce, &scheme, &selection, &quote,
				&signature);
	if (!rc) {
		k->quote = *quote;
		k->signature = *signature;
	}
	Esys_Free(quote);
	Esys_Free(signature);
	return rc;
}

void guestkey_flush(ESYS_CONTEXT *esys, struct guestkey *k)
{
	flush(esys, &k->key);
}
