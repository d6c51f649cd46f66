/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of etcd: those of its own protobuf, byte for byte, and hostile ones. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/etcd/proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t buf[1024];
static struct proto_kv got[4];
static int kvs;

static void keep(void *ctx, const struct proto_kv *kv)
{
	assert_in_range(kvs, 0, 3);
	got[kvs++] = *kv;
}

/* A KeyValue "k" = "vv" of revisions 5 and 7, with a lease. */
static const uint8_t kv[] = {0x0a, 1,	 'k', 0x10, 5,	 0x18, 7, 0x20,
			     1,	   0x2a, 2,   'v',  'v', 0x30, 9};

static size_t put_all(const void *p, size_t n, size_t at)
{
	memcpy(buf + at, p, n);
	return at + n;
}

static size_t range_reply(size_t at)
{
	static const uint8_t head[] = {0x0a, 6,	   0x08, 0x80, 0x02,
				       0x18, 0xac, 0x02, 0x12, sizeof(kv)};

	at = put_all(head, sizeof(head), at);
	at = put_all(kv, sizeof(kv), at);
	return put_all("\x18\x01", 2, at);
}

static void a_range_is_read(void **state)
{
	struct proto_reply r;
	size_t len = range_reply(0);

	kvs = 0;
	assert_int_equal(proto_range_reply(buf, len, &r, keep, NULL), 0);
	assert_int_equal(r.header.cluster_id, 256);
	assert_int_equal(r.header.revision, 300);
	assert_true(r.more);
	assert_int_equal(kvs, 1);
	assert_int_equal(got[0].key_len, 1);
	assert_memory_equal(got[0].value, "vv", 2);
	assert_int_equal(got[0].create_revision, 5);
	assert_int_equal(got[0].mod_revision, 7);
	assert_int_equal(got[0].lease, 9);
}

/* No answer that is cut is read past its end, nor taken for a whole one but at a field's. */
static void a_range_that_is_cut(void **state)
{
	struct proto_reply r;
	size_t i, len = range_reply(0);
	int whole = 0;

	for (i = 0; i < len; i++) {
		uint8_t *copy = malloc(i + 1);

		memcpy(copy, buf, i);
		kvs = 0;
		whole += !proto_range_reply(copy, i, &r, keep, NULL);
		free(copy);
	}
	assert_int_equal(whole, 3);
}

static void a_transaction_that_failed(void **state)
{
	static const uint8_t start[] = {
		0x0a,		2,    0x18,	      44,   0x1a,
		sizeof(kv) + 4, 0x0a, sizeof(kv) + 2, 0x12, sizeof(kv)};
	struct proto_reply r;
	size_t len = put_all(start, sizeof(start), 0);

	len = put_all(kv, sizeof(kv), len);
	kvs = 0;
	assert_int_equal(proto_txn_reply(buf, len, &r, keep, NULL), 0);
	assert_false(r.succeeded);
	assert_int_equal(r.header.revision, 44);
	assert_int_equal(kvs, 1);
	assert_int_equal(proto_txn_reply(buf, 4, &r, keep, NULL), 0);
	/* without a revision nothing could be compared later */
	assert_int_equal(proto_txn_reply(buf, 0, &r, keep, NULL), -EBADMSG);
}

static void events_of_a_watch(void **state)
{
	static const uint8_t start[] = {0x0a,		2,    0x18, 44,	  0x5a,
					sizeof(kv) + 4, 0x08, 1,    0x12, sizeof(kv)};
	struct proto_reply r;
	size_t len = put_all(start, sizeof(start), 0);

	len = put_all(kv, sizeof(kv), len);
	kvs = 0;
	assert_int_equal(proto_watch_reply(buf, len, &r, keep, NULL), 0);
	assert_int_equal(kvs, 1);
	assert_true(got[0].deleted);
	assert_int_equal(
		proto_watch_reply((const uint8_t *)"\x20\x01\x28\x09", 4, &r, keep, NULL),
		0);
	assert_true(r.canceled);
	assert_int_equal(r.compact_revision, 9);
}

static void hostile_ones(void **state)
{
	static const struct {
		uint8_t bytes[14];
		size_t len;
	} cases[] = {
		{{0x00, 0x00}, 2}, /* field 0 */
		{{0x0b}, 1},	   /* a group */
		{{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81},
		 11}, /* 11 bytes */
		{{0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		 10}, /* 2^63 long */
		{{0x12, 0x05, 0x0a}, 3},
		{{0x10, 0x01}, 2},	       /* a number for a kv */
		{{0x12, 0x00}, 2},	       /* a kv without a key */
		{{0x12, 0x02, 0x08, 0x01}, 4}, /* whose key is a number */
		{{0x08, 0x01}, 2},	       /* a number for the header */
	};
	struct proto_reply r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kvs = 0;
		assert_int_equal(
			proto_range_reply(cases[i].bytes, cases[i].len, &r, keep, NULL),
			-EBADMSG);
		assert_int_equal(kvs, 0);
	}
	assert_int_equal(
		proto_lease_reply(
			(const uint8_t *)"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
			11, &r),
		-EBADMSG);
}

