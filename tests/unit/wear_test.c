/* SPDX-License-Identifier: Apache-2.0 */
/* What a manager that was taken over can have the host's TPM write in a year. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/bucket.h"

#define DAY_MS (24u * 3600 * 1000)

/* It stores as many headers as are taken, and ends itself as soon as it was started. */
static unsigned int writes_until(struct wear *w, uint64_t end_ms)
{
	unsigned int writes = 0;
	uint64_t now = 1;

	while (now < end_ms) {
		while (wear_header(w, now))
			writes++;
		writes++;
		now += 1000 + wear_start(w, now);
	}
	return writes;
}

static void a_day_and_a_year(void **state)
{
	struct wear w = {0};
	unsigned int day = writes_until(&w, DAY_MS), year;

	wear_fill(&w);
	year = writes_until(&w, 365ull * DAY_MS);
	print_message("%u writes in a day, %u in a year\n", day, year);
	assert_in_range(day, 54, 80);
	assert_in_range(year, 365 * 54, 365 * 54 + 30);
}

static void an_operator_fills_it(void **state)
{
	struct wear w = {0};
	unsigned int starts = 0;

	while (!wear_start(&w, 5))
		starts++;
	assert_int_equal(starts, WEAR_STARTS);
	while (wear_header(&w, 5))
		starts++;
	assert_int_equal(starts, WEAR_STARTS + WEAR_HEADERS);
	wear_fill(&w);
	assert_int_equal(wear_start(&w, 5), 0);
	assert_true(wear_header(&w, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_and_a_year),
		cmocka_unit_test(an_operator_fills_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
