/* SPDX-License-Identifier: Apache-2.0 */
/* `vtpmctl attest`: the running manager is asked for evidence of its vTPM. */
#ifndef VTPMD_ATTEST_H
#define VTPMD_ATTEST_H

#include "tools/vtpmd/vtpm.h"

/* -EINVAL: no such nonce or PCRs; -EBUSY: somebody else's is being made; -ENOTCONN: there
 * is nobody to ask.  0: v->attest.pending until v->attest tells. */
int __must_check attest_begin(struct vtpm *v, const char *nonce, const char *user,
			      uint32_t pcrs);
/* The manager is gone, or its vTPM: nothing will come. */
void attest_drop(struct vtpm *v);

/* Answer CHANNEL_ATTEST for a vTPM (struct peer_owner). */
int attest_on_peer(void *ctx, struct cursor *out, const char **why);
void attest_on_result(void *ctx, uint32_t cause, const char *text);

#endif
