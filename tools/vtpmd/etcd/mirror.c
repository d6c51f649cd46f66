/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/mirror.h"
#include "lib/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define UUID_TEXT 36

/* The last two bytes of a random uuid. */
static struct place **bucket_of(struct mirror *m, const uint8_t uuid[16])
{
	return &m->places[(uuid[14] << 8 | uuid[15]) % ARRAY_SIZE(m->places)];
}

struct place *mirror_find(struct mirror *m, const uint8_t uuid[16])
{
	struct place *p = *bucket_of(m, uuid);

	while (p && memcmp(p->uuid, uuid, sizeof(p->uuid)))
		p = p->next;
	return p;
}

struct place *mirror_place(struct mirror *m, const uint8_t uuid[16])
{
	struct place *p = mirror_find(m, uuid), **at = bucket_of(m, uuid);

	if (p || m->count >= MIRROR_PLACES_MAX)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	memcpy(p->uuid, uuid, sizeof(p->uuid));
	p->next = *at;
	*at = p;
	m->count++;
	return p;
}

void mirror_touch(struct mirror *m, struct place *p)
{
	if (p->touched)
		return;
	p->touched = true;
	p->next_touched = m->touched;
	m->touched = p;
}

static struct mirror_value *find_value(const struct place *p, const char *name)
{
	struct mirror_value *v = p->values;

	while (v && strcmp(v->name, name))
		v = v->next;
	return v;
}

const struct mirror_value *mirror_get(const struct place *p, const char *name)
{
	return find_value(p, name);
}

static void drop_value(struct mirror *m, struct place *p, struct mirror_value *v)
{
	struct mirror_value **at = &p->values;

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	m->bytes -= v->len + sizeof(*v);
	free(v->buf);
	free(v);
}

int mirror_set(struct mirror *m, struct place *p, const char *name, const uint8_t *buf,
	       size_t len)
{
	struct mirror_value *old = find_value(p, name), *v;

	if (!buf) {
		if (old)
			drop_value(m, p, old);
		return 0;
	}
	if (strlen(name) >= sizeof(v->name) ||
	    m->bytes + len + sizeof(*v) > MIRROR_BYTES_MAX)
		return -EFBIG;
	v = calloc(1, sizeof(*v));
	if (!v || !(v->buf = malloc(len + 1))) {
		free(v);
		return -ENOMEM;
	}
	strcpy(v->name, name);
	memcpy(v->buf, buf, len);
	v->len = len;
	v->round = m->round;
	if (old)
		drop_value(m, p, old);
	v->next = p->values;
	p->values = v;
	m->bytes += len + sizeof(*v);
	return 0;
}

void mirror_key(const struct mirror *m, const struct place *p, const char *name,
		char key[PROTO_KEY_MAX])
{
	char text[UUID_TEXT + 1];

	uuid_unparse_lower(p->uuid, text);
	snprintf(key, PROTO_KEY_MAX, "%sv/%s/%s", m->prefix, text, name);
}

/* Whether a key is PREFIX/v/UUID/NAME, with a name that may be in a text. */
static bool parse_key(const struct mirror *m, const struct proto_kv *kv, uint8_t uuid[16],
		      char name[MIRROR_NAME_MAX])
{
	char key[PROTO_KEY_MAX], text[UUID_TEXT + 1];
	size_t at = strlen(m->prefix), i, n;

	if (kv->key_len >= sizeof(key))
		return false;
	memcpy(key, kv->key, kv->key_len);
	key[kv->key_len] = '\0';
	if (strlen(key) != kv->key_len || strncmp(key, m->prefix, at) ||
	    strncmp(key + at, "v/", 2) || strlen(key + at) < 2 + UUID_TEXT + 2)
		return false;
	at += 2;
	memcpy(text, key + at, UUID_TEXT);
	text[UUID_TEXT] = '\0';
	at += UUID_TEXT;
	n = strlen(key + at + 1);
	if (key[at] != '/' || uuid_parse(text, uuid) || n >= MIRROR_NAME_MAX)
		return false;
	for (i = 0; i < n; i++)
		if (key[at + 1 + i] <= ' ' || key[at + 1 + i] >= 127 ||
		    key[at + 1 + i] == '/')
			return false;
	strcpy(name, key + at + 1);
	return true;
}

