/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_HOST_APPROVE_H
#define XVTPM_VTPMCTL_HOST_APPROVE_H

#include "tools/vtpmctl/policykey.h"
#include "tools/vtpmctl/tpm.h"

/* The step that `host init`, `host approve` and `host new-policy-key` share: a boot state gets its policy
 * digest and the policy key's signature, after an operator has seen what is signed. */

/* Shows the values on stderr before they are signed, and which differ from those of last,
 * the newest approval so far; NULL: none. */
void bootstate_show(const struct approval *a, const struct approval *last);

/* Asks on stderr whether these values are to be signed; reads the answer from stdin. */
bool bootstate_confirm(void);

/* Fills digest and signatures of the values and number in *a for the host *h, and warns on stderr of PCRs that
 * nothing was measured into. */
int __must_check bootstate_sign(EVP_PKEY *key, const struct hostconf *h,
				struct approval *a, struct error *e);
/* That the TPM, whose PCRs have these values now, computes the same digest of them;
 * -EAGAIN when not. */
int __must_check bootstate_check(struct tpm *t, const struct approval *a,
				 struct error *e);

#endif
