/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <errno.h>
#include <string.h>
#include "stubdom/kernel/ring.h"

#define SIZE 16

static void counts(void **state)
{
	uint32_t n;

	assert_int_equal(ring_used(5, 3, SIZE, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(ring_room(5, 3, SIZE, &n), 0);
	assert_int_equal(n, SIZE - 2);
	assert_int_equal(ring_used(3, 0xfffffffe, SIZE, &n), 0);
	assert_int_equal(n, 5);
}

static void impossible_indices(void **state)
{
	uint32_t n;

	assert_int_equal(ring_used(3, 5, SIZE, &n), -EPROTO);
	assert_int_equal(ring_used(SIZE + 1, 0, SIZE, &n), -EPROTO);
	assert_int_equal(ring_used(0x80000000, 0, SIZE, &n), -EPROTO);
	assert_int_equal(ring_room(3, 5, SIZE, &n), -EPROTO);
	assert_int_equal(n, 0);
}

static void goes_round(void **state)
{
	char ring[SIZE], out[SIZE];

	for (uint32_t at = 0xfffffff0; at != 40; at++) {
		ring_put(ring, SIZE, at, "0123456789", 10);
		ring_get(ring, SIZE, at, out, 10);
		assert_memory_equal(out, "0123456789", 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(impossible_indices),
		cmocka_unit_test(goes_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
