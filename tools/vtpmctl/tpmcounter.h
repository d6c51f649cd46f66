/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter of revocations: an NV counter that only grows, also when it is removed and
 * made anew.  Approvals of boot states carry its value and are good for that value only,
 * so that incrementing it ends all that were given before (include/channel.h).
 *
 * To read and to increment it, its authValue is needed, which is in host.json.  Whoever has
 * the owner's authorization can remove it: then no approval is good, and no vTPM opens,
 * until `vtpmctl host init --force` makes it anew.
 *
 * All need the storage key (tpm_srk_pinned()).
 */
#ifndef XVTPM_TPMCOUNTER_H
#define XVTPM_TPMCOUNTER_H

#include "tools/vtpmctl/hostconf.h"
#include "tools/vtpmctl/tpm.h"

/* Makes the counter with h->auth, or finds that it is there, and pins its Name in *h.  One
 * with another authValue is replaced, which ends all approvals, too. */
int __must_check tpmcounter_make(struct tpm *t, struct hostconf *h, struct error *e);
/* -ENOENT, CAUSE_TPM_REFUSED: it is gone, or another one. */
int __must_check tpmcounter_read(struct tpm *t, const struct hostconf *h,
				 uint64_t *number, struct error *e);
int __must_check tpmcounter_increment(struct tpm *t, const struct hostconf *h,
				      struct error *e);
/* TPM2_PolicyNV in the policy session: it equals number. */
TSS2_RC tpmcounter_policy(struct tpm *t, const struct hostconf *h, uint64_t number,
			  ESYS_TR policy);

#endif
