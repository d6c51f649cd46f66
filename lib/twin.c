/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/twin.h"
#include "lib/atomic.h"
#include "lib/crypt.h"
#include "lib/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAGIC	  "XVTPMTWN"
#define MAGIC_LEN 8
#define VERSION	  1
#define HASHED	  (TWIN_HEAD - CRYPT_HASH_SIZE) /* of the head */
/* does not wait for a writer of a FIFO */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW)

/* Of a reader beside the writer.  It finds no whole side, or the older one alone, when both
 * were written while it read: so it reads again, until a side that is whole alone is the
 * same as the last time: then the other one was being written all the while. */
#define READS 20

struct side {
	uint64_t count;
	const uint8_t *value;
	uint32_t len;
	uint8_t hash[CRYPT_HASH_SIZE];
	bool fits;
};

static int hash_side(const uint8_t *head, const void *value, size_t len,
		     uint8_t hash[CRYPT_HASH_SIZE])
{
	const struct crypt_part parts[] = {{head, HASHED}, {value, len}};

	return crypt_sha256(parts, 2, hash);
}

static struct side read_side(const uint8_t *at, size_t size)
{
	struct cursor c = cursor_reader(at, size);
	const uint8_t *magic = cursor_bytes(&c, MAGIC_LEN);
	bool ours = magic && !memcmp(magic, MAGIC, MAGIC_LEN);
	struct side s;

	ours = cursor_u16(&c) == VERSION && ours;
	ours = !cursor_u16(&c) && ours;
	s.len = cursor_u32(&c);
	s.count = cursor_u64(&c);
	cursor_copy(&c, s.hash, sizeof(s.hash));
	s.value = cursor_bytes(&c, s.len);
	s.fits = cursor_ok(&c) && ours && s.len <= TWIN_VALUE_MAX;
	return s;
}

/* Tells of one side whether it is whole. */
static int check_side(const uint8_t *at, const struct side *s, bool *whole)
{
	uint8_t hash[CRYPT_HASH_SIZE];
	int rc = s->fits ? hash_side(at, s->value, s->len, hash) : 0;

	*whole = s->fits && !rc && !memcmp(hash, s->hash, sizeof(hash));
	return rc;
}

static bool is_twin(const uint8_t *file, size_t size)
{
	return size >= 2 * TWIN_BLOCK && size <= TWIN_FILE_MAX &&
	       size % (2 * TWIN_BLOCK) == 0 &&
	       (!memcmp(file, MAGIC, MAGIC_LEN) ||
		!memcmp(file + size / 2, MAGIC, MAGIC_LEN));
}

int twin_parse(const uint8_t *file, size_t size, struct twin *t)
{
	struct side sides[2];
	bool whole = false;
	int first, rc = 0;

	*t = (struct twin){.newest = -1};
	if (!is_twin(file, size))
		return 0;
	t->side = size / 2;
	for (int i = 0; i < 2; i++)
		sides[i] = read_side(file + (size_t)i * t->side, t->side);
	first = !sides[0].fits || (sides[1].fits && sides[1].count > sides[0].count);
	for (int i = 0; i < 2 && !rc && !whole; i++) {
		int n = i ? !first : first;

		rc = check_side(file + (size_t)n * t->side, &sides[n], &whole);
		if (whole) {
			t->newest = n;
			t->is_sole = i || !sides[!n].fits;
			t->count = sides[n].count;
			t->len = sides[n].len;
		}
	}
	return rc;
}

/* Leaves the value alone in the buffer, or of what is damaged as much as the caller takes. */
static int take_value(uint8_t *file, size_t *size, const struct twin *t, size_t max)
{
	if (!t->side && *size > max)
		return -EFBIG;
	if (t->newest >= 0 && t->len > max)
		return -EFBIG;
	if (t->newest >= 0) {
		memmove(file, file + (size_t)t->newest * t->side + TWIN_HEAD, t->len);
		*size = t->len;
	} else if (*size > max) {
		*size = max;
	}
	file[*size] = 0;
	return 0;
}

