/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/store.h"
#include "lib/crypt.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

const char *store_name(uint16_t object)
{
	static const char *const names[] = {
		[CHANNEL_OBJECT_HEADER] = "header",
		[CHANNEL_OBJECT_PERMALL] = "permall",
		[CHANNEL_OBJECT_VOLATILE] = "volatile",
		[CHANNEL_OBJECT_SAVESTATE] = "savestate",
		[CHANNEL_OBJECT_SOURCE_HEADER] = "source.header",
		[CHANNEL_OBJECT_SOURCE_PERMALL] = "source.permall",
	};

	return object < ARRAY_SIZE(names) ? names[object] : NULL;
}

/* A place that is named in another way than by a folder: by a URL. */
static struct {
	const char *scheme; /* NULL: none */
	const struct store_ops *ops;
} other;

void store_add(const char *scheme, const struct store_ops *ops)
{
	other.scheme = scheme;
	other.ops = ops;
}

static const struct store_ops *ops_of(const char *root)
{
	bool is_other =
		other.scheme && !strncmp(root, other.scheme, strlen(other.scheme));

	return is_other ? other.ops : &store_folder;
}

static bool is_ending;

int store_list(const char *root, void (*each)(void *ctx, const char *uuid), void *ctx)
{
	return ops_of(root)->list(root, each, ctx);
}

int store_open(struct store *s, const char *root, const uint8_t uuid[16], bool create)
{
	int rc;

	*s = (struct store){.ops = ops_of(root)};
	memcpy(s->uuid, uuid, sizeof(s->uuid));
	rc = s->ops->open(s, root, create);
	if (rc)
		store_close(s);
	return rc;
}

int store_open_beside(struct store *s, const char *root, const uint8_t uuid[16])
{
	int rc;

	*s = (struct store){.ops = ops_of(root), .beside = true};
	memcpy(s->uuid, uuid, sizeof(s->uuid));
	rc = s->ops->open_beside ? s->ops->open_beside(s, root) : -EOPNOTSUPP;
	if (rc)
		s->ops = NULL;
	return rc;
}

int store_swap(struct store *own, struct store *beside, const char *root)
{
	int rc = own->ops->swap ? own->ops->swap(own, beside, root) : -EOPNOTSUPP;

	if (!rc) {
		own->beside = true;
		beside->beside = false;
		own->described.set = beside->described.set = false;
	}
	return rc;
}

int store_reopen(struct store *s, const char *root)
{
	struct store fresh;
	int rc;

	if (s->claimed || s->claiming)
		return 0;
	rc = store_open(&fresh, root, s->uuid, false);
	if (rc)
		return rc;
	fresh.on_event = s->on_event;
	fresh.ctx = s->ctx;
	fresh.described = s->described;
	store_close(s);
	*s = fresh;
	return 0;
}

static void wipe_lent(struct store *s)
{
	if (s->lent)
		OPENSSL_cleanse(s->lent, s->lent_len);
	free(s->lent);
	s->lent = NULL;
}

void store_close(struct store *s)
{
	if (s->ops)
		s->ops->close(s);
	s->ops = NULL;
	s->claimed = false;
	wipe_lent(s);
}

int store_claim(struct store *s, struct error *e)
{
	int rc = s->claimed ? 0 : s->ops->claim(s, e);

	if (!s->claimed)
		s->describes = false;
	s->claimed = !rc;
	s->claiming = rc == -EAGAIN;
	if (!rc)
		s->lost = false;
	if (rc == -EAGAIN)
		error_set(e, rc, CAUSE_STORE,
			  "The vTPM's store is being claimed: try again in a moment.");
	return rc;
}

void store_release(struct store *s)
{
	if (s->claimed || s->claiming)
		s->ops->release(s, is_ending);
	s->claimed = s->claiming = false;
}

void store_ending(void)
{
	is_ending = true;
}

int store_end(const char *root)
{
	const struct store_ops *ops = ops_of(root);
	int rc = is_ending && ops->sync ? ops->sync(root) : 0;

	is_ending = false;
	return rc;
}

bool store_is_here(const struct store *s)
{
	return !s->ops->is_here || s->ops->is_here(s);
}

bool store_is_leased(const struct store *s)
{
	return s->ops && s->ops->lease_ms;
}

int store_lease_ms(const struct store *s, uint32_t *ms)
{
	if (!s->claimed || s->lost)
		return -ESTALE;
	*ms = CHANNEL_LEASE_MAX_MS;
	return s->ops->lease_ms ? s->ops->lease_ms(s, ms) : 0;
}

bool store_is_settled(const struct store *s)
{
	return !s->ops || !s->ops->is_settled || s->ops->is_settled(s);
}

bool store_is_held(const struct store *s)
{
	return !s->lost && (!s->ops->is_held || s->ops->is_held(s));
}

