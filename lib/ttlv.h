/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TTLV, the encoding of KMIP messages: tag (3 bytes), type (1), length (4),
 * value padded with zeroes to a multiple of 8 bytes.
 * Source: KMIP Specification 1.4, clause 9.1.
 *
 * Writing and reading go through struct cursor and share its sticky error.
 */
#ifndef XVTPM_TTLV_H
#define XVTPM_TTLV_H

#include <stdbool.h>
#include "lib/cursor.h"

#define TTLV_HEADER_SIZE 8
#define TTLV_DEPTH_MAX	 8

enum ttlv_type {
	TTLV_STRUCT = 1,
	TTLV_INT = 2,
	TTLV_LONG = 3,
	TTLV_BIGINT = 4,
	TTLV_ENUM = 5,
	TTLV_BOOL = 6,
	TTLV_TEXT = 7,
	TTLV_BYTES = 8,
	TTLV_DATE = 9,
	TTLV_INTERVAL = 10,
};

/* Opens a structure; what is written until ttlv_end(c, mark) lies in it. */
size_t ttlv_begin(struct cursor *c, uint32_t tag);
void ttlv_end(struct cursor *c, size_t mark);
/* type is TTLV_INT or TTLV_ENUM. */
void ttlv_put_u32(struct cursor *c, uint32_t tag, enum ttlv_type type, uint32_t v);
/* type is TTLV_TEXT or TTLV_BYTES. */
void ttlv_put(struct cursor *c, uint32_t tag, enum ttlv_type type, const void *v,
	      size_t len);

struct ttlv {
	uint32_t tag;
	enum ttlv_type type;
	struct cursor value; /* a reader over the value, padding left out */
};

/* The whole buffer is one item, every length and padding in it is right, and
 * structures nest at most TTLV_DEPTH_MAX deep. */
bool __must_check ttlv_check(const uint8_t *buf, size_t len);
/* Takes the next item of a structure; false at its end or when it is malformed
 * (then the cursor is bad). */
bool __must_check ttlv_next(struct cursor *c, struct ttlv *item);
/* The value of an integer or enumeration; the cursor of from goes bad when item
 * is of another type. */
uint32_t ttlv_u32(struct cursor *from, struct ttlv *item, enum ttlv_type type);
/* The value of a text or byte string; NULL, and from bad, for another type. */
const uint8_t *ttlv_data(struct cursor *from, struct ttlv *item, enum ttlv_type type,
			 size_t *len);

#endif
