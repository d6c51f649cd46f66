/* SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <errno.h>
#include <string.h>

#define HASH_SIZE 32

static void put(struct cursor *c, const void *p, size_t n)
{
	cursor_put_u16(c, (uint16_t)n);
	cursor_put(c, p, n);
}

static void put_part(struct cursor *c, struct binding_part part)
{
	put(c, part.p, part.n);
}

int binding_encode(const struct binding *b, uint8_t *out, size_t *len)
{
	struct cursor c = cursor_writer(out, *len);
	size_t i;

	put(&c, BINDING_LABEL, strlen(BINDING_LABEL));
	put_part(&c, b->nonce);
	put_part(&c, b->user);
	cursor_put(&c, b->uuid, sizeof(b->uuid));
	cursor_put_u8(&c, (uint8_t)b->keys);
	for (i = 0; i < b->keys; i++)
		put_part(&c, b->ek[i]);
	put_part(&c, b->ak);
	put_part(&c, b->quote);
	put_part(&c, b->guest_log);
	put_part(&c, b->kernel);
	put_part(&c, b->manager);
	put_part(&c, b->host_log);
	*len = c.pos;
	return cursor_ok(&c) ? 0 : -EMSGSIZE;
}

static struct binding_part take_binding(struct cursor *c, size_t min, size_t max)
{
	size_t n = cursor_u16(c);

	if (n < min || n > max)
		cursor_fail(c);
	return (struct binding_part){cursor_bytes(c, n), n};
}

/* One that may be absent. */
static struct binding_part take_hash(struct cursor *c)
{
	struct binding_part part = take_binding(c, 0, HASH_SIZE);

	if (part.n && part.n != HASH_SIZE)
		cursor_fail(c);
	return part;
}

int binding_decode(const uint8_t *buf, size_t len, struct binding *b)
{
	struct cursor c = cursor_reader(buf, len);
	struct binding_part label = take_binding(&c, 1, strlen(BINDING_LABEL));
	size_t i;

	memset(b, 0, sizeof(*b));
	b->nonce = take_binding(&c, BINDING_NONCE_MIN, BINDING_NONCE_MAX);
	b->user = take_binding(&c, 0, BINDING_USER_MAX);
	cursor_copy(&c, b->uuid, sizeof(b->uuid));
	b->keys = cursor_u8(&c);
	if (!b->keys || b->keys > BINDING_KEYS_MAX)
		cursor_fail(&c);
	for (i = 0; cursor_ok(&c) && i < b->keys; i++)
		b->ek[i] = take_binding(&c, 2 + 20, BINDING_NAME_MAX);
	b->ak = take_binding(&c, 2 + 20, BINDING_NAME_MAX);
	b->quote = take_binding(&c, HASH_SIZE, HASH_SIZE);
	b->guest_log = take_hash(&c);
	b->kernel = take_hash(&c);
	b->manager = take_binding(&c, HASH_SIZE, HASH_SIZE);
	b->host_log = take_hash(&c);
	if (!cursor_done(&c) || label.n != strlen(BINDING_LABEL) ||
	    memcmp(label.p, BINDING_LABEL, label.n) != 0)
		return -EBADMSG;
	return 0;
}
