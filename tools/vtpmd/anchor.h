/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against rollback: vtpmd knows each vTPM's newest generations (anchor_table.h), the
 * host's TPM keeps the hash of that (tools/vtpmctl/tpmanchor.h), and a vTPM whose
 * folder is older, or of which nothing is known, does not start.
 *
 *   off      host.json has no anchor: vTPMs start unchecked, and the log says so once
 *   unknown  the TPM is being asked, and starts wait for that
 *   known    the table is the one that the TPM has the hash of; from then on, the one
 *            in memory counts, and the TPM follows it
 *   broken   it could not be asked, or no table fits: no vTPM starts, and each start
 *            asks again
 *
 * The TPM follows when an operator's command is to be answered (stop, delete, restore,
 * recover, accept; before the first start for create), once an interval when a state has
 * changed, and when vtpmd ends.  A guest's write never waits for it.
 */
#ifndef VTPMD_ANCHOR_H
#define VTPMD_ANCHOR_H

#include "tools/vtpmd/anchor_table.h"
#include "tools/vtpmd/vtpm.h"

#define ANCHOR_INTERVAL_S 600

struct anchor;

/* Who waits until the TPM has all that was so far.  Lives in its owner until it is
 * called or cancelled. */
struct anchor_waiter {
	struct anchor_waiter *next;
	uint64_t need;
	/* e: NULL, or why the TPM does not have it. */
	void (*done)(void *ctx, const struct error *e);
	void *ctx;
};

int __must_check anchor_new(struct vtpmd *d);
void anchor_free(struct anchor *a);

/* Before starts: makes sure that the table is known, or the TPM asked for it; true:
 * vtpm_start_queued() follows when the starts may go on. */
bool anchor_want(struct anchor *a);
/* The starts have to wait. */
bool anchor_busy(const struct anchor *a);
/* Whether the vTPM's folder is as new as what is known of it; else *e. */
int __must_check anchor_check(struct anchor *a, struct vtpm *v, struct error *e);

/* A vTPM that runs, or has just ended: its generations may have grown. */
void anchor_note(struct anchor *a, struct vtpm *v);
/* An operator's act: the vTPM's folder as it is counts from now on. */
void anchor_claim(struct anchor *a, struct vtpm *v);
/* It has a new header, made by an operator: as anchor_claim() when nothing is known of
 * it; but what is known of its state stays. */
void anchor_recover(struct anchor *a, struct vtpm *v);
/* It is deleted: a copy of its folder is nobody's. */
void anchor_forget(struct anchor *a, const struct vtpm *v);

/* Calls w when the TPM has what is known now; at once when there is no anchor. */
void anchor_wait(struct anchor *a, struct anchor_waiter *w);
void anchor_cancel(struct anchor *a, struct anchor_waiter *w);
/* vtpmd ends: whether the TPM is still to take something. */
bool anchor_finish(struct anchor *a);

/* host.json has none. */
bool anchor_off(struct anchor *a);
/* What is known of a vTPM; NULL: nothing, or there is no anchor. */
const struct anchor_entry *anchor_entry(const struct anchor *a, const struct vtpm *v);

#endif
