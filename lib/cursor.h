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

/*
 * The contracts, which `make prove` proves for every input (docs/proofs.md):
 *   cursor_holds    pos is never past len, and the buffer is the caller's, apart from c
 *   cursor_moved    n bytes were taken, or the cursor is bad, and was left where it is
 *   cursor_be16     the number that the two bytes at p are, as cursor_be32 of four
 * A function changes what it `assigns`, and nothing else.
 */
/*@ predicate cursor_holds(struct cursor *c) =
	\valid(c) && c->pos <= c->len &&
	\valid_read(c->rd + (0 .. c->len - 1)) &&
	\separated(c, c->rd + (0 .. c->len - 1)) &&
	(c->wr == \null || (\valid(c->wr + (0 .. c->len - 1)) &&
			    \separated(c, c->wr + (0 .. c->len - 1))));
    predicate cursor_moved{A, B}(struct cursor *c, integer n) =
	\at(c->bad, A) || n > \at(c->len - c->pos, A) ?
		\at(c->bad, B) && \at(c->pos, B) == \at(c->pos, A) :
		!\at(c->bad, B) && \at(c->pos, B) == \at(c->pos, A) + n;
    predicate cursor_wrote{A, B}(struct cursor *c, integer n) =
	\at(c->wr == \null ? \at(c->bad, B) && \at(c->pos, B) == c->pos :
			     cursor_moved{A, B}(c, n), A);
    logic integer cursor_be16{L}(uint8_t *p) = 256 * p[0] + p[1];
    logic integer cursor_be32{L}(uint8_t *p) = 65536 * cursor_be16(p) + cursor_be16(p + 2);
*/

/*@ requires \valid_read((uint8_t *)buf + (0 .. len - 1));
    assigns \nothing;
    ensures \result.rd == (uint8_t *)buf && \result.wr == \null && \result.len == len;
    ensures \result.pos == 0 && !\result.bad; */
struct cursor cursor_reader(const void *buf, size_t len);
/*@ requires \valid((uint8_t *)buf + (0 .. len - 1));
    assigns \nothing;
    ensures \result.rd == \result.wr == (uint8_t *)buf && \result.len == len;
    ensures \result.pos == 0 && !\result.bad; */
struct cursor cursor_writer(void *buf, size_t len);

/* No access went out of bounds so far. */
/*@ requires cursor_holds(c);
    assigns \nothing;
    ensures \result <==> !c->bad; */
bool __must_check cursor_ok(const struct cursor *c);
/* As cursor_ok(), and a reader has consumed every byte. */
/*@ requires cursor_holds(c);
    assigns \nothing;
    ensures \result <==> !c->bad && c->pos == c->len; */
bool __must_check cursor_done(const struct cursor *c);
/* Bytes not yet read, or room not yet written; 0 once bad. */
/*@ requires cursor_holds(c);
    assigns \nothing;
    ensures \result == (c->bad ? 0 : c->len - c->pos); */
size_t cursor_left(const struct cursor *c);
/* Marks the cursor bad: for a parser that found a wrong value. */
/*@ requires cursor_holds(c);
    assigns c->bad;
    ensures cursor_holds(c) && c->bad; */
void cursor_fail(struct cursor *c);

/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, 1);
    ensures \result == (c->bad ? 0 : c->rd[\old(c->pos)]); */
uint8_t cursor_u8(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, 2);
    ensures \result == (c->bad ? 0 : cursor_be16(c->rd + \old(c->pos))); */
uint16_t cursor_u16(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, 4);
    ensures \result == (c->bad ? 0 : cursor_be32(c->rd + \old(c->pos))); */
uint32_t cursor_u32(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, 8);
    ensures c->bad ==> \result == 0; */
uint64_t cursor_u64(struct cursor *c);
/* Copies n bytes out; on a short buffer out is zeroed. */
/*@ requires cursor_holds(c) && \valid((uint8_t *)out + (0 .. n - 1));
    requires \separated(c, (uint8_t *)out + (0 .. n - 1), c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, ((uint8_t *)out)[0 .. n - 1];
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, n);
    ensures c->bad ==> \forall integer i; 0 <= i < n ==> ((uint8_t *)out)[i] == 0; */
void cursor_copy(struct cursor *c, void *out, size_t n);
/* Points at the next n bytes inside the buffer and skips them; NULL if short. */
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, n);
    ensures c->bad ? \result == \null : \result == c->rd + \old(c->pos); */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
/* A reader over the next n bytes, which are skipped; bad if short. */
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, n);
    ensures \result.wr == \null && \result.pos == 0 && \result.bad == c->bad;
    ensures !c->bad ==> \result.rd == c->rd + \old(c->pos) && \result.len == n;
    ensures c->bad ==> \result.len == 0; */
struct cursor cursor_sub(struct cursor *c, size_t n);

/* Little-endian, for the TCG's event log only. */
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, 2);
    ensures c->bad ==> \result == 0; */
uint16_t cursor_le16(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, 4);
    ensures c->bad ==> \result == 0; */
uint32_t cursor_le32(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 2); */
void cursor_put_le16(struct cursor *c, uint16_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 4); */
void cursor_put_le32(struct cursor *c, uint32_t v);

/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 1); */
void cursor_put_u8(struct cursor *c, uint8_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 2); */
void cursor_put_u16(struct cursor *c, uint16_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 4); */
void cursor_put_u32(struct cursor *c, uint32_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 8); */
void cursor_put_u64(struct cursor *c, uint64_t v);
/*@ requires cursor_holds(c) && \valid_read((uint8_t *)data + (0 .. n - 1));
    requires \separated(c, (uint8_t *)data + (0 .. n - 1), c->wr + (0 .. c->len - 1));
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && (n > 0 ==> cursor_wrote{Pre, Post}(c, n)); */
void cursor_put(struct cursor *c, const void *data, size_t n);
/* Leaves room for a u16/u32 length; cursor_patch_*() fills in the bytes since. */
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 2) && \result == c->pos; */
size_t cursor_mark_u16(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, 4) && \result == c->pos; */
size_t cursor_mark_u32(struct cursor *c);
/*@ requires cursor_holds(c);
    assigns c->bad, c->wr[mark - 2 .. mark - 1];
    ensures cursor_holds(c) && (\old(c->bad) || mark < 2 || mark > c->pos ==> c->bad); */
void cursor_patch_u16(struct cursor *c, size_t mark);
/*@ requires cursor_holds(c);
    assigns c->bad, c->wr[mark - 4 .. mark - 1];
    ensures cursor_holds(c) && (\old(c->bad) || mark < 4 || mark > c->pos ==> c->bad); */
void cursor_patch_u32(struct cursor *c, size_t mark);

#endif
