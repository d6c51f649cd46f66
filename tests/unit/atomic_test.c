/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A power cut after every single step of a write, on a disk that loses what was not
 * synced, and every error that the disk can report at every step.  The linker puts
 * this disk in the place of the system's calls.
 *
 * The disk: a file's bytes are durable after fsync() of the file; before, a cut
 * leaves all, half or none of them.  Names are durable after fsync() of the folder;
 * before, a cut leaves any prefix of the changes, in their order, as journals do.
 */
#include "tests/unit/unit.h"
#include "lib/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DIR_FD	  100
#define FILE_FD	  200 /* + number of the inode */
#define INODES	  32
#define NAMES	  8
#define CHANGES	  16
#define BYTES	  32
#define NO_INODE  (-1)
#define STEPS_MAX 40

struct inode {
	char bytes[BYTES], synced[BYTES];
	size_t len, synced_len;
};

struct names {
	char name[NAMES][32];
	int inode[NAMES]; /* NO_INODE: free */
};

static struct disk {
	struct inode inodes[INODES];
	int inode_count;
	/* [0]: the synced names; then as they were after each change since */
	struct names names[CHANGES];
	int changes;
} disk;

static int step, cut_at, fail_at, fail_with;
static jmp_buf power_cut;

/* One step of the disk; a step that fails changes nothing. */
static int next_step(void)
{
	if (step == cut_at)
		longjmp(power_cut, 1);
	if (step++ != fail_at)
		return 0;
	errno = fail_with;
	return -1;
}

static struct names *now(void)
{
	return &disk.names[disk.changes];
}

static int find(const struct names *n, const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (n->inode[i] != NO_INODE && !strcmp(n->name[i], name))
			return i;
	return -1;
}

/* A copy of the names, to be changed. */
static struct names *change(void)
{
	assert_true(disk.changes + 1 < CHANGES);
	disk.names[disk.changes + 1] = *now();
	disk.changes++;
	return now();
}

static void put_name(struct names *n, const char *name, int inode)
{
	int i = find(n, name);

	for (int j = 0; i < 0 && j < NAMES; j++)
		if (n->inode[j] == NO_INODE)
			i = j;
	assert_true(i >= 0);
	snprintf(n->name[i], sizeof(n->name[i]), "%s", name);
	n->inode[i] = inode;
}

int __wrap_openat(int dir, const char *name, int flags, mode_t mode);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);

int __wrap_openat(int dir, const char *name, int flags, mode_t mode)
{
	assert_int_equal(dir, DIR_FD);
	assert_true(flags & O_CREAT && flags & O_EXCL);
	if (next_step())
		return -1;
	if (find(now(), name) >= 0) {
		errno = EEXIST;
		return -1;
	}
	assert_true(disk.inode_count < INODES);
	memset(&disk.inodes[disk.inode_count], 0, sizeof(struct inode));
	put_name(change(), name, disk.inode_count);
	return FILE_FD + disk.inode_count++;
}

/* A few bytes at a time. */
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	struct inode *n = &disk.inodes[fd - FILE_FD];

	if (next_step())
		return -1;
	len = len > 3 ? 3 : len;
	assert_true(n->len + len <= BYTES);
	memcpy(n->bytes + n->len, buf, len);
	n->len += len;
	return (ssize_t)len;
}

int __wrap_fsync(int fd)
{
	struct inode *n;

	if (next_step())
		return -1;
	if (fd == DIR_FD) {
		disk.names[0] = *now();
		disk.changes = 0;
		return 0;
	}
	n = &disk.inodes[fd - FILE_FD];
	memcpy(n->synced, n->bytes, BYTES);
	n->synced_len = n->len;
	return 0;
}

int __wrap_close(int fd)
{
	return next_step();
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	struct names *n;
	int a = find(now(), from), b = find(now(), to);

	if (next_step())
		return -1;
	if (a < 0) {
		errno = ENOENT;
		return -1;
	}
	/* rename(2): of two names of one file, both stay */
	if (b >= 0 && now()->inode[a] == now()->inode[b])
		return 0;
	n = change();
	put_name(n, to, n->inode[a]);
	n->inode[a] = NO_INODE;
	return 0;
}

int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	int a = find(now(), from);

	if (next_step())
		return -1;
	if (a < 0 || find(now(), to) >= 0) {
		errno = a < 0 ? ENOENT : EEXIST;
		return -1;
	}
	put_name(change(), to, now()->inode[a]);
	return 0;
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	int a = find(now(), name);

	if (next_step())
		return -1;
	if (a < 0) {
		errno = ENOENT;
		return -1;
	}
	change()->inode[a] = NO_INODE;
	return 0;
}

static void new_disk(void)
{
	memset(&disk, 0, sizeof(disk));
	for (int i = 0; i < NAMES; i++)
		disk.names[0].inode[i] = NO_INODE;
	step = 0;
	cut_at = fail_at = -1;
}

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

/* What the disk may hold once the power is back: names of one of the changes, and
 * of each file all, half or none of what was not synced. */
static void lose(struct disk *after, int change_kept, int bytes_kept)
{
	*after = disk;
	after->names[0] = disk.names[change_kept];
	after->changes = 0;
	for (int i = 0; i < after->inode_count; i++) {
		struct inode *n = &after->inodes[i];

		if (n->len != n->synced_len && bytes_kept < 2)
			n->len = bytes_kept ? n->len / 2 : n->synced_len;
		memcpy(n->synced, n->bytes, BYTES);
		n->synced_len = n->len;
	}
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
