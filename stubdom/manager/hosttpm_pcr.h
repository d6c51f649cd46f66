/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's boot state: PCRs of the SHA-256 bank, and the approvals of
 * include/channel.h that they are compared with.
 */
#ifndef XVTPM_HOSTTPM_PCR_H
#define XVTPM_HOSTTPM_PCR_H

#include "hosttpm_cmd.h"

#define HOSTTPM_PCRS	       24
#define HOSTTPM_SIGNATURE_SIZE 72 /* TPMT_SIGNATURE: ECDSA P-256, SHA-256 */

/* Pointers point into the configuration. */
struct hosttpm_approval {
	uint32_t selection;		    /* bit n: PCR n */
	const uint8_t *value[HOSTTPM_PCRS]; /* of the selected ones, else NULL */
	uint64_t number;		    /* of revocations */
	const uint8_t *policy;		    /* CRYPT_HASH_SIZE bytes */
	const uint8_t *signature[APPROVAL_PURPOSES];
};

/* -EBADMSG when the bytes are no approval. */
int __must_check hosttpm_pcr_parse(const uint8_t *buf, size_t len,
				   struct hosttpm_approval *a);
/* Reads the PCRs and finds the approval that they fit.  -EACCES with
 * CAUSE_PCRS_CHANGED, -EINVAL with CAUSE_NOT_CONFIGURED. */
int __must_check hosttpm_pcr_match(const struct hosttpm_config *c,
				   const struct hosttpm_transport *t,
				   struct hosttpm_approval *a, struct error *e);
/* PolicyPCR in the session. */
int __must_check hosttpm_pcr_policy(const struct hosttpm_transport *t, uint32_t session,
				    const struct hosttpm_approval *a, struct error *e);
/* Whether the session has come to the approved digest.  -EACCES, CAUSE_PCRS_CHANGED */
int __must_check hosttpm_pcr_approved(const struct hosttpm_transport *t, uint32_t session,
				      const struct hosttpm_approval *a, struct error *e);

#endif
