/* SPDX-License-Identifier: Apache-2.0 */
/* The slot with the old data key: what it gives to whom, and what it is bound to. */
#include "tests/unit/unit.h"
#include "lib/slot/previous_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct envelope_header plain;
static uint8_t header[ENVELOPE_HEADER_MAX], out[ENVELOPE_HEADER_MAX];
static size_t len, out_len;
static uint8_t new_key[32], old_key[32], got[32];
static struct error error;
static uint64_t seq;

static void seal(void)
{
	len = sizeof(header);
	assert_int_equal(envelope_header_seal(&plain, new_key, header, &len), 0);
}

static int setup(void **state)
{
	memset(&plain, 0, sizeof(plain));
	memset(&error, 0, sizeof(error));
	memset(plain.uuid, 7, sizeof(plain.uuid));
	memset(new_key, 1, sizeof(new_key));
	memset(old_key, 2, sizeof(old_key));
	memset(got, 0, sizeof(got));
	plain.seq = 41;
	plain.desc = (struct envelope_desc){
		.policy = ENVELOPE_SLOT_HOST, .recovery = true, .localities = 1};
	plain.slot_count = 2;
	plain.slots[0].kind = ENVELOPE_SLOT_HOST;
	plain.slots[1].kind = ENVELOPE_SLOT_RECOVERY;
	plain.slots[1].id = 5;
	plain.slots[1].len = 3;
	memcpy(plain.slots[1].data, "abc", 3);
	seal();
	return 0;
}

static void is_there_or_not(void **state)
{
	assert_int_equal(previous_key_find(header, len, new_key, got, &error), 0);
	assert_int_equal(
		previous_key_drop(header, len, new_key, 9, out, &out_len, &seq, &error),
		0);
	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error), 0);
	assert_int_equal(previous_key_find(header, len, new_key, got, &error), 1);
	assert_memory_equal(got, old_key, sizeof(got));
	assert_null(memmem(header, len, old_key, sizeof(old_key)));
	assert_int_equal(error.cause, CAUSE_NONE);
}

static void the_rest_of_the_header_stays(void **state)
{
	struct envelope_header h;

	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error), 0);
	assert_int_equal(envelope_header_parse(header, len, &h, &error), 0);
	assert_int_equal(h.seq, 41);
	assert_int_equal(h.slot_count, 3);
	assert_int_equal(h.slots[2].kind, ENVELOPE_SLOT_OLD_KEY);
	assert_int_equal(h.slots[2].id, 1);
	assert_int_equal(
		previous_key_drop(header, len, new_key, 9, out, &out_len, &seq, &error),
		1);
	assert_int_equal(seq, 42);
	plain.seq = 42;
	plain.epoch = 9;
	seal();
	assert_int_equal(out_len, len);
	assert_memory_equal(out, header, len);
}

/* Wherever it stands, it alone is taken out. */
static void goes_from_any_place(void **state)
{
	struct envelope_header h;
	struct envelope_slot slot;

	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error), 0);
	assert_int_equal(envelope_header_parse(header, len, &h, &error), 0);
	slot = h.slots[0];
	h.slots[0] = h.slots[2];
	h.slots[2] = slot;
	len = sizeof(header);
	assert_int_equal(envelope_header_seal(&h, new_key, header, &len), 0);
	assert_int_equal(previous_key_find(header, len, new_key, got, &error), 1);
	assert_int_equal(
		previous_key_drop(header, len, new_key, 9, out, &out_len, &seq, &error),
		1);
	assert_int_equal(envelope_header_parse(out, out_len, &h, &error), 0);
	assert_int_equal(h.slot_count, 2);
	assert_int_equal(h.slots[0].kind, ENVELOPE_SLOT_RECOVERY);
	assert_memory_equal(h.slots[0].data, "abc", 3);
	assert_int_equal(h.slots[1].kind, ENVELOPE_SLOT_HOST);
}

static void there_is_room_for_one(void **state)
{
	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error), 0);
	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error),
			 -ENOSPC);
	for (plain.slot_count = 0; plain.slot_count < ENVELOPE_SLOTS_MAX;
	     plain.slot_count++) {
		plain.slots[plain.slot_count].kind = ENVELOPE_SLOT_HOST;
		plain.slots[plain.slot_count].id = plain.slot_count;
	}
	seal();
	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error),
			 -ENOSPC);
}

static void another_key_opens_nothing(void **state)
{
	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error), 0);
	assert_int_equal(previous_key_find(header, len, old_key, got, &error), -EBADMSG);
	assert_int_equal(error.cause, CAUSE_HEADER_CORRUPT);
	assert_int_equal(
		previous_key_drop(header, len, old_key, 9, out, &out_len, &seq, &error),
		-EBADMSG);
	assert_int_equal(previous_key_add(header, &len, old_key, old_key, &error),
			 -EBADMSG);
}

/* No bit of the header can be changed; and when the MAC is made again, by somebody who
 * has the new key, the slot is still bound to vTPM, kind and id. */
static void it_is_bound(void **state)
{
	struct envelope_header h, good;
	size_t i;

	assert_int_equal(previous_key_add(header, &len, new_key, old_key, &error), 0);
	assert_int_equal(envelope_header_parse(header, len, &good, &error), 0);
	for (i = 0; i < len; i++) {
		header[i] ^= 1;
		memset(&error, 0, sizeof(error));
		assert_true(previous_key_find(header, len, new_key, got, &error) < 0);
		header[i] ^= 1;
	}
	for (i = 0; i < good.slots[2].len + 3u; i++) {
		h = good;
		if (i < good.slots[2].len)
			h.slots[2].data[i] ^= 1;
		else if (i == good.slots[2].len)
			h.slots[2].id++;
		else if (i == good.slots[2].len + 1u)
			h.uuid[15]++;
		else
			h.slots[2].len--;
		len = sizeof(header);
		memset(&error, 0, sizeof(error));
		assert_int_equal(envelope_header_seal(&h, new_key, header, &len), 0);
		assert_int_equal(previous_key_find(header, len, new_key, got, &error),
				 -EBADMSG);
		assert_int_equal(error.cause, CAUSE_HEADER_CORRUPT);
	}
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_there_or_not),		 TEST(the_rest_of_the_header_stays),
		TEST(goes_from_any_place),	 TEST(there_is_room_for_one),
		TEST(another_key_opens_nothing), TEST(it_is_bound),
	};

	return cmocka_run_group_tests_name("previous_key", tests, NULL, NULL);
}
