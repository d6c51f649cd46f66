/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_ROOM 64

static int write_all(int fd, const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes the new bytes, durable, under a temporary name. */
static int write_new(int dir, const char *name, const void *buf, size_t len)
{
	int fd, rc;

	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return -errno;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, buf, len);
	if (!rc && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	return rc;
}

/* Points NAME.prev at the present NAME, in one step. */
static int keep_prev(int dir, const char *name)
{
	char link[NAME_ROOM], prev[NAME_ROOM];

	snprintf(link, sizeof(link), "%s.link", name);
	snprintf(prev, sizeof(prev), "%s.prev", name);
	if (unlinkat(dir, link, 0) && errno != ENOENT)
		return -errno;
	if (linkat(dir, name, dir, link, 0))
		return errno == ENOENT ? 0 : -errno;
	if (renameat(dir, link, dir, prev))
		return -errno;
	/* rename() of two links to one file leaves both */
	if (unlinkat(dir, link, 0) && errno != ENOENT)
		return -errno;
	return 0;
}

int atomic_write(int dir, const char *name, const void *buf, size_t len, bool keep)
{
	char new[NAME_ROOM];
	int rc;

	if (snprintf(new, sizeof(new), "%s.new", name) >= (int)sizeof(new) - 1)
		return -ENAMETOOLONG;
	rc = write_new(dir, new, buf, len);
	if (!rc && keep)
		rc = keep_prev(dir, name);
	if (!rc && renameat(dir, new, dir, name))
		rc = -errno;
	if (!rc && fsync(dir))
		rc = -errno;
	if (rc)
		(void)unlinkat(dir, new, 0);
	return rc;
}

static int read_all(int fd, uint8_t *p, size_t len)
{
	ssize_t n;

	while (len) {
		n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int atomic_read(int dir, const char *name, size_t max, uint8_t **buf, size_t *len)
{
	struct stat st;
	uint8_t *p = NULL;
	int fd, rc = 0;

	/* do not wait for a writer when path is a FIFO */
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if ((uint64_t)st.st_size > max)
		rc = -EFBIG;
	if (!rc) {
		*len = (size_t)st.st_size;
		/* one more, so that a text can be terminated */
		p = calloc(1, *len + 1);
		rc = p ? read_all(fd, p, *len) : -ENOMEM;
	}
	close(fd);
	if (rc) {
		free(p);
		return rc;
	}
	*buf = p;
	return 0;
}
