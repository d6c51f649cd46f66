/* SPDX-License-Identifier: Apache-2.0 */
/* What tpm.c, tpmseal.c and tpmanchor.c share. */
#ifndef XVTPM_TPMRC_H
#define XVTPM_TPMRC_H

#include <tss2/tss2_common.h>
#include "lib/error.h"
#include "tools/vtpmctl/hostconf.h"
#include "tools/vtpmctl/tpm.h"

/* -EIO and "the host's TPM refused to DOING: what it said"; -ENODEV (CAUSE_TPM_UNREACHABLE)
 * when it said nothing. */
int tpmrc_set(struct error *e, TSS2_RC rc, const char *doing);

/* A session salted to the storage key; secrets cross the bus encrypted by it, and
 * nobody on the bus can answer in the TPM's place. */
TSS2_RC tpmseal_session(struct tpm *t, TPM2_SE type, TPMA_SESSION attributes,
			ESYS_TR *session);
/* PolicyPCR, PolicyNV, and PolicyAuthorize with the approval's signature for this purpose.
 */
TSS2_RC tpmseal_policy(struct tpm *t, const struct hostconf *h,
		       enum approval_purpose purpose, const struct approval *a,
		       ESYS_TR session);
/* Loads a public part, and has the TPM check a signature of hash by it. */
/* *len: in, room; out, bytes of TPM2B_PUBLIC | TPM2B_PRIVATE. */
TSS2_RC tpmseal_marshal(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
			uint8_t *object, size_t *len);
/* Loads such an object under the storage key, in the session, and sets its authValue. */
TSS2_RC tpmseal_load(struct tpm *t, ESYS_TR session, const uint8_t *object, size_t len,
		     const uint8_t auth_value[HOSTCONF_AUTH_SIZE], ESYS_TR *out);
TSS2_RC tpmseal_load_public(struct tpm *t, const uint8_t public[POLICYKEY_PUBLIC_SIZE],
			    ESYS_TR *key);
TPMT_SIGNATURE tpmseal_signature(const struct approval_signature *s);

#endif
