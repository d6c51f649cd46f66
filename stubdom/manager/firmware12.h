/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager in the place of a machine's firmware, for a TPM 1.2.
 *
 *   TPM_Init -> TPM_Startup(ST_CLEAR) -> enabled and activated
 *     -> once in its life: endorsement key, NV lock, presence set for good
 *     -> no physical presence until the next power-on -> the guest
 *
 * The guest gets a TPM that it can own.  Physical presence is nobody's but ours: no
 * guest can clear the TPM without the owner's authorization.  A guest that disables or
 * deactivates its TPM finds it enabled and active after the next power cycle: there is
 * no set-up menu in which somebody could do it.
 */
#ifndef XVTPM_FIRMWARE12_H
#define XVTPM_FIRMWARE12_H

#include "compiler.h"

/* After a power-on; once more, it does nothing.  -errno: no guest may be let near this TPM. */
int __must_check firmware12_start(void);

#endif
