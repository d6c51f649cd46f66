/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "stubdom/manager/eventlog.h"

#include <errno.h>
#include <string.h>

#define SHA1_AND_SHA256 3u
#define ALL		15u

static struct eventlog logged;
static uint8_t digests[MEASURE_DIGESTS];

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(digests); i++)
		digests[i] = (uint8_t)i;
	return 0;
}

static int teardown(void **state)
{
	eventlog_clear(&logged);
	return 0;
}

static struct measure_event event(uint32_t pcr, const void *data, size_t len)
{
	return (struct measure_event){
		.pcr = pcr,
		.type = MEASURE_EV_IPL,
		.digests = digests,
		.data = data,
		.data_len = len,
	};
}

static void begins_with_spec_id(void **state)
{
	static const uint8_t want[] =
		"\0\0\0\0\3\0\0\0" /* PCR, EV_NO_ACTION */
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x25\0\0\0" /* digest, size */
		"Spec ID Event03\0\0\0\0\0\0\2\0\2"
		"\2\0\0\0\4\0\x14\0\x0b\0\x20\0" /* SHA-1: 20, SHA-256: 32 */
		"";				 /* no vendor's information */

	assert_int_equal(eventlog_begin(&logged, SHA1_AND_SHA256), 0);
	assert_int_equal(logged.len, sizeof(want));
	assert_memory_equal(logged.bytes, want, sizeof(want));
}

static void an_event_has_the_active_banks(void **state)
{
	struct measure_event e = event(9, "abc", 3);
	const uint8_t *p;
	size_t head;

	assert_int_equal(eventlog_begin(&logged, 2 | 8), 0);
	head = logged.len;
	assert_int_equal(eventlog_add(&logged, &e), 0);
	p = logged.bytes + head;
	assert_int_equal(logged.len - head, 8 + 4 + 2 + 32 + 2 + 64 + 4 + 3);
	assert_memory_equal(p, "\x09\0\0\0\x0d\0\0\0\2\0\0\0\x0b\0", 14);
	assert_memory_equal(p + 14, digests + 20, 32);
	assert_memory_equal(p + 46, "\x0d\0", 2);
	assert_memory_equal(p + 48, digests + 100, 64);
	assert_memory_equal(p + 112, "\3\0\0\0abc", 7);
}

static void a_full_log_stays_as_it_is(void **state)
{
	static const uint8_t data[MEASURE_DATA];
	struct measure_event e = event(1, data, sizeof(data));
	size_t before = 0;
	int rc = 0;

	assert_int_equal(eventlog_begin(&logged, ALL), 0);
	for (int i = 0; i < 9 && !rc; i++) {
		before = logged.len;
		rc = eventlog_add(&logged, &e);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(logged.len, before);
	e.data_len = 1;
	assert_int_equal(eventlog_add(&logged, &e), 0);
}

static void no_bank_no_log(void **state)
{
	struct measure_event e = event(1, "x", 1);

	assert_int_equal(eventlog_begin(&logged, 0), -EINVAL);
	assert_int_equal(eventlog_begin(&logged, 0x30), -EINVAL);
	assert_int_equal(eventlog_add(&logged, &e), -EINVAL);
	assert_int_equal(logged.len, 0);
}

static void its_hash_is_that_of_its_bytes(void **state)
{
	/* of nothing: FIPS 180-4's well-known value */
	static const uint8_t none[4] = {0xe3, 0xb0, 0xc4, 0x42};
	struct measure_event e = event(4, "k", 1);
	uint8_t first[32], second[32];

	assert_int_equal(eventlog_sha256(&logged, first), 0);
	assert_memory_equal(first, none, sizeof(none));
	assert_int_equal(eventlog_begin(&logged, ALL), 0);
	assert_int_equal(eventlog_sha256(&logged, first), 0);
	assert_int_equal(eventlog_add(&logged, &e), 0);
	assert_int_equal(eventlog_sha256(&logged, second), 0);
	assert_memory_not_equal(first, second, sizeof(first));
	eventlog_clear(&logged);
	assert_int_equal(eventlog_sha256(&logged, first), 0);
	assert_memory_equal(first, none, sizeof(none));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(begins_with_spec_id),		  T(an_event_has_the_active_banks),
		T(a_full_log_stays_as_it_is),	  T(no_bank_no_log),
		T(its_hash_is_that_of_its_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
