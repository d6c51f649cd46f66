/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/pool.h"
#include "lib/crypt.h"
#include "lib/tpm2/duplicate.h"

#include <errno.h>
#include <string.h>

#define HASH_SIZE CRYPT_HASH_SIZE
#define LABEL_LEN (sizeof(POOL_LABEL) - 1)
#define AK_MIN	  (2 + 20)

static struct binding_part take_part(struct cursor *c, size_t min, size_t max)
{
	size_t n = cursor_u16(c);

	if (n < min || n > max)
		cursor_fail(c);
	return (struct binding_part){cursor_bytes(c, n), n};
}

bool pool_next_image(struct cursor *c, struct pool_image *i)
{
	if (!cursor_left(c))
		return false;
	i->kernel = take_part(c, 0, HASH_SIZE);
	i->manager = take_part(c, HASH_SIZE, HASH_SIZE);
	if (i->kernel.n && i->kernel.n != HASH_SIZE)
		cursor_fail(c);
	return cursor_ok(c);
}

bool pool_next_state(struct cursor *c, struct pool_state *s)
{
	unsigned int n, pcr, last = 0;

	memset(s, 0, sizeof(*s));
	if (!cursor_left(c))
		return false;
	n = cursor_u8(c);
	if (!n || n > POOL_PCRS)
		cursor_fail(c);
	for (unsigned int i = 0; i < n && cursor_ok(c); i++) {
		pcr = cursor_u8(c);
		if (pcr >= POOL_PCRS || (i && pcr <= last)) {
			cursor_fail(c);
			break;
		}
		last = pcr;
		s->pcrs |= 1u << pcr;
		s->value[pcr] = cursor_bytes(c, HASH_SIZE);
	}
	return cursor_ok(c);
}

/* A reader over the next n of what next() reads; bad, if one of them is. */
#define TAKE_ALL(type, next)                                                     \
	static struct cursor next##_all(struct cursor *c, unsigned int n)        \
	{                                                                        \
		struct cursor from = *c;                                         \
		struct type one;                                                 \
                                                                                 \
		for (unsigned int i = 0; i < n; i++)                             \
			if (!next(c, &one))                                      \
				cursor_fail(c);                                  \
		return cursor_ok(c) ? cursor_sub(&from, c->pos - from.pos) : *c; \
	}

TAKE_ALL(pool_image, pool_next_image)
TAKE_ALL(pool_state, pool_next_state)

bool pool_next_host(struct cursor *c, struct pool_host *h)
{
	if (!cursor_left(c))
		return false;
	h->name = take_part(c, 1, POOL_NAME_MAX);
	h->address = take_part(c, 1, 271);
	h->ak = take_part(c, AK_MIN, BINDING_NAME_MAX);
	h->srk = take_part(c, AK_MIN, BINDING_NAME_MAX);
	h->states = cursor_u8(c);
	if (!h->states || h->states > POOL_STATES_MAX)
		cursor_fail(c);
	h->state = pool_next_state_all(c, cursor_ok(c) ? h->states : 0);
	return cursor_ok(c);
}

TAKE_ALL(pool_host, pool_next_host)

bool pool_next_storage(struct cursor *c, struct pool_storage *s)
{
	if (!cursor_left(c))
		return false;
	s->name = take_part(c, AK_MIN, BINDING_NAME_MAX);
	s->public = take_part(c, 1, POOL_PUBLIC_MAX);
	return cursor_ok(c);
}

bool pool_next_holder(struct cursor *c, struct pool_holder *h)
{
	if (!cursor_left(c))
		return false;
	h->name = take_part(c, AK_MIN, BINDING_NAME_MAX);
	h->share = take_part(c, 1, TPM2_DUPLICATE_MAX);
	h->kept = take_part(c, 0, TPM2_DUPLICATE_MAX);
	return cursor_ok(c);
}

TAKE_ALL(pool_storage, pool_next_storage)
TAKE_ALL(pool_holder, pool_next_holder)

