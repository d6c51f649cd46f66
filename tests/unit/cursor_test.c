/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/cursor.h"

static void reads_big_endian(void **state)
{
	static const uint8_t in[] = {1, 0x01, 0x02, 0xff, 0, 0, 1, 0,
				     0, 0,    0,    0,	  0, 0, 9};
	struct cursor c = cursor_reader(in, sizeof(in));

	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u16(&c), 0x0102);
	assert_int_equal(cursor_u32(&c), 0xff000001);
	assert_int_equal(cursor_u64(&c), 9);
	assert_true(cursor_done(&c));
}

static void little_endian_too(void **state)
{
	static const uint8_t in[] = {1, 2, 3, 4, 5, 6, 7};
	uint8_t out[7] = {0};
	struct cursor c = cursor_reader(in, sizeof(in));
	struct cursor w = cursor_writer(out, sizeof(out));

	assert_int_equal(cursor_le16(&c), 0x0201);
	assert_int_equal(cursor_le32(&c), 0x06050403);
	assert_int_equal(cursor_le16(&c), 0);
	assert_false(cursor_ok(&c));
	cursor_put_le16(&w, 0x0201);
	cursor_put_le32(&w, 0x06050403);
	assert_memory_equal(out, in, 6);
	cursor_put_le32(&w, 1);
	assert_false(cursor_ok(&w));
}

static void short_read_is_sticky(void **state)
{
	static const uint8_t in[] = {1, 2, 3};
	struct cursor c = cursor_reader(in, sizeof(in));

	assert_int_equal(cursor_u32(&c), 0);
	assert_false(cursor_ok(&c));
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_left(&c), 0);
	assert_false(cursor_done(&c));
}

static void huge_lengths_do_not_wrap(void **state)
{
	static const uint8_t in[] = {1, 2, 3};
	struct cursor c = cursor_reader(in, sizeof(in));
	struct cursor sub;
	uint8_t out[4] = {9, 9, 9, 9};

	assert_int_equal(cursor_u8(&c), 1);
	assert_null(cursor_bytes(&c, SIZE_MAX));
	c = cursor_reader(in, sizeof(in));
	sub = cursor_sub(&c, SIZE_MAX - 1);
	assert_false(cursor_ok(&sub));
	cursor_copy(&c, out, sizeof(out));
	assert_int_equal(out[0] | out[3], 0);
}

static void writes_and_patches(void **state)
{
	uint8_t out[9];
	struct cursor c = cursor_writer(out, sizeof(out));
	size_t mark = cursor_mark_u16(&c);

	cursor_put_u8(&c, 7);
	cursor_put_u32(&c, 0x01020304);
	cursor_patch_u16(&c, mark);
	assert_true(cursor_ok(&c));
	assert_int_equal(c.pos, 7);
	assert_memory_equal(out, "\0\5\7\1\2\3\4", 7);
	cursor_put_u32(&c, 1);
	assert_false(cursor_ok(&c));
}

static void a_reader_refuses_writes(void **state)
{
	static const uint8_t in[4];
	struct cursor c = cursor_reader(in, sizeof(in));

	cursor_put_u8(&c, 1);
	assert_false(cursor_ok(&c));
}

static void a_reader_refuses_a_patch(void **state)
{
	uint8_t in[4] = {1, 2, 3, 4};
	struct cursor c = cursor_reader(in, sizeof(in));

	(void)cursor_u32(&c);
	cursor_patch_u16(&c, 4);
	assert_false(cursor_ok(&c));
	assert_memory_equal(in, "\1\2\3\4", 4);
}

static void a_part_of_no_bytes_is_good(void **state)
{
	struct cursor c = cursor_reader(NULL, 0), part = cursor_sub(&c, 0);

	assert_true(cursor_done(&c));
	assert_true(cursor_done(&part));
	part = cursor_sub(&c, 1);
	assert_false(cursor_ok(&c));
	assert_false(cursor_ok(&part));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_big_endian),
		cmocka_unit_test(little_endian_too),
		cmocka_unit_test(short_read_is_sticky),
		cmocka_unit_test(huge_lengths_do_not_wrap),
		cmocka_unit_test(writes_and_patches),
		cmocka_unit_test(a_reader_refuses_writes),
		cmocka_unit_test(a_reader_refuses_a_patch),
		cmocka_unit_test(a_part_of_no_bytes_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
