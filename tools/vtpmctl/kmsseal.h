/* SPDX-License-Identifier: Apache-2.0 */
/* The KMS client's private key, sealed to the host's TPM under PolicyAuthorize of the
 * policy key, whose public part is all that this takes, and the authValue h->auth
 * (include/channel.h). */
#ifndef XVTPM_KMSSEAL_H
#define XVTPM_KMSSEAL_H

#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/tpm.h"

/* t has its storage key.  *sealed is malloc()ed.  state: unseals it once as a check, in
 * this approved boot state; NULL: the caller does that. */
int __must_check kmsseal(struct tpm *t, const struct hostconf *h,
			 const struct approval *state, const struct kmskey *k,
			 uint8_t **sealed, size_t *len, struct error *e);

#endif
