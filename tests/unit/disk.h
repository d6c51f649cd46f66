/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory for tests of what outlives a power cut: the linker puts it in the
 * place of the system's calls (DISK_WRAPS in lib/lib.mk).
 *
 * A file's bytes are durable after fsync() or fdatasync() of the file; before, a cut leaves
 * all, half or none of them, also of those that were overwritten in place.  Names are durable after fsync() of the folder; before, a cut leaves
 * any prefix of the changes, in their order, as journals do.
 */
#ifndef XVTPM_TEST_DISK_H
#define XVTPM_TEST_DISK_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DIR_FD	100
#define FILE_FD 200 /* + number of the inode */
#ifndef INODES
#define INODES 32
#endif
#define NAMES	 8
#define CHANGES	 16
#define NO_INODE (-1)
#ifndef DISK_BYTES
#define DISK_BYTES 32
#define DISK_PIECE 3 /* that one write() takes */
#endif

struct inode {
	char bytes[DISK_BYTES], synced[DISK_BYTES];
	/* an fsync() of them has failed: the next one takes them for written, as Linux does */
	bool dropped[DISK_BYTES / DISK_PIECE + 1];
	size_t len, synced_len, read;
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
static bool fails_for_good;	     /* each step from fail_at on */
static bool reads_fail;		     /* with EIO */
static bool bad[INODES][DISK_BYTES]; /* what no read gets any more: EIO */
static jmp_buf power_cut;

/* One step of the disk; a step that fails changes nothing. */
static int next_step(void)
{
	if (step == cut_at)
		longjmp(power_cut, 1);
	if (step++ != fail_at && !(fails_for_good && fail_at >= 0 && step > fail_at))
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
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_statx(int fd, const char *none, int flags, unsigned int mask,
		 struct statx *st);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);

/* Reading is no step: it changes nothing that a cut could leave. */
static int open_for_reading(const char *name)
{
	int i = find(now(), name);

	if (i < 0) {
		errno = ENOENT;
		return -1;
	}
	disk.inodes[now()->inode[i]].read = 0;
	return FILE_FD + now()->inode[i];
}

int __wrap_openat(int dir, const char *name, int flags, mode_t mode)
{
	assert_int_equal(dir, DIR_FD);
	if (!(flags & O_CREAT))
		return open_for_reading(name);
	assert_true(flags & O_EXCL);
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

static void mark_dropped(struct inode *n, size_t at, size_t len, bool dropped)
{
	for (size_t i = at; i < at + len; i++)
		n->dropped[i / DISK_PIECE] = dropped;
}

/* A few bytes at a time. */
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	struct inode *n = &disk.inodes[fd - FILE_FD];

	if (next_step())
		return -1;
	len = len > DISK_PIECE ? DISK_PIECE : len;
	assert_true(n->len + len <= DISK_BYTES);
	memcpy(n->bytes + n->len, buf, len);
	mark_dropped(n, n->len, len, false);
	n->len += len;
	return (ssize_t)len;
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	struct inode *n = &disk.inodes[fd - FILE_FD];

	if (reads_fail) {
		errno = EIO;
		return -1;
	}
	if (len > n->len - n->read)
		len = n->len - n->read;
	for (size_t i = 0; i < len; i++)
		if (bad[fd - FILE_FD][n->read + i])
			len = i;
	if (!len && n->read < n->len) {
		errno = EIO;
		return -1;
	}
	memcpy(buf, n->bytes + n->read, len);
	n->read += len;
	return (ssize_t)len;
}

/* Overwrites what is there. */
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	struct inode *n = &disk.inodes[fd - FILE_FD];

	if (next_step())
		return -1;
	len = len > DISK_PIECE ? DISK_PIECE : len;
	assert_true((size_t)at + len <= n->len);
	memcpy(n->bytes + at, buf, len);
	mark_dropped(n, (size_t)at, len, false);
	return (ssize_t)len;
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	struct inode *n = &disk.inodes[fd - FILE_FD];

	n->read = (size_t)at;
	return __wrap_read(fd, buf, len);
}