/* Where a range that goes on behind a key begins. */
static size_t begin_behind(const void *key, size_t len, uint8_t out[PROTO_KEY_MAX + 1])
{
	const struct proto_kv one = {.key = key, .key_len = len};
	static struct proto_mark m;
	struct cursor c = cursor_writer(buf, sizeof(buf)), r;
	struct proto_field f;

	proto_mark_key(&m, &one);
	proto_range(&c, "/a/", &m, 6, 0);
	assert_true(cursor_ok(&c));
	r = cursor_reader(buf, c.pos);
	assert_true(proto_next(&r, &f) && f.number == 1 && f.len <= PROTO_KEY_MAX);
	memcpy(out, f.bytes, f.len);
	return f.len;
}

/* Whoever may write in a pool may write any key. */
static void keys_are_any_bytes(void **state)
{
	static uint8_t key[2 * PROTO_KEY_MAX], out[PROTO_KEY_MAX + 1];
	size_t n;

	assert_int_equal(begin_behind("/a/b", 4, out), 5);
	assert_memory_equal(out, "/a/b", 5);
	assert_int_equal(begin_behind("/a/\0b", 5, out), 6);
	assert_memory_equal(out, "/a/\0b", 6);
	for (size_t len = PROTO_KEY_MAX - 2; len < sizeof(key); len += 7) {
		memset(key, 'x', sizeof(key));
		memcpy(key, "/a/", 3);
		n = begin_behind(key, len, out);
		assert_true(memcmp(out, key, n < len ? n : len) > 0 ||
			    (n == len + 1 && !memcmp(out, key, len)));
		memset(key + 3, 0xff, sizeof(key) - 3);
		n = begin_behind(key, len, out);
		assert_true(memcmp(out, key, n < len ? n : len) > 0 ||
			    (n == len + 1 && !memcmp(out, key, len)));
	}
}

/* What is written is what the reader of fields finds. */
static void a_transaction_is_written(void **state)
{
	struct cursor c = cursor_writer(buf, sizeof(buf));
	struct proto_field f, in;
	struct cursor r, op;

	proto_txn_compare(&c, "/a/owner", PROTO_CREATE, 300);
	proto_txn_put(&c, "/a/b", "value", 5, 77);
	proto_txn_delete(&c, "/a/", true);
	proto_txn_else_get(&c, "/a/owner");
	assert_true(cursor_ok(&c));
	r = cursor_reader(buf, c.pos);
	assert_true(proto_next(&r, &f));
	assert_int_equal(f.number, 1);
	op = cursor_reader(f.bytes, f.len);
	assert_true(proto_next(&op, &in) && in.number == 1 && in.value == 0);
	assert_true(proto_next(&op, &in) && in.number == 2 && in.value == PROTO_CREATE);
	assert_true(proto_next(&op, &in) && in.number == 3 && in.len == 8);
	assert_true(proto_next(&op, &in) && in.number == 5 && in.value == 300);
	assert_true(cursor_done(&op));
	assert_true(proto_next(&r, &f) && f.number == 2);
	assert_true(proto_next(&r, &f) && f.number == 2);
	op = cursor_reader(f.bytes, f.len);
	assert_true(proto_next(&op, &in) && in.number == 3);
	op = cursor_reader(in.bytes, in.len);
	assert_true(proto_next(&op, &in) && in.number == 1);
	assert_true(proto_next(&op, &in) && in.number == 2 &&
		    !memcmp(in.bytes, "/a0", 3));
	assert_true(proto_next(&r, &f) && f.number == 3);
	assert_true(cursor_done(&r));
}

static void what_does_not_fit(void **state)
{
	uint8_t guard[64];

	for (size_t room = 0; room < 24; room++) {
		struct cursor c = cursor_writer(guard, room);

		memset(guard, 0xaa, sizeof(guard));
		proto_txn_put(&c, "/a/b", "value", 5, 77);
		assert_false(cursor_ok(&c));
		for (size_t i = room; i < sizeof(guard); i++)
			assert_int_equal(guard[i], 0xaa);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_read),
		cmocka_unit_test(a_range_that_is_cut),
		cmocka_unit_test(a_transaction_that_failed),
		cmocka_unit_test(events_of_a_watch),
		cmocka_unit_test(hostile_ones),
		cmocka_unit_test(keys_are_any_bytes),
		cmocka_unit_test(a_transaction_is_written),
		cmocka_unit_test(what_does_not_fit),
	};

	return cmocka_run_group_tests_name("etcd_proto", tests, NULL, NULL);
}
