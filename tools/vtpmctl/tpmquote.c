/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tpmquote.h"
#include "tools/vtpmctl/tpmrc.h"

#include <errno.h>
#include <string.h>

/* Between reading the PCRs and quoting them somebody may extend one. */
#define TRIES 4

static const TPM2B_PUBLIC template = {
	.publicArea =
		{
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes =
				TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				TPMA_OBJECT_SENSITIVEDATAORIGIN |
				TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
				TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
			.parameters.eccDetail =
				{
					.symmetric.algorithm = TPM2_ALG_NULL,
					.scheme = {.scheme = TPM2_ALG_ECDSA,
						   .details.ecdsa.hashAlg =
							   TPM2_ALG_SHA256},
					.curveID = TPM2_ECC_NIST_P256,
					.kdf.scheme = TPM2_ALG_NULL,
				},
			.unique.ecc = {.x.size = 32, .y.size = 32},
		},
};

/* In a session that authorizes by the hierarchy's empty password and says that the key
 * which is pinned is the TPM's own. */
static int make_primary(struct tpm *t, ESYS_TR *primary, struct error *e)
{
	const TPM2B_SENSITIVE_CREATE no_secret = {0};
	const TPM2B_DATA no_data = {0};
	const TPML_PCR_SELECTION no_pcrs = {0};
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	if (!rc)
		rc = Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, audit,
					ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &template,
					&no_data, &no_pcrs, primary, NULL, NULL, NULL,
					NULL);

	if ((rc & ~TPM2_RC_S & ~TPM2_RC_N_MASK) == TPM2_RC_BAD_AUTH ||
	    (rc & ~TPM2_RC_S & ~TPM2_RC_N_MASK) == TPM2_RC_AUTH_FAIL)
		return error_set(
			e, -EIO, CAUSE_TPM_REFUSED,
			"the endorsement hierarchy of the host's TPM has a password; "
			"take it away for this command with `tpm2_changeauth -c e -p "
			"PASSWORD`, and set it again afterwards");
	return rc ? tpmrc_set(e, rc, "make the attestation key") : 0;
}

static int load(struct tpm *t, uint32_t handle, ESYS_TR *key, struct error *e)
{
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE,
					   ESYS_TR_NONE, key);

	return rc ? tpmrc_set(e, rc, "read its attestation key") : 0;
}

/* What is at the handle is the key of that Name. */
static int check_name(struct tpm *t, ESYS_TR key, const uint8_t name[TPM_NAME_SIZE],
		      struct error *e)
{
	uint8_t there[TPM_NAME_SIZE] = {0};

	if (!tpm_name(t, key, there) && !memcmp(there, name, sizeof(there)))
		return 0;
	return error_set(
		e, -EXDEV, CAUSE_TPM_REPLACED,
		"0x%08x in the host's TPM is not this host's attestation key; if "
		"nobody needs what is there, remove it with `tpm2_evictcontrol -C "
		"o -c 0x%08x`, then `vtpmctl host quote --init`",
		TPMQUOTE_HANDLE, TPMQUOTE_HANDLE);
}

static int keep(struct tpm *t, ESYS_TR primary, bool *made, struct error *e)
{
	ESYS_TR key = ESYS_TR_NONE;
	TSS2_RC rc =
		Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, primary, ESYS_TR_PASSWORD,
				  ESYS_TR_NONE, ESYS_TR_NONE, TPMQUOTE_HANDLE, &key);

	if (key != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &key);
	*made = !rc;
	return rc ? tpmrc_set(e, rc, "keep the attestation key") : 0;
}

int tpmquote_make_key(struct tpm *t, struct hostconf *h, bool *made, struct error *e)
{
	ESYS_TR primary = ESYS_TR_NONE, key = ESYS_TR_NONE;
	uint8_t name[TPM_NAME_SIZE];
	bool used;
	int rc = make_primary(t, &primary, e);

	*made = false;
	if (rc)
		return rc;
	rc = tpm_handle_used(t, TPMQUOTE_HANDLE, &used, e);
	if (!rc && tpm_name(t, primary, name))
		rc = error_set(e, -EIO, CAUSE_INTERNAL,
			       "the attestation key has no Name");
	if (!rc && !used)
		rc = keep(t, primary, made, e);
	else if (!rc)
		rc = load(t, TPMQUOTE_HANDLE, &key, e);
	if (!rc && used)
		rc = check_name(t, key, name, e);
	if (key != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &key);
	Esys_FlushContext(t->esys, primary);
	if (rc)
		return rc;
	h->ak_handle = TPMQUOTE_HANDLE;
	memcpy(h->ak_name, name, sizeof(name));
	return 0;
}

