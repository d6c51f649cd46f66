/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmd/bucket.h"

static struct bucket b;

static int setup(void **state)
{
	b = (struct bucket){0};
	return 0;
}

static int take_all(uint64_t now)
{
	int n = 0;

	while (bucket_take(&b, 4, 1000, now))
		n++;
	return n;
}

static void so_many_at_once(void **state)
{
	assert_int_equal(take_all(0), 4);
	setup(state);
	assert_int_equal(take_all(123456789), 4);
}

static void one_comes_back_in_a_while(void **state)
{
	assert_int_equal(take_all(5000), 4);
	assert_int_equal(take_all(5999), 0);
	assert_int_equal(take_all(6000), 1);
	assert_int_equal(take_all(6500), 0);
	assert_int_equal(take_all(9000), 3);
}

static void never_more_than_all(void **state)
{
	assert_int_equal(take_all(5000), 4);
	assert_int_equal(take_all(5000 + 1000 * 1000), 4);
}

/* One who waits: the burst at once, then one every_ms. */
static void taken_with_a_wait(void **state)
{
	uint64_t now = 5000;
	int n;

	for (n = 0; n < 4; n++)
		assert_int_equal(bucket_wait(&b, 4, 1000, now), 0);
	for (n = 0; n < 10; n++) {
		assert_int_equal(bucket_wait(&b, 4, 1000, now), 1000);
		now += 1000;
	}
	assert_int_equal(bucket_wait(&b, 4, 1000, now + 600), 400);
	assert_int_equal(bucket_wait(&b, 4, 1000, now + 100000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(so_many_at_once, setup),
		cmocka_unit_test_setup(one_comes_back_in_a_while, setup),
		cmocka_unit_test_setup(never_more_than_all, setup),
		cmocka_unit_test_setup(taken_with_a_wait, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
