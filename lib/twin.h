/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value that is written often: a file with two sides, of which the older one is
 * overwritten in place.  A write is one pwrite() and one fdatasync() of blocks that are on
 * the disk already, so that the file system has no name, length or block to write before.
 *
 * A twin file has two sides of the same size, a multiple of TWIN_BLOCK, and nothing else.
 * A side, in big-endian:
 *   "XVTPMTWN" | u16 version 1 | u16 0 | u32 length | u64 count | hash[32] | length bytes
 *   | anything, up to its end
 *   hash: SHA-256 of the 24 bytes before it, and of the length bytes
 * A side that is zeroed, torn or damaged, or that the disk does not read any more, does not
 * have its hash.  Of those that do, the one with the higher count is the value.  The hash
 * tells a torn write; it authenticates nothing: the values are authenticated, and numbered,
 * by themselves.
 *
 * | the file | when | left by | to |
 * |---|---|---|---|
 * | not there | | twin_write() | plain |
 * | plain: the value alone, as lib/atomic.h writes it | before the first write of a run | twin_write() | twin; NAME.prev is plain |
 * | twin that this process made | in a run | twin_write() | twin: the older side is overwritten |
 * | | | twin_write() of what does not fit | another twin; NAME.prev has both sides |
 * | | the end of a run | twin_settle() | plain; NAME.prev has both sides |
 * | any other twin | after a crash | twin_write() | another twin; NAME.prev has both sides |
 *
 * Nothing is overwritten in a file that another process made, or has written to: of those,
 * nobody knows whether the newer side is on the disk or in the memory of a system that
 * goes on, and whether the older side is all that a power cut would leave.
 *
 * Wherever the power goes, the value is the last one for which twin_write() gave 0, or the
 * one that was being written.  A plain file is never taken for a torn one: what is damaged
 * while it is plain is reported as damaged, and no older value is put in its place.
 *
 * One process writes at a time.  Others may read meanwhile.
 */
#ifndef XVTPM_TWIN_H
#define XVTPM_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "compiler.h"

#define TWIN_BLOCK 4096
#define TWIN_HEAD  56
/* Longer values are written as lib/atomic.h writes them. */
#define TWIN_VALUE_MAX (512 * 1024)
#define TWIN_SIDE_MAX  (TWIN_VALUE_MAX + 2 * TWIN_BLOCK)
#define TWIN_FILE_MAX  (2 * TWIN_SIDE_MAX)

struct twin {
	size_t side;	/* size of each; 0: the file is plain */
	int newest;	/* 0, 1; -1: neither side is whole */
	bool is_sole;	/* the other side is not */
	uint64_t count; /* the newest one's */
	size_t len;	/* of its value, which begins at newest * side + TWIN_HEAD */
};

/* What a file of size bytes is.  0, or -EIO: OpenSSL failed. */
int __must_check twin_parse(const uint8_t *file, size_t size, struct twin *t);
/* malloc()ed, and one byte longer.  A file of which no side is whole is given out as it is,
 * cut to max, so that whoever opens the value says that it is damaged.  -ENOENT; -EFBIG: it
 * is longer than max; -EIO: the disk reads no whole side, or not all of a plain file. */
int __must_check twin_read(int dir, const char *name, size_t max, uint8_t **buf,
			   size_t *len);
/* The twin file that this process made, as it left it.  Zeroed: none. */
struct twin_own {
	size_t side; /* 0: none */
	dev_t dev;
	ino_t ino;
	int newest;
	uint64_t count;
	uint8_t heads[2][TWIN_HEAD];
};

/* 0: durable.  On failure the value is the one before or the new one, and the same may be
 * written again.  own: one for each file, zeroed before the first write. */
int __must_check twin_write(struct twin_own *own, int dir, const char *name,
			    const void *buf, size_t len);
/* Makes durable what twin_read() gives, which another process may have written and not
 * synced: before somebody acts on it.  After an error it may be tried again. */
int __must_check twin_sync(int dir, const char *name);
/* Makes the file plain; one that is, or is not there, stays. */
int __must_check twin_settle(int dir, const char *name);

#endif
