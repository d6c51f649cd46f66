/* SPDX-License-Identifier: Apache-2.0 */
/* A TCTI around another one, which submits a command again that a busy TPM gave back
 * (lib/tpmbusy.h).  libtss2-esys does so by itself for some of the codes, five times and
 * without a pause. */
#ifndef XVTPM_TPMAGAIN_H
#define XVTPM_TPMAGAIN_H

#include <tss2/tss2_tcti.h>

/* NULL: out of memory.  inner stays the caller's, and has to live as long. */
TSS2_TCTI_CONTEXT *tpmagain_new(TSS2_TCTI_CONTEXT *inner);
void tpmagain_free(TSS2_TCTI_CONTEXT *tcti);

#endif
