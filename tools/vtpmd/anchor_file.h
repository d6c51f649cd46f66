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

#include "include/compiler.h"
#include "lib/audit.h"
#include "lib/pool.h"
#include "tools/vtpmd/handover.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What is known of all vTPMs of this host, as one file whose SHA-256 the host's TPM
 * keeps.  Big-endian:
 *
 *   "XVTPMANC" | u16 version 7 | u64 counter | u64 number of the audit log's last entry |
 *   SHA-256 of that | u64 number of the newest pool (lib/pool.h) | u32 n | n entries:
 *   uuid (16 bytes) | SHA-256 of the header | u64 epoch | u64 generation of the
 *   permanent state in this epoch; 0: none yet | SHA-256 of the state with which the
 *   epoch began | u64 its generation | u8 flags: 1, it serves measured guests only, until
 *   it is stopped; 2, it is in a pool's etcd, and a folder of it here is not to be started
 *   | u8 enum handover_mark, and unless that is 0: the transfer's number (16 bytes) |
 *   u8 length, and the name of the other host
 *
 * A header of zeroes: the vTPM is being made.  The entries are in the order of their
 * uuids, each once.  The counter is how often a table was written, so that no two are the
 * same.  One of version 6, where no vTPM is in a pool, is read, of version 5, which has no
 * marks either, and of version 4, which has no pool.
 */

#define ANCHOR_TABLE_ENTRIES 10000
#define ANCHOR_TABLE_HEAD    70
#define ANCHOR_TABLE_ENTRY   106 /* without a mark */
#define ANCHOR_TABLE_MARK    (HANDOVER_TXID_SIZE + 1 + POOL_NAME_MAX)
#define ANCHOR_TABLE_MAX     \
	(ANCHOR_TABLE_HEAD + \
	 ANCHOR_TABLE_ENTRIES * (ANCHOR_TABLE_ENTRY + ANCHOR_TABLE_MARK))

/* Of the transfer in which the vTPM is (handover.h); kind HANDOVER_NO_MARK: all is zero. */
struct anchor_mark {
	enum handover_mark kind;
	uint8_t txid[HANDOVER_TXID_SIZE];
	char peer[POOL_NAME_MAX + 1];
};

struct anchor_entry {
	uint8_t uuid[16];
	uint8_t header[32];
	uint64_t epoch, permall;
	uint8_t base[32];
	uint64_t base_seq;
	bool launched; /* as in struct meta */
	bool pooled;   /* what is anchored is in a pool's etcd: pool_move.h */
	struct anchor_mark mark;
};

/* The generation that is anchored. */
static inline uint64_t anchor_entry_seq(const struct anchor_entry *e)
{
	return e->permall ? e->permall : e->base_seq;
}

/* Whether it is of a vTPM that is being made. */
static inline bool anchor_entry_unmade(const struct anchor_entry *e)
{
	static const uint8_t zeroes[sizeof(e->header)];

	return !memcmp(e->header, zeroes, sizeof(zeroes));
}

struct anchor_table {
	uint64_t counter;
	struct audit_head audit; /* where the audit log ends */
	uint64_t pool;		 /* 0: none was used yet */
	size_t count;
	struct anchor_entry *entries; /* malloc()ed */
};

/* NULL: it has none. */
const struct anchor_entry *anchor_table_find(const struct anchor_table *t,
					     const uint8_t uuid[16]);
/* Adds an entry, or replaces the uuid's. -ENOMEM, -ENOSPC */
int __must_check anchor_table_set(struct anchor_table *t, const struct anchor_entry *e);
/* Whether there was one. */
bool anchor_table_remove(struct anchor_table *t, const uint8_t uuid[16]);
/* out has room for ANCHOR_TABLE_MAX; the length. */
size_t anchor_table_encode(const struct anchor_table *t, uint8_t *out);
/* -EBADMSG: anchor_table_encode() does not write that; -ENOMEM. */
int __must_check anchor_table_decode(struct anchor_table *t, const uint8_t *in,
				     size_t len);
void anchor_table_free(struct anchor_table *t);

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
/* The table that has this hash.  -ENOENT: no table at all; -ESTALE: no file has
 * it; -EBADMSG: it has the hash, but a newer version wrote it. */
int __must_check anchor_file_load(struct anchor_file *f,
				  const uint8_t hash[ANCHOR_HASH_SIZE],
				  struct anchor_table *t);
/* Step 1.  -EBUSY: one is pending. */
int __must_check anchor_file_write(struct anchor_file *f, const struct anchor_table *t);
/* Step 3: the TPM has f->next. */
void anchor_file_done(struct anchor_file *f);

#endif
