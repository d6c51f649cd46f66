/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against other states than the newest: vtpmd knows of each vTPM the SHA-256 of its header
 * and where its state stands (anchor_file.h), and the host's TPM keeps the hash of that
 * (tools/vtpmctl/host_anchor.h).
 *
 * Each run of a manager is an epoch: a random number, which all that it stores carries,
 * authenticated.  The TPM knows of it before the run begins, and with it of the state, by
 * its hash, with which it begins.  So a state opens if and only if
 *
 *   it is of the epoch that is known, and not older than what is anchored of that, or
 *   it is the one with which that epoch began, and none of the epoch is anchored yet.
 *
 * A header opens if it is the one that is known; a new one is anchored before its manager
 * gets its reply.  Until then the previous one stays beside it, as header.prev,
 * and is the one that a start after a crash finds.
 *
 *   off      host.json has no anchor: vTPMs start unchecked, and the log says so once
 *   unknown  the TPM is being asked, and starts wait for that
 *   known    the table is the one that the TPM has the hash of; from then on, the one
 *            in memory counts, and the TPM follows it
 *   broken   it could not be asked, or no table fits: no vTPM starts, and each start
 *            asks again
 *
 * The TPM follows when a run is to begin, when a header has changed, when an operator's
 * command is to be answered (stop, delete, restore, recover, accept, create), once an
 * interval when a state has changed, and when vtpmd ends.  What comes while it is written
 * goes with the next write, all together, and with it where the audit log ends (trail.h).
 * A guest's write never waits for it.
 */
#ifndef VTPMD_ANCHOR_H
#define VTPMD_ANCHOR_H

#include "tools/vtpmd/anchor_file.h"
#include "tools/vtpmd/vtpm.h"

#define ANCHOR_INTERVAL_S 600

struct anchor;

int __must_check anchor_new(struct vtpmd *d);
void anchor_free(struct anchor *a);

/* Before starts: makes sure that the table is known, or the TPM asked for it; true:
 * d->on_anchored() follows when the starts may go on. */
bool anchor_want(struct anchor *a);
/* What the TPM has is not known yet, and the starts have to wait. */
bool anchor_busy(const struct anchor *a);
/* Whether the folder of a vTPM that does not run is what is known of it; else *e.  Then the
 * store gives out nothing else (store_know()). */
int __must_check anchor_check(struct anchor *a, struct vtpm *v, struct error *e);
/* The same, before its manager runs, and a new epoch for that; not needed when
 * nothing was put in the last one. */
int __must_check anchor_begin(struct anchor *a, struct vtpm *v, struct error *e);
/* After that: 0 when the TPM has the epoch; -EAGAIN: d->on_anchored() follows. */
int __must_check anchor_ready(struct anchor *a, struct vtpm *v, struct error *e);

/* A vTPM that runs, or has just ended: its generations may have grown. */
void anchor_note(struct anchor *a, struct vtpm *v);
/* Its manager has put a header: anchor_wait() tells when it counts. */
void anchor_header(struct anchor *a, struct vtpm *v);
/* Whether the last one counts already. */
bool anchor_has_header(const struct anchor *a, const struct vtpm *v);
/* Before an operator's header is put: whether the one that the TPM has will stay beside it.
 * The vTPM does not run, and its lease is held. -EBUSY: *e tells */
int __must_check anchor_before_header(struct anchor *a, struct vtpm *v, struct error *e);
/* v->meta.launched has changed.  The TPM has it soon when that is true, and with the next
 * write when it is false. */
void anchor_launched(struct anchor *a, struct vtpm *v);
/* v's entry has that mark from now on, as has one that anchor_made() makes.  The TPM gets it with
 * what is called next: anchor_made(), anchor_wait(), anchor_want(). */
void anchor_set_mark(struct anchor *a, struct vtpm *v, const struct anchor_mark *mark);
/* Whether the TPM has all that it was to have at once, as that there is no mark any more. */
bool anchor_owes_nothing(const struct anchor *a);
/* Whether it is known what the TPM has. */
bool anchor_is_known(const struct anchor *a);
/* host.json had none when that was last looked at. */
bool anchor_is_off(const struct anchor *a);
/* Calls each with all that is known; it may change no entry. */
void anchor_each(const struct anchor *a, void *ctx,
		 void (*each)(void *ctx, const struct anchor_entry *e));
/* Whether there is an anchor, and nothing is known of the uuid. */
bool anchor_knows_nothing(const struct anchor *a, const uint8_t uuid[16]);
/* Forgets one that has a mark, and whose folder is gone.  false: it has none. */
bool anchor_forget_marked(struct anchor *a, const uint8_t uuid[16]);
/* A vTPM that was made has its header and its state. */
void anchor_made(struct anchor *a, struct vtpm *v);
/* An operator's act: the vTPM's folder as it is counts from now on. */
void anchor_claim(struct anchor *a, struct vtpm *v);
/* It has a new header, made by an operator: as anchor_claim() when nothing is known of
 * it; but what is known of its state stays. */
void anchor_recover(struct anchor *a, struct vtpm *v);
/* Another host of the pool has stored what is newer than what is known: it is known from now on,
 * and the TPM has it with the next write. */
void anchor_witness(struct anchor *a, struct vtpm *v);
/* Another host has seen what is newer than what is known: that is known from now on, and the TPM
 * has it soon. */
void anchor_learn(struct anchor *a, struct vtpm *v, const struct anchor_entry *e);
/* It is deleted: a copy of its folder will not start. */
void anchor_forget(struct anchor *a, const struct vtpm *v);

/* Calls w when the TPM has what is known now; at once when there is no anchor. */
void anchor_wait(struct anchor *a, struct waiter *w);
/* Calls w when the TPM has nothing of what was forgotten so far, and has it take nothing else. */
void anchor_wait_forgotten(struct anchor *a, struct waiter *w);
/* Calls w when it is known what the TPM has, and has it take nothing. */
void anchor_wait_known(struct anchor *a, struct waiter *w);
/* The same for who may ask at any time: what could not be read a moment ago is not read again. */
void anchor_ask_known(struct anchor *a, struct waiter *w);
/* vtpmd ends: whether the TPM is still to take something. */
bool anchor_finish(struct anchor *a);

/* host.json has none. */
bool anchor_off(struct anchor *a);
/* What is known of a vTPM; NULL: nothing, or there is no anchor. */
const struct anchor_entry *anchor_find(const struct anchor *a, const struct vtpm *v);
const struct anchor_entry *anchor_find_uuid(const struct anchor *a,
					    const uint8_t uuid[16]);

#endif
