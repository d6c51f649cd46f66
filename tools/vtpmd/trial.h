/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a backup opens here: a manager of its own, in a stub domain where this host's vTPMs
 * have theirs, gets the backup's objects, opens them with this host's TPM and KMS, starts the
 * TPM, compares its endorsement keys with the header, and ends.  It reaches neither the store
 * nor the anchor: what it puts stays in memory, and goes with it.  No guest is offered its TPM
 * (CONFIG_TRIAL), and a vTPM of the same uuid may run meanwhile.
 *
 * One at a time, for 3 minutes at most.
 */
#ifndef VTPMD_TRIAL_H
#define VTPMD_TRIAL_H

#include <jansson.h>
#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/vtpmd.h"

/* e: NULL when it opens, else why not.  From the event loop. */
typedef void trial_done(void *ctx, const struct error *e, const json_t *backup);

/* Takes a reference to the backup.  0: done() follows, unless trial_cancel() comes before;
 * -EBUSY: another one is being tried; -EBADMSG: it is no whole backup. */
int __must_check trial_begin(struct vtpmd *d, json_t *backup, trial_done *done, void *ctx,
			     struct error *e);
/* Who waits with this ctx is gone, if anybody does. */
void trial_cancel(const void *ctx);
/* vtpmd starts: ends what an earlier one left of a trial. */
void trial_sweep(struct vtpmd *d);
/* vtpmd ends. */
void trial_end(void);

#endif
