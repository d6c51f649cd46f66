/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in which bytes from outside are read and bytes for outside are
 * written: a bounded cursor over a buffer that the caller owns.
 *
 * All integers are big-endian, as in TPM 2.0, KMIP and our own formats.
 *
 * A cursor has a sticky error: the first access past the end sets it, returns
 * zeroes (reads) or does nothing (writes), and so does every later access.
 * A parser therefore reads a whole structure straight down and checks ONCE,
 * with cursor_done() or cursor_ok(), before it uses any of it.  Lengths that
 * were read must be checked before they steer a loop; every call here bounds
 * them by itself.
 */
#ifndef XVTPM_CURSOR_H
#define XVTPM_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

struct cursor {
	const uint8_t *rd; /* reading: the buffer */
	uint8_t *wr;	   /* writing: the buffer */
	size_t len;	   /* its size in bytes */
	size_t pos;	   /* next byte; never past len */
	bool bad;	   /* sticky */
};

struct cursor cursor_reader(const void *buf, size_t len);
struct cursor cursor_writer(void *buf, size_t len);

/* No access went out of bounds so far. */
bool __must_check cursor_ok(const struct cursor *c);
/* As cursor_ok(), and a reader has consumed every byte. */
bool __must_check cursor_done(const struct cursor *c);
/* Bytes not yet read, or room not yet written; 0 once bad. */
size_t cursor_left(const struct cursor *c);
/* Marks the cursor bad: for a parser that found a wrong value. */
void cursor_fail(struct cursor *c);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* Copies n bytes out; on a short buffer out is zeroed. */
void cursor_copy(struct cursor *c, void *out, size_t n);
/* Points at the next n bytes inside the buffer and skips them; NULL if short. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
/* A reader over the next n bytes, which are skipped; bad if short. */
struct cursor cursor_sub(struct cursor *c, size_t n);

/* Little-endian, for the TCG's event log only. */
uint16_t cursor_le16(struct cursor *c);
uint32_t cursor_le32(struct cursor *c);
void cursor_put_le16(struct cursor *c, uint16_t v);
void cursor_put_le32(struct cursor *c, uint32_t v);

void cursor_put_u8(struct cursor *c, uint8_t v);
void cursor_put_u16(struct cursor *c, uint16_t v);
void cursor_put_u32(struct cursor *c, uint32_t v);
void cursor_put_u64(struct cursor *c, uint64_t v);
void cursor_put(struct cursor *c, const void *data, size_t n);
/* Leaves room for a u16/u32 length; cursor_patch_*() fills in the bytes since. */
size_t cursor_mark_u16(struct cursor *c);
size_t cursor_mark_u32(struct cursor *c);
void cursor_patch_u16(struct cursor *c, size_t mark);
void cursor_patch_u32(struct cursor *c, size_t mark);

#endif
