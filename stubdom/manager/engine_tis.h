/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a TPM's interface has besides commands (TCG PC Client Platform TPM Profile, 6.5): the
 * H-CRTM's hash sequence at locality 4, and the establishment bit.  All return a TPM_RESULT
 * (<libtpms/tpm_error.h>), and TPM_SUCCESS when what changed is durable.
 */
#ifndef XVTPM_ENGINE_TIS_H
#define XVTPM_ENGINE_TIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TPM_HASH_START: what follows is extended into PCR 17, or before Startup into PCR 0. */
uint32_t engine_hash_start(void);
uint32_t engine_hash_data(const uint8_t *data, size_t len);
uint32_t engine_hash_end(void);

uint32_t engine_established(bool *established);
/* TPM_BAD_LOCALITY: that one may not. */
uint32_t engine_reset_established(uint8_t locality);

/* libtpms's JSON about itself, of the TPMLIB_INFO_* in flags; malloc()ed, NULL: none. */
char *engine_info(uint64_t flags);

#endif
