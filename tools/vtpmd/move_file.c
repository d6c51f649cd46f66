/* SPDX-License-Identifier: Apache-2.0 */
/* The records of handovers as files. */
#include "lib/atomic.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define FOLDER "handovers"

/* make: it is made if it is not there. */
static int open_folder(const char *store, bool make)
{
	int at = open(store, O_DIRECTORY | O_CLOEXEC | O_RDONLY), fd, rc;

	if (at < 0)
		return -errno;
	if (make && !mkdirat(at, FOLDER, 0700))
		(void)fsync(at);
	fd = openat(at, FOLDER, O_DIRECTORY | O_CLOEXEC | O_RDONLY | O_NOFOLLOW);
	rc = fd < 0 ? -errno : fd;
	close(at);
	return rc;
}

/* Whether a record is these bytes: 0 or 1, or -errno. */
static int is_there(int fd, const char *name, const uint8_t *bytes, size_t len)
{
	uint8_t *there;
	size_t n;
	int rc = twin_read(fd, name, MOVE_RECORD_MAX, &there, &n);

	/* what is no file, or too long, is none */
	if (rc == -ENOENT || rc == -EINVAL || rc == -EFBIG || rc == -ELOOP ||
	    rc == -ENXIO)
		return 0;
	if (rc)
		return rc;
	rc = n == len && !memcmp(there, bytes, len);
	free(there);
	return rc;
}

/* A write in place that failed may be on the disk all the same, unless what is read instead is. */
static bool is_untouched(int fd, const char *name, const uint8_t *bytes, size_t len,
			 bool in_place)
{
	return !(in_place && twin_sync(fd, name)) && !is_there(fd, name, bytes, len);
}

int move_record_write(const char *store, const struct move_record *r,
		      struct twin_own *room, bool *untouched)
{
	bool in_place = room && room->side;
	uint8_t bytes[MOVE_RECORD_MAX];
	size_t len = sizeof(bytes);
	char name[37];
	int fd, rc = move_record_encode(r, bytes, &len);

	if (untouched)
		*untouched = true;
	if (rc)
		return rc;
	fd = open_folder(store, true);
	if (fd < 0)
		return fd;
	uuid_unparse_lower(r->uuid, name);
	/* a full disk takes no other */
	if (is_there(fd, name, bytes, len) == 1)
		rc = twin_sync(fd, name);
	else if (in_place)
		rc = twin_write(room, fd, name, bytes, len);
	else
		rc = atomic_write(fd, name, bytes, len, false);
	if (rc && untouched)
		*untouched = is_untouched(fd, name, bytes, len, in_place);
	close(fd);
	return rc;
}

/* Of the file that the twin has replaced. */
static void drop_previous(int fd, const char *name)
{
	char prev[37 + 8];

	snprintf(prev, sizeof(prev), "%s.prev", name);
	(void)unlinkat(fd, prev, 0);
}

int move_record_make_room(const char *store, const struct move_record *r,
			  struct twin_own *room)
{
	uint8_t bytes[MOVE_RECORD_MAX], *there = NULL;
	size_t len = sizeof(bytes);
	char name[37];
	int fd = open_folder(store, true), rc, i;
	bool is_new;

	if (fd < 0)
		return fd;
	uuid_unparse_lower(r->uuid, name);
	rc = twin_read(fd, name, MOVE_RECORD_MAX, &there, &len);
	is_new = rc == -ENOENT;
	if (is_new)
		rc = move_record_encode(r, bytes, &len);
	/* one that is not there is plain at first */
	for (i = 0; !rc && !room->side && i < 2; i++)
		rc = twin_write(room, fd, name, is_new ? bytes : there, len);
	drop_previous(fd, name);
	free(there);
	close(fd);
	return rc ? rc : is_new;
}

int move_record_settle(const char *store, const uint8_t uuid[16])
{
	int fd = open_folder(store, false), rc;
	char name[37];

	if (fd < 0)
		return fd;
	uuid_unparse_lower(uuid, name);
	rc = twin_settle(fd, name);
	drop_previous(fd, name);
	close(fd);
	return rc;
}

int move_record_remove(const char *store, const uint8_t uuid[16])
{
	int fd = open_folder(store, false), rc = 0;
	char name[37];

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	uuid_unparse_lower(uuid, name);
	drop_previous(fd, name);
	if (unlinkat(fd, name, 0) && errno != ENOENT)
		rc = -errno;
	if (!rc && fsync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

static void read_record(int fd, const char *name, void *ctx,
			void (*each)(void *ctx, const struct move_record *r),
			void (*lost)(void *ctx, const uint8_t uuid[16], int rc))
{
	struct move_record r;
	uint8_t *bytes, uuid[16];
	char own[37];
	size_t len;
	int rc;

	if (uuid_parse(name, uuid))
		return;
	/* a vTPM has one record: in capitals there would be another, of which nothing is compared
	 * with the host's TPM */
	uuid_unparse_lower(uuid, own);
	if (strcmp(name, own) != 0) {
		log_line(LOG_ERR,
			 FOLDER
			 "/%s is left alone: vtpmd writes no name in capitals; find "
			 "out who did, and remove it",
			 name);
		return;
	}
	rc = twin_read(fd, name, MOVE_RECORD_MAX, &bytes, &len);
	if (!rc) {
		rc = move_record_decode(bytes, len, &r);
		free(bytes);
	}
	if (!rc && memcmp(r.uuid, uuid, sizeof(uuid)) != 0)
		rc = -EBADMSG;
	if (!rc) {
		each(ctx, &r);
		return;
	}
	log_line(LOG_ERR,
		 FOLDER "/%s is left alone: it is no record of a handover (%s); put "
			"it back from a copy, and restart vtpmd",
		 name, strerror(-rc));
	lost(ctx, uuid, rc);
}

int move_record_each(const char *store, void *ctx,
		     void (*each)(void *ctx, const struct move_record *r),
		     void (*lost)(void *ctx, const uint8_t uuid[16], int rc))
{
	int fd = open_folder(store, false), rc = 0;
	struct dirent *one;
	DIR *dir;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	dir = fdopendir(fd);
	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	/* NULL is the end, or a disk that fails */
	while ((errno = 0, one = readdir(dir)))
		read_record(fd, one->d_name, ctx, each, lost);
	rc = -errno;
	closedir(dir);
	return rc;
}
