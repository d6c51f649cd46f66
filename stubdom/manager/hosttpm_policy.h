/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of everything sealed to the host: a boot state (PCRs) that the host
 * policy key has signed for this purpose and not revoked, and perhaps an authValue.  Source: TPM 2.0 Library,
 * Part 1, 19.7 and Part 3, 23.
 */
#ifndef XVTPM_HOSTTPM_POLICY_H
#define XVTPM_HOSTTPM_POLICY_H

#include "stubdom/manager/hosttpm.h"

/* The authPolicy of a sealed object. -EINVAL, CAUSE_NOT_CONFIGURED */
int __must_check hosttpm_policy_digest(const struct hosttpm_config *c,
				       enum approval_purpose purpose, bool with_auth,
				       uint8_t digest[CRYPT_HASH_SIZE], struct error *e);
/* Brings the policy session s into that state: finds the approval that the PCRs
 * fit, or fails with CAUSE_PCRS_CHANGED and the PCRs that do not. */
int __must_check hosttpm_policy_satisfy(const struct hosttpm_config *c,
					const struct hosttpm_transport *t,
					const struct hosttpm_point *srk,
					const struct hosttpm_session *s,
					enum approval_purpose purpose, bool with_auth,
					struct error *e);

#endif
