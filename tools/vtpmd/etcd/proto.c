/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/proto.h"

#include <errno.h>
#include <string.h>

#define LENGTH_SIZE 5 /* of a message within: a varint, padded */

uint64_t proto_varint(struct cursor *c)
{
	uint64_t v = 0;
	int shift;

	for (shift = 0; shift < 64; shift += 7) {
		uint8_t b = cursor_u8(c);

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	cursor_fail(c);
	return 0;
}

bool proto_next(struct cursor *c, struct proto_field *f)
{
	uint64_t tag;

	*f = (struct proto_field){0};
	if (!cursor_left(c))
		return false;
	tag = proto_varint(c);
	f->wire = tag & 7;
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		cursor_fail(c);
	f->number = (uint32_t)(tag >> 3);
	if (f->wire == PROTO_VARINT)
		f->value = proto_varint(c);
	else if (f->wire == PROTO_FIX64)
		(void)cursor_u64(c);
	else if (f->wire == PROTO_FIX32)
		(void)cursor_u32(c);
	else if (f->wire == PROTO_BYTES)
		f->len = proto_varint(c);
	else
		cursor_fail(c); /* groups are not in proto3 */
	if (f->wire == PROTO_BYTES)
		f->bytes = cursor_bytes(c, f->len);
	return cursor_ok(c);
}

static void put_varint(struct cursor *c, uint64_t v)
{
	while (v > 0x7f) {
		cursor_put_u8(c, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	cursor_put_u8(c, (uint8_t)v);
}

void proto_put_number(struct cursor *c, uint32_t field, uint64_t value)
{
	put_varint(c, (uint64_t)field << 3 | PROTO_VARINT);
	put_varint(c, value);
}

void proto_put_bytes(struct cursor *c, uint32_t field, const void *bytes, size_t len)
{
	put_varint(c, (uint64_t)field << 3 | PROTO_BYTES);
	put_varint(c, len);
	cursor_put(c, bytes, len);
}

size_t proto_open(struct cursor *c, uint32_t field)
{
	static const uint8_t room[LENGTH_SIZE];

	put_varint(c, (uint64_t)field << 3 | PROTO_BYTES);
	cursor_put(c, room, sizeof(room));
	return c->pos;
}

void proto_close(struct cursor *c, size_t mark)
{
	struct cursor at;
	size_t len;
	int i;

	if (!cursor_ok(c))
		return;
	len = c->pos - mark;
	at = cursor_writer(c->wr + mark - LENGTH_SIZE, LENGTH_SIZE);
	for (i = 1; i < LENGTH_SIZE; i++, len >>= 7)
		cursor_put_u8(&at, (uint8_t)(len | 0x80));
	cursor_put_u8(&at, (uint8_t)(len & 0x7f));
}

static void put_text(struct cursor *c, uint32_t field, const char *text)
{
	proto_put_bytes(c, field, text, strlen(text));
}

/* The first key behind all that begin with prefix. */
static void put_prefix_end(struct cursor *c, uint32_t field, const char *prefix)
{
	char end[PROTO_KEY_MAX];
	size_t len = strlen(prefix);

	if (!len || len >= sizeof(end)) {
		cursor_fail(c);
		return;
	}
	memcpy(end, prefix, len + 1);
	end[len - 1]++; /* ours are ASCII */
	put_text(c, field, end);
}

/* -- what is sent ------------------------------------------------------------ */

void proto_mark_key(struct proto_mark *m, const struct proto_kv *kv)
{
	m->len = kv->key_len;
	if (m->len < sizeof(m->key)) {
		/* the first key behind it has a zero byte more */
		memcpy(m->key, kv->key, m->len);
		m->key[m->len++] = 0;
		return;
	}
	/* behind all that begin as it does, of which none is ours */
	m->len = sizeof(m->key);
	memcpy(m->key, kv->key, m->len);
	while (m->len > 1 && m->key[m->len - 1] == 0xff)
		m->len--;
	m->key[m->len - 1]++;
}

void proto_range(struct cursor *c, const char *prefix, const struct proto_mark *from,
		 int64_t limit, int64_t revision)
{
	if (from && from->len)
		proto_put_bytes(c, 1, from->key, from->len);
	else
		put_text(c, 1, prefix);
	put_prefix_end(c, 2, prefix);
	proto_put_number(c, 3, (uint64_t)limit);
	if (revision)
		proto_put_number(c, 4, (uint64_t)revision);
}

void proto_watch(struct cursor *c, const char *prefix, int64_t revision)
{
	size_t create = proto_open(c, 1);

	put_text(c, 1, prefix);
	put_prefix_end(c, 2, prefix);
	proto_put_number(c, 3, (uint64_t)revision);
	proto_put_number(c, 8,
			 1); /* fragment: a message is as long as a request may be */
	proto_close(c, create);
}

void proto_lease_grant(struct cursor *c, int64_t ttl)
{
	proto_put_number(c, 1, (uint64_t)ttl);
}

void proto_lease_id(struct cursor *c, int64_t id)
{
	proto_put_number(c, 1, (uint64_t)id);
}

void proto_txn_compare(struct cursor *c, const char *key, enum proto_compare what,
		       int64_t revision)
{
	size_t compare = proto_open(c, 1);

	proto_put_number(c, 1, 0); /* EQUAL */
	proto_put_number(c, 2, what);
	put_text(c, 3, key);
	proto_put_number(c, what == PROTO_CREATE ? 5 : 6, (uint64_t)revision);
	proto_close(c, compare);
}

void proto_txn_put(struct cursor *c, const char *key, const void *value, size_t len,
		   int64_t lease)
{
	size_t op = proto_open(c, 2), put = proto_open(c, 2);

	put_text(c, 1, key);
	proto_put_bytes(c, 2, value, len);
	if (lease)
		proto_put_number(c, 3, (uint64_t)lease);
	proto_close(c, put);
	proto_close(c, op);
}

void proto_txn_delete(struct cursor *c, const char *key, bool prefix)
{
	size_t op = proto_open(c, 2), delete = proto_open(c, 3);

	put_text(c, 1, key);
	if (prefix)
		put_prefix_end(c, 2, key);
	proto_close(c, delete);
	proto_close(c, op);
}

void proto_txn_else_get(struct cursor *c, const char *key)
{
	size_t op = proto_open(c, 3), range = proto_open(c, 1);

	put_text(c, 1, key);
	proto_close(c, range);
	proto_close(c, op);
}

/* -- what is received --------------------------------------------------------- */

static struct cursor within(const struct proto_field *f)
{
	struct cursor c = cursor_reader(f->bytes, f->len);

	/* a number in the place of a message */
	if (f->wire != PROTO_BYTES)
		cursor_fail(&c);
	return c;
}

static bool read_header(const struct proto_field *f, struct proto_header *h)
{
	struct cursor c = within(f);
	struct proto_field in;

	while (proto_next(&c, &in))
		if (in.number == 1)
			h->cluster_id = in.value;
		else if (in.number == 3)
			h->revision = (int64_t)in.value;
	return cursor_ok(&c);
}

static bool read_kv(const struct proto_field *f, struct proto_kv *kv)
{
	struct cursor c = within(f);
	struct proto_field in;

	while (proto_next(&c, &in)) {
		if ((in.number == 1 || in.number == 5) != (in.wire == PROTO_BYTES))
			return false;
		if (in.number == 1) {
			kv->key = in.bytes;
			kv->key_len = in.len;
		} else if (in.number == 2) {
			kv->create_revision = (int64_t)in.value;
		} else if (in.number == 3) {
			kv->mod_revision = (int64_t)in.value;
		} else if (in.number == 5) {
			kv->value = in.bytes;
			kv->value_len = in.len;
		} else if (in.number == 6) {
			kv->lease = (int64_t)in.value;
		}
	}
	return cursor_ok(&c) && kv->key_len > 0;
}

static bool each_kv(const struct proto_field *f, bool deleted, proto_each *each,
		    void *ctx)
{
	struct proto_kv kv = {.deleted = deleted};

	if (!read_kv(f, &kv))
		return false;
	if (each)
		each(ctx, &kv);
	return true;
}

static bool read_range(struct cursor *c, struct proto_reply *r, proto_each *each,
		       void *ctx)
{
	struct proto_field f;

	while (proto_next(c, &f)) {
		if (f.number == 1 && !read_header(&f, &r->header))
			return false;
		if (f.number == 2 && !each_kv(&f, false, each, ctx))
			return false;
		if (f.number == 3)
			r->more = f.value != 0;
	}
	return cursor_ok(c);
}

int proto_range_reply(const uint8_t *buf, size_t len, struct proto_reply *r,
		      proto_each *each, void *ctx)
{
	struct cursor c = cursor_reader(buf, len);

	*r = (struct proto_reply){0};
	return read_range(&c, r, each, ctx) ? 0 : -EBADMSG;
}

/* ResponseOp: that of a range is a RangeResponse. */
static bool read_op(const struct proto_field *f, proto_each *each, void *ctx)
{
	struct cursor c = within(f);
	struct proto_reply inner = {0};
	struct proto_field in;

	while (proto_next(&c, &in)) {
		struct cursor range = within(&in);

		if (in.number == 1 && !read_range(&range, &inner, each, ctx))
			return false;
	}
	return cursor_ok(&c);
}

int proto_txn_reply(const uint8_t *buf, size_t len, struct proto_reply *r,
		    proto_each *each, void *ctx)
{
	struct cursor c = cursor_reader(buf, len);
	struct proto_field f;

	*r = (struct proto_reply){0};
	while (proto_next(&c, &f)) {
		if (f.number == 1 && !read_header(&f, &r->header))
			return -EBADMSG;
		if (f.number == 2)
			r->succeeded = f.value != 0;
		if (f.number == 3 && !read_op(&f, each, ctx))
			return -EBADMSG;
	}
	return cursor_ok(&c) && r->header.revision > 0 ? 0 : -EBADMSG;
}

int proto_lease_reply(const uint8_t *buf, size_t len, struct proto_reply *r)
{
	struct cursor c = cursor_reader(buf, len);
	struct proto_field f;

	*r = (struct proto_reply){0};
	while (proto_next(&c, &f)) {
		if (f.number == 1 && !read_header(&f, &r->header))
			return -EBADMSG;
		if (f.number == 2)
			r->id = (int64_t)f.value;
		if (f.number == 3)
			r->ttl = (int64_t)f.value;
	}
	return cursor_ok(&c) && r->ttl >= 0 ? 0 : -EBADMSG;
}

/* A text of a member's, of signs that can be shown; appended, as far as there is room. */
static void append_text(char *out, size_t room, const struct proto_field *f)
{
	size_t at = strlen(out), i;

	if (at && at + 3 < room) {
		strcpy(out + at, "; ");
		at += 2;
	}
	for (i = 0; i < f->len && at + 1 < room; i++)
		if (f->bytes[i] >= ' ' && f->bytes[i] < 127)
			out[at++] = (char)f->bytes[i];
	out[at] = '\0';
}

static bool read_status_header(const struct proto_field *f, struct proto_status *s)
{
	struct cursor c = within(f);
	struct proto_field in;

	while (proto_next(&c, &in))
		if (in.number == 2)
			s->member = in.value;
	return cursor_ok(&c) && read_header(f, &s->header);
}

int proto_status_reply(const uint8_t *buf, size_t len, struct proto_status *s)
{
	struct cursor c = cursor_reader(buf, len);
	struct proto_field f;

	*s = (struct proto_status){0};
	while (proto_next(&c, &f)) {
		if ((f.number == 2 || f.number == 8) && f.wire != PROTO_BYTES)
			return -EBADMSG;
		if (f.number == 1 && !read_status_header(&f, s))
			return -EBADMSG;
		if (f.number == 2)
			append_text(s->version, sizeof(s->version), &f);
		else if (f.number == 3)
			s->size = f.value;
		else if (f.number == 4)
			s->leader = f.value;
		else if (f.number == 8)
			append_text(s->errors, sizeof(s->errors), &f);
		else if (f.number == 9)
			s->used = f.value;
		else if (f.number == 12)
			s->quota = f.value;
	}
	return cursor_ok(&c) && s->header.cluster_id ? 0 : -EBADMSG;
}

static bool read_event(const struct proto_field *f, proto_each *each, void *ctx)
{
	struct cursor c = within(f);
	struct proto_field in, kv = {0};
	bool deleted = false;

	while (proto_next(&c, &in)) {
		if (in.number == 1)
			deleted = in.value == 1;
		if (in.number == 2)
			kv = in;
	}
	return cursor_ok(&c) && kv.number && each_kv(&kv, deleted, each, ctx);
}

int proto_watch_reply(const uint8_t *buf, size_t len, struct proto_reply *r,
		      proto_each *each, void *ctx)
{
	struct cursor c = cursor_reader(buf, len);
	struct proto_field f;

	*r = (struct proto_reply){0};
	while (proto_next(&c, &f)) {
		if (f.number == 1 && !read_header(&f, &r->header))
			return -EBADMSG;
		if (f.number == 3)
			r->created = f.value != 0;
		if (f.number == 4)
			r->canceled = f.value != 0;
		if (f.number == 5)
			r->compact_revision = (int64_t)f.value;
		if (f.number == 7)
			r->fragment = f.value != 0;
		if (f.number == 11 && !read_event(&f, each, ctx))
			return -EBADMSG;
	}
	return cursor_ok(&c) ? 0 : -EBADMSG;
}
