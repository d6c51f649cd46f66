/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMS half of a slot.  Each call unseals this host's client key by the TPM,
 * uses it for one exchange, and wipes it.
 */
#ifndef XVTPM_UNLOCK_KMS_H
#define XVTPM_UNLOCK_KMS_H

#include "unlock_slot.h"

/* 0, or -ENOENT with CAUSE_NOT_CONFIGURED: no KMS, or no key for it. */
int __must_check unlock_kms_configured(const struct unlock_config *c, struct error *e);
int __must_check unlock_kms_wrap(const struct unlock_config *c,
				 const struct hosttpm_transport *tpm,
				 const struct kms_stream *kms,
				 const uint8_t secret[UNLOCK_SECRET_SIZE],
				 struct kms_wrapped *out, struct error *e);
int __must_check unlock_kms_unwrap(const struct unlock_config *c,
				   const struct hosttpm_transport *tpm,
				   const struct kms_stream *kms,
				   const struct kms_wrapped *in,
				   uint8_t secret[UNLOCK_SECRET_SIZE], struct error *e);

#endif
