/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of include/vendor.h, from a guest: straight to the TPM, as no library and
 * no resource manager knows them. */
#ifndef VENDORCMD_H
#define VENDORCMD_H

#include <stdint.h>
#include <tss2/tss2_tcti.h>
#include "compiler.h"

struct vendorcmd_attest {
	const uint8_t *nonce, *user; /* user data, of 0 to 64 bytes */
	size_t nonce_len, user_len;
	uint32_t pcrs;
};

/* *tpm_rc is what the TPM answered.  -EIO: it did not answer, or nonsense; -EREMOTEIO: it
 * refused. */
int __must_check vendorcmd_attest(TSS2_TCTI_CONTEXT *tcti,
				  const struct vendorcmd_attest *a, uint32_t *tpm_rc);
/* *text is malloc()ed, len bytes and a zero. */
int __must_check vendorcmd_evidence(TSS2_TCTI_CONTEXT *tcti, char **text, size_t *len,
				    uint32_t *tpm_rc);

#endif
