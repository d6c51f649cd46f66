/* SPDX-License-Identifier: Apache-2.0 */
/* What the manager counts and what `vtpmctl top` makes of it. */
#include "tests/unit/unit.h"
#include "stubdom/manager/vtpm_status.h"
#include "tools/vtpmctl/table.h"

#include <string.h>

static void buckets_have_their_bounds(void **state)
{
	struct latency l = {0};

	latency_add(&l, 0);
	latency_add(&l, LATENCY_FIRST_NS);
	latency_add(&l, LATENCY_FIRST_NS + 1);
	latency_add(&l, 2 * LATENCY_FIRST_NS);
	latency_add(&l, 2 * LATENCY_FIRST_NS + 1);
	assert_int_equal(l.count[0], 2);
	assert_int_equal(l.count[1], 2);
	assert_int_equal(l.count[2], 1);
	assert_int_equal(l.sum_ns, 6 * LATENCY_FIRST_NS + 2);
}

static void the_last_one_has_no_end(void **state)
{
	struct latency l = {0};

	latency_add(&l, (uint64_t)LATENCY_FIRST_NS << (LATENCY_BUCKETS - 2));
	assert_int_equal(l.count[LATENCY_BUCKETS - 2], 1);
	latency_add(&l, ((uint64_t)LATENCY_FIRST_NS << (LATENCY_BUCKETS - 2)) + 1);
	latency_add(&l, UINT64_MAX / 2);
	assert_int_equal(l.count[LATENCY_BUCKETS - 1], 2);
}

static void about(double is, double should)
{
	if (is < should * 0.999 || is > should * 1.001)
		fail_msg("%f, not %f", is, should);
}

static void quantiles(void **state)
{
	uint64_t counts[LATENCY_BUCKETS] = {0};

	assert_true(quantile(counts, 8, 0.5) < 0);
	counts[3] = 100; /* all between 32 and 64 */
	about(quantile(counts, 8, 0.5), 48);
	about(quantile(counts, 8, 0.99), 63.68);
	about(quantile(counts, 8, 1), 64);
	counts[0] = 100; /* half of them at most 8 */
	about(quantile(counts, 8, 0.25), 4);
	about(quantile(counts, 8, 0.5), 8);
	counts[10] = 2; /* one of a hundred takes 4 to 8 ms */
	assert_true(quantile(counts, 8, 0.98) <= 64);
	assert_true(quantile(counts, 8, 0.995) > 4096);
	memset(counts, 0, sizeof(counts));
	counts[LATENCY_BUCKETS - 1] = 1;
	about(quantile(counts, 1, 0.5), (double)(1u << (LATENCY_BUCKETS - 2)));
}

/* Within a factor of two of the truth, wherever that is. */
static void what_is_counted_comes_back(void **state)
{
	uint64_t ns;

	for (ns = LATENCY_FIRST_NS; ns < 10000000000u; ns = ns * 3 / 2) {
		struct latency l = {0};
		double q;

		latency_add(&l, ns);
		q = quantile(l.count, LATENCY_FIRST_NS, 0.99);
		assert_true(q >= (double)ns / 2 && q <= (double)ns * 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_have_their_bounds),
		cmocka_unit_test(the_last_one_has_no_end),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(what_is_counted_comes_back),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
