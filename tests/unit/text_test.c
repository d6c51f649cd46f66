/* SPDX-License-Identifier: Apache-2.0 */
/* Text of others is printable UTF-8 afterwards, whatever it was. */
#include "tests/unit/unit.h"
#include "lib/text.h"

#include <string.h>

static void becomes(const char *in, const char *want)
{
	char out[100];

	text_clean(out, sizeof(out), in, strlen(in));
	assert_string_equal(out, want);
	assert_int_equal(text_is_clean(in, strlen(in)), !strcmp(in, want));
	assert_true(text_is_clean(out, strlen(out)));
}

static void text_stays(void **state)
{
	becomes("", "");
	becomes("The key is revoked: see `vtpmctl show`. ~",
		"The key is revoked: see `vtpmctl show`. ~");
	becomes("Schl\xc3\xbcssel \xe2\x82\xac \xf0\x9f\x94\x91",
		"Schl\xc3\xbcssel \xe2\x82\xac \xf0\x9f\x94\x91");
}

static void controls(void **state)
{
	becomes("a\x1b[2Jb\r\n\tc\x7f", "a?[2Jb???c?");
	becomes("C1: \xc2\x9b"
		"31m",
		"C1: ?31m"); /* CSI as one character */
	becomes("a\xe2\x80\xae"
		"b\xe2\x81\xa6"
		"c\xe2\x80\xa8"
		"d\xe2\x80\x8b"
		"e\xef\xbb\xbf"
		"f",
		"a?b?c?d?e?f");
	becomes("\xf3\xa0\x81\x81", "?");
}

static void not_utf8(void **state)
{
	becomes("\xff\xfe", "??");
	becomes("a\x80"
		"b\xc3",
		"a?b?");
	becomes("\xc0\xaf\xc1\x81", "????"); /* overlong */
	becomes("\xe0\x80\xaf", "???");	     /* overlong */
	becomes("\xf0\x80\x80\xaf", "????"); /* overlong */
	becomes("\xed\xa0\x80", "?");	     /* a surrogate */
	becomes("\xf4\x90\x80\x80", "????"); /* above 10FFFF */
	becomes("\xe2\x82", "??");	     /* cut off */
	becomes("\xe2\x82"
		"ab",
		"??ab");
}

static void a_zero_is_no_end(void **state)
{
	char out[10];

	text_clean(out, sizeof(out), "a\0b", 3);
	assert_string_equal(out, "a?b");
	assert_false(text_is_clean("a\0b", 3));
}

static void what_does_not_fit(void **state)
{
	char out[4] = "xxx";

	text_clean(out, 0, "abc", 3);
	assert_int_equal(out[0], 'x');
	text_clean(out, 1, "abc", 3);
	assert_string_equal(out, "");
	text_clean(out, 4, "abcdef", 6);
	assert_string_equal(out, "abc");
	text_clean(out, 4, "ab\xe2\x82\xac", 5); /* no half character */
	assert_string_equal(out, "ab");
	text_clean(out, 4, "\xe2\x82\xac", 3);
	assert_string_equal(out, "\xe2\x82\xac");
}

static void in_place(void **state)
{
	char text[] = "\xe2\x82\xac\x1b\xe2\x80\xae"
		      "end";

	text_clean(text, sizeof(text), text, strlen(text));
	assert_string_equal(text, "\xe2\x82\xac??end");
}

static void arguments(void **state)
{
	char *good[] = {"vtpmctl", "show", "Schl\303\274ssel"};
	char *bad[] = {"vtpmctl", "show", "a\nb", "c\033"};
	char out[8] = "";

	assert_true(text_are_clean(ARRAY_SIZE(good), good, out, sizeof(out)));
	assert_false(text_are_clean(ARRAY_SIZE(bad), bad, out, sizeof(out)));
	assert_string_equal(out, "a?b");
}

static unsigned int unclean_line(const char *text)
{
	return text_unclean_line(text, strlen(text));
}

static void lines_of_files(void **state)
{
	assert_int_equal(unclean_line(""), 0);
	assert_int_equal(unclean_line("a = 'b'\n\tc = \"d\"\r\n"), 0);
	assert_int_equal(unclean_line("# f\374r\na = 'b' # \033\n# don't\n"), 0);
	assert_int_equal(unclean_line("a = '# \033'\n"), 1);
	assert_int_equal(unclean_line("\na = \"'# \342\200\256\""), 2);
	assert_int_equal(unclean_line("a\rb\n"), 1);
	assert_int_equal(unclean_line("a\n\n\rb"), 3);
	assert_int_equal(unclean_line("a = '\n# \374"), 0);
	assert_int_equal(text_unclean_line("a\0b\n", 4), 1);
	assert_int_equal(unclean_line("a = 'b\\n'\n"), 1);
	assert_int_equal(unclean_line("a = 'b\\\\n'\n"), 0);
	assert_int_equal(unclean_line("\na = \"\\027\"\n"), 2);
	assert_int_equal(unclean_line("a = 'b' # \\n\n"), 0);
	assert_int_equal(unclean_line("a = \"\\\"# b\"\n"), 0);
	assert_int_equal(unclean_line("a = \"\\\"# \033\"\n"), 1);
	assert_int_equal(unclean_line("a = '\\"), 0);
	assert_int_equal(text_unclean_line("a = '\\\0'", 7), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays),	     cmocka_unit_test(controls),
		cmocka_unit_test(not_utf8),	     cmocka_unit_test(a_zero_is_no_end),
		cmocka_unit_test(what_does_not_fit), cmocka_unit_test(in_place),
		cmocka_unit_test(arguments),	     cmocka_unit_test(lines_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
