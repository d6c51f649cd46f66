/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/table.h"
#include "compiler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[4096];

/* What a table prints. */
static void print(const struct table_row *rows, size_t count)
{
	static const char *const heads[] = {"NAME", "GUEST", "SLOTS"};
	FILE *f = tmpfile();
	int out = dup(STDOUT_FILENO);
	size_t n;

	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	table_print(heads, ARRAY_SIZE(heads), 1u << 1, rows, count);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
}

static void columns_are_as_wide_as_needed(void **state)
{
	static const struct table_row rows[] = {
		{.cell = {"web1", "7", "host"}},
		{.cell = {"longer", "12345", "host,recovery"}},
	};

	print(rows, 2);
	assert_string_equal(text, "NAME    GUEST  SLOTS\n"
				  "web1        7  host\n"
				  "longer  12345  host,recovery\n");
}

static void a_long_name_has_its_own_line(void **state)
{
	static const struct table_row rows[] = {
		{.cell = {"web1", "7", "host"}},
		{.cell = {"abcdefghijklmnopqrstuvwxyz", "8", "tpm"}},
	};

	print(rows, 2);
	assert_string_equal(text, "NAME  GUEST  SLOTS\n"
				  "web1      7  host\n"
				  "abcdefghijklmnopqrstuvwxyz\n"
				  "          8  tpm\n");
}

static void notes_are_broken_between_words(void **state)
{
	struct table_row row = {.cell = {"web1", "-", "host"}};
	char *line, *save;
	size_t i;

	for (i = 0; i < 60; i++)
		strcat(row.note, i ? " word" : "word");
	print(&row, 1);
	line = strtok_r(text, "\n", &save);
	for (i = 0; line; i++, line = strtok_r(NULL, "\n", &save)) {
		assert_true(strlen(line) <= TABLE_WIDTH);
		if (i > 1)
			assert_memory_equal(line, "      word", 10);
	}
	assert_true(i > 4);
}

static void count(double value, const char *want)
{
	char out[TABLE_CELL];

	table_count(value, out);
	assert_string_equal(out, want);
	assert_true(strlen(out) <= 5);
}

static void counts_are_short(void **state)
{
	count(-1, "-");
	count(0, "0");
	count(0.5, "0.5");
	count(999, "999");
	count(1000, "1.0k");
	count(99949, "99.9k");
	count(99950, "100k");
	count(999499, "999k");
	count(999500, "1.0M");
	count(4711, "4.7k");
	count(1.8e19, "18.0E");
}

static void span(int64_t seconds, const char *want)
{
	char out[TABLE_CELL];

	table_time(seconds, out);
	assert_string_equal(out, want);
}

static void times_are_short(void **state)
{
	span(-1, "-");
	span(0, "0s");
	span(59, "59s");
	span(60, "1m");
	span(3599, "59m");
	span(3600, "1h00m");
	span(86399, "23h59m");
	span(86400, "1d00h");
	span(8640000, "100d00h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_needed),
		cmocka_unit_test(a_long_name_has_its_own_line),
		cmocka_unit_test(notes_are_broken_between_words),
		cmocka_unit_test(counts_are_short),
		cmocka_unit_test(times_are_short),
	};

	return cmocka_run_group_tests_name("vtpmctl_table", tests, NULL, NULL);
}
