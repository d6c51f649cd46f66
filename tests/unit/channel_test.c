/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Feeds in, at most step bytes a time; the last result, bytes eaten in *eaten. */
static int feed(struct channel_reader *r, const uint8_t *in, size_t len, size_t step,
		size_t *eaten)
{
	size_t room, n;
	uint8_t *p;
	int rc = 0;

	for (*eaten = 0; *eaten < len && rc == 0; *eaten += n) {
		p = channel_reader_room(r, &room);
		assert_true(room > 0);
		n = room < step ? room : step;
		n = n < len - *eaten ? n : len - *eaten;
		memcpy(p, in + *eaten, n);
		rc = channel_reader_add(r, n);
	}
	return rc;
}

static size_t make(uint8_t *out, uint16_t type, uint32_t id, const char *text)
{
	channel_header(out, type, id, strlen(text));
	memcpy(out + CHANNEL_HEADER_SIZE, text, strlen(text));
	return CHANNEL_HEADER_SIZE + strlen(text);
}

static void header_has_the_wire_layout(void **state)
{
	uint8_t out[CHANNEL_HEADER_SIZE];

	channel_header(out, CHANNEL_PUT | CHANNEL_REPLY, 0x01020304, 0x10203);
	assert_memory_equal(out, "\x80\x03\0\0\1\2\3\4\0\1\2\3", sizeof(out));
}

static void frames_survive_any_split(void **state)
{
	uint8_t wire[128];
	size_t len, step, eaten, more;
	struct channel_reader r = {0};
	struct channel_frame f;

	len = make(wire, CHANNEL_GET, 7, "hello");
	len += make(wire + len, CHANNEL_KMS_OPEN, 8, "");
	for (step = 1; step < 20; step++) {
		assert_int_equal(feed(&r, wire, len, step, &eaten), 1);
		channel_reader_take(&r, &f);
		assert_int_equal(f.type, CHANNEL_GET);
		assert_int_equal(f.id, 7);
		assert_int_equal(f.len, 5);
		assert_memory_equal(f.payload, "hello", 5);
		free(f.payload);
		assert_int_equal(feed(&r, wire + eaten, len - eaten, step, &more), 1);
		channel_reader_take(&r, &f);
		assert_int_equal(f.type, CHANNEL_KMS_OPEN);
		assert_int_equal(f.len, 0);
		assert_null(f.payload);
		assert_int_equal(eaten + more, len);
	}
}

static void too_long_a_frame_ends_it(void **state)
{
	uint8_t wire[CHANNEL_HEADER_SIZE];
	struct channel_reader r = {0};
	size_t eaten;

	channel_header(wire, CHANNEL_PUT, 1, CHANNEL_PAYLOAD_MAX);
	assert_int_equal(feed(&r, wire, sizeof(wire), 12, &eaten), 0);
	channel_reader_reset(&r);
	channel_header(wire, CHANNEL_PUT, 1, CHANNEL_PAYLOAD_MAX + 1);
	assert_int_equal(feed(&r, wire, sizeof(wire), 12, &eaten), -EPROTO);
	channel_reader_reset(&r);
	channel_header(wire, CHANNEL_PUT, 1, UINT32_MAX);
	assert_int_equal(feed(&r, wire, sizeof(wire), 12, &eaten), -EPROTO);
	channel_reader_reset(&r);
}

static void reserved_bits_must_be_zero(void **state)
{
	uint8_t wire[CHANNEL_HEADER_SIZE];
	struct channel_reader r = {0};
	size_t eaten;

	channel_header(wire, CHANNEL_PUT, 1, 0);
	wire[3] = 1;
	assert_int_equal(feed(&r, wire, sizeof(wire), 5, &eaten), -EPROTO);
	channel_reader_reset(&r);
}

static void more_than_the_room_is_refused(void **state)
{
	struct channel_reader r = {0};

	assert_int_equal(channel_reader_add(&r, CHANNEL_HEADER_SIZE + 1), -EPROTO);
	channel_reader_reset(&r);
}

static void tlvs_round_trip(void **state)
{
	uint8_t buf[64];
	struct cursor w = cursor_writer(buf, sizeof(buf)), c;
	struct channel_tlv t;

	channel_tlv_put_u8(&w, CONFIG_CREATE, 1);
	channel_tlv_put_u16(&w, CONFIG_POLICY, 0x203);
	channel_tlv_put_u32(&w, CONFIG_SRK_HANDLE, 0x81000001);
	channel_tlv_put_u64(&w, STATUS_SEQ, 1ULL << 40);
	channel_tlv_put(&w, CONFIG_NAME, "web1", 4);
	assert_true(cursor_ok(&w));
	c = cursor_reader(buf, w.pos);
	assert_true(channel_tlv_next(&c, &t));
	assert_int_equal(t.tag, CONFIG_CREATE);
	assert_int_equal(cursor_u8(&t.value), 1);
	assert_true(cursor_done(&t.value));
	assert_true(channel_tlv_next(&c, &t));
	assert_int_equal(cursor_u16(&t.value), 0x203);
	assert_true(channel_tlv_next(&c, &t));
	assert_int_equal(cursor_u32(&t.value), 0x81000001);
	assert_true(channel_tlv_next(&c, &t));
	assert_true(cursor_u64(&t.value) == 1ULL << 40);
	assert_true(channel_tlv_next(&c, &t));
	assert_int_equal(t.tag, CONFIG_NAME);
	assert_int_equal(t.value.len, 4);
	assert_false(channel_tlv_next(&c, &t));
	assert_true(cursor_done(&c));
}

static void short_tlvs_are_bad(void **state)
{
	static const uint8_t cut[] = {0, 1, 0, 0, 0, 4, 9, 9, 9};
	static const uint8_t huge[] = {0, 1, 0xff, 0xff, 0xff, 0xff, 9};
	struct cursor c = cursor_reader(cut, sizeof(cut));
	struct channel_tlv t;

	assert_false(channel_tlv_next(&c, &t));
	assert_false(cursor_ok(&c));
	c = cursor_reader(huge, sizeof(huge));
	assert_false(channel_tlv_next(&c, &t));
	assert_false(cursor_ok(&c));
	c = cursor_reader(huge, 3);
	assert_false(channel_tlv_next(&c, &t));
	assert_false(cursor_ok(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_has_the_wire_layout),
		cmocka_unit_test(frames_survive_any_split),
		cmocka_unit_test(too_long_a_frame_ends_it),
		cmocka_unit_test(reserved_bits_must_be_zero),
		cmocka_unit_test(more_than_the_room_is_refused),
		cmocka_unit_test(tlvs_round_trip),
		cmocka_unit_test(short_tlvs_are_bad),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
