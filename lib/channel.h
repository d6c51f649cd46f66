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

/* Where the next bytes of the stream go, and how many at most (never 0). */
uint8_t *channel_reader_room(struct channel_reader *r, size_t *room);
/* n bytes were put there. 1: a frame is complete, fetch it with
 * channel_reader_take() before going on; 0: more is needed; -EPROTO: not our
 * protocol, or too long; -ENOMEM.  After an error only _reset() is allowed. */
int __must_check channel_reader_add(struct channel_reader *r, size_t n);
/* Hands the complete frame over; the caller frees its payload. */
void channel_reader_take(struct channel_reader *r, struct channel_frame *f);
void channel_reader_reset(struct channel_reader *r);

/* Writes a frame's header for a payload of len <= CHANNEL_PAYLOAD_MAX bytes. */
void channel_header(uint8_t out[CHANNEL_HEADER_SIZE], uint16_t type, uint32_t id,
		    size_t len);

struct channel_tlv {
	uint16_t tag;
	struct cursor value; /* a reader over the value */
};

/* Takes the next TLV; false at the end, or, with c bad, when it is cut short. */
bool __must_check channel_tlv_next(struct cursor *c, struct channel_tlv *t);
void channel_tlv_put(struct cursor *c, uint16_t tag, const void *value, size_t len);
void channel_tlv_put_u8(struct cursor *c, uint16_t tag, uint8_t v);
void channel_tlv_put_u16(struct cursor *c, uint16_t tag, uint16_t v);
void channel_tlv_put_u32(struct cursor *c, uint16_t tag, uint32_t v);
void channel_tlv_put_u64(struct cursor *c, uint16_t tag, uint64_t v);

/* The version that vtpmd speaks with a manager of this range; 0: none.  A manager of version
 * 1 that starts would skip of its configuration what it does not know. */
uint16_t channel_version(uint16_t min, uint16_t max, uint8_t mode);

#endif
