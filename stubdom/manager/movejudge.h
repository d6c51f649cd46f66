/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's manager judges the destination, before it gives anything of its vTPM: the
 * destination's TPM has signed, with an attestation key of the pool, PCRs that are approved
 * for that host, this very OFFER, and the key of a manager that was started from an image of
 * the pool.  Domain 0 has no say in it: the pool is signed by the policy key.
 */
#ifndef XVTPM_MANAGER_MOVEJUDGE_H
#define XVTPM_MANAGER_MOVEJUDGE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/move.h"

struct movejudge {
	struct binding_part pool; /* as it was signed: lib/pool.h; none: NULL */
	struct binding_part policy_key;
	const uint8_t *uuid; /* of the vTPM */
	struct binding_part offer, accept;
};

/* 0; else *e has CAUSE_PEER, and which of it is not so.  -EBADMSG: it does not parse;
 * -EACCES: it is not good. */
int __must_check movejudge_check(const struct movejudge *j, struct error *e);

#endif
