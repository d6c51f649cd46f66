/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constants of TPM 2.0 (Library, Part 2; Algorithm Registry), under the names that
 * tpm2-tss gives them.  No other file defines one.
 */
#ifndef XVTPM_LIB_TPM2_TYPES_H
#define XVTPM_LIB_TPM2_TYPES_H

#include <tss2/tss2_tpm2_types.h>

#endif
