/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the header, or else of the payload, that have not come yet. */
/*@ requires channel_holds(r);
    assigns \nothing;
    ensures r->have < CHANNEL_HEADER_SIZE ?
		\result == CHANNEL_HEADER_SIZE - r->have :
		\result == CHANNEL_HEADER_SIZE + r->frame.len - r->have; */
static size_t bytes_missing(const struct channel_reader *r)
{
	if (r->have < CHANNEL_HEADER_SIZE)
		return CHANNEL_HEADER_SIZE - r->have;
	return r->frame.len - (r->have - CHANNEL_HEADER_SIZE);
}

uint8_t *channel_reader_room(struct channel_reader *r, size_t *room)
{
	*room = bytes_missing(r);
	if (r->have < CHANNEL_HEADER_SIZE)
		return r->header + r->have;
	return r->frame.payload + (r->have - CHANNEL_HEADER_SIZE);
}

/*@ requires \valid(r);
    assigns r->frame.type, r->frame.id, r->frame.len;
    ensures \result == 0 || \result == -EPROTO;
    ensures \result == 0 ==> r->frame.len <= CHANNEL_PAYLOAD_MAX; */
static int parse_channel_header(struct channel_reader *r)
{
	struct cursor c = cursor_reader(r->header, sizeof(r->header));

	r->frame.type = cursor_u16(&c);
	if (cursor_u16(&c) != 0)
		return -EPROTO;
	r->frame.id = cursor_u32(&c);
	r->frame.len = cursor_u32(&c);
	return cursor_done(&c) && r->frame.len <= CHANNEL_PAYLOAD_MAX ? 0 : -EPROTO;
}

/*@ requires \valid(r);
    assigns r->frame.type, r->frame.id, r->frame.len, r->frame.payload;
    ensures \result == 0 || \result == -EPROTO || \result == -ENOMEM;
    ensures \result == 0 ==> r->frame.len <= CHANNEL_PAYLOAD_MAX;
    ensures \result == 0 && r->frame.len > 0 ==>
	    \valid(r->frame.payload + (0 .. r->frame.len - 1)); */
static int begin_payload(struct channel_reader *r)
{
	int rc = parse_channel_header(r);

	if (rc || !r->frame.len)
		return rc;
	r->frame.payload = malloc(r->frame.len);
	return r->frame.payload ? 0 : -ENOMEM;
}

int channel_reader_add(struct channel_reader *r, size_t n)
{
	bool in_header = r->have < CHANNEL_HEADER_SIZE;

	if (n > bytes_missing(r))
		return -EPROTO;
	r->have += n;
	if (r->have < CHANNEL_HEADER_SIZE)
		return 0;
	if (in_header) {
		int rc = begin_payload(r);

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
