/* SPDX-License-Identifier: Apache-2.0 */
/* What tpm.c and tpmseal.c share. */
#ifndef XVTPM_TPMRC_H
#define XVTPM_TPMRC_H

#include <tss2/tss2_common.h>
#include "lib/error.h"

/* -EIO and "the host's TPM refused to DOING: what it said". */
int tpmrc_set(struct error *e, TSS2_RC rc, const char *doing);

#endif