static void apply_owner(struct mirror *m, struct place *p, const struct proto_kv *kv)
{
	size_t n =
		kv->value_len < sizeof(p->owner) ? kv->value_len : sizeof(p->owner) - 1;

	/* an answer, or an event that came first, has told of a newer one */
	p->owner_round = m->round;
	if (kv->mod_revision <= p->own_rev)
		return;
	if (p->mine && kv->mod_revision != p->owner_mod)
		p->taken = true;
	memset(p->owner, 0, sizeof(p->owner));
	if (!kv->deleted)
		memcpy(p->owner, kv->value, n);
	p->owner_mod = kv->deleted ? 0 : kv->mod_revision;
}

/* Whether it is of a transaction of ours whose answer has not come. */
static bool is_own(const struct place *p, const uint8_t id[MIRROR_ID_SIZE])
{
	return (p->own_pending && !memcmp(id, p->own_id, MIRROR_ID_SIZE)) ||
	       (p->before_pending && !memcmp(id, p->before_id, MIRROR_ID_SIZE));
}

static void apply_gen(struct place *p, const struct proto_kv *kv)
{
	bool whole = kv->value_len == MIRROR_GEN_SIZE && !kv->deleted;

	if (kv->mod_revision <= p->own_rev || kv->mod_revision == p->gen_mod)
		return;
	if (whole && is_own(p, kv->value)) {
		p->own_rev = kv->mod_revision;
		return;
	}
	p->changed = true;
	p->gen_mod = kv->deleted ? 0 : kv->mod_revision;
	memset(p->gen, 0, sizeof(p->gen));
	if (whole)
		memcpy(p->gen, kv->value, sizeof(p->gen));
}

/* Whether it is PREFIX/alive/HOST, which it takes in then. */
static bool apply_alive(struct mirror *m, const struct proto_kv *kv)
{
	size_t at = strlen(m->prefix), n, i;
	struct mirror_host *h;

	if (kv->key_len <= at + 6 || memcmp(kv->key, m->prefix, at) ||
	    memcmp(kv->key + at, "alive/", 6))
		return false;
	n = kv->key_len - at - 6;
	for (i = 0; i < m->host_count; i++)
		if (strlen(m->hosts[i].name) == n &&
		    !memcmp(m->hosts[i].name, kv->key + at + 6, n))
			break;
	h = &m->hosts[i];
	if (kv->deleted && i < m->host_count) {
		*h = m->hosts[--m->host_count];
	} else if (!kv->deleted && n < MIRROR_HOST_MAX && i < MIRROR_HOSTS_MAX) {
		m->host_count += i == m->host_count;
		*h = (struct mirror_host){.mod = kv->mod_revision, .round = m->round};
		for (i = 0; i < n; i++)
			h->name[i] = (char)(kv->key[at + 6 + i] > ' ' &&
							    kv->key[at + 6 + i] < 127
						    ? kv->key[at + 6 + i]
						    : '?');
	}
	return true;
}

static void drop_list(struct mirror *m)
{
	free(m->list);
	m->list = NULL;
	m->list_len = 0;
}

/* Whether it is PREFIX/pool, which it takes in then.  One that is too long is none. */
static bool apply_list(struct mirror *m, const struct proto_kv *kv)
{
	size_t at = strlen(m->prefix);

	if (kv->key_len != at + 4 || memcmp(kv->key, m->prefix, at) ||
	    memcmp(kv->key + at, "pool", 4) != 0)
		return false;
	drop_list(m);
	m->list_round = m->round;
	if (kv->deleted || !kv->value_len || kv->value_len > POOL_MAX)
		return true;
	m->list = malloc(kv->value_len);
	if (!m->list)
		return true;
	memcpy(m->list, kv->value, kv->value_len);
	m->list_len = kv->value_len;
	return true;
}

