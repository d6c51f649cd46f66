/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tpm2/code.h"
#include "tests/unit/unit.h"

#include <string.h>

static void policy_fail_of_any_session_names_the_boot_state(void **state)
{
	static const uint32_t of[] = {0x09d, 0x19d, 0x49d, 0x89d, 0x99d, 0xa9d, 0xb099d};
	size_t i;

	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		assert_string_equal(tpm2_code_words(of[i]),
				    "the policy is not satisfied");
		assert_non_null(strstr(tpm2_code_step(of[i]), "vtpmctl host show"));
	}
}

static void lockout_is_waited_for(void **state)
{
	assert_non_null(strstr(tpm2_code_step(0x921), "wait"));
	assert_non_null(strstr(tpm2_code_words(0x921), "locked out"));
}

/* 0x99d has a number in it, 0x91d would be another code */
static void format_zero_keeps_all_of_its_bits(void **state)
{
	assert_string_equal(tpm2_code_words(0x143), "the TPM does not know the command");
	assert_string_not_equal(tpm2_code_words(0x943), tpm2_code_words(0x143));
	assert_string_not_equal(tpm2_code_words(0x91d), tpm2_code_words(0x99d));
}

static void every_code_has_words_and_a_short_next_step(void **state)
{
	uint32_t code;

	for (code = 0; code <= 0xfff; code++) {
		assert_true(strlen(tpm2_code_words(code)) > 4);
		assert_true(strlen(tpm2_code_step(code)) > 4);
		/* with its sentence it has to fit into struct error */
		assert_true(strlen(tpm2_code_words(code)) + strlen(tpm2_code_step(code)) <
			    180);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policy_fail_of_any_session_names_the_boot_state),
		cmocka_unit_test(lockout_is_waited_for),
		cmocka_unit_test(format_zero_keeps_all_of_its_bits),
		cmocka_unit_test(every_code_has_words_and_a_short_next_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
