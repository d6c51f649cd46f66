/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log (lib/audit.h), and where it ends: who can write to its folder can take
 * entries off the end, and nothing in the log shows that.  vtpmd knows its last entry,
 * d->audited, in memory while it runs, whatever is in the folder; and the anchored table has
 * it (anchor_file.h), as it was when the host's TPM took that table, for the time after.
 *
 * The end in the table goes to the TPM with whatever else does, once an interval, and when
 * vtpmd ends; no entry brings a write about by itself.  So entries of the time after the
 * last write can be taken off unnoticed after a crash, and only then.  Who writes entries of
 * his own after the last one while vtpmd does not run cannot be told from a vtpmd that was
 * killed: an entry "unanchored" says which ones the TPM did not know.
 */
#ifndef VTPMD_TRAIL_H
#define VTPMD_TRAIL_H

#include "compiler.h"
#include "lib/audit.h"
#include "lib/error.h"
#include "tools/vtpmd/vtpmd.h"

/* vtpmd starts: the log ends where its files end, as long as nothing else is known. */
void trail_begin(struct vtpmd *d);
/* The host's TPM knows that it ended there once.  A log that does not have that entry goes
 * on after it all the same, so that the gap shows. */
void trail_anchored(struct vtpmd *d, const struct audit_head *known);
/* 0, or -errno when it cannot be written, which the journal says, too. */
int trail_add(struct vtpmd *d, const struct audit_event *a);
/* Its files were rotated: an entry says which is the oldest one that is left.  -EINVAL: the
 * files that are there are not whole. */
int __must_check trail_rotate(struct vtpmd *d, struct error *e);

#endif
