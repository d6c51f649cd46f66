/* SPDX-License-Identifier: Apache-2.0 */
/* What a TPM 2.0's response code means (Part 2, 6.6), and what is to be done about it, for
 * sentences of lib/error.h.  Codes are taken with the number of the parameter, handle or
 * session that they are about, and with tpm2-tss's layer: 0x99d is TPM_RC_POLICY_FAIL. */
#ifndef XVTPM_TPM2_CODE_H
#define XVTPM_TPM2_CODE_H

#include <stdint.h>

/* "the policy is not satisfied"; never NULL. */
const char *tpm2_code_words(uint32_t code);
/* What the host's operator does next: "see `vtpmctl host show`, ..."; never NULL. */
const char *tpm2_code_step(uint32_t code);

#endif
