/* SPDX-License-Identifier: Apache-2.0 */
/* A power cut after every single step of a write, on a disk that loses what was not
 * synced, and every error that the disk can report at every step. */
#include "tests/unit/disk.h"
#include "lib/atomic.h"

#define STEPS_MAX 40

/* Whether the file of that name holds text, or is not there when text is NULL. */
static bool holds(const struct names *n, const char *name, const char *text)
{
	int i = find(n, name);
	const struct inode *f;

	if (i < 0 || !text)
		return i < 0 && !text;
	f = &disk.inodes[n->inode[i]];
	return f->len == strlen(text) && !memcmp(f->bytes, text, f->len);
}

static int put(const char *text, bool keep)
{
	return atomic_write(DIR_FD, "f", text, strlen(text), keep);
}

/* From the disk as it stands: "old" or nothing, while "new" was being written. */
static void check_after_cut(const char *old, bool acknowledged)
{
	struct disk at_cut = disk, after;
	int changes = disk.changes;

	for (int c = 0; c <= changes; c++) {
		for (int b = 0; b < 3; b++) {
			disk = at_cut;
			lose(&after, c, b);
			disk = after;
			if (acknowledged)
				assert_true(holds(now(), "f", "new state"));
			else
				assert_true(holds(now(), "f", old) ||
					    holds(now(), "f", "new state"));
			assert_true(holds(now(), "f.prev", NULL) ||
				    holds(now(), "f.prev", "older") ||
				    holds(now(), "f.prev", "old"));
			/* and what lies about does not hinder the next write */
			cut_at = fail_at = -1;
			assert_int_equal(put("newest", true), 0);
			assert_true(holds(&disk.names[0], "f", "newest"));
		}
	}
	disk = at_cut;
}

/* Two whole writes, then one that is cut after `cut` steps; whether it was. */
static bool cut_after(int cut, bool keep, bool first)
{
	const char *old = first ? NULL : "old";
	int rc;

	new_disk();
	if (!first) {
		assert_int_equal(put("older", keep), 0);
		assert_int_equal(put("old", keep), 0);
	}
	step = 0;
	cut_at = cut;
	if (setjmp(power_cut)) {
		check_after_cut(old, false);
		return true;
	}
	rc = put("new state", keep);
	cut_at = -1;
	assert_int_equal(rc, 0);
	check_after_cut(old, true);
	return false;
}

static void a_power_cut_after_every_step(void **state)
{
	int cuts, all = 0;

	for (int way = 0; way < 4; way++) {
		for (cuts = 0; cut_after(cuts, way & 1, way & 2); cuts++)
			assert_true(cuts < STEPS_MAX);
		assert_true(cuts >= 7); /* create, write*3, fsync, close, rename, fsync */
		all += cuts;
	}
	print_message("# %d power cuts\n", all);
}

/* The disk reports an error at one step: so does the write, nothing is lost, and the
 * next one goes well. */
static void an_error_at_every_step(void **state)
{
	static const int errors[] = {ENOSPC, EIO, EROFS, EDQUOT};
	int rc, steps;

	for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
		for (steps = 0; steps < STEPS_MAX; steps++) {
			new_disk();
			assert_int_equal(put("old", true), 0);
			step = 0;
			fail_at = steps;
			fail_with = errors[e];
			rc = put("new state", true);
			if (step <= steps)
				break;
			fail_at = -1;
			assert_true(rc == -errors[e] || rc == 0);
			/* after an error the new bytes may be there, but whole */
			assert_true(holds(now(), "f", "new state") ||
				    (rc && holds(now(), "f", "old")));
			assert_int_equal(put("newest", true), 0);
			assert_true(holds(&disk.names[0], "f", "newest"));
		}
		assert_true(steps >= 9 && steps < STEPS_MAX);
	}
}

static void names_that_are_too_long(void **state)
{
	char name[80];

	new_disk();
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(atomic_write(DIR_FD, name, "x", 1, false), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_after_every_step),
		cmocka_unit_test(an_error_at_every_step),
		cmocka_unit_test(names_that_are_too_long),
	};

	return cmocka_run_group_tests_name("atomic", tests, NULL, NULL);
}