void store_waits_for(const struct store *s, char *text, size_t room)
{
	if (s->ops && s->ops->waits_for)
		s->ops->waits_for(s, text, room);
	else if (room)
		text[0] = '\0';
}

void store_tell(struct store *s, enum store_event what)
{
	/* nobody else puts into what is claimed: whoever did has taken it over */
	if (what == STORE_CHANGED && s->claimed)
		what = STORE_LOST;
	if (what == STORE_LOST) {
		s->claimed = false;
		s->lost = true;
	}
	if (what == STORE_CHANGED)
		store_know_nothing(s);
	if (s->on_event)
		s->on_event(s->ctx, what);
}

/* Its place in s->known; -1: nothing is known of such objects. */
static int known_place(uint16_t object)
{
	static const uint16_t objects[STORE_KNOWN] = {
		CHANNEL_OBJECT_HEADER,
		CHANNEL_OBJECT_PERMALL,
		CHANNEL_OBJECT_SOURCE_HEADER,
		CHANNEL_OBJECT_SOURCE_PERMALL,
	};
	int i;

	for (i = 0; i < STORE_KNOWN; i++)
		if (objects[i] == object)
			return i;
	return -1;
}

static int store_hash_of(const uint8_t *buf, size_t len, uint8_t hash[32])
{
	const struct crypt_part part = {buf, len};

	return crypt_sha256(&part, 1, hash);
}

int store_know(struct store *s, uint16_t object, const uint8_t *buf, size_t len)
{
	bool header =
		object == CHANNEL_OBJECT_HEADER || object == CHANNEL_OBJECT_SOURCE_HEADER;
	int rc, place = known_place(object);
	struct store_known k = {.set = true};
	struct envelope_head h = {0};

	if (place < 0)
		return 0;
	rc = envelope_head_parse(header ? CHANNEL_OBJECT_HEADER : CHANNEL_OBJECT_PERMALL,
				 buf, len, &h);
	if (!rc)
		rc = store_hash_of(buf, len, k.hash);
	k.seq = h.seq;
	k.epoch = h.epoch;
	if (!rc)
		s->known[place] = k;
	return rc;
}

int store_know_stored(struct store *s, uint16_t object)
{
	uint8_t *buf;
	size_t len;
	int rc = store_get(s, object, &buf, &len);

	if (rc)
		return rc;
	rc = store_know(s, object, buf, len);
	free(buf);
	return rc;
}

void store_know_nothing(struct store *s)
{
	memset(s->known, 0, sizeof(s->known));
	s->epoch = 0;
}

const struct store_known *store_known(const struct store *s, uint16_t object)
{
	int place = known_place(object);

	return place >= 0 && s->known[place].set ? &s->known[place] : NULL;
}

static bool has_hash(const struct store_known *k, const uint8_t *buf, size_t len)
{
	uint8_t hash[32];

	return !store_hash_of(buf, len, hash) && !memcmp(hash, k->hash, sizeof(hash));
}

bool store_knows(const struct store *s, uint16_t object, const uint8_t *buf, size_t len)
{
	const struct store_known *k = store_known(s, object);

	return k && has_hash(k, buf, len);
}

static int get_lent(const struct store *s, uint8_t **buf, size_t *len)
{
	if (!s->lent)
		return -ENOENT;
	*buf = malloc(s->lent_len + 1);
	if (!*buf)
		return -ENOMEM;
	memcpy(*buf, s->lent, s->lent_len);
	*len = s->lent_len;
	return 0;
}

int store_get(struct store *s, uint16_t object, uint8_t **buf, size_t *len)
{
	const char *name = store_name(object);
	int rc;

	if (object == CHANNEL_OBJECT_SOURCE_SWTPM)
		return get_lent(s, buf, len);
	if (!name)
		return -EINVAL;
	rc = s->ops->get(s, name, CHANNEL_PAYLOAD_MAX, buf, len);
	if (rc || !store_known(s, object) || store_knows(s, object, *buf, *len) ||
	    (s->coming.set && has_hash(&s->coming, *buf, *len)))
		return rc;
	free(*buf);
	return -ESTALE;
}

int store_set(struct store *s, const char *name, const void *buf, size_t len)
{
	return s->lost ? -ESTALE : s->ops->set(s, name, buf, len);
}

/* Whether vtpm.json is what this store wrote last, though it could be another's. */
static bool has_description(struct store *s, const void *buf, size_t len)
{
	uint8_t *found;
	size_t n;
	bool same;

	if (s->lost || s->ops->get(s, STORE_DESCRIPTION, CHANNEL_PAYLOAD_MAX, &found, &n))
		return false;
	same = n == len && !memcmp(found, buf, len);
	free(found);
	return same;
}

