/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <stdio.h>
#include <string.h>
#include "stubdom/kernel/print.h"

static char console[512];

static void write_text(const char *text, size_t len)
{
	assert_true(len < sizeof(console));
	memcpy(console, text, len);
	console[len] = '\0';
}

#define SAME(...)                                                               \
	do {                                                                    \
		char ours[64], libc[64];                                        \
		size_t n = print_to(ours, sizeof(ours), __VA_ARGS__);           \
		assert_int_equal(n, snprintf(libc, sizeof(libc), __VA_ARGS__)); \
		assert_string_equal(ours, libc);                                \
	} while (0)

static void like_the_c_library(void **state)
{
	SAME("plain %%");
	SAME("%s %.*s %c", "text", 2, "abc", 'x');
	SAME("%d %d %u %x", -5, 0x7fffffff, 0xffffffff, 0xabc);
	SAME("%lu %lx %016lx", ~0UL, ~0UL, 0x1234UL);
	SAME("%8x|%02x", 0x1f, 5);
}

static void never_too_long(void **state)
{
	char out[8];

	memset(out, 'z', sizeof(out));
	assert_int_equal(print_to(out, 6, "%s", "0123456789"), 5);
	assert_string_equal(out, "01234");
	assert_int_equal(out[6], 'z');
}

static void lines(void **state)
{
	char text[600];

	print_line("%d", 7);
	assert_string_equal(console, "stub: 7\n");
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	print_line("%s", text);
	assert_int_equal(console[strlen(console) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(like_the_c_library),
		cmocka_unit_test(never_too_long),
		cmocka_unit_test(lines),
	};

	print_set_console(write_text, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
