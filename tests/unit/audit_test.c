/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/audit-test.XXXXXX", path[64];
static struct audit_result r;

static int setup(void **state)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/log/audit.log", folder);
	return 0;
}

static int teardown(void **state)
{
	char sub[64];

	unlink(path);
	snprintf(sub, sizeof(sub), "%s/log", folder);
	rmdir(sub);
	return rmdir(folder);
}

static void note(const char *event, const char *detail)
{
	const struct audit_event a = {event, "web1", "uuid", detail};

	assert_int_equal(audit_append(path, &a), 0);
}

static void three_lines(void)
{
	note("create", NULL);
	note("open", "a \"detail\"\nof two lines");
	note("delete", "the end");
}

static void verify(size_t lines, size_t bad)
{
	assert_int_equal(audit_verify(path, &r), 0);
	assert_int_equal(r.lines, lines);
	assert_int_equal(r.bad, bad);
}

/* The whole file, for the tests to change. */
static size_t slurp(char *buf, size_t room)
{
	FILE *f = fopen(path, "rb");
	size_t n = fread(buf, 1, room - 1, f);

	fclose(f);
	buf[n] = '\0';
	return n;
}

static void spill(const char *buf, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_int_equal(fwrite(buf, 1, n, f), n);
	fclose(f);
}

static void a_chain(void **state)
{
	char last[AUDIT_HASH_HEX];
	struct stat st;

	assert_int_equal(audit_verify(path, &r), -ENOENT);
	three_lines();
	verify(3, 0);
	assert_int_equal(r.torn, 0);
	memcpy(last, r.last, sizeof(last));
	note("open", NULL);
	verify(4, 0);
	assert_string_not_equal(last, r.last);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Every byte: a change is seen, in the line where it was made or in the next one. */
static void every_changed_byte(void **state)
{
	char buf[4096];
	size_t n, at, lines;

	three_lines();
	note("last", NULL);
	n = slurp(buf, sizeof(buf));
	for (at = 0, lines = 1; at < n; lines += buf[at++] == '\n') {
		/* the last line, and the end of the one before: nothing is behind
		 * them that would know */
		if (lines == 3 && buf[at] == '\n')
			break;
		buf[at] ^= 1;
		spill(buf, n);
		buf[at] ^= 1;
		assert_int_equal(audit_verify(path, &r), 0);
		assert_true(r.bad >= lines && r.bad <= lines + 1);
	}
}

static void lines_out_and_in(void **state)
{
	char buf[4096], other[4096], *second, *third;
	size_t n;

	three_lines();
	n = slurp(buf, sizeof(buf));
	second = strchr(buf, '\n') + 1;
	third = strchr(second, '\n') + 1;
	/* without the second */
	memcpy(other, buf, (size_t)(second - buf));
	memcpy(other + (second - buf), third, n - (size_t)(third - buf));
	spill(other, n - (size_t)(third - second));
	verify(2, 2);
	/* without the first */
	spill(second, n - (size_t)(second - buf));
	verify(1, 1);
	/* the second twice */
	memcpy(other, buf, (size_t)(third - buf));
	memcpy(other + (third - buf), second, n - (size_t)(second - buf));
	spill(other, n + (size_t)(third - second));
	verify(3, 3);
}

/* A power cut in the midst of a line: it goes on behind it, and is no forgery. */
static void a_torn_line(void **state)
{
	char buf[4096];
	size_t n;

	three_lines();
	n = slurp(buf, sizeof(buf));
	spill(buf, n - 20);
	verify(3, 0);
	assert_int_equal(r.torn, 1);
	note("open", "after the power cut");
	verify(4, 0);
	assert_int_equal(r.torn, 1);
	note("open", NULL);
	verify(5, 0);
}

static void what_cannot_be_written(void **state)
{
	static char huge[8192];
	const struct audit_event a = {"event", "web1", NULL, huge};

	memset(huge, 'x', sizeof(huge) - 1);
	assert_int_equal(audit_append(path, &a), -EMSGSIZE);
	assert_true(audit_append("/proc/no/such", &a) < 0);
	note("open", NULL);
	verify(1, 0);
}

#define AUDIT_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AUDIT_TEST(a_chain),
		AUDIT_TEST(every_changed_byte),
		AUDIT_TEST(lines_out_and_in),
		AUDIT_TEST(a_torn_line),
		AUDIT_TEST(what_cannot_be_written),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