/* As atomic_read(), with zeroes for each block that cannot be read. */
static int read_blocks(int dir, const char *name, uint8_t **buf, size_t *len)
{
	int fd = openat(dir, name, READ_FLAGS);
	struct stat st;
	size_t at, n;

	if (fd < 0)
		return -errno;
	*buf = NULL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= TWIN_FILE_MAX) {
		*len = (size_t)st.st_size;
		*buf = calloc(1, *len + 1);
	}
	for (at = 0; *buf && at < *len; at += n) {
		n = *len - at < TWIN_BLOCK ? *len - at : TWIN_BLOCK;
		if (pread(fd, *buf + at, n, (off_t)at) != (ssize_t)n)
			memset(*buf + at, 0, n);
	}
	close(fd);
	return *buf ? 0 : -EIO;
}

/* Reads the file, and says what it is.  A sector in which a power cut met the disk may be one
 * that the disk, or dm-integrity, does not read any more: if the other side is whole, that is
 * a torn side as any other. */
static int read_sides(int dir, const char *name, size_t max, uint8_t **buf, size_t *len,
		      struct twin *t)
{
	int rc = atomic_read(dir, name, max > TWIN_FILE_MAX ? max : TWIN_FILE_MAX, buf,
			     len);
	bool torn = rc == -EIO && !read_blocks(dir, name, buf, len);

	if (rc && !torn)
		return rc;
	rc = twin_parse(*buf, *len, t);
	if (!rc && torn && t->newest < 0)
		rc = -EIO;
	/* each try may take the disk seconds, and nobody writes there meanwhile */
	if (torn)
		t->is_sole = false;
	if (rc)
		free(*buf);
	return rc;
}

int twin_read(int dir, const char *name, size_t max, uint8_t **buf, size_t *len)
{
	struct twin t = {.newest = -1}, last;
	uint8_t *file = NULL;
	bool again = true;
	int rc = 0;

	for (int i = 0; i < READS && !rc && again; i++) {
		free(file);
		file = NULL;
		last = t;
		rc = read_sides(dir, name, max, &file, len, &t);
		again = t.side &&
			(t.newest < 0 || (t.is_sole && (t.newest != last.newest ||
							t.count != last.count)));
	}
	if (rc)
		return rc;
	rc = take_value(file, len, &t, max);
	if (rc)
		free(file);
	else
		*buf = file;
	return rc;
}

/* Writes head and value to where a side begins. */
static int fill_side(uint8_t *at, uint64_t count, const void *buf, size_t len)
{
	struct cursor w = cursor_writer(at, TWIN_HEAD + len);
	uint8_t hash[CRYPT_HASH_SIZE];
	int rc;

	cursor_put(&w, MAGIC, MAGIC_LEN);
	cursor_put_u16(&w, VERSION);
	cursor_put_u16(&w, 0);
	cursor_put_u32(&w, (uint32_t)len);
	cursor_put_u64(&w, count);
	rc = hash_side(at, buf, len, hash);
	cursor_put(&w, hash, sizeof(hash));
	cursor_put(&w, buf, len);
	return rc ? rc : cursor_ok(&w) ? 0 : -EINVAL;
}

