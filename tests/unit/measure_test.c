/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/measure.h"
#include "lib/tpm2/marshal.h"

#include <string.h>

static uint8_t digests[MEASURE_DIGESTS], list[MEASURE_MAX + 1];
static uint8_t data[MEASURE_DATA + 1];

static struct cursor put(uint32_t pcr, uint32_t type, size_t len)
{
	struct cursor w = cursor_writer(list, sizeof(list));
	struct measure_event e = {pcr, type, digests, data, len};

	measure_put(&w, &e);
	assert_true(cursor_ok(&w));
	return w;
}

static bool holds(uint32_t pcr, uint32_t type, size_t len)
{
	struct cursor w = put(pcr, type, len);

	return measure_check(list, w.pos);
}

static void what_is_put_is_read(void **state)
{
	struct measure_event first = {4, MEASURE_EV_IPL, digests, (uint8_t *)"abc", 3}, e;
	struct cursor w = cursor_writer(list, sizeof(list)), r;

	memset(digests, 7, sizeof(digests));
	measure_put(&w, &first);
	first.pcr = 15;
	first.data_len = 0;
	measure_put(&w, &first);
	assert_true(measure_check(list, w.pos));
	r = cursor_reader(list, w.pos);
	assert_true(measure_next(&r, &e));
	assert_int_equal(e.pcr, 4);
	assert_int_equal(e.type, MEASURE_EV_IPL);
	assert_memory_equal(e.digests, digests, sizeof(digests));
	assert_int_equal(e.data_len, 3);
	assert_memory_equal(e.data, "abc", 3);
	assert_true(measure_next(&r, &e));
	assert_int_equal(e.pcr, 15);
	assert_true(cursor_done(&r));
	assert_false(measure_next(&r, &e));
}

static void limits(void **state)
{
	assert_true(holds(0, MEASURE_EV_IPL, MEASURE_DATA));
	assert_false(holds(0, MEASURE_EV_IPL, MEASURE_DATA + 1));
	assert_true(holds(15, MEASURE_EV_SEPARATOR, 4));
	assert_false(holds(16, MEASURE_EV_SEPARATOR, 4));
	assert_false(holds(UINT32_MAX, MEASURE_EV_SEPARATOR, 4));
	assert_false(measure_check(list, 0));
	memset(list, 0, sizeof(list));
	assert_false(measure_check(list, MEASURE_MAX + 1));
}

/* All of a list extends, or nothing. */
static void a_record_is_of_one_kind(void **state)
{
	struct measure_event e = {0, MEASURE_EV_NO_ACTION, digests, data, 4};
	struct cursor w = cursor_writer(list, sizeof(list));

	measure_put(&w, &e);
	assert_true(measure_check(list, w.pos));
	assert_true(measure_is_record(list, w.pos));
	measure_put(&w, &e);
	assert_true(measure_check(list, w.pos));
	e.type = MEASURE_EV_IPL;
	measure_put(&w, &e);
	assert_false(measure_check(list, w.pos));
	w = cursor_writer(list, sizeof(list));
	measure_put(&w, &e);
	assert_false(measure_is_record(list, w.pos));
	e.type = MEASURE_EV_NO_ACTION;
	measure_put(&w, &e);
	assert_false(measure_check(list, w.pos));
	assert_false(measure_is_record(list, 0));
}

static void each_cut_is_seen(void **state)
{
	struct cursor w = put(1, MEASURE_EV_IPL, 9);

	for (size_t n = 0; n < w.pos; n++)
		assert_false(measure_check(list, n));
	assert_true(measure_check(list, w.pos));
	list[w.pos] = 0;
	assert_false(measure_check(list, w.pos + 1));
}

static void the_table_adds_up(void **state)
{
	size_t at = 0;

	for (int i = 0; i < TPM2_BANKS; i++)
		at += tpm2_hashes[i].size;
	assert_int_equal(at, MEASURE_DIGESTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_read),
		cmocka_unit_test(limits),
		cmocka_unit_test(a_record_is_of_one_kind),
		cmocka_unit_test(each_cut_is_seen),
		cmocka_unit_test(the_table_adds_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