int store_describe(struct store *s, const void *buf, size_t len)
{
	struct store_known now = {.set = true};
	int rc = store_hash_of(buf, len, now.hash);

	if (rc)
		return rc;
	if (s->described.set && !memcmp(s->described.hash, now.hash, sizeof(now.hash)) &&
	    ((s->claimed && s->describes) || has_description(s, buf, len))) {
		s->describes = s->claimed;
		return 0;
	}
	s->described.set = false;
	rc = store_set(s, STORE_DESCRIPTION, buf, len);
	if (!rc) {
		s->described = now;
		s->describes = s->claimed;
	}
	return rc;
}

/* A value that has this hash becomes what is known of the header. */
static int try_header(struct store *s, const char *name, const uint8_t hash[32],
		      bool put_back)
{
	uint8_t own[32], *buf;
	size_t len;
	int rc = s->ops->get(s, name, CHANNEL_PAYLOAD_MAX, &buf, &len);

	if (rc)
		return rc;
	rc = store_hash_of(buf, len, own);
	if (!rc && memcmp(own, hash, sizeof(own)))
		rc = -ESTALE;
	if (!rc && put_back)
		rc = store_set(s, "header", buf, len);
	if (!rc)
		rc = store_know(s, CHANNEL_OBJECT_HEADER, buf, len);
	free(buf);
	return rc;
}

int store_find_header(struct store *s, const uint8_t hash[32])
{
	int rc = try_header(s, "header", hash, false), prev;

	if (rc != -ESTALE && rc != -ENOENT)
		return rc;
	prev = try_header(s, "header.prev", hash, true);
	return prev == -ENOENT || prev == -ESTALE ? rc : prev ? prev : 1;
}

/* 1: a header that leads to one data key; 0: something else, as what was being erased; -1:
 * nothing that can be read. */
static int look_at(struct store *s, const char *name)
{
	struct envelope_head h;
	uint8_t *buf;
	size_t len;
	int one;

	if (s->ops->get(s, name, CHANNEL_PAYLOAD_MAX, &buf, &len))
		return -1;
	one = !envelope_head_parse(CHANNEL_OBJECT_HEADER, buf, len, &h) &&
	      !envelope_has_old_key(buf, len);
	free(buf);
	return one;
}

int store_settle(struct store *s)
{
	if (look_at(s, "header") != 1 || look_at(s, "header.prev"))
		return 0;
	return s->ops->erase(s, "header", false);
}

/* An object that may be put, whatever is stored now: fills p. */
static int check_put(struct store_put *p, uint64_t seq, const uint8_t *buf, size_t len)
{
	const struct store *s = p->store;

	if (p->object == CHANNEL_OBJECT_SOURCE_HEADER ||
	    p->object == CHANNEL_OBJECT_SOURCE_PERMALL)
		return -EPERM;
	if (!store_name(p->object) || len > CHANNEL_PAYLOAD_MAX ||
	    envelope_head_parse(p->object, buf, len, &p->head))
		return -EINVAL;
	if (memcmp(p->head.uuid, s->uuid, sizeof(s->uuid)))
		return -EPERM;
	if (p->head.seq != seq || (s->epoch && p->head.epoch != s->epoch))
		return -EINVAL;
	return store_hash_of(buf, len, p->hash);
}

int store_put_new(struct store *s, uint16_t object, uint64_t seq, const uint8_t *buf,
		  size_t len, store_put_done *done, void *ctx, struct store_put **out)
{
	struct store_put *p = calloc(1, sizeof(*p) + len);
	int rc;

	if (!p)
		return -ENOMEM;
	p->store = s;
	p->object = object;
	p->done = done;
	p->ctx = ctx;
	p->len = len;
	memcpy(p->buf, buf, len);
	rc = check_put(p, seq, p->buf, len);
	if (rc)
		free(p);
	else
		*out = p;
	return rc;
}

int store_put_run(struct store_put *p)
{
	struct store *s = p->store;
	int rc;

	if (s->lost)
		return -ESTALE;
	p->running = true;
	s->puts++;
	s->coming.set = true;
	memcpy(s->coming.hash, p->hash, sizeof(p->hash));
	rc = s->ops->put(p);
	if (rc) {
		p->running = false;
		s->puts--;
	}
	return rc;
}

void store_put_end(struct store_put *p, int rc)
{
	struct store *s = p->store;
	int place = known_place(p->object);

	p->running = false;
	s->puts--;
	if (!s->puts)
		s->coming.set = false;
	/* it may be stored, and be another's to replace */
	if (!rc && s->lost)
		rc = -ESTALE;
	if (!rc && place >= 0 && !p->now) {
		s->known[place] = (struct store_known){
			.set = true, .seq = p->head.seq, .epoch = p->head.epoch};
		memcpy(s->known[place].hash, p->hash, sizeof(p->hash));
	}
	if (p->done)
		p->done(p->ctx, rc);
	else
		free(p);
}

