/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/uuidtext.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define RANDOM "5f0c1a2b-3c4d-4e5f-8071-8293a4B5c6D7"

static void the_form_is_parsed(void **state)
{
	static const uint8_t bytes[UUIDTEXT_SIZE] = {0x5f, 0x0c, 0x1a, 0x2b, 0x3c, 0x4d,
						     0x4e, 0x5f, 0x80, 0x71, 0x82, 0x93,
						     0xa4, 0xb5, 0xc6, 0xd7};
	uint8_t uuid[UUIDTEXT_SIZE];

	assert_int_equal(uuidtext_parse(RANDOM, uuid), 0);
	assert_memory_equal(uuid, bytes, sizeof(bytes));
}

static void another_form_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"5f0c1a2b",
		"5f0c1a2b3c4d4e5f80718293a4b5c6d7",
		"5f0c1a2b-3c4d-4e5f-8071-8293a4b5c6d",
		"5f0c1a2b-3c4d-4e5f-8071-8293a4b5c6d70",
		"5f0c1a2b-3c4d-4e5f-8071-8293a4b5c6dg",
		"5f0c1a2b-3c4d-4e5f-8071--293a4b5c6d7",
		"5f0c1a2b-3c4d-4e5f08071-8293a4b5c6d7",
		"{f0c1a2b-3c4d-4e5f-8071-8293a4b5c6d7",
		"5f0c1a2b-3c4d-4e5f-8071-8293a4b5c6d7 ",
	};
	uint8_t uuid[UUIDTEXT_SIZE];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(uuidtext_parse(bad[i], uuid), -EINVAL);
}

static bool is_random(const char *text)
{
	uint8_t uuid[UUIDTEXT_SIZE];

	assert_int_equal(uuidtext_parse(text, uuid), 0);
	return uuidtext_is_random(uuid);
}

static void version_4_alone_is_random(void **state)
{
	assert_true(is_random(RANDOM));
	assert_true(is_random("5f0c1a2b-3c4d-4e5f-bfff-8293a4b5c6d7"));
	assert_false(is_random("5f0c1a2b-3c4d-8e5f-8071-8293a4b5c6d7"));
	assert_false(is_random("5f0c1a2b-3c4d-1e5f-8071-8293a4b5c6d7"));
	/* another variant */
	assert_false(is_random("5f0c1a2b-3c4d-4e5f-c071-8293a4b5c6d7"));
	assert_false(is_random("5f0c1a2b-3c4d-4e5f-7071-8293a4b5c6d7"));
	assert_false(is_random("00000000-0000-0000-0000-000000000000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_form_is_parsed),
		cmocka_unit_test(another_form_is_refused),
		cmocka_unit_test(version_4_alone_is_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
