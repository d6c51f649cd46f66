/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a TPM answers when it did nothing, and the same command, byte for byte, may
 * succeed a moment later: warnings, not refusals.  Every client of the host's TPM
 * submits such a command again, after a pause, and gives up after TPMBUSY_S.
 * Source: TPM 2.0 Library, Part 2, clause 6.6.3.
 */
#ifndef XVTPM_TPMBUSY_H
#define XVTPM_TPMBUSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define TPMBUSY_S 20 /* of pauses, for one command */

/* Of one command; starts zeroed. */
struct tpmbusy {
	unsigned int waited_ms;
};

bool tpmbusy_is_code(uint32_t code);
/* The same of a whole response. */
bool tpmbusy_is_response(const uint8_t *rsp, size_t len);
/* Sleeps, longer each time, up to a second; false, at once: it has been TPMBUSY_S. */
bool __must_check tpmbusy_pause(struct tpmbusy *b);

#endif
