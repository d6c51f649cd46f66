/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table on the disk, and the order in which it and its hash in the TPM change, so
 * that a crash at any moment leaves a pair that fits:
 *
 *   1. the new table becomes the file "anchor"; the one whose hash the TPM has stays
 *      as "anchor.prev";
 *   2. the TPM takes the new hash (for the caller to do);
 *   3. that is noted here.
 *
 * Until 3 no other table may be written: whether the TPM took it is not known, and of
 * the two files neither may go.  What a start finds is the file that has the hash.
 */
#ifndef VTPMD_ANCHOR_FILE_H
#define VTPMD_ANCHOR_FILE_H

#include "tools/vtpmd/anchor_table.h"

#define ANCHOR_HASH_SIZE 32

struct anchor_file {
	int dir;
	uint8_t hash[ANCHOR_HASH_SIZE]; /* what the TPM has, as far as is known */
	uint8_t next[ANCHOR_HASH_SIZE]; /* what it is to take; if pending */
	bool pending;
};

/* f->dir, which is made when it is not there. */
int __must_check anchor_file_open(struct anchor_file *f, const char *dir);
void anchor_file_close(struct anchor_file *f);
/* The table that has this hash.  -ENOENT: there is none at all; -ESTALE: no file has
 * it; -EBADMSG: it has the hash, but a newer version wrote it. */
int __must_check anchor_file_load(struct anchor_file *f,
				  const uint8_t hash[ANCHOR_HASH_SIZE],
				  struct anchor_table *t);
/* Step 1.  -EBUSY: one is pending. */
int __must_check anchor_file_write(struct anchor_file *f, const struct anchor_table *t);
/* Step 3: the TPM has f->next. */
void anchor_file_done(struct anchor_file *f);

#endif
