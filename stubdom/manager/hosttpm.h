/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small TPM 2.0 client for the host's physical TPM, over a transport that is
 * not trusted (the relay in vtpmd, the bus): every secret crosses it inside a
 * session that is salted to the pinned storage key, with parameter encryption.
 * Source: TPM 2.0 Library, Part 1 clauses 11.4.10, 19.6, 21 and Part 3.
 */
#ifndef XVTPM_HOSTTPM_H
#define XVTPM_HOSTTPM_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/error.h"
#include "stubdom/manager/hosttpm_cmd.h"

/* Errors: -ENODEV etc. with CAUSE_TPM_UNREACHABLE, -EXDEV with CAUSE_TPM_REPLACED. */
int __must_check hosttpm_random(const struct hosttpm_transport *t, uint8_t *out,
				size_t len, struct error *e);
/* Seals len <= 128 bytes for a purpose; auth NULL: policy is PolicyAuthorize alone, else
 * PolicyAuthorize and PolicyAuthValue with this 32-byte authValue. noDA. */
int __must_check hosttpm_seal(const struct hosttpm_config *c,
			      const struct hosttpm_transport *t,
			      enum approval_purpose purpose, const uint8_t *auth,
			      const uint8_t *secret, size_t len, uint8_t *object,
			      size_t *object_len, struct error *e);
/* The reverse.  CAUSE_PCRS_CHANGED names the PCRs that differ from the nearest
 * approval; CAUSE_TPM_REFUSED carries the TPM's code in hex and in words. */
int __must_check hosttpm_unseal(const struct hosttpm_config *c,
				const struct hosttpm_transport *t,
				enum approval_purpose purpose, const uint8_t *auth,
				const uint8_t *object, size_t object_len, uint8_t *secret,
				size_t *len, struct error *e);

#endif
