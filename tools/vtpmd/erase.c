/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/erase.h"
#include "include/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int zero(int fd)
{
	static const uint8_t zeroes[4096];
	struct stat st;
	off_t at = 0;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	/* we store nothing that is longer; a sparse file can be as long as it likes */
	if (st.st_size > CHANNEL_PAYLOAD_MAX)
		st.st_size = CHANNEL_PAYLOAD_MAX;
	while (at < st.st_size) {
		size_t n = (size_t)(st.st_size - at);
		ssize_t done =
			pwrite(fd, zeroes, n < sizeof(zeroes) ? n : sizeof(zeroes), at);

		if (done <= 0)
			return done ? -errno : -EIO;
		at += done;
	}
	return fsync(fd) ? -errno : 0;
}

int erase_file(int dir, const char *name)
{
	int fd = openat(dir, name,
			O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	int rc = 0;

	/* a link or a FIFO has no bytes of ours */
	if (fd < 0 && errno != ELOOP && errno != ENXIO)
		return errno == ENOENT ? 0 : -errno;
	if (fd >= 0) {
		rc = zero(fd);
		close(fd);
	}
	if (!rc && unlinkat(dir, name, 0))
		rc = -errno;
	return rc;
}

/* A power cut in a write leaves two names of one file. */
static bool same_file(int dir, const char *a, const char *b)
{
	struct stat sa, sb;

	return !fstatat(dir, a, &sa, AT_SYMLINK_NOFOLLOW) &&
	       !fstatat(dir, b, &sb, AT_SYMLINK_NOFOLLOW) && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

int erase_previous(int dir, const char *name)
{
	static const char *const ends[] = {"link", "prev", "new"};
	char other[64];
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(ends) && !rc; i++) {
		if (snprintf(other, sizeof(other), "%s.%s", name, ends[i]) >=
		    (int)sizeof(other))
			return -ENAMETOOLONG;
		if (!same_file(dir, other, name))
			rc = erase_file(dir, other);
		else if (unlinkat(dir, other, 0))
			rc = -errno;
	}
	return rc;
}
