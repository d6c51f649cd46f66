/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ttlv.h"

static size_t padding(size_t len)
{
	return -len & 7;
}

static void put_head(struct cursor *c, uint32_t tag, enum ttlv_type type)
{
	cursor_put_u32(c, tag << 8 | type);
}

size_t ttlv_begin(struct cursor *c, uint32_t tag)
{
	put_head(c, tag, TTLV_STRUCT);
	return cursor_mark_u32(c);
}

void ttlv_end(struct cursor *c, size_t mark)
{
	cursor_patch_u32(c, mark);
}

void ttlv_put_u32(struct cursor *c, uint32_t tag, enum ttlv_type type, uint32_t v)
{
	put_head(c, tag, type);
	cursor_put_u32(c, 4);
	cursor_put_u32(c, v);
	cursor_put_u32(c, 0);
}

void ttlv_put(struct cursor *c, uint32_t tag, enum ttlv_type type, const void *v,
	      size_t len)
{
	static const uint8_t zeroes[8];

	if (len > UINT32_MAX) {
		cursor_fail(c);
		return;
	}
	put_head(c, tag, type);
	cursor_put_u32(c, (uint32_t)len);
	cursor_put(c, v, len);
	cursor_put(c, zeroes, padding(len));
}

/* KMIP 1.4, 9.1.1.3: the lengths that each type may have. */
static bool length_fits(uint8_t type, uint32_t len)
{
	switch (type) {
	case TTLV_INT:
	case TTLV_ENUM:
	case TTLV_INTERVAL:
		return len == 4;
	case TTLV_LONG:
	case TTLV_BOOL:
	case TTLV_DATE:
		return len == 8;
	case TTLV_STRUCT:
	case TTLV_BIGINT:
		return len % 8 == 0;
	case TTLV_TEXT:
	case TTLV_BYTES:
		return true;
	default:
		return false;
	}
}

bool ttlv_next(struct cursor *c, struct ttlv *item)
{
	uint32_t head, len;
	size_t pad;

	if (!cursor_left(c))
		return false;
	head = cursor_u32(c);
	len = cursor_u32(c);
	item->tag = head >> 8;
	item->type = head & 0xff;
	if (!cursor_ok(c) || !length_fits(head & 0xff, len)) {
		cursor_fail(c);
		return false;
	}
	item->value = cursor_sub(c, len);
	/* 9.1.1.4: padding bytes are zero */
	for (pad = padding(len); pad; pad--)
		if (cursor_u8(c))
			cursor_fail(c);
	return cursor_ok(c);
}

static bool check(struct cursor *c, size_t depth)
{
	struct ttlv item;

	while (ttlv_next(c, &item)) {
		if (item.type != TTLV_STRUCT)
			continue;
		if (!depth || !check(&item.value, depth - 1))
			return false;
	}
	return cursor_ok(c);
}

bool ttlv_check(const uint8_t *buf, size_t len)
{
	struct cursor c = cursor_reader(buf, len);
	struct ttlv item;

	return ttlv_next(&c, &item) && cursor_done(&c) && item.type == TTLV_STRUCT &&
	       check(&item.value, TTLV_DEPTH_MAX - 1);
}

uint32_t ttlv_u32(struct cursor *from, struct ttlv *item, enum ttlv_type type)
{
	if (item->type != type)
		cursor_fail(from);
	return cursor_ok(from) ? cursor_u32(&item->value) : 0;
}

const uint8_t *ttlv_data(struct cursor *from, struct ttlv *item, enum ttlv_type type,
			 size_t *len)
{
	if (item->type != type)
		cursor_fail(from);
	*len = cursor_ok(from) ? cursor_left(&item->value) : 0;
	return cursor_ok(from) ? cursor_bytes(&item->value, *len) : NULL;
}
