/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMIP 1.4 messages that a client of one AES key needs: Encrypt and Decrypt
 * with AES-GCM, a 12-byte IV of the client's, a 16-byte tag, and AAD; Get Attributes, of
 * what tells whether it is that key; and Get, for a server that only gives keys out.
 * Source: KMIP Specification 1.4, clauses 2.1.3, 2.2.2, 3, 4.11, 4.12, 4.29, 4.30, 7, 9.1.3.
 */
#ifndef XVTPM_KMIP_H
#define XVTPM_KMIP_H

#include "include/compiler.h"
#include "lib/cursor.h"
#include "lib/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMIP_MESSAGE_MAX 65536 /* the largest response that is read */
#define KMIP_REQUEST_MAX 1024  /* room that any request of ours fits in */
#define KMIP_KEY_ID_MAX	 127
#define KMIP_TAG_SIZE	 16

enum kmip_operation {
	KMIP_GET = 0x0a,
	KMIP_GET_ATTRIBUTES = 0x0b,
	KMIP_ENCRYPT = 0x1f,
	KMIP_DECRYPT = 0x20,
};

struct kmip_request {
	enum kmip_operation operation;
	const char *key_id;
	/* KMIP_ENCRYPT and KMIP_DECRYPT: */
	const uint8_t *data, *iv, *aad;
	size_t data_len, iv_len, aad_len;
	const uint8_t *tag; /* KMIP_TAG_SIZE bytes; KMIP_DECRYPT only */
};

/* 9.1.3.2.3, 9.1.3.2.13, 9.1.3.2.18 and 9.1.3.3.1, as far as we act on them */
enum { KMIP_OBJECT_SYMMETRIC_KEY = 2 };
enum { KMIP_ALGORITHM_AES = 3 };
enum { KMIP_STATE_ACTIVE = 2 };
enum { KMIP_FORMAT_RAW = 1 };
enum { KMIP_MAY_ENCRYPT = 0x04, KMIP_MAY_DECRYPT = 0x08 };

/* What Get Attributes tells of an object.  0: it did not tell. */
struct kmip_attributes {
	uint32_t object_type, algorithm, length, state;
	uint32_t usage_mask;
};

/* Pointers point into the message that was parsed. */
struct kmip_response {
	uint32_t operation; /* 0: the server did not say */
	uint32_t status;    /* 0: success */
	uint32_t reason;    /* Result Reason; 0 with success */
	char message[128];  /* the server's words, printable ASCII only */
	const uint8_t *key_id, *data, *tag;
	size_t key_id_len, data_len, tag_len;
	/* Get: data is the key's material, format its Key Format Type; of the attributes
	 * there are the object's type, and of the Key Block algorithm and length */
	uint32_t format;
	bool is_wrapped; /* under another key: the material is none */
	struct kmip_attributes attributes;
};

/*
 * The contracts, which `make prove` proves for every message (docs/proofs.md):
 *   kmip_is_printable  printable characters, and an end within the room
 */
/*@ predicate kmip_is_printable(char *p, integer room) =
	\exists integer n; 0 <= n < room && p[n] == 0 &&
	\forall integer i; 0 <= i < n ==> ' ' <= p[i] <= '~'; */

/* len: room in, bytes out.  -ENOSPC. */
int __must_check kmip_encode(const struct kmip_request *rq, uint8_t *out, size_t *len);
/* -EBADMSG when it is no KMIP response with one batch item. A failure that the
 * server reports parses well: see status. */
/*@ requires \valid_read(buf + (0 .. len - 1)) && \valid(rsp);
    requires \separated(rsp, buf + (0 .. len - 1));
    assigns *rsp;
    ensures \result == 0 || \result == -EBADMSG;
    ensures \result == 0 ==> kmip_is_printable(&rsp->message[0], sizeof(rsp->message)); */
int __must_check kmip_parse(const uint8_t *buf, size_t len, struct kmip_response *rsp);
/* Which of CAUSE_KMS_* a failed response is. */
enum cause kmip_cause(const struct kmip_response *rsp);
/* What such an object is, for people: "an AES key of 128 bits", "a private key (RSA, 2048
 * bits)". */
void kmip_describe(const struct kmip_attributes *a, char *out, size_t room);
/* "Pre-Active", as the specification has it. */
const char *kmip_state(uint32_t state);

/*
 * TTLV, the encoding of KMIP messages: tag (3 bytes), type (1), length (4),
 * value padded with zeroes to a multiple of 8 bytes.
 * Source: KMIP Specification 1.4, clause 9.1.
 *
 * Writing and reading go through struct cursor and share its sticky error.
 */

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

/*
 * The contracts, which `make prove` proves for every message (docs/proofs.md):
 *   ttlv_holds    an item, and the cursor that gave it
 *   ttlv_lies_in  the n bytes at p are of those that *c reads
 */
/*@ predicate ttlv_holds(struct cursor *c, struct ttlv *item) =
	cursor_holds(c) && \valid(item) && cursor_holds(&item->value) && \separated(item, c);
    predicate ttlv_lies_in(struct cursor *c, uint8_t *p, integer n) =
	\subset(p + (0 .. n - 1), c->rd + (0 .. c->len - 1)); */

/* The whole buffer is one item, every length and padding in it is right, and
 * structures nest at most TTLV_DEPTH_MAX deep. */
/*@ requires \valid_read(buf + (0 .. len - 1));
    assigns \nothing; */
bool __must_check ttlv_check(const uint8_t *buf, size_t len);
/* Takes the next item of a structure; false at its end or when it is malformed
 * (then the cursor is bad). */
/*@ requires cursor_holds(c) && \valid(item);
    requires \separated(item, c, c->rd + (0 .. c->len - 1));
    assigns c->pos, c->bad, *item;
    ensures cursor_holds(c);
    ensures \result ==> ttlv_holds(c, item) && !c->bad && !item->value.bad;
    ensures \result ==> item->value.wr == \null && item->value.pos == 0;
    ensures \result ==> item->value.rd == c->rd + \old(c->pos) + TTLV_HEADER_SIZE;
    ensures \result ==> c->pos >= \old(c->pos) + TTLV_HEADER_SIZE + item->value.len; */
bool __must_check ttlv_next(struct cursor *c, struct ttlv *item);
/* The value of an integer or enumeration; the cursor of from goes bad when item
 * is of another type. */
/*@ requires ttlv_holds(from, item);
    assigns from->bad, item->value.pos, item->value.bad;
    ensures ttlv_holds(from, item);
    ensures \old(from->bad) || item->type != type ? from->bad : !from->bad; */
uint32_t ttlv_u32(struct cursor *from, struct ttlv *item, enum ttlv_type type);
/* The value of a text or byte string; NULL, and from bad, for another type. */
/*@ requires ttlv_holds(from, item) && \valid(len) && \separated(len, from, item);
    assigns from->bad, item->value.pos, item->value.bad, *len;
    ensures ttlv_holds(from, item) && ttlv_lies_in(&item->value, \result, *len);
    ensures \old(from->bad) || item->type != type ? from->bad : !from->bad; */
const uint8_t *ttlv_data(struct cursor *from, struct ttlv *item, enum ttlv_type type,
			 size_t *len);

#endif