bool pool_next_key(struct cursor *c, struct pool_key *k)
{
	if (!cursor_left(c))
		return false;
	k->version = cursor_u32(c);
	k->holders = cursor_u8(c);
	if (!k->version || !k->holders || k->holders > POOL_HOSTS_MAX)
		cursor_fail(c);
	k->holder = pool_next_holder_all(c, cursor_ok(c) ? k->holders : 0);
	return cursor_ok(c);
}

TAKE_ALL(pool_key, pool_next_key)

static bool keys_ascend(struct cursor c)
{
	struct pool_key k;
	uint32_t last = 0;

	for (; pool_next_key(&c, &k); last = k.version)
		if (k.version <= last)
			return false;
	return true;
}

static void take_keys(struct cursor *c, struct pool *p)
{
	struct cursor from = *c;

	p->storages = cursor_u8(c);
	if (p->storages > POOL_HOSTS_MAX)
		cursor_fail(c);
	p->storage = pool_next_storage_all(c, cursor_ok(c) ? p->storages : 0);
	p->keys = cursor_u8(c);
	if (p->keys > POOL_KEYS_MAX)
		cursor_fail(c);
	p->key = pool_next_key_all(c, cursor_ok(c) ? p->keys : 0);
	if (!cursor_ok(c) || !keys_ascend(p->key))
		cursor_fail(c);
	else
		p->tail = cursor_sub(&from, c->pos - from.pos);
}

int pool_parse(const uint8_t *buf, size_t len, struct pool *p)
{
	struct cursor c = cursor_reader(buf, len);
	struct tpm2_signature s;
	struct binding_part label;

	memset(p, 0, sizeof(*p));
	if (len > POOL_MAX)
		return -EBADMSG;
	label = take_part(&c, LABEL_LEN, LABEL_LEN);
	p->has_keys = cursor_ok(&c) && !memcmp(label.p, POOL_LABEL_KEYS, LABEL_LEN);
	p->number = cursor_u64(&c);
	p->images = cursor_u8(&c);
	if (p->images > POOL_IMAGES_MAX)
		cursor_fail(&c);
	p->image = pool_next_image_all(&c, cursor_ok(&c) ? p->images : 0);
	p->hosts = cursor_u8(&c);
	if (p->hosts > POOL_HOSTS_MAX)
		cursor_fail(&c);
	p->host = pool_next_host_all(&c, cursor_ok(&c) ? p->hosts : 0);
	if (p->has_keys)
		take_keys(&c, p);
	p->signed_len = c.pos;
	p->signature.n = cursor_left(&c);
	p->signature.p = cursor_bytes(&c, p->signature.n);
	if (!cursor_done(&c) ||
	    (!p->has_keys && memcmp(label.p, POOL_LABEL, LABEL_LEN) != 0) ||
	    tpm2_signature_parse(p->signature.p, p->signature.n, &s))
		return -EBADMSG;
	return 0;
}

int pool_open(const uint8_t *buf, size_t len, const uint8_t *policy_key,
	      size_t policy_key_len, struct pool *p)
{
	struct tpm2_signature s;
	struct tpm2_key key = {.key = NULL};
	int rc = pool_parse(buf, len, p);

	if (rc)
		return rc;
	if (tpm2_key_parse(policy_key, policy_key_len, &key) ||
	    tpm2_signature_parse(p->signature.p, p->signature.n, &s) ||
	    tpm2_signature_verify(&s, &key, buf, p->signed_len))
		rc = -EACCES;
	tpm2_key_free(&key);
	return rc;
}

bool pool_find_ak(const struct pool *p, const uint8_t *name, size_t len,
		  struct pool_host *h)
{
	struct cursor c = p->host;

	while (pool_next_host(&c, h))
		if (h->ak.n == len && !memcmp(h->ak.p, name, len))
			return true;
	return false;
}

bool pool_newest_key(const struct pool *p, struct pool_key *k)
{
	struct cursor c = p->key;
	bool has = false;

	while (pool_next_key(&c, k))
		has = true;
	return has;
}

bool pool_find_holder(const struct pool_key *k, const uint8_t *name, size_t len,
		      struct pool_holder *h)
{
	struct cursor c = k->holder;

	while (pool_next_holder(&c, h))
		if (h->name.n == len && !memcmp(h->name.p, name, len))
			return true;
	return false;
}