void store_put_free(struct store_put *p)
{
	if (p && p->running)
		p->done = NULL;
	else
		free(p);
}

bool store_put_busy(const struct store *s)
{
	return s->puts > 0;
}

static void keep_result(void *ctx, int rc)
{
	*(int *)ctx = rc;
}

int store_put(struct store *s, uint16_t object, uint64_t seq, const uint8_t *buf,
	      size_t len)
{
	struct store_put *p;
	int result = 0;
	int rc = store_put_new(s, object, seq, buf, len, keep_result, &result, &p);

	if (rc)
		return rc;
	p->now = true;
	rc = store_put_run(p);
	store_put_free(p);
	return rc ? rc : result;
}

int store_object_seq(uint16_t object, const uint8_t *buf, size_t len, uint64_t *seq)
{
	struct envelope_head h = {0};

	if (!store_name(object))
		return -EINVAL;
	*seq = 0;
	if (envelope_head_parse(object, buf, len, &h))
		return -EBADMSG;
	*seq = h.seq;
	return 0;
}

bool store_has(struct store *s, uint16_t object)
{
	uint8_t *buf;
	size_t len;
	int rc = s->ops->get(s, store_name(object), CHANNEL_PAYLOAD_MAX, &buf, &len);

	if (!rc)
		free(buf);
	return rc != -ENOENT;
}

int store_lacks(struct store *s, const char *name, struct error *e)
{
	bool pooled = store_is_leased(s);
	const char *what =
		store_has(s, CHANNEL_OBJECT_HEADER)    ? "state, though its header"
		: store_has(s, CHANNEL_OBJECT_PERMALL) ? "header, though its state"
						       : NULL;

	if (what)
		return error_set(
			e, -ENOENT, CAUSE_NO_STATE,
			"%s has no %s, of %s: %s Restore it from a backup; no new one is made.",
			pooled ? "Etcd" : "The store", what, name,
			pooled ? "somebody deleted the key, or a part of etcd's data was put "
				 "back."
			       : "a file was removed, or a part of the folder was put back.");
	return error_set(
		e, -ENOENT, CAUSE_NO_STATE,
		"%s has nothing of %s but its description: %s `vtpmctl delete %s`, and "
		"restore it from a backup; no new one is made.",
		pooled ? "Etcd" : "The store", name,
		pooled ? "a host makes it now, or went down while it made it, or etcd's data "
			 "were put back. If no host makes it:"
		       : "its making was cut off, or its files were removed.",
		name);
}

uint64_t store_seq(struct store *s, uint16_t object)
{
	const struct store_known *k = store_known(s, object);
	struct envelope_head h = {0};
	uint8_t *buf;
	size_t len;

	if (k)
		return k->seq;
	if (store_get(s, object, &buf, &len))
		return 0;
	if (envelope_head_parse(object, buf, len, &h))
		h.seq = 0;
	free(buf);
	return h.seq;
}

size_t store_slots(struct store *s, uint16_t *kinds, size_t room)
{
	uint8_t *buf;
	size_t len, n;

	if (store_get(s, CHANNEL_OBJECT_HEADER, &buf, &len))
		return 0;
	n = envelope_slot_kinds(buf, len, kinds, room);
	free(buf);
	return n;
}

int store_drop_header(struct store *s)
{
	if (store_has(s, CHANNEL_OBJECT_PERMALL))
		return -EEXIST;
	return s->ops->erase(s, "header", true);
}

/* Of each, what it is beside the vTPM that is a copy. */
static const struct {
	uint16_t object, copy;
} sources[] = {
	{CHANNEL_OBJECT_HEADER, CHANNEL_OBJECT_SOURCE_HEADER},
	{CHANNEL_OBJECT_PERMALL, CHANNEL_OBJECT_SOURCE_PERMALL},
};

int store_take_source(struct store *s, struct store *from)
{
	uint8_t *buf;
	size_t i, len;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(sources) && !rc; i++) {
		rc = store_get(from, sources[i].object, &buf, &len);
		if (rc)
			break;
		rc = store_set(s, store_name(sources[i].copy), buf, len);
		if (!rc)
			rc = store_know(s, sources[i].copy, buf, len);
		free(buf);
	}
	return rc;
}

void store_lend_source(struct store *s, uint8_t *bytes, size_t len)
{
	wipe_lent(s);
	s->lent = bytes;
	s->lent_len = len;
}

int store_drop_source(struct store *s)
{
	size_t i;
	int rc = 0;

	wipe_lent(s);
	for (i = 0; i < ARRAY_SIZE(sources) && !rc; i++)
		rc = s->ops->erase(s, store_name(sources[i].copy), true);
	return rc;
}