int __wrap_fstat(int fd, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	for (int i = 0; i < NAMES; i++)
		st->st_nlink += now()->inode[i] == fd - FILE_FD;
	st->st_dev = 1;
	st->st_ino = (ino_t)fd;
	st->st_mode = S_IFREG | 0600;
	st->st_size = (off_t)disk.inodes[fd - FILE_FD].len;
	return 0;
}

/* Only what is asked for, as Linux may. */
int __wrap_statx(int fd, const char *none, int flags, unsigned int mask, struct statx *st)
{
	struct stat all;

	assert_string_equal(none, "");
	assert_int_equal(flags, AT_EMPTY_PATH);
	__wrap_fstat(fd, &all);
	*st = (struct statx){
		.stx_mask = mask,
		.stx_dev_major = major(all.st_dev),
		.stx_dev_minor = minor(all.st_dev),
		.stx_ino = mask & STATX_INO ? all.st_ino : 0,
		.stx_nlink = mask & STATX_NLINK ? (uint32_t)all.st_nlink : 0,
		.stx_mode = mask & STATX_TYPE ? S_IFREG : 0,
		.stx_size = mask & STATX_SIZE ? (uint64_t)all.st_size : 0,
	};
	return 0;
}

static void drop_unsynced(struct inode *n)
{
	for (size_t i = 0; i < n->len; i++)
		if (i >= n->synced_len || n->bytes[i] != n->synced[i])
			mark_dropped(n, i, 1, true);
}

int __wrap_fsync(int fd)
{
	struct inode *n = fd == DIR_FD ? NULL : &disk.inodes[fd - FILE_FD];

	if (next_step()) {
		if (n)
			drop_unsynced(n);
		return -1;
	}
	if (!n) {
		disk.names[0] = *now();
		disk.changes = 0;
		return 0;
	}
	for (size_t i = 0; i < n->len; i++)
		if (!n->dropped[i / DISK_PIECE])
			n->synced[i] = n->bytes[i];
	n->synced_len = n->len;
	return 0;
}

int __wrap_fdatasync(int fd)
{
	assert_int_not_equal(fd, DIR_FD);
	return __wrap_fsync(fd);
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
	memset(bad, 0, sizeof(bad));
	for (int i = 0; i < NAMES; i++)
		disk.names[0].inode[i] = NO_INODE;
	step = 0;
	cut_at = fail_at = -1;
	fails_for_good = false;
}

/* Of the files those that there are. */
static void copy_disk(struct disk *to, const struct disk *from)
{
	memcpy(to->inodes, from->inodes,
	       (size_t)from->inode_count * sizeof(from->inodes[0]));
	to->inode_count = from->inode_count;
	memcpy(to->names, from->names, sizeof(to->names));
	to->changes = from->changes;
}

/* Every second piece as it was. */
static void lose_pieces(struct inode *n)
{
	for (size_t at = 0; at < n->len; at += 2 * DISK_PIECE)
		memcpy(n->bytes + at, n->synced + at,
		       n->len - at < DISK_PIECE ? n->len - at : DISK_PIECE);
}

/* What the disk may hold once the power is back: names of one of the changes, and
 * of each file none, half, all, or (3) every second piece of what was not synced. */
static void lose(struct disk *after, int change_kept, int bytes_kept)
{
	copy_disk(after, &disk);
	after->names[0] = disk.names[change_kept];
	after->changes = 0;
	for (int i = 0; i < after->inode_count; i++) {
		struct inode *n = &after->inodes[i];

		if (n->len == n->synced_len && bytes_kept < 2)
			memcpy(n->bytes + (bytes_kept ? n->len / 4 : 0),
			       n->synced + (bytes_kept ? n->len / 4 : 0),
			       n->len - (bytes_kept ? n->len / 4 : 0));
		if (n->len == n->synced_len && bytes_kept == 3)
			lose_pieces(n);
		if (n->len != n->synced_len && bytes_kept < 2)
			n->len = bytes_kept ? n->len / 2 : n->synced_len;
		memcpy(n->synced, n->bytes, DISK_BYTES);
		memset(n->dropped, 0, sizeof(n->dropped));
		n->synced_len = n->len;
	}
}

#endif
