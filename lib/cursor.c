/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/cursor.h"

#include <string.h>

struct cursor cursor_reader(const void *buf, size_t len)
{
	return (struct cursor){.rd = buf, .len = len};
}

struct cursor cursor_writer(void *buf, size_t len)
{
	return (struct cursor){.rd = buf, .wr = buf, .len = len};
}

bool cursor_ok(const struct cursor *c)
{
	return !c->bad;
}

bool cursor_done(const struct cursor *c)
{
	return !c->bad && c->pos == c->len;
}

size_t cursor_left(const struct cursor *c)
{
	return c->bad ? 0 : c->len - c->pos;
}

void cursor_fail(struct cursor *c)
{
	c->bad = true;
}

/*@ requires cursor_holds(c) && \valid(at) && \separated(c, at);
    assigns c->pos, c->bad, *at;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, n) && (\result <==> !c->bad);
    ensures \result ==> *at == \old(c->pos); */
static bool cursor_claim(struct cursor *c, size_t n, size_t *at)
{
	if (c->bad || n > c->len - c->pos) {
		c->bad = true;
		return false;
	}
	*at = c->pos;
	c->pos += n;
	return true;
}

/*@ logic integer be{L}(uint8_t *p, integer n) =
	n <= 0 ? 0 : (uint64_t)((uint64_t)(256 * be(p, n - 1)) + p[n - 1]); */

/*@ requires cursor_holds(c);
    assigns c->pos, c->bad;
    ensures cursor_holds(c) && cursor_moved{Pre, Post}(c, n);
    ensures \result == (c->bad ? 0 : be(c->rd + \old(c->pos), n)); */
static uint64_t get_be(struct cursor *c, size_t n)
{
	size_t at, i;
	uint64_t v = 0;

	if (!cursor_claim(c, n, &at))
		return 0;
	/*@ loop invariant 0 <= i <= n && v == be(c->rd + at, i);
	    loop assigns i, v;
	    loop variant n - i; */
	for (i = 0; i < n; i++)
		v = v * 256 + c->rd[at + i];
	return v;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)get_be(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
	return (uint16_t)get_be(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
	return (uint32_t)get_be(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
	return get_be(c, 8);
}

void cursor_copy(struct cursor *c, void *out, size_t n)
{
	size_t at;

	if (!n)
		return;
	if (cursor_claim(c, n, &at))
		memcpy(out, c->rd + at, n);
	else
		memset(out, 0, n);
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	size_t at;

	return cursor_claim(c, n, &at) ? c->rd + at : NULL;
}

struct cursor cursor_sub(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	struct cursor s = cursor_reader(p, c->bad ? 0 : n);

	s.bad = c->bad;
	return s;
}

/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c) && cursor_wrote{Pre, Post}(c, n); */
static void put_be(struct cursor *c, uint64_t v, size_t n)
{
	size_t at;

	if (!c->wr)
		c->bad = true;
	if (!cursor_claim(c, n, &at))
		return;
	/*@ loop invariant 0 <= n <= \at(n, Pre);
	    loop assigns n, v, c->wr[at .. at + \at(n, Pre) - 1];
	    loop variant n; */
	while (n--) {
		c->wr[at + n] = (uint8_t)v;
		v >>= 8;
	}
}

uint16_t cursor_le16(struct cursor *c)
{
	return __builtin_bswap16(cursor_u16(c));
}

uint32_t cursor_le32(struct cursor *c)
{
	return __builtin_bswap32(cursor_u32(c));
}

void cursor_put_le16(struct cursor *c, uint16_t v)
{
	put_be(c, __builtin_bswap16(v), 2);
}

void cursor_put_le32(struct cursor *c, uint32_t v)
{
	put_be(c, __builtin_bswap32(v), 4);
}

void cursor_put_u8(struct cursor *c, uint8_t v)
{
	put_be(c, v, 1);
}

void cursor_put_u16(struct cursor *c, uint16_t v)
{
	put_be(c, v, 2);
}

void cursor_put_u32(struct cursor *c, uint32_t v)
{
	put_be(c, v, 4);
}

void cursor_put_u64(struct cursor *c, uint64_t v)
{
	put_be(c, v, 8);
}

void cursor_put(struct cursor *c, const void *data, size_t n)
{
	size_t at;

	if (!c->wr)
		c->bad = true;
	if (n && cursor_claim(c, n, &at))
		memcpy(c->wr + at, data, n);
}

size_t cursor_mark_u16(struct cursor *c)
{
	cursor_put_u16(c, 0);
	return c->pos;
}

size_t cursor_mark_u32(struct cursor *c)
{
	cursor_put_u32(c, 0);
	return c->pos;
}

/*@ requires cursor_holds(c) && (width == 2 || width == 4);
    assigns c->bad, c->wr[mark - width .. mark - 1];
    ensures cursor_holds(c) && (\old(c->bad) || mark < width || mark > c->pos ==> c->bad); */
static void patch(struct cursor *c, size_t mark, size_t width)
{
	struct cursor field;
	size_t n;

	if (!c->wr || c->bad || mark < width || mark > c->pos) {
		c->bad = true;
		return;
	}
	n = c->pos - mark;
	if (width == 2 && n > UINT16_MAX) {
		c->bad = true;
		return;
	}
	field = cursor_writer(c->wr + mark - width, width);
	put_be(&field, n, width);
}

void cursor_patch_u16(struct cursor *c, size_t mark)
{
	patch(c, mark, 2);
}

void cursor_patch_u32(struct cursor *c, size_t mark)
{
	patch(c, mark, 4);
}