static int write_at(int fd, const uint8_t *p, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* What of it tells one file from another.  Not by fstat(), which asks for its times: since Linux 6.13
 * the write behind that sets a new time, and fdatasync() writes the inode, too, where the file system
 * does not tell its times from the rest. */
#define IDENTITY (STATX_TYPE | STATX_NLINK | STATX_INO | STATX_SIZE)

/* Whether the file is the one that this process made, and nothing but this process has
 * written to it since, as far as its heads tell. */
static bool is_own(int fd, const struct twin_own *own)
{
	uint8_t heads[2][TWIN_HEAD];
	struct statx st;

	return !statx(fd, "", AT_EMPTY_PATH, IDENTITY, &st) &&
	       (st.stx_mask & IDENTITY) == IDENTITY && S_ISREG(st.stx_mode) &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == own->dev &&
	       st.stx_ino == own->ino && st.stx_nlink == 1 &&
	       st.stx_size == 2 * own->side &&
	       pread(fd, heads[0], TWIN_HEAD, 0) == TWIN_HEAD &&
	       pread(fd, heads[1], TWIN_HEAD, (off_t)own->side) == TWIN_HEAD &&
	       !memcmp(heads, own->heads, sizeof(heads));
}

/* Overwrites the older side of an own file, durable.  On failure that side is none for who
 * reads it. */
static int overwrite_side(int fd, struct twin_own *own, const void *buf, size_t len)
{
	static const uint8_t none[TWIN_HEAD];
	int older = !own->newest;
	off_t at = older ? (off_t)own->side : 0;
	uint8_t *side = malloc(TWIN_HEAD + len);
	int rc = side ? fill_side(side, own->count + 1, buf, len) : -ENOMEM;

	if (!rc) {
		rc = write_at(fd, side, TWIN_HEAD + len, at);
		if (!rc && fdatasync(fd))
			rc = -errno;
		/* what the disk did not take may still be read: from memory */
		if (rc)
			(void)!write_at(fd, none, sizeof(none), at);
	}
	if (!rc) {
		memcpy(own->heads[older], side, TWIN_HEAD);
		own->newest = older;
		own->count++;
	}
	free(side);
	return rc;
}

/* -EMEDIUMTYPE: the file is not own, or has too little room */
static int write_own(struct twin_own *own, int dir, const char *name, const void *buf,
		     size_t len)
{
	int rc = -EMEDIUMTYPE, fd;

	if (len > TWIN_VALUE_MAX || TWIN_HEAD + len > own->side)
		return rc;
	fd = openat(dir, name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (is_own(fd, own))
		rc = overwrite_side(fd, own, buf, len);
	close(fd);
	return rc;
}

/* Replaces the file by a twin, with some room to grow, and all blocks on the disk. */
static int make_twin(struct twin_own *own, int dir, const char *name, const void *buf,
		     size_t len)
{
	size_t side = (TWIN_HEAD + len + 2 * TWIN_BLOCK - 1) / TWIN_BLOCK * TWIN_BLOCK;
	uint8_t *file = calloc(2, side);
	int rc = file ? fill_side(file, 1, buf, len) : -ENOMEM, fd = -1;
	struct stat st;

	if (!rc)
		rc = atomic_write(dir, name, file, 2 * side, true);
	if (!rc)
		fd = openat(dir, name, READ_FLAGS);
	if (fd >= 0 && !fstat(fd, &st)) {
		*own = (struct twin_own){
			.dev = st.st_dev, .ino = st.st_ino, .side = side, .count = 1};
		memcpy(own->heads[0], file, TWIN_HEAD);
	}
	if (fd >= 0)
		close(fd);
	free(file);
	return rc;
}

static bool is_absent(int dir, const char *name)
{
	int fd = openat(dir, name, READ_FLAGS);
	bool absent = fd < 0 && errno == ENOENT;

	if (fd >= 0)
		close(fd);
	return absent;
}

int twin_write(struct twin_own *own, int dir, const char *name, const void *buf,
	       size_t len)
{
	if (own->side && !write_own(own, dir, name, buf, len))
		return 0;
	/* also where the disk has bad blocks: it gets others */
	*own = (struct twin_own){.side = 0};
	if (len > TWIN_VALUE_MAX || is_absent(dir, name))
		return atomic_write(dir, name, buf, len, true);
	return make_twin(own, dir, name, buf, len);
}

int twin_settle(int dir, const char *name)
{
	struct twin t = {.side = 0};
	uint8_t *file;
	size_t size;
	int rc = read_sides(dir, name, TWIN_FILE_MAX, &file, &size, &t);

	/* what is longer, or no file, is no twin */
	if (rc == -ENOENT || rc == -EFBIG || rc == -EINVAL || rc == -ELOOP)
		return 0;
	if (rc)
		return rc;
	if (t.newest >= 0)
		rc = atomic_write(dir, name, file + (size_t)t.newest * t.side + TWIN_HEAD,
				  t.len, true);
	free(file);
	return rc;
}

int twin_sync(int dir, const char *name)
{
	int fd = openat(dir, name, READ_FLAGS), rc = 0;
	struct stat st;

	/* what cannot be opened is for who reads it to report */
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && fsync(fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	/* The system takes for written what it could not write, so that the next fsync() of that
	 * would say nothing. */
	if (rc)
		(void)!twin_settle(dir, name);
	return rc ? rc : fsync(dir) ? -errno : 0;
}
