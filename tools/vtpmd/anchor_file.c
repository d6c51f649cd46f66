/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_file.h"
#include "lib/atomic.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "anchor"
#define PREV "anchor.prev"

_Static_assert(ANCHOR_HASH_SIZE == CRYPT_HASH_SIZE, "SHA-256");

int anchor_file_open(struct anchor_file *f, const char *dir)
{
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0)
		return -errno;
	/* two vtpmds would each anchor a table that the other does not know */
	return flock(f->dir, LOCK_EX | LOCK_NB) ? -errno : 0;
}

void anchor_file_close(struct anchor_file *f)
{
	if (f->dir >= 0)
		close(f->dir);
}

static int table_hash_of(const uint8_t *buf, size_t len, uint8_t hash[ANCHOR_HASH_SIZE])
{
	struct crypt_part part = {buf, len};

	return crypt_sha256(&part, 1, hash);
}

/* The file's bytes, if they have the hash; -ESTALE when not. */
static int read_fitting(int dir, const char *name, const uint8_t hash[ANCHOR_HASH_SIZE],
			uint8_t **buf, size_t *len)
{
	uint8_t own[ANCHOR_HASH_SIZE];
	int rc = atomic_read(dir, name, ANCHOR_TABLE_MAX, buf, len);

	/* whatever is there, no table of ours is that long */
	if (rc == -EFBIG)
		return -ESTALE;
	if (rc)
		return rc;
	rc = table_hash_of(*buf, *len, own);
	if (!rc && memcmp(own, hash, sizeof(own)))
		rc = -ESTALE;
	if (rc)
		free(*buf);
	return rc;
}

int anchor_file_load(struct anchor_file *f, const uint8_t hash[ANCHOR_HASH_SIZE],
		     struct anchor_table *t)
{
	uint8_t *buf;
	size_t len;
	int rc = read_fitting(f->dir, NAME, hash, &buf, &len), first = rc;

	if (rc == -ENOENT || rc == -ESTALE)
		rc = read_fitting(f->dir, PREV, hash, &buf, &len);
	if (rc)
		return rc == -ENOENT ? first : rc;
	rc = anchor_table_decode(t, buf, len);
	free(buf);
	if (rc)
		return rc;
	memcpy(f->hash, hash, sizeof(f->hash));
	f->pending = false;
	return 0;
}

/* Whether "anchor" is the table that counts, and "anchor.prev" may go.  Looked at again
 * each time: a write that failed halfway may have left it under either name. */
static int must_keep(struct anchor_file *f, bool *keep)
{
	uint8_t *buf;
	size_t len;
	int rc = read_fitting(f->dir, NAME, f->hash, &buf, &len);

	*keep = !rc;
	if (!rc)
		free(buf);
	return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
}

int anchor_file_write(struct anchor_file *f, const struct anchor_table *t)
{
	uint8_t *buf;
	size_t len;
	bool keep = false;
	int rc;

	if (f->pending)
		return -EBUSY;
	buf = malloc(ANCHOR_TABLE_MAX);
	if (!buf)
		return -ENOMEM;
	len = anchor_table_encode(t, buf);
	rc = table_hash_of(buf, len, f->next);
	if (!rc)
		rc = must_keep(f, &keep);
	if (!rc)
		rc = atomic_write(f->dir, NAME, buf, len, keep);
	free(buf);
	f->pending = !rc;
	return rc;
}

void anchor_file_done(struct anchor_file *f)
{
	memcpy(f->hash, f->next, sizeof(f->hash));
	f->pending = false;
}

static const char magic[8] = {'X', 'V', 'T', 'P', 'M', 'A', 'N', 'C'};
#define VERSION		  7
#define VERSION_NO_POOLED 6
#define VERSION_NO_MARK	  5
#define VERSION_NO_POOL	  4

#define FLAG_LAUNCHED 1
#define FLAG_POOLED   2

/* Where the uuid's entry is, or would be. */
static size_t place(const struct anchor_table *t, const uint8_t uuid[16], bool *there)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(t->entries[middle].uuid, uuid, 16) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*there = low < t->count && !memcmp(t->entries[low].uuid, uuid, 16);
	return low;
}

const struct anchor_entry *anchor_table_find(const struct anchor_table *t,
					     const uint8_t uuid[16])
{
	bool there;
	size_t i = place(t, uuid, &there);

	return there ? &t->entries[i] : NULL;
}

