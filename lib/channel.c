/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint8_t *channel_reader_room(struct channel_reader *r, size_t *room)
{
	size_t at;

	if (r->have < CHANNEL_HEADER_SIZE) {
		*room = CHANNEL_HEADER_SIZE - r->have;
		return r->header + r->have;
	}
	at = r->have - CHANNEL_HEADER_SIZE;
	*room = r->frame.len - at;
	return r->frame.payload + at;
}

static int parse_channel_header(struct channel_reader *r)
{
	struct cursor c = cursor_reader(r->header, sizeof(r->header));

	r->frame.type = cursor_u16(&c);
	if (cursor_u16(&c) != 0)
		return -EPROTO;
	r->frame.id = cursor_u32(&c);
	r->frame.len = cursor_u32(&c);
	if (!cursor_done(&c) || r->frame.len > CHANNEL_PAYLOAD_MAX)
		return -EPROTO;
	if (!r->frame.len)
		return 0;
	r->frame.payload = malloc(r->frame.len);
	return r->frame.payload ? 0 : -ENOMEM;
}

int channel_reader_add(struct channel_reader *r, size_t n)
{
	bool in_header = r->have < CHANNEL_HEADER_SIZE;
	size_t room;
	int rc;

	channel_reader_room(r, &room);
	if (n > room)
		return -EPROTO;
	r->have += n;
	if (r->have < CHANNEL_HEADER_SIZE)
		return 0;
	if (in_header) {
		rc = parse_channel_header(r);
		if (rc)
			return rc;
	}
	return r->have == CHANNEL_HEADER_SIZE + (size_t)r->frame.len;
}

void channel_reader_take(struct channel_reader *r, struct channel_frame *f)
{
	*f = r->frame;
	memset(r, 0, sizeof(*r));
}

void channel_reader_reset(struct channel_reader *r)
{
	free(r->frame.payload);
	memset(r, 0, sizeof(*r));
}

void channel_header(uint8_t out[CHANNEL_HEADER_SIZE], uint16_t type, uint32_t id,
		    size_t len)
{
	struct cursor c = cursor_writer(out, CHANNEL_HEADER_SIZE);

	cursor_put_u16(&c, type);
	cursor_put_u16(&c, 0);
	cursor_put_u32(&c, id);
	cursor_put_u32(&c, (uint32_t)len);
}

bool channel_tlv_next(struct cursor *c, struct channel_tlv *t)
{
	if (!cursor_left(c))
		return false;
	t->tag = cursor_u16(c);
	t->value = cursor_sub(c, cursor_u32(c));
	return cursor_ok(c);
}

void channel_tlv_put(struct cursor *c, uint16_t tag, const void *value, size_t len)
{
	cursor_put_u16(c, tag);
	cursor_put_u32(c, (uint32_t)len);
	cursor_put(c, value, len);
}

void channel_tlv_put_u8(struct cursor *c, uint16_t tag, uint8_t v)
{
	channel_tlv_put(c, tag, &v, 1);
}

void channel_tlv_put_u16(struct cursor *c, uint16_t tag, uint16_t v)
{
	cursor_put_u16(c, tag);
	cursor_put_u32(c, sizeof(v));
	cursor_put_u16(c, v);
}

void channel_tlv_put_u32(struct cursor *c, uint16_t tag, uint32_t v)
{
	cursor_put_u16(c, tag);
	cursor_put_u32(c, sizeof(v));
	cursor_put_u32(c, v);
}

void channel_tlv_put_u64(struct cursor *c, uint16_t tag, uint64_t v)
{
	cursor_put_u16(c, tag);
	cursor_put_u32(c, sizeof(v));
	cursor_put_u64(c, v);
}

uint16_t channel_version(uint16_t min, uint16_t max, uint8_t mode)
{
	uint16_t least = mode == CHANNEL_RESUMED ? CHANNEL_VERSION_MIN : CHANNEL_VERSION;

	if (min > max || min > CHANNEL_VERSION || max < least)
		return 0;
	return max < CHANNEL_VERSION ? max : CHANNEL_VERSION;
}
