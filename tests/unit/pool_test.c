/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a pool's hosts, as bytes: of the first form, and with pool keys. */
#include "tests/unit/unit.h"
#include "lib/pool.h"
#include "lib/tpm2/duplicate.h"

#include <errno.h>
#include <string.h>

static uint8_t list[POOL_MAX];
static struct cursor w;
static struct pool pool;

static void part(const void *p, size_t n)
{
	cursor_put_u16(&w, (uint16_t)n);
	cursor_put(&w, p, n);
}

static void some(size_t n, uint8_t fill)
{
	uint8_t bytes[600];

	memset(bytes, fill, sizeof(bytes));
	part(bytes, n);
}

/* A list of one host, up to where the second form has more. */
static void begin(const char *label)
{
	w = cursor_writer(list, sizeof(list));
	part(label, strlen(label));
	cursor_put_u64(&w, 7);
	cursor_put_u8(&w, 0);
	cursor_put_u8(&w, 1);
	part("a", 1);
	part("a:1", 3);
	some(34, 1);
	some(34, 2);
	cursor_put_u8(&w, 1);
	cursor_put_u8(&w, 1);
	cursor_put_u8(&w, 7);
	cursor_put(&w, list, 32);
}

static void end(void)
{
	cursor_put_u16(&w, TPM2_ALG_ECDSA);
	cursor_put_u16(&w, TPM2_ALG_SHA256);
	some(32, 3);
	some(32, 4);
	assert_true(cursor_ok(&w));
}

static int parse(void)
{
	return pool_parse(list, w.pos, &pool);
}

static void storages(unsigned int n)
{
	cursor_put_u8(&w, (uint8_t)n);
	while (n--) {
		some(34, 2);
		some(90, 5);
	}
}

static void key(uint32_t version, unsigned int holders)
{
	cursor_put_u32(&w, version);
	cursor_put_u8(&w, (uint8_t)holders);
	while (holders--) {
		some(34, (uint8_t)(2 + holders));
		some(260, (uint8_t)version);
		some(0, 0);
	}
}

/* A list of the second form with keys of these versions. */
static void with_keys(const uint32_t *version, unsigned int n)
{
	begin(POOL_LABEL_KEYS);
	storages(1);
	cursor_put_u8(&w, (uint8_t)n);
	while (n--)
		key(*version++, 2);
	end();
}

static void the_first_form_has_none(void **state)
{
	struct pool_key k;

	begin(POOL_LABEL);
	end();
	assert_int_equal(parse(), 0);
	assert_false(pool.has_keys);
	assert_false(pool_newest_key(&pool, &k));
	assert_int_equal(pool.tail.len, 0);
	begin("xen-vtpm pool 3");
	end();
	assert_int_equal(parse(), -EBADMSG);
	/* nor is it read as the second, or that as it */
	begin(POOL_LABEL_KEYS);
	end();
	assert_int_equal(parse(), -EBADMSG);
	begin(POOL_LABEL);
	storages(0);
	cursor_put_u8(&w, 0);
	end();
	assert_int_equal(parse(), -EBADMSG);
}

static void keys_and_who_has_them(void **state)
{
	static const uint32_t versions[] = {1, 3};
	uint8_t name[34];
	struct pool_storage s;
	struct pool_holder h;
	struct pool_key k;

	with_keys(versions, 2);
	assert_int_equal(parse(), 0);
	assert_true(pool.has_keys);
	assert_int_equal(pool.keys, 2);
	assert_int_equal(pool.signed_len + 72, w.pos);
	assert_true(pool_next_storage(&pool.storage, &s));
	assert_int_equal(s.public.n, 90);
	assert_false(pool_next_storage(&pool.storage, &s));
	assert_true(pool_newest_key(&pool, &k));
	assert_int_equal(k.version, 3);
	assert_int_equal(k.holders, 2);
	memset(name, 3, sizeof(name));
	assert_true(pool_find_holder(&k, name, sizeof(name), &h));
	assert_int_equal(h.share.n, 260);
	assert_int_equal(h.share.p[0], 3);
	assert_int_equal(h.kept.n, 0);
	name[33] = 4;
	assert_false(pool_find_holder(&k, name, sizeof(name), &h));
	assert_false(pool_find_holder(&k, name, 33, &h));
}

static void versions_that_do_not_ascend(void **state)
{
	static const uint32_t twice[] = {2, 2}, back[] = {2, 1}, zero[] = {0};
	uint32_t many[POOL_KEYS_MAX + 1];
	unsigned int i;

	with_keys(twice, 2);
	assert_int_equal(parse(), -EBADMSG);
	with_keys(back, 2);
	assert_int_equal(parse(), -EBADMSG);
	with_keys(zero, 1);
	assert_int_equal(parse(), -EBADMSG);
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = i + 1;
	with_keys(many, POOL_KEYS_MAX);
	assert_int_equal(parse(), 0);
	with_keys(many, POOL_KEYS_MAX + 1);
	assert_int_equal(parse(), -EBADMSG);
}

static void parts_out_of_their_bounds(void **state)
{
	begin(POOL_LABEL_KEYS);
	storages(POOL_HOSTS_MAX + 1);
	cursor_put_u8(&w, 0);
	end();
	assert_int_equal(parse(), -EBADMSG);
	begin(POOL_LABEL_KEYS);
	storages(0);
	cursor_put_u8(&w, 1);
	key(1, 0); /* that nobody has */
	end();
	assert_int_equal(parse(), -EBADMSG);
	begin(POOL_LABEL_KEYS);
	storages(0);
	cursor_put_u8(&w, 1);
	cursor_put_u32(&w, 1);
	cursor_put_u8(&w, 1);
	some(34, 2);
	some(TPM2_DUPLICATE_MAX + 1, 1);
	some(0, 0);
	end();
	assert_int_equal(parse(), -EBADMSG);
}

static void every_length_that_is_cut(void **state)
{
	static const uint32_t versions[] = {1, 2};
	size_t n;

	with_keys(versions, 2);
	for (n = 0; n < w.pos; n++)
		assert_int_equal(pool_parse(list, n, &pool), -EBADMSG);
	assert_int_equal(parse(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_form_has_none),
		cmocka_unit_test(keys_and_who_has_them),
		cmocka_unit_test(versions_that_do_not_ascend),
		cmocka_unit_test(parts_out_of_their_bounds),
		cmocka_unit_test(every_length_that_is_cut),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
