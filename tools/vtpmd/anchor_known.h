/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of all vTPMs' headers and states, in memory: where the table comes from, and how
 * it changes.  Whether it counts (enum anchor_state), and what the TPM has of it, is
 * anchor.c's.  Private to anchor*.c.
 */
#ifndef VTPMD_ANCHOR_KNOWN_H
#define VTPMD_ANCHOR_KNOWN_H

#include "tools/vtpmd/anchor_file.h"
#include "tools/vtpmd/vtpm.h"

struct anchor_known {
	struct anchor_table table;
	struct anchor_table forgotten; /* deleted while the table was not known */
	uint64_t changes;	       /* of the table, so far */
};

/* The table whose hash the TPM has; else *e. */
int __must_check anchor_known_load(struct anchor_known *k, struct anchor_file *f,
				   const uint8_t hash[ANCHOR_HASH_SIZE],
				   const struct vtpmd *d, struct error *e);
/* Then: what operators did while it was not known. */
void anchor_known_catch_up(struct anchor_known *k, struct vtpm *vtpms);
/* The operator made the anchor: the store as it is counts. */
void anchor_known_adopt(struct anchor_known *k, struct anchor_file *f,
			const uint8_t none[ANCHOR_HASH_SIZE], struct vtpmd *d);

/* A random epoch. -EIO */
int __must_check anchor_known_epoch(uint64_t *epoch);
/* Takes in what was stored in the epoch that is known.  false: nothing is. */
bool anchor_known_grow(struct anchor_known *k, struct vtpm *v);
/* The same for all that have opened their state, and the end of the audit log. */
void anchor_known_note(struct anchor_known *k, struct vtpmd *d);
/* The header that the store knows counts.  false: nothing is known of the vTPM. */
bool anchor_known_header(struct anchor_known *k, struct vtpm *v);
/* The entry has v->anchor.mark.  false: no entry. */
bool anchor_known_mark(struct anchor_known *k, struct vtpm *v);
/* The entry has v->meta.launched.  false: no entry. */
bool anchor_known_launched(struct anchor_known *k, struct vtpm *v);
/* A new epoch, which begins with the state that the store knows.  There is an entry. */
int __must_check anchor_known_raise(struct anchor_known *k, struct vtpm *v);
/* Its folder as it is counts: v->anchor.claimed is the change.  false: it cannot be read, and
 * the journal says so. */
bool anchor_known_claim(struct anchor_known *k, struct vtpm *v);
/* What another host has seen is known from now on, but for mark and launch, which are this
 * host's. */
void anchor_known_learn(struct anchor_known *k, const struct vtpm *v,
			const struct anchor_entry *e);
/* Whether there was something to forget. */
bool anchor_known_forget(struct anchor_known *k, const uint8_t uuid[16]);
/* To be forgotten by anchor_known_catch_up(). */
void anchor_known_forget_later(struct anchor_known *k, const struct vtpm *v);
void anchor_known_free(struct anchor_known *k);

/* A vTPM's folder against what is known of it.  Private to anchor*.c. */

/* Reads header and state once, checks them against the entry, NULL: nothing is known, and
 * makes them what the store gives out (store_know()); what is damaged or not there is left
 * to the manager to tell.  -ESTALE, -ENOENT: *e tells */
int __must_check anchor_check_folder(const struct anchor_entry *known, struct vtpm *v,
				     struct error *e);
/* The same without an anchor: what is there counts. */
int __must_check anchor_check_nothing(struct vtpm *v, struct error *e);

#endif
