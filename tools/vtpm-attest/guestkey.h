/* SPDX-License-Identifier: Apache-2.0 */
/* An attestation key below the P-256 endorsement key, made for one quote. */
#ifndef GUESTKEY_H
#define GUESTKEY_H

#include <tss2/tss2_esys.h>
#include "compiler.h"

struct guestkey {
	ESYS_TR key;
	TPM2_HANDLE handle; /* as the TPM knows it */
	TPM2B_ATTEST quote;
	TPMT_SIGNATURE signature;
};

/* Makes the key in the TPM.  *doing: what was refused. */
TSS2_RC __must_check guestkey_make(ESYS_CONTEXT *esys, struct guestkey *k,
				   const char **doing);
/* Quotes these PCRs, of every bank that the TPM has. */
TSS2_RC __must_check guestkey_quote(ESYS_CONTEXT *esys, struct guestkey *k,
				    const TPM2B_DATA *nonce, uint32_t pcrs,
				    const char **doing);
void guestkey_flush(ESYS_CONTEXT *esys, struct guestkey *k);

#endif