int anchor_table_set(struct anchor_table *t, const struct anchor_entry *e)
{
	struct anchor_entry *more;
	bool there;
	size_t i = place(t, e->uuid, &there);

	if (!there) {
		if (t->count >= ANCHOR_TABLE_ENTRIES)
			return -ENOSPC;
		more = realloc(t->entries, (t->count + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->entries = more;
		memmove(&more[i + 1], &more[i], (t->count - i) * sizeof(*more));
		t->count++;
	}
	t->entries[i] = *e;
	return 0;
}

bool anchor_table_remove(struct anchor_table *t, const uint8_t uuid[16])
{
	bool there;
	size_t i = place(t, uuid, &there);

	if (!there)
		return false;
	t->count--;
	memmove(&t->entries[i], &t->entries[i + 1], (t->count - i) * sizeof(*t->entries));
	return true;
}

static void put_mark(struct cursor *w, const struct anchor_mark *mark)
{
	cursor_put_u8(w, (uint8_t)mark->kind);
	if (mark->kind == HANDOVER_NO_MARK)
		return;
	cursor_put(w, mark->txid, sizeof(mark->txid));
	cursor_put_u8(w, (uint8_t)strlen(mark->peer));
	cursor_put(w, mark->peer, strlen(mark->peer));
}

size_t anchor_table_encode(const struct anchor_table *t, uint8_t *out)
{
	struct cursor w = cursor_writer(out, ANCHOR_TABLE_MAX);
	size_t i;

	cursor_put(&w, magic, sizeof(magic));
	cursor_put_u16(&w, VERSION);
	cursor_put_u64(&w, t->counter);
	cursor_put_u64(&w, t->audit.n);
	cursor_put(&w, t->audit.hash, sizeof(t->audit.hash));
	cursor_put_u64(&w, t->pool);
	cursor_put_u32(&w, (uint32_t)t->count);
	for (i = 0; i < t->count; i++) {
		cursor_put(&w, t->entries[i].uuid, 16);
		cursor_put(&w, t->entries[i].header, 32);
		cursor_put_u64(&w, t->entries[i].epoch);
		cursor_put_u64(&w, t->entries[i].permall);
		cursor_put(&w, t->entries[i].base, 32);
		cursor_put_u64(&w, t->entries[i].base_seq);
		cursor_put_u8(&w, (t->entries[i].launched ? FLAG_LAUNCHED : 0) |
					  (t->entries[i].pooled ? FLAG_POOLED : 0));
		put_mark(&w, &t->entries[i].mark);
	}
	return w.pos;
}

/* One encoding of each value. */
static void take_flags(struct cursor *c, uint16_t version, struct anchor_entry *e)
{
	uint8_t flags = cursor_u8(c);

	if (flags & ~(version == VERSION ? FLAG_LAUNCHED | FLAG_POOLED : FLAG_LAUNCHED))
		cursor_fail(c);
	e->launched = flags & FLAG_LAUNCHED;
	e->pooled = flags & FLAG_POOLED;
}

static void take_mark(struct cursor *c, struct anchor_mark *mark)
{
	uint8_t kind = cursor_u8(c), n;

	if (kind == HANDOVER_NO_MARK)
		return;
	cursor_copy(c, mark->txid, sizeof(mark->txid));
	n = cursor_u8(c);
	if (kind >= HANDOVER_MARKS || !n || n > POOL_NAME_MAX) {
		cursor_fail(c);
		return;
	}
	mark->kind = (enum handover_mark)kind;
	cursor_copy(c, mark->peer, n);
	if (strlen(mark->peer) != n || !text_is_clean(mark->peer, n))
		cursor_fail(c);
}

static int take_entries(struct anchor_table *t, struct cursor *c, uint16_t version)
{
	size_t i;

	t->entries = calloc(t->count, sizeof(*t->entries));
	if (t->count && !t->entries)
		return -ENOMEM;
	for (i = 0; i < t->count; i++) {
		struct anchor_entry *e = &t->entries[i];

		cursor_copy(c, e->uuid, sizeof(e->uuid));
		cursor_copy(c, e->header, sizeof(e->header));
		e->epoch = cursor_u64(c);
		e->permall = cursor_u64(c);
		cursor_copy(c, e->base, sizeof(e->base));
		e->base_seq = cursor_u64(c);
		take_flags(c, version, e);
		if (version > VERSION_NO_MARK)
			take_mark(c, &e->mark);
		/* one order, so that there is one encoding */
		if (i && memcmp(e[-1].uuid, e->uuid, sizeof(e->uuid)) >= 0)
			cursor_fail(c);
	}
	return cursor_done(c) ? 0 : -EBADMSG;
}

int anchor_table_decode(struct anchor_table *t, const uint8_t *in, size_t len)
{
	struct cursor c = cursor_reader(in, len);
	const uint8_t *head = cursor_bytes(&c, sizeof(magic));
	uint16_t version = cursor_u16(&c);
	int rc = -EBADMSG;

	memset(t, 0, sizeof(*t));
	t->counter = cursor_u64(&c);
	t->audit.n = cursor_u64(&c);
	cursor_copy(&c, t->audit.hash, sizeof(t->audit.hash));
	t->pool = version == VERSION_NO_POOL ? 0 : cursor_u64(&c);
	t->count = cursor_u32(&c);
	if (cursor_ok(&c) && !memcmp(head, magic, sizeof(magic)) &&
	    version >= VERSION_NO_POOL && version <= VERSION &&
	    t->count <= ANCHOR_TABLE_ENTRIES)
		rc = take_entries(t, &c, version);
	if (rc)
		anchor_table_free(t);
	return rc;
}

void anchor_table_free(struct anchor_table *t)
{
	free(t->entries);
	memset(t, 0, sizeof(*t));
}
