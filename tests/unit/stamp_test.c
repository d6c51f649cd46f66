/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/text.h"

#include <string.h>
#include <time.h>

static void now_is_a_time(void **state)
{
	char first[STAMP_SIZE], second[STAMP_SIZE];
	struct timespec pause = {.tv_nsec = 2000000};

	stamp_now(first);
	nanosleep(&pause, NULL);
	stamp_now(second);
	assert_int_equal(strlen(first), strlen("2026-01-31T12:00:00.250Z"));
	assert_true(stamp_ok(first));
	assert_true(stamp_later(second, first));
	assert_false(stamp_later(first, second));
	assert_false(stamp_later(first, first));
}

static void what_is_a_time(void **state)
{
	static const char *const bad[] = {
		"",
		"yesterday",
		"2026-01-31",
		"2026-01-31T12:00:00",
		"2026-01-31T12:00:00ZZ",
		"2026-01-31T12:00:00.Z",
		"2026-01-31T12:00:00.25Z",
		"2026-01-31T12:00:00.2500Z",
		"2026-01-31T12:00:00.250",
		"2026-1-31T12:00:00Z",
		"2026-13-31T12:00:00Z",
		" 2026-01-31T12:00:00Z",
	};
	size_t i;

	assert_true(stamp_ok("2026-01-31T12:00:00Z"));
	assert_true(stamp_ok("2026-01-31T12:00:00.250Z"));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(stamp_ok(bad[i]));
}

/* In doubt it is not later: what is done once more does no harm. */
static void in_doubt_it_is_not_later(void **state)
{
	assert_true(stamp_later("2026-01-31T12:00:01.000Z", "2026-01-31T12:00:00Z"));
	assert_false(stamp_later("2026-01-31T12:00:00.999Z", "2026-01-31T12:00:00Z"));
	assert_true(stamp_later("2026-01-31T12:00:00.251Z", "2026-01-31T12:00:00.250Z"));
	assert_false(stamp_later("", "2026-01-31T12:00:00Z"));
}

static void a_stamp_that_lies_ahead_proves_nothing(void **state)
{
	const char *now = "2026-01-31T12:00:10.500Z", *since = "2026-01-31T12:00:00Z";

	assert_true(stamp_since("2026-01-31T12:00:05.000Z", since, now));
	assert_true(stamp_since(now, since, now));
	assert_false(stamp_since("2026-01-31T12:00:10.501Z", since, now));
	assert_false(stamp_since("2030-01-01T00:00:00.000Z", since, now));
	assert_false(stamp_since("2026-01-31T11:00:00.000Z", since, now));
	assert_false(stamp_since("", since, now));
}

static void durations_do_not_go_back(void **state)
{
	int64_t before = stamp_ms();

	assert_true(before > 0);
	assert_true(stamp_ms() >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(now_is_a_time),
		cmocka_unit_test(what_is_a_time),
		cmocka_unit_test(in_doubt_it_is_not_later),
		cmocka_unit_test(a_stamp_that_lies_ahead_proves_nothing),
		cmocka_unit_test(durations_do_not_go_back),
	};

	return cmocka_run_group_tests_name("stamp", tests, NULL, NULL);
}
