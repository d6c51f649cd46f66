/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Larger than any cause. */
#define BOUND 64

/* Each cause has a row in docs/errors.md that says what becomes of a start that failed of
 * it, as the code does. */
static void the_document_says_what_the_code_does(void **state)
{
	static char line[4096];
	unsigned int rows[BOUND] = {0};
	uint32_t cause;
	FILE *f = fopen("docs/errors.md", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		for (cause = 1; cause < BOUND; cause++) {
			char head[64];

			snprintf(head, sizeof(head), "| `%s` | ", error_word(cause));
			if (strncmp(line, head, strlen(head)))
				continue;
			rows[cause]++;
			if ((strncmp(line + strlen(head), "again |", 7) == 0) !=
			    error_passes(cause))
				fail_msg("docs/errors.md: %s", error_word(cause));
		}
	fclose(f);
	for (cause = 1; cause < BOUND; cause++)
		if (strcmp(error_word(cause), "unknown") && rows[cause] != 1)
			fail_msg("docs/errors.md has %u rows for %s", rows[cause],
				 error_word(cause));
}

static void what_is_no_cause(void **state)
{
	assert_string_equal(error_word(UINT32_MAX), "unknown");
	assert_false(error_passes(UINT32_MAX));
	assert_false(error_by_config(UINT32_MAX));
	assert_false(error_passes(CAUSE_NONE));
	assert_false(error_by_config(CAUSE_NONE));
}

static void only_what_may_pass_passes(void **state)
{
	/* a person has to decide, or nothing would be refused for good */
	static const enum cause stay[] = {
		CAUSE_ROLLED_BACK,   CAUSE_BLOB_CORRUPT, CAUSE_HEADER_CORRUPT,
		CAUSE_WRONG_VTPM,    CAUSE_NO_STATE,	 CAUSE_PCRS_CHANGED,
		CAUSE_KMS_UNTRUSTED, CAUSE_KMS_DENIED,	 CAUSE_KMS_KEY,
		CAUSE_TPM_REPLACED,  CAUSE_LEASE,	 CAUSE_VERSION,
	};
	size_t i;

	for (i = 0; i < sizeof(stay) / sizeof(stay[0]); i++)
		assert_false(error_passes(stay[i]));
	assert_int_equal(error_of_host(-ENOSPC), CAUSE_RESOURCES);
	assert_int_equal(error_of_host(-ENOMEM), CAUSE_RESOURCES);
	assert_int_equal(error_of_host(-ENOENT), CAUSE_INTERNAL);
	assert_int_equal(error_of_host(-EACCES), CAUSE_INTERNAL);
}

static void the_first_error_stays(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(error_set(&e, -1, CAUSE_STORE, "the %s", "disk"), -1);
	assert_int_equal(error_set(&e, -2, CAUSE_ENGINE, "the rest"), -2);
	assert_int_equal(e.cause, CAUSE_STORE);
	assert_string_equal(e.text, "the disk");
	assert_int_equal(error_set(NULL, -3, CAUSE_ENGINE, "nobody"), -3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_document_says_what_the_code_does),
		cmocka_unit_test(what_is_no_cause),
		cmocka_unit_test(only_what_may_pass_passes),
		cmocka_unit_test(the_first_error_stays),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
