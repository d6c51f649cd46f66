/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/tpm2/cmd.h"

#include <time.h>

static unsigned int slept_ms, longest_ms;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	unsigned int ms = (unsigned int)time->tv_sec * 1000 +
			  (unsigned int)(time->tv_nsec / 1000000);

	slept_ms += ms;
	longest_ms = ms > longest_ms ? ms : longest_ms;
	return 0;
}

/* Of all codes seven; a format-one code or a failure is never one of them. */
static void the_codes(void **state)
{
	uint32_t code, n = 0;

	for (code = 0; code < 0x20000; code++)
		n += tpm2_busy_is_code(code);
	assert_int_equal(n, 7);
	assert_true(tpm2_busy_is_code(0x920));
	assert_false(tpm2_busy_is_code(0));	/* success */
	assert_false(tpm2_busy_is_code(0x921)); /* LOCKOUT: trying again makes it worse */
	assert_false(tpm2_busy_is_code(0x80000920)); /* another layer's */
}

static void responses(void **state)
{
	uint8_t rsp[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x22, 7};
	size_t n;

	assert_true(tpm2_busy_is_response(rsp, 10));
	for (n = 0; n < 10; n++)
		assert_false(tpm2_busy_is_response(rsp, n));
	rsp[9] = 0x21;
	assert_false(tpm2_busy_is_response(rsp, 10));
}

static void pauses_have_an_end(void **state)
{
	struct tpm2_busy b = {0};
	int n = 0;

	while (tpm2_busy_pause(&b))
		assert_true(++n < 100);
	assert_in_range(slept_ms, 1000 * TPM2_BUSY_S, 1000 * TPM2_BUSY_S + 1000);
	assert_int_equal(longest_ms, 1000);
	assert_in_range(n, 20, 40);
	n = (int)slept_ms;
	assert_false(tpm2_busy_pause(&b));
	assert_int_equal(slept_ms, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_codes),
		cmocka_unit_test(responses),
		cmocka_unit_test(pauses_have_an_end),
	};

	return cmocka_run_group_tests_name("tpmbusy", tests, NULL, NULL);
}
