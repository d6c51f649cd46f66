/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCR banks that the operator chose for a TPM 2.0: TPM2_PCR_Allocate asks for the
 * platform's authorization, which no guest has.
 */
#ifndef XVTPM_FIRMWARE_BANKS_H
#define XVTPM_FIRMWARE_BANKS_H

#include <stdint.h>
#include "compiler.h"

/* Starts a TPM that was just powered on; when it has other banks than these (bit n: the
 * n-th of SHA-1, SHA-256, SHA-384, SHA-512), allocates them, and powers it on again.
 * The TPM keeps them.  -errno */
int __must_check firmware_banks(uint8_t banks);

#endif
