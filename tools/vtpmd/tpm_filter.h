/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager may ask of the host's TPM: the commands that sealing and
 * unsealing under the pinned storage key need, and nothing else.
 * Source: TPM 2.0 Library, Part 2 clause 6.5.2 (command codes), Part 3.
 */
#ifndef VTPMD_TPM_FILTER_H
#define VTPMD_TPM_FILTER_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

#define TPM_FILTER_COMMAND_MAX 4096

struct tpm_filter_verdict {
	uint32_t code;	  /* of the command; 0 when it has none */
	const char *name; /* TPM2_...; NULL when unknown here */
	const char *why;  /* of a refusal */
};

/* srk is the handle of the only parent that objects may be made and loaded
 * under; 0: none.  0, or -EPERM with the reason in *v. */
int __must_check tpm_filter_check(const uint8_t *cmd, size_t len, uint32_t srk,
				  struct tpm_filter_verdict *v);

#endif
