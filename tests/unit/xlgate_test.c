/* SPDX-License-Identifier: Apache-2.0 */
/* xl's texts and streams, in all pieces that they can come in. */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/xlgate.h"

#include <errno.h>
#include <string.h>

static uint8_t stream[1024];
static size_t stream_len, domain_len;

static void put(const void *p, size_t n)
{
	memcpy(stream + stream_len, p, n);
	stream_len += n;
}

static void put_u32(uint32_t v)
{
	const uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
				  (uint8_t)(v >> 24)};

	put(bytes, 4);
}

static void put_record(uint32_t type, uint32_t len)
{
	static const uint8_t body[64] = {0};

	put_u32(type);
	put_u32(len);
	put(body, (len + 7) & ~7u);
}

/* A guest as xl 4.17 writes it, and GO. */
static void make_stream(void)
{
	size_t len;
	const uint8_t *go = xlgate_bytes(XLGATE_GO, &len);

	stream_len = 0;
	put("Xen saved domain, xl format\n \0 \r", 32);
	put_u32(0x01020304);
	put_u32(3);
	put_u32(0);
	put_u32(9);
	put("\5\0\0\0{\"a\"}", 9);
	put("LibxlFmt\0\0\0\2\0\0\0\0", 16);
	put_record(1, 0);
	put("\xff\xff\xff\xff\xff\xff\xff\xffXENF\0\0\0\3\0\0\0\0\0\0\0\0", 24);
	put("\2\0\0\0\14\0\0\0\4\0\0\0\21\0\0\0", 16);
	put_record(1, 40);
	put_record(9, 13);
	put_record(0, 0);
	put_record(3, 20);
	put_record(2, 0);
	put_record(0, 0);
	domain_len = stream_len;
	put(go, len);
}

static void a_stream_is_known_in_all_pieces(void **state)
{
	size_t at, cut, pass, passed, n;
	bool go;

	make_stream();
	for (cut = 1; cut <= stream_len; cut++) {
		struct xlgate_stream s = {.part = 0};

		passed = 0;
		for (at = 0; at < stream_len; at += n) {
			n = stream_len - at < cut ? stream_len - at : cut;
			assert_int_equal(
				xlgate_stream_take(&s, stream + at, n, &pass, &go), 0);
			passed += pass;
			assert_int_equal(go, at + n == stream_len);
			assert_int_equal(xlgate_stream_ended(&s), at + n >= domain_len);
		}
		assert_int_equal(passed, domain_len);
	}
}

/* Two pieces, cut anywhere. */
static void a_stream_is_known_when_it_is_cut_once(void **state)
{
	size_t cut, first, second;
	bool go;

	make_stream();
	for (cut = 0; cut <= stream_len; cut++) {
		struct xlgate_stream s = {.part = 0};

		assert_int_equal(xlgate_stream_take(&s, stream, cut, &first, &go), 0);
		assert_int_equal(xlgate_stream_take(&s, stream + cut, stream_len - cut,
						    &second, &go),
				 0);
		assert_int_equal(first + second, domain_len);
	}
}

static void nothing_but_go_follows(void **state)
{
	struct xlgate_stream s = {.part = 0};
	size_t pass;
	bool go;

	make_stream();
	put("", 1);
	assert_int_equal(xlgate_stream_take(&s, stream, stream_len, &pass, &go),
			 -EBADMSG);
	assert_int_equal(pass, domain_len);
	make_stream();
	for (size_t i = domain_len; i < stream_len; i++) {
		struct xlgate_stream one = {.part = 0};

		stream[i] ^= 1;
		assert_int_equal(xlgate_stream_take(&one, stream, stream_len, &pass, &go),
				 -EBADMSG);
		stream[i] ^= 1;
	}
}

/* What GO says inside of the guest is the guest's. */
static void go_in_the_memory_passes(void **state)
{
	struct xlgate_stream s = {.part = 0};
	size_t pass, len, body = 48 + 9 + 16 + 8 + 24 + 16 + 8;
	bool go;

	make_stream();
	memcpy(stream + body, xlgate_bytes(XLGATE_GO, &len), 40);
	assert_int_equal(xlgate_stream_take(&s, stream, domain_len, &pass, &go), 0);
	assert_false(go);
	assert_int_equal(pass, domain_len);
}

static void other_streams_are_none(void **state)
{
	/* a byte of xl's magic, its byte order, its flags; libxl's, libxc's */
	const size_t bad[] = {0, 32, 36, 48 + 9, 48 + 9 + 11, 48 + 9 + 16 + 8 + 8};
	size_t i, pass;
	bool go;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct xlgate_stream s = {.part = 0};

		make_stream();
		stream[bad[i]] ^= 2;
		assert_int_equal(xlgate_stream_take(&s, stream, domain_len, &pass, &go),
				 -EBADMSG);
	}
}

