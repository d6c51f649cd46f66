/* SPDX-License-Identifier: Apache-2.0 */
/* The store: who may enter it, its room, its files, and who has the leases. */
#include "tools/vtpmctl/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_MIN   (64ull << 20)
#define MACHINE_ID "/etc/machine-id"

static bool too_full(const char *path, unsigned long long *room)
{
	struct statvfs v;

	*room = 0;
	if (statvfs(path, &v))
		return true;
	*room = (unsigned long long)v.f_bavail * v.f_frsize;
	return *room < ROOM_MIN || (v.f_files && v.f_favail < 1000);
}

/* Calls look() with each vTPM's folder until it returns something else than 0. */
static int each_folder(const char *store, int (*look)(int dir, const char *name, void *),
		       void *ctx)
{
	DIR *all = opendir(store);
	struct dirent *entry;
	int dir, rc = 0;

	while (all && !rc && (entry = readdir(all))) {
		if (strlen(entry->d_name) != 36)
			continue; /* no uuid */
		dir = openat(dirfd(all), entry->d_name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir < 0)
			continue;
		rc = look(dir, entry->d_name, ctx);
		close(dir);
	}
	if (all)
		closedir(all);
	return rc;
}

static bool open_to_others(const struct stat *st)
{
	return st->st_uid || st->st_mode & 077;
}

/* The first thing in a folder that others than root may read. */
static int find_open(int dir, const char *name, void *ctx)
{
	static const char *const files[] = {"vtpm.json", "header", "permall"};
	char *path = ctx;
	struct stat st;
	size_t i;

	if (!fstat(dir, &st) && open_to_others(&st)) {
		strcpy(path, name);
		return 1;
	}
	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (!fstatat(dir, files[i], &st, AT_SYMLINK_NOFOLLOW) &&
		    open_to_others(&st)) {
			sprintf(path, "%s/%s", name, files[i]);
			return 1;
		}
	return 0;
}

enum finding doctor_store(struct doctor *d)
{
	unsigned long long room;
	struct stat st;
	char path[64];

	if (stat(d->store, &st))
		return doctor_say(d, WARN, "%s: %s; vtpmd makes it when it starts",
				  d->store, strerror(errno));
	if (open_to_others(&st))
		return doctor_say(d, BAD,
				  "others than root may enter %s: `chown root:root %s; "
				  "chmod 700 %s`",
				  d->store, d->store, d->store);
	if (each_folder(d->store, find_open, path))
		return doctor_say(d, BAD,
				  "others than root may use %s/%s: `chown -R root:root "
				  "%s; chmod -R go= %s`",
				  d->store, path, d->store, d->store);
	if (too_full(d->store, &room))
		return doctor_say(d, WARN,
				  "%s has %llu MiB left, or few files: make room, or "
				  "guests' commands will wait for it",
				  d->store, room >> 20);
	return doctor_say(d, FINE, "%s is root's alone, %llu MiB free", d->store,
			  room >> 20);
}

static bool read_id(int dir, const char *path, char out[33])
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, 32);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n == 32;
}

struct leases {
	char own[33];
	unsigned int here, elsewhere;
	char name[37], other[33]; /* of the first one that is another machine's */
};

/* tools/vtpmd/store.c: the file lock has the id of the machine that has the lease. */
static int count_lease(int dir, const char *name, void *ctx)
{
	struct leases *l = ctx;
	char id[33];

	if (!read_id(dir, "lock", id))
		return 0;
	if (!strcmp(id, l->own)) {
		l->here++;
	} else if (!l->elsewhere++) {
		memcpy(l->name, name, sizeof(l->name));
		memcpy(l->other, id, sizeof(l->other));
	}
	return 0;
}

enum finding doctor_leases(struct doctor *d)
{
	struct leases l = {.here = 0};

	if (!read_id(AT_FDCWD, MACHINE_ID, l.own))
		return doctor_say(d, WARN,
				  "there is no " MACHINE_ID ": leases on a store that "
				  "machines share do not tell them apart; "
				  "`systemd-machine-id-setup`");
	if (access(d->store, R_OK | X_OK))
		return doctor_say(d, SKIPPED, "no store");
	(void)each_folder(d->store, count_lease, &l);
	if (l.elsewhere)
		return doctor_say(d, WARN,
				  "%u vTPMs are leased by other machines, as %s by %s: "
				  "stop them there, or, when that machine is gone for "
				  "good, remove the file lock in the folder",
				  l.elsewhere, l.name, l.other);
	return doctor_say(d, FINE, "%u leases, all of this machine", l.here);
}
