/* SPDX-License-Identifier: Apache-2.0 */
/* Every message that was seen on the wire is taken apart and put together again. */
#include "tests/unit/unit.h"
#include "lib/kmip.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS "tests/unit/kmip-vectors"

/* Writes what *c holds, item by item, as a client would. */
static void copy_items(struct cursor *c, struct cursor *out)
{
	struct ttlv item;
	const uint8_t *data;
	size_t mark, len;

	while (ttlv_next(c, &item)) {
		switch (item.type) {
		case TTLV_STRUCT:
			mark = ttlv_begin(out, item.tag);
			copy_items(&item.value, out);
			assert_true(cursor_ok(&item.value));
			ttlv_end(out, mark);
			break;
		case TTLV_INT:
		case TTLV_ENUM:
			ttlv_put_u32(out, item.tag, item.type,
				     ttlv_u32(c, &item, item.type));
			break;
		case TTLV_TEXT:
		case TTLV_BYTES:
			data = ttlv_data(c, &item, item.type, &len);
			assert_non_null(data);
			ttlv_put(out, item.tag, item.type, data, len);
			break;
		default: /* dates: a client of ours writes none */
			len = cursor_left(&item.value);
			assert_int_equal(len, 8);
			cursor_put_u32(out, item.tag << 8 | item.type);
			cursor_put_u32(out, 8);
			cursor_put(out, cursor_bytes(&item.value, 8), 8);
		}
	}
	assert_true(cursor_ok(c));
}

static size_t read_file(const char *name, uint8_t *buf, size_t room)
{
	char path[400];
	FILE *f;
	size_t len;

	snprintf(path, sizeof(path), VECTORS "/%s", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(buf, 1, room, f);
	assert_true(len && len < room);
	fclose(f);
	return len;
}

static void vectors_survive_a_round_trip(void **state)
{
	uint8_t in[2048], out[2048];
	struct cursor r, w;
	struct dirent *d;
	DIR *dir = opendir(VECTORS);
	size_t len;
	int n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		len = read_file(d->d_name, in, sizeof(in));
		assert_true(ttlv_check(in, len));
		r = cursor_reader(in, len);
		w = cursor_writer(out, sizeof(out));
		copy_items(&r, &w);
		assert_true(cursor_ok(&w));
		assert_int_equal(w.pos, len);
		assert_memory_equal(out, in, len);
		n++;
	}
	closedir(dir);
	assert_true(n >= 40);
}

/* A prefix of a message is no message, and is never read past its end. */
static void short_messages_are_refused(void **state)
{
	uint8_t in[1024], *exact;
	size_t len = read_file("13-decrypt-gcm.req.bin", in, sizeof(in)), n;

	for (n = 0; n < len; n++) {
		exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, in, n);
		assert_false(ttlv_check(exact, n));
		free(exact);
	}
	assert_false(ttlv_check(in, len + 8));
}

static void wrong_lengths_types_and_padding(void **state)
{
	/* a structure with one integer */
	static const uint8_t good[] = {0x42, 0, 0x78, 1, 0, 0, 0, 16, 0x42, 0, 0x0d, 2,
				       0,    0, 0,    4, 0, 0, 0, 1,  0,    0, 0,    0};
	static const struct {
		size_t at;
		uint8_t v;
	} bad[] = {
		{3, 2},	  /* the outer item is no structure */
		{3, 0},	  /* nor of type 0 */
		{7, 8},	  /* it is shorter than what is in it */
		{7, 24},  /* or longer than the message */
		{7, 12},  /* or no multiple of 8 */
		{4, 255}, /* or 4 GiB */
		{11, 11}, /* a type that there is not */
		{11, 3},  /* a long of 4 bytes */
		{15, 8},  /* an integer of 8 bytes */
		{20, 1},  /* padding that is not zero */
		{23, 1},
	};
	uint8_t buf[sizeof(good)];
	size_t i;

	assert_true(ttlv_check(good, sizeof(good)));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(buf, good, sizeof(good));
		buf[bad[i].at] = bad[i].v;
		assert_false(ttlv_check(buf, sizeof(buf)));
	}
}

static void nesting_is_bounded(void **state)
{
	uint8_t buf[8 * (TTLV_DEPTH_MAX + 2)];
	struct cursor c;
	size_t mark[TTLV_DEPTH_MAX + 1], depth, i;

	for (depth = 1; depth <= TTLV_DEPTH_MAX + 1; depth++) {
		c = cursor_writer(buf, sizeof(buf));
		for (i = 0; i < depth; i++)
			mark[i] = ttlv_begin(&c, 0x420078);
		while (i--)
			ttlv_end(&c, mark[i]);
		assert_true(cursor_ok(&c));
		assert_int_equal(ttlv_check(buf, c.pos), depth <= TTLV_DEPTH_MAX);
	}
}

static void other_types_than_asked_for(void **state)
{
	uint8_t buf[64];
	struct cursor c = cursor_writer(buf, sizeof(buf)), r;
	struct ttlv item;
	size_t len;

	ttlv_put_u32(&c, 0x42000d, TTLV_INT, 7);
	ttlv_put(&c, 0x4200c2, TTLV_BYTES, "abc", 3);
	r = cursor_reader(buf, c.pos);
	assert_true(ttlv_next(&r, &item));
	assert_int_equal(ttlv_u32(&r, &item, TTLV_ENUM), 0);
	assert_false(cursor_ok(&r));
	r = cursor_reader(buf, c.pos);
	assert_true(ttlv_next(&r, &item));
	assert_int_equal(ttlv_u32(&r, &item, TTLV_INT), 7);
	assert_true(ttlv_next(&r, &item));
	assert_null(ttlv_data(&r, &item, TTLV_TEXT, &len));
	assert_false(cursor_ok(&r));
	/* too long for its length field */
	c = cursor_writer(buf, sizeof(buf));
	ttlv_put(&c, 1, TTLV_BYTES, buf, (size_t)UINT32_MAX + 1);
	assert_false(cursor_ok(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_survive_a_round_trip),
		cmocka_unit_test(short_messages_are_refused),
		cmocka_unit_test(wrong_lengths_types_and_padding),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(other_types_than_asked_for),
	};

	return cmocka_run_group_tests_name("ttlv", tests, NULL, NULL);
}
