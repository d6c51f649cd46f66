/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of the host channel (include/channel.h), used by both ends: frames
 * out of a byte stream that may end anywhere, and TLVs inside a payload.
 * It does no I/O; the caller moves the bytes.
 */
#ifndef XVTPM_LIB_CHANNEL_H
#define XVTPM_LIB_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/cursor.h"

struct channel_frame {
	uint16_t type;
	uint32_t id;
	uint32_t len;
	uint8_t *payload; /* malloc()ed; NULL when len is 0 */
};

/* A frame that is being received.  Starts zeroed.  Holds at most one payload
 * of CHANNEL_PAYLOAD_MAX bytes, whatever the peer sends. */
struct channel_reader {
	uint8_t header[CHANNEL_HEADER_SIZE];
	size_t have; /* bytes of header and payload so far */
	struct channel_frame frame;
};

/*
 * The contracts, which `make prove` proves for every stream (docs/proofs.md).
 *   channel_holds  no more bytes came than header and payload have, and the payload's are
 *                  there, CHANNEL_PAYLOAD_MAX at most
 *   channel_whole  the frame is complete
 */
/*@ predicate channel_holds(struct channel_reader *r) =
	\valid(r) && r->frame.len <= CHANNEL_PAYLOAD_MAX &&
	r->have <= CHANNEL_HEADER_SIZE + r->frame.len &&
	(r->have < CHANNEL_HEADER_SIZE ==> r->frame.len == 0) &&
	(r->frame.len > 0 ==> \valid(r->frame.payload + (0 .. r->frame.len - 1)));
    predicate channel_whole(struct channel_reader *r) =
	r->have == CHANNEL_HEADER_SIZE + r->frame.len;
*/

/* Where the next bytes of the stream go, and how many at most (never 0). */
/*@ requires channel_holds(r) && !channel_whole(r) && \valid(room) && \separated(r, room);
    assigns *room;
    ensures *room > 0 && \valid(\result + (0 .. *room - 1)); */
uint8_t *channel_reader_room(struct channel_reader *r, size_t *room);
/* n bytes were put there. 1: a frame is complete, fetch it with
 * channel_reader_take() before going on; 0: more is needed; -EPROTO: not our
 * protocol, or too long; -ENOMEM.  After an error only _reset() is allowed. */
/*@ requires channel_holds(r) && !channel_whole(r);
    assigns r->have, r->frame.type, r->frame.id, r->frame.len, r->frame.payload;
    ensures \result == 0 || \result == 1 || \result == -EPROTO || \result == -ENOMEM;
    ensures \result >= 0 ==> channel_holds(r) && r->have == \old(r->have) + n;
    ensures \result == 0 ==> !channel_whole(r);
    ensures \result == 1 ==> channel_whole(r); */
int __must_check channel_reader_add(struct channel_reader *r, size_t n);
/* Hands the complete frame over; the caller frees its payload. */
/*@ requires channel_holds(r) && channel_whole(r) && \valid(f) && \separated(r, f);
    assigns *r, *f;
    ensures channel_holds(r) && r->have == 0;
    ensures f->len <= CHANNEL_PAYLOAD_MAX;
    ensures f->len > 0 ==> \valid(f->payload + (0 .. f->len - 1)); */
void channel_reader_take(struct channel_reader *r, struct channel_frame *f);
/*@ requires \valid(r);
    assigns *r;
    ensures channel_holds(r) && r->have == 0; */
void channel_reader_reset(struct channel_reader *r);

/* Writes a frame's header for a payload of len <= CHANNEL_PAYLOAD_MAX bytes. */
/*@ requires \valid(out + (0 .. CHANNEL_HEADER_SIZE - 1));
    assigns out[0 .. CHANNEL_HEADER_SIZE - 1]; */
void channel_header(uint8_t out[CHANNEL_HEADER_SIZE], uint16_t type, uint32_t id,
		    size_t len);

struct channel_tlv {
	uint16_t tag;
	struct cursor value; /* a reader over the value */
};

/* Takes the next TLV; false at the end, or, with c bad, when it is cut short. */
/*@ requires cursor_holds(c) && \valid(t);
    requires \separated(t, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *t;
    ensures cursor_holds(c);
    ensures \result ==> !c->bad && c->pos == \old(c->pos) + 6 + t->value.len;
    ensures \result ==> t->value.rd == c->rd + \old(c->pos) + 6;
    ensures \result ==> t->value.wr == \null && t->value.pos == 0 && !t->value.bad; */
bool __must_check channel_tlv_next(struct cursor *c, struct channel_tlv *t);
/*@ requires cursor_holds(c) && \valid_read((uint8_t *)value + (0 .. len - 1));
    requires \separated(c, (uint8_t *)value + (0 .. len - 1), c->wr + (0 .. c->len - 1));
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c); */
void channel_tlv_put(struct cursor *c, uint16_t tag, const void *value, size_t len);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c); */
void channel_tlv_put_u8(struct cursor *c, uint16_t tag, uint8_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c); */
void channel_tlv_put_u16(struct cursor *c, uint16_t tag, uint16_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c); */
void channel_tlv_put_u32(struct cursor *c, uint16_t tag, uint32_t v);
/*@ requires cursor_holds(c);
    assigns c->pos, c->bad, c->wr[c->pos .. c->len - 1];
    ensures cursor_holds(c); */
void channel_tlv_put_u64(struct cursor *c, uint16_t tag, uint64_t v);

/* The version that vtpmd speaks with a manager of this range; 0: none.  A manager of version
 * 1 that starts would skip of its configuration what it does not know. */
/*@ assigns \nothing;
    ensures \result == 0 || min <= \result <= max && \result <= CHANNEL_VERSION; */
uint16_t channel_version(uint16_t min, uint16_t max, uint8_t mode);

#endif
