/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small TPM 2.0 client for the host's physical TPM, over a transport that is
 * not trusted (the relay in vtpmd, the bus): every secret crosses it inside a
 * session that is salted to the pinned storage key, with parameter encryption.
 *
 * What it seals opens in a boot state (PCRs) that the host policy key has signed for this
 * purpose and not revoked, and perhaps with an authValue.  Source: TPM 2.0 Library, Part 1
 * clauses 11.4.10, 19.6, 19.7, 21 and Part 3.
 */
#ifndef XVTPM_HOSTTPM_H
#define XVTPM_HOSTTPM_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/error.h"
#include "lib/tpm2/cmd.h"

#define HOSTTPM_OBJECT_MAX 1024 /* TPM2B_PUBLIC | TPM2B_PRIVATE, marshalled */

struct hosttpm_config {
	uint32_t srk_handle;
	uint8_t srk_name
		[TPM2_NAME_SIZE];  /* pinned; compared with what ReadPublic gives */
	const uint8_t *policy_key; /* TPMT_PUBLIC */
	size_t policy_key_len;
	/* approvals in the form of include/channel.h */
	const uint8_t *approval[16];
	size_t approval_len[16];
	size_t approvals;
	uint8_t counter_name[TPM2_NAME_SIZE]; /* pinned, as approvals have it */
	uint8_t auth[TPM2_AUTH_SIZE];	      /* of the counter */
};

/* Errors: -ENODEV etc. with CAUSE_TPM_UNREACHABLE, -EXDEV with CAUSE_TPM_REPLACED. */
int __must_check hosttpm_random(const struct tpm2_transport *t, uint8_t *out, size_t len,
				struct error *e);
/* Seals len <= 128 bytes for a purpose; auth NULL: policy is PolicyAuthorize alone, else
 * PolicyAuthorize and PolicyAuthValue with this 32-byte authValue. noDA. */
int __must_check hosttpm_seal(const struct hosttpm_config *c,
			      const struct tpm2_transport *t,
			      enum approval_purpose purpose, const uint8_t *auth,
			      const uint8_t *secret, size_t len, uint8_t *object,
			      size_t *object_len, struct error *e);
/* The reverse.  CAUSE_PCRS_CHANGED names the PCRs that differ from the nearest
 * approval; CAUSE_TPM_REFUSED carries the TPM's code in hex and in words. */
int __must_check hosttpm_unseal(const struct hosttpm_config *c,
				const struct tpm2_transport *t,
				enum approval_purpose purpose, const uint8_t *auth,
				const uint8_t *object, size_t object_len, uint8_t *secret,
				size_t *len, struct error *e);

#endif
