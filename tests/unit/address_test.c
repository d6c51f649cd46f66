/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/text.h"

#include <errno.h>
#include <string.h>

static void takes_them_in_order(void **state)
{
	static const char list[] = "a:1,[::1]:2,10.0.0.1:3";
	char one[ADDRESS_MAX];

	assert_int_equal(address_count(list), 3);
	assert_int_equal(address_nth(list, 0, one), 0);
	assert_string_equal(one, "a:1");
	assert_int_equal(address_nth(list, 1, one), 0);
	assert_string_equal(one, "[::1]:2");
	assert_int_equal(address_nth(list, 2, one), 0);
	assert_string_equal(one, "10.0.0.1:3");
	assert_int_equal(address_nth(list, 3, one), -ENOENT);
	assert_int_equal(address_nth(list, 65535, one), -ENOENT);
	assert_int_equal(address_count("a:1"), 1);
}

static void refuses_what_is_no_list(void **state)
{
	static const char *const bad[] = {"",	  ",",	      "a:1,",
					  ",a:1", "a:1,,b:2", "a:1,b:2,c:3,d:4,e:5"};
	char one[ADDRESS_MAX], list[2 * ADDRESS_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(address_count(bad[i]), 0);
	memset(list, 'a', sizeof(list));
	list[ADDRESS_MAX] = '\0';
	assert_int_equal(address_nth(list, 0, one), -EINVAL);
	list[ADDRESS_MAX - 1] = '\0';
	assert_int_equal(address_nth(list, 0, one), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_them_in_order),
		cmocka_unit_test(refuses_what_is_no_list),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