void mirror_apply(struct mirror *m, const struct proto_kv *kv)
{
	struct mirror_value *v;
	char name[MIRROR_NAME_MAX];
	uint8_t uuid[16];
	struct place *p;

	if (apply_alive(m, kv) || apply_list(m, kv) || !parse_key(m, kv, uuid, name))
		return;
	p = kv->deleted ? mirror_find(m, uuid) : mirror_place(m, uuid);
	if (!p) {
		m->overflow = m->overflow || !kv->deleted;
		return;
	}
	p->round = m->round;
	mirror_touch(m, p);
	if (!strcmp(name, "owner")) {
		apply_owner(m, p, kv);
		return;
	}
	if (!strcmp(name, "gen")) {
		apply_gen(p, kv);
		return;
	}
	v = find_value(p, name);
	/* while it is ours, or about to be, memory has what is to be there */
	if (kv->mod_revision <= p->own_rev || (p->mine && !p->taken)) {
		if (v)
			v->round = m->round;
		return;
	}
	p->changed = true;
	if (mirror_set(m, p, name, kv->deleted ? NULL : kv->value, kv->value_len))
		m->overflow = true;
}

void mirror_begin(struct mirror *m)
{
	m->round++;
}

static void end_place(void *ctx, struct place *p)
{
	struct mirror *m = ctx;
	struct mirror_value *v, *next;

	if (p->ops)
		return;
	mirror_touch(m, p);
	if (p->round != m->round) {
		p->taken = p->mine;
		p->owner_mod = p->gen_mod = 0;
		p->changed = true;
	}
	/* its lease ended while no watch ran */
	if (!p->mine && p->owner_round != m->round) {
		p->owner_mod = 0;
		p->owner[0] = '\0';
	}
	for (v = p->values; v && (!p->mine || p->taken); v = next) {
		next = v->next;
		if (v->round != m->round)
			drop_value(m, p, v);
	}
}

void mirror_end(struct mirror *m)
{
	mirror_each(m, end_place, m);
	if (m->list_round != m->round)
		drop_list(m);
	for (size_t i = 0; i < m->host_count;)
		if (m->hosts[i].round != m->round)
			m->hosts[i] = m->hosts[--m->host_count];
		else
			i++;
}

static void forget_place(void *ctx, struct place *p)
{
	while (p->values)
		drop_value(ctx, p, p->values);
	p->owner_mod = p->gen_mod = p->own_rev = 0;
	p->mine = p->taken = p->own_pending = p->before_pending = false;
	p->owner[0] = '\0';
	p->changed = true;
	mirror_touch(ctx, p);
}

void mirror_forget(struct mirror *m)
{
	mirror_each(m, forget_place, m);
	drop_list(m);
}

void mirror_each(struct mirror *m, void (*each)(void *ctx, struct place *p), void *ctx)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->places); i++)
		for (struct place *p = m->places[i]; p; p = p->next)
			each(ctx, p);
}

static void free_place(struct mirror *m, struct place **at)
{
	struct place *p = *at;

	*at = p->next;
	while (p->values)
		drop_value(m, p, p->values);
	free(p);
	m->count--;
}

static bool is_empty(const struct place *p)
{
	return !p->values && !p->ops && !p->mine && !p->owner_mod && !p->gen_mod &&
	       !p->changed && !p->taken && !p->user && !p->touched;
}

void mirror_sweep(struct mirror *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->places); i++) {
		struct place **at = &m->places[i];

		while (*at)
			if (is_empty(*at))
				free_place(m, at);
			else
				at = &(*at)->next;
	}
}

void mirror_each_touched(struct mirror *m, void (*each)(void *ctx, struct place *p),
			 void *ctx)
{
	struct place *p, *next = m->touched, **at;

	/* what is touched meanwhile is for the next time, or is still to come */
	m->touched = NULL;
	while ((p = next)) {
		next = p->next_touched;
		p->touched = false;
		each(ctx, p);
		if (p->changed || p->taken)
			mirror_touch(m, p);
		if (!is_empty(p))
			continue;
		at = bucket_of(m, p->uuid);
		while (*at != p)
			at = &(*at)->next;
		free_place(m, at);
	}
}

void mirror_free(struct mirror *m)
{
	drop_list(m);
	for (size_t i = 0; i < ARRAY_SIZE(m->places); i++)
		while (m->places[i])
			free_place(m, &m->places[i]);
}
