/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/move.h"

#include <errno.h>
#include <string.h>

static void put_short(struct cursor *c, struct binding_part part)
{
	cursor_put_u16(c, (uint16_t)part.n);
	cursor_put(c, part.p, part.n);
}

static void put_long(struct cursor *c, struct binding_part part)
{
	cursor_put_u32(c, (uint32_t)part.n);
	cursor_put(c, part.p, part.n);
}

static struct binding_part take_bytes(struct cursor *c, size_t n, size_t min, size_t max)
{
	if (n < min || n > max)
		cursor_fail(c);
	return (struct binding_part){cursor_bytes(c, n), n};
}

static struct binding_part take_short(struct cursor *c, size_t min, size_t max)
{
	return take_bytes(c, cursor_u16(c), min, max);
}

static struct binding_part take_long(struct cursor *c, size_t max)
{
	return take_bytes(c, cursor_u32(c), 0, max);
}

static void put_label(struct cursor *c, const char *label)
{
	put_short(c, (struct binding_part){(const uint8_t *)label, strlen(label)});
}

static void take_label(struct cursor *c, const char *label)
{
	struct binding_part part = take_short(c, strlen(label), strlen(label));

	if (part.p && memcmp(part.p, label, part.n) != 0)
		cursor_fail(c);
}

static int end_encode(const struct cursor *w, size_t *len)
{
	*len = w->pos;
	return cursor_ok(w) ? 0 : -EMSGSIZE;
}

static int end_decode(const struct cursor *c)
{
	return cursor_done(c) ? 0 : -EBADMSG;
}

int move_message_encode(const struct move_message *m, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	cursor_put_u8(&w, m->kind);
	cursor_put(&w, m->txid, sizeof(m->txid));
	cursor_put(&w, m->uuid, sizeof(m->uuid));
	put_long(&w, m->body);
	return end_encode(&w, len);
}

int move_message_decode(const uint8_t *buf, size_t len, struct move_message *m)
{
	struct cursor c = cursor_reader(buf, len);

	m->kind = cursor_u8(&c);
	cursor_copy(&c, m->txid, sizeof(m->txid));
	cursor_copy(&c, m->uuid, sizeof(m->uuid));
	m->body = take_long(&c, MOVE_MESSAGE_MAX);
	return end_decode(&c);
}

int move_offer_encode(const struct move_offer *o, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	put_label(&w, MOVE_OFFER_LABEL);
	cursor_put(&w, o->nonce, sizeof(o->nonce));
	cursor_put_u64(&w, o->seq);
	cursor_put_u64(&w, o->epoch);
	put_short(&w, o->name);
	put_long(&w, o->description);
	return end_encode(&w, len);
}

int move_offer_decode(const uint8_t *buf, size_t len, struct move_offer *o)
{
	struct cursor c = cursor_reader(buf, len);

	take_label(&c, MOVE_OFFER_LABEL);
	cursor_copy(&c, o->nonce, sizeof(o->nonce));
	o->seq = cursor_u64(&c);
	o->epoch = cursor_u64(&c);
	o->name = take_short(&c, 1, MOVE_NAME_MAX);
	o->description = take_long(&c, MOVE_OFFER_MAX);
	return end_decode(&c);
}

int move_accept_encode(const struct move_accept *a, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	put_label(&w, MOVE_ACCEPT_LABEL);
	put_short(&w, a->key);
	put_long(&w, a->proof);
	return end_encode(&w, len);
}

int move_accept_decode(const uint8_t *buf, size_t len, struct move_accept *a)
{
	struct cursor c = cursor_reader(buf, len);

	take_label(&c, MOVE_ACCEPT_LABEL);
	a->key = take_short(&c, 1, MOVE_KEY_MAX);
	a->proof = take_long(&c, MOVE_ACCEPT_MAX);
	return end_decode(&c);
}

int move_export_encode(const struct move_export *x, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	put_long(&w, x->header);
	put_long(&w, x->blob);
	return end_encode(&w, len);
}

int move_export_decode(const uint8_t *buf, size_t len, struct move_export *x)
{
	struct cursor c = cursor_reader(buf, len);

	x->header = take_long(&c, MOVE_MESSAGE_MAX);
	x->blob = take_long(&c, MOVE_MESSAGE_MAX);
	return end_decode(&c);
}

int move_parcel_encode(const struct move_parcel *x, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	put_long(&w, x->sealed);
	put_long(&w, x->board);
	return end_encode(&w, len);
}

int move_parcel_decode(const uint8_t *buf, size_t len, struct move_parcel *x)
{
	struct cursor c = cursor_reader(buf, len);

	x->sealed = take_long(&c, MOVE_MESSAGE_MAX);
	x->board = take_long(&c, MOVE_BOARD_MAX);
	return end_decode(&c);
}

int move_binding_encode(const struct move_binding *b, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	put_label(&w, MOVE_BINDING_LABEL);
	put_short(&w, (struct binding_part){b->offer, sizeof(b->offer)});
	cursor_put(&w, b->uuid, sizeof(b->uuid));
	put_short(&w, (struct binding_part){b->key, sizeof(b->key)});
	put_short(&w, b->kernel);
	put_short(&w, b->manager);
	return end_encode(&w, len);
}

static void take_digest(struct cursor *c, uint8_t out[CRYPT_HASH_SIZE])
{
	if (cursor_u16(c) != CRYPT_HASH_SIZE)
		cursor_fail(c);
	cursor_copy(c, out, CRYPT_HASH_SIZE);
}

int move_binding_decode(const uint8_t *buf, size_t len, struct move_binding *b)
{
	struct cursor c = cursor_reader(buf, len);

	take_label(&c, MOVE_BINDING_LABEL);
	take_digest(&c, b->offer);
	cursor_copy(&c, b->uuid, sizeof(b->uuid));
	take_digest(&c, b->key);
	b->kernel = take_short(&c, 0, CRYPT_HASH_SIZE);
	b->manager = take_short(&c, CRYPT_HASH_SIZE, CRYPT_HASH_SIZE);
	if (b->kernel.n && b->kernel.n != CRYPT_HASH_SIZE)
		cursor_fail(&c);
	return end_decode(&c);
}

int move_transcript(struct binding_part offer, struct binding_part accept,
		    uint8_t out[CRYPT_HASH_SIZE])
{
	uint8_t lengths[2][4];
	struct cursor first = cursor_writer(lengths[0], sizeof(lengths[0]));
	struct cursor second = cursor_writer(lengths[1], sizeof(lengths[1]));
	const struct crypt_part parts[] = {{lengths[0], sizeof(lengths[0])},
					   {offer.p, offer.n},
					   {lengths[1], sizeof(lengths[1])},
					   {accept.p, accept.n}};

	cursor_put_u32(&first, (uint32_t)offer.n);
	cursor_put_u32(&second, (uint32_t)accept.n);
	return crypt_sha256(parts, ARRAY_SIZE(parts), out);
}