/* A length of nearly 4 GiB: nothing of it is kept. */
static void a_long_record_is_the_guests(void **state)
{
	struct xlgate_stream s = {.part = 0};
	static uint8_t much[1 << 20];
	size_t pass, at = 48 + 9 + 16 + 8 + 24 + 16 + 4;
	bool go;

	make_stream();
	memset(stream + at, 0xff, 4);
	assert_int_equal(xlgate_stream_take(&s, stream, at + 4, &pass, &go), 0);
	for (int i = 0; i < 4096; i++) {
		assert_int_equal(xlgate_stream_take(&s, much, sizeof(much), &pass, &go),
				 0);
		assert_int_equal(pass, sizeof(much));
	}
	/* its 4 GiB are over, and the next record is of type 0: libxc's end */
	assert_int_equal(s.have, 0);
	assert_int_equal(s.skip, 0);
}

static size_t all_answers(uint8_t *out, uint8_t code)
{
	static const enum xlgate_text order[] = {XLGATE_BANNER, XLGATE_READY,
						 XLGATE_REPORT, XLGATE_GO};
	size_t i, n = 0, len;

	for (i = 0; i < (code ? 4 : 3); i++) {
		const uint8_t *p = xlgate_bytes(order[i], &len);

		memcpy(out + n, p, len);
		n += len;
		if (order[i] == XLGATE_REPORT)
			out[n++] = code;
	}
	return n;
}

/* The texts of p, cut after each cut bytes: how many came. */
static int count_texts(const uint8_t *p, size_t n, size_t cut, struct xlgate_answer *a)
{
	enum xlgate_text found;
	size_t at, one, used;
	int count = 0;

	for (at = 0; at < n; at += used) {
		one = cut - at % cut < n - at ? cut - at % cut : n - at;
		if (xlgate_answer_take(a, p + at, one, &used, &found) || !used)
			return -1;
		count += found != XLGATE_NONE;
	}
	return count;
}

/* xl would read them into domain 0's memory, whole. */
static void what_xl_keeps_is_bounded(void **state)
{
	struct xlgate_stream s = {.part = 0};
	size_t pass;
	bool go;

	make_stream();
	/* the description, of just more than 1 MiB */
	memcpy(stream + 44, "\1\0\x10\0", 4);
	assert_int_equal(xlgate_stream_take(&s, stream, 48, &pass, &go), -EBADMSG);
	make_stream();
	s = (struct xlgate_stream){.part = 0};
	/* libxl's first record, of 1 GiB, though none of libxc's may follow */
	memcpy(stream + 48 + 9 + 16, "\2\0\0\0\0\0\0\x40", 8);
	assert_int_equal(xlgate_stream_take(&s, stream, 48 + 9 + 16 + 8, &pass, &go),
			 -EBADMSG);
}

static void answers_are_known_in_all_pieces(void **state)
{
	uint8_t bytes[512];
	size_t n, cut;

	for (int code = 0; code < 256; code += 51) {
		n = all_answers(bytes, (uint8_t)code);
		for (cut = 1; cut <= n; cut++) {
			struct xlgate_answer a = {.last = XLGATE_NONE};

			assert_int_equal(count_texts(bytes, n, cut, &a), code ? 4 : 3);
			assert_int_equal(a.code, code);
		}
	}
}

static void no_other_answer_is_taken(void **state)
{
	uint8_t bytes[512];
	size_t n = all_answers(bytes, 3), i, len;

	for (i = 0; i < n; i++) {
		struct xlgate_answer a = {.last = XLGATE_NONE};
		bool code = i == n - 45; /* the report's, which may be any */

		bytes[i] ^= 0x80;
		if (!code)
			assert_int_equal(count_texts(bytes, n, n, &a), -1);
		bytes[i] ^= 0x80;
	}
	/* a banner without end, READY twice, more after it went well */
	struct xlgate_answer a = {.last = XLGATE_BANNER};

	assert_int_equal(count_texts(xlgate_bytes(XLGATE_BANNER, &len), 54, 54, &a), -1);
	a = (struct xlgate_answer){.last = XLGATE_READY};
	assert_int_equal(count_texts(xlgate_bytes(XLGATE_READY, &len), 34, 34, &a), -1);
	a = (struct xlgate_answer){.last = XLGATE_REPORT};
	assert_int_equal(count_texts(xlgate_bytes(XLGATE_GO, &len), 44, 44, &a), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_is_known_in_all_pieces),
		cmocka_unit_test(a_stream_is_known_when_it_is_cut_once),
		cmocka_unit_test(nothing_but_go_follows),
		cmocka_unit_test(go_in_the_memory_passes),
		cmocka_unit_test(other_streams_are_none),
		cmocka_unit_test(a_long_record_is_the_guests),
		cmocka_unit_test(what_xl_keeps_is_bounded),
		cmocka_unit_test(answers_are_known_in_all_pieces),
		cmocka_unit_test(no_other_answer_is_taken),
	};

	return cmocka_run_group_tests_name("xlgate", tests, NULL, NULL);
}
