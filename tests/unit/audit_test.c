/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "compiler.h"
#include "lib/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/audit-test.XXXXXX", path[64];
static struct audit_head head, none;
static struct audit_result r;

static int setup(void **state)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/log/audit.log", folder);
	head = none;
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void note(const char *event, const char *detail)
{
	const struct audit_event a = {event, "web1", "uuid", detail, 0};

	assert_int_equal(audit_append(path, &head, &a), 0);
}

static void three_lines(void)
{
	note("create", NULL);
	note("open", "a \"detail\"\nof two lines");
	note("delete", "the end");
}

/* wrong: AUDIT_FITS, or what is the matter with that line of that file */
static void verify(size_t entries, enum audit_wrong wrong, unsigned int file, size_t line)
{
	assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), 0);
	assert_int_equal(r.entries, entries);
	assert_int_equal(r.wrong, wrong);
	assert_int_equal(r.file, file);
	assert_int_equal(r.line, line);
}

/* It is whole, and ends where it has to. */
static void verify_whole(uint64_t first, size_t entries)
{
	verify(entries, AUDIT_FITS, 0, 0);
	assert_int_equal(r.first, first);
	assert_true(r.has && audit_head_equal(&r.end, &head));
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

static void move(const char *from, const char *to)
{
	char old[96], new[96];

	snprintf(old, sizeof(old), "%s%s", path, from);
	snprintf(new, sizeof(new), "%s%s", path, to);
	assert_int_equal(rename(old, new), 0);
}

static void a_chain(void **state)
{
	struct audit_head last;
	struct stat st;

	verify(0, AUDIT_FITS, 0, 0);
	assert_true(r.has);
	three_lines();
	verify_whole(1, 3);
	assert_int_equal(r.torn, 0);
	assert_int_equal(head.n, 3);
	last = head;
	note("open", NULL);
	verify_whole(1, 4);
	assert_false(audit_head_equal(&last, &head));
	/* one that was its end once */
	assert_int_equal(audit_read(path, &last, SIZE_MAX, &r), 0);
	assert_true(r.has);
	last.hash[0] ^= 1;
	assert_int_equal(audit_read(path, &last, SIZE_MAX, &r), 0);
	assert_false(r.has);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Every byte, by whatever other: a change is seen. */
static void every_changed_byte(void **state)
{
	static const char with[] = {0, '\n', 'x', '"'};
	char buf[4096], was;
	size_t n, at, i;

	three_lines();
	note("last", NULL);
	n = slurp(buf, sizeof(buf));
	/* the last line's end may lack */
	for (at = 0; at + 1 < n; at++)
		for (i = 0; i < ARRAY_SIZE(with); i++) {
			was = buf[at];
			if (was == with[i])
				continue;
			buf[at] = with[i];
			spill(buf, n);
			buf[at] = was;
			assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), 0);
			assert_true(r.wrong || !r.has);
		}
}

/* Nor may anything be put in. */
static void every_byte_put_in(void **state)
{
	static const char with[] = {0, 'x', ' '};
	char buf[4096], other[4096];
	size_t n, at, i;

	three_lines();
	n = slurp(buf, sizeof(buf));
	for (at = 0; at < n; at++)
		for (i = 0; i < ARRAY_SIZE(with); i++) {
			memcpy(other, buf, at);
			other[at] = with[i];
			memcpy(other + at + 1, buf + at, n - at);
			spill(other, n + 1);
			assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), 0);
			assert_true(r.wrong || !r.has);
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
	verify(2, AUDIT_GAP, 0, 2);
	assert_int_equal(r.missing, 2);
	/* without the first */
	spill(second, n - (size_t)(second - buf));
	verify(2, AUDIT_FITS, 0, 0);
	assert_int_equal(r.first, 2);
	assert_int_equal(r.kept, 1);
	/* the second twice */
	memcpy(other, buf, (size_t)(third - buf));
	memcpy(other + (third - buf), second, n - (size_t)(second - buf));
	spill(other, n + (size_t)(third - second));
	verify(4, AUDIT_ALTERED, 0, 3);
	/* without the last */
	spill(buf, (size_t)(third - buf));
	verify(2, AUDIT_FITS, 0, 0);
	assert_false(r.has);
}

/* A power cut in the midst of a line: it goes on behind it, and is no forgery. */
static void a_torn_line(void **state)
{
	char buf[4096];
	size_t n;

	three_lines();
	n = slurp(buf, sizeof(buf));
	spill(buf, n - 20);
	verify(2, AUDIT_FITS, 0, 0);
	assert_int_equal(r.torn, 1);
	head = r.end; /* as vtpmd does that starts */
	note("open", "after the power cut");
	verify_whole(1, 3);
	assert_int_equal(r.torn, 1);
	note("open", NULL);
	verify_whole(1, 4);
	/* it is the first line */
	spill("{\"n\":", 5);
	head = none;
	assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), 0);
	head = r.end;
	note("open", NULL);
	verify_whole(1, 1);
}

static void over_rotation(void **state)
{
	struct audit_event a = {.event = "rotate", .first = 3};

	note("one", NULL);
	note("two", NULL);
	move("", ".1");
	note("three", NULL);
	move(".1", ".2");
	move("", ".1");
	note("four", NULL);
	verify_whole(1, 4);
	assert_int_equal(r.files, 3);
	/* with a hole, with two swapped, with a name that is not one of ours */
	move(".1", ".x");
	verify(3, AUDIT_GAP, 0, 1);
	assert_string_equal(r.other, "audit.log.x");
	move(".2", ".1");
	move(".x", ".2");
	verify(4, AUDIT_ALTERED, 1, 1);
	/* what has to be there is what the newest "rotate" says */
	move(".2", ".10");
	move(".1", ".11");
	assert_int_equal(audit_append(path, &head, &a), 0);
	verify_whole(1, 5);
	move(".11", ".gz");
	verify_whole(3, 3);
	assert_int_equal(r.kept, 3);
	assert_string_equal(r.other, "audit.log.gz");
}

static void what_cannot_be_written(void **state)
{
	static char huge[8192];
	const struct audit_event a = {"event", "web1", NULL, huge, 0};

	memset(huge, 'x', sizeof(huge) - 1);
	assert_int_equal(audit_append(path, &head, &a), -EMSGSIZE);
	assert_true(audit_append("/proc/no/such", &head, &a) < 0);
	assert_int_equal(head.n, 0);
	note("open", NULL);
	verify_whole(1, 1);
}

/* Somebody else's file in its place neither holds up nor is written to. */
static void what_is_no_file(void **state)
{
	const struct audit_event a = {.event = "open"};

	three_lines();
	move("", ".1");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), -EINVAL);
	assert_int_equal(audit_append(path, &head, &a), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), -ELOOP);
	assert_int_equal(audit_append(path, &head, &a), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(truncate(strcat(path, ".1"), 1 << 20), 0);
	path[strlen(path) - 2] = '\0';
	assert_int_equal(audit_read(path, &head, 1 << 19, &r), -EFBIG);
	assert_int_equal(audit_read(path, &head, SIZE_MAX, &r), 0);
	assert_true(r.end.n == 3 && !audit_head_equal(&r.end, &head));
}

#define AUDIT_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AUDIT_TEST(a_chain),
		AUDIT_TEST(every_changed_byte),
		AUDIT_TEST(every_byte_put_in),
		AUDIT_TEST(lines_out_and_in),
		AUDIT_TEST(a_torn_line),
		AUDIT_TEST(over_rotation),
		AUDIT_TEST(what_cannot_be_written),
		AUDIT_TEST(what_is_no_file),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