static TSS2_RC quote_once(struct tpm *t, ESYS_TR key, const TPM2B_DATA *extra,
			  struct tpmquote *out)
{
	const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
	const TPML_PCR_SELECTION pcrs = {
		.count = 1,
		.pcrSelections = {{.hash = TPM2_ALG_SHA256,
				   .sizeofSelect = 3,
				   .pcrSelect = {(uint8_t)out->pcrs,
						 (uint8_t)(out->pcrs >> 8),
						 (uint8_t)(out->pcrs >> 16)}}},
	};
	TPM2B_ATTEST *quote = NULL;
	TPMT_SIGNATURE *signature = NULL;
	TSS2_RC rc = Esys_Quote(t->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE,
				ESYS_TR_NONE, extra, &scheme, &pcrs, &quote, &signature);

	if (!rc) {
		out->quote = *quote;
		out->signature = *signature;
	}
	Esys_Free(quote);
	Esys_Free(signature);
	return rc;
}

/* The PCRs are read before and after, and have to be the same. */
static int quote_stable(struct tpm *t, ESYS_TR key, const TPM2B_DATA *extra,
			struct tpmquote *out, struct error *e)
{
	uint8_t after[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	int n, rc = tpm_pcrs(t, out->pcrs, out->value, e);

	for (n = 0; !rc && n < TRIES; n++) {
		TSS2_RC tpm_rc = quote_once(t, key, extra, out);

		if (tpm_rc)
			return tpmrc_set(e, tpm_rc, "quote its PCRs");
		rc = tpm_pcrs(t, out->pcrs, after, e);
		if (rc || !memcmp(after, out->value, sizeof(after)))
			return rc;
		memcpy(out->value, after, sizeof(after));
	}
	return rc ? rc
		  : error_set(e, -EAGAIN, CAUSE_TPM_REFUSED,
			      "the PCRs of the host's TPM do not stand still: ask again");
}

static int read_public(struct tpm *t, ESYS_TR key, TPM2B_PUBLIC *out, struct error *e)
{
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR audit;
	TSS2_RC rc = tpm_audit(t, &audit);

	if (!rc)
		rc = Esys_ReadPublic(t->esys, key, audit, ESYS_TR_NONE, ESYS_TR_NONE,
				     &public, NULL, NULL);
	if (!rc)
		*out = *public;
	Esys_Free(public);
	return rc ? tpmrc_set(e, rc, "read its attestation key") : 0;
}

int tpmquote(struct tpm *t, const struct hostconf *h, const uint8_t *extra, size_t len,
	     struct tpmquote *out, struct error *e)
{
	TPM2B_DATA data = {.size = (uint16_t)len};
	ESYS_TR key = ESYS_TR_NONE;
	bool used;
	int rc;

	if (!h->ak_handle || len > TPMQUOTE_EXTRA_MAX)
		return error_set(e, -ENOENT, CAUSE_NOT_CONFIGURED,
				 "this host has no attestation key: `vtpmctl host quote "
				 "--init` makes one");
	memcpy(data.buffer, extra, len);
	out->pcrs = h->pcrs | TPMQUOTE_PCRS;
	rc = tpm_handle_used(t, h->ak_handle, &used, e);
	if (!rc && !used)
		return error_set(
			e, -ENOENT, CAUSE_TPM_REPLACED,
			"the host's TPM has no attestation key at 0x%08x: it was "
			"replaced or cleared; put the old one back",
			h->ak_handle);
	if (!rc)
		rc = load(t, h->ak_handle, &key, e);
	if (!rc)
		rc = check_name(t, key, h->ak_name, e);
	if (!rc)
		rc = read_public(t, key, &out->public, e);
	if (!rc)
		rc = quote_stable(t, key, &data, out, e);
	if (key != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &key);
	return rc;
}
