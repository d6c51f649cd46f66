/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/storefiles.h"
#include "include/channel.h"
#include "lib/atomic.h"
#include "lib/twin.h"
#include "lib/text.h"
#include "tools/vtpmctl/xl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define META_MAX   65536 /* of vtpm.json */
#define MACHINE_ID "/etc/machine-id"
#define LEASE_LEN  32

static bool is_folder_of_vtpm(const struct dirent *d)
{
	uuid_t uuid;

	return !uuid_parse(d->d_name, uuid);
}

unsigned int storefiles_count(const char *store)
{
	DIR *dir = opendir(store);
	struct dirent *d;
	unsigned int n = 0;

	while (dir && (d = readdir(dir)))
		n += is_folder_of_vtpm(d);
	if (dir)
		closedir(dir);
	return n;
}

/* Without it no domain runs, whatever xl says. */
static bool has_xen(void)
{
	return !access("/dev/xen/privcmd", F_OK) || !access("/proc/xen/privcmd", F_OK);
}

/* The names of all domains, a line each; *out NULL: there is no Xen.  The caller closes it.
 * -EIO: there is, and xl did not tell. */
static int list_domains(FILE **out)
{
	char *const argv[] = {"xl", "list", NULL};
	int fd = memfd_create("xl list", MFD_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	*out = NULL;
	if (!f && fd >= 0)
		close(fd);
	if (!f)
		return -EIO;
	if (xl_run(argv, fd)) {
		fclose(f);
		return has_xen() ? -EIO : 0;
	}
	rewind(f);
	*out = f;
	return 0;
}

static bool is_listed(FILE *domains, const char *name)
{
	char line[512], want[STOREFILES_NAME + 8];
	bool found = false;

	snprintf(want, sizeof(want), "vtpm-%s", name);
	rewind(domains);
	while (!found && fgets(line, sizeof(line), domains)) {
		line[strcspn(line, " \t\n")] = '\0';
		found = !strcmp(line, want);
	}
	return found;
}

/* A vTPM's folder, of which a link of that name is none. */
static int open_folder(int store, const char *uuid)
{
	int fd = openat(store, uuid, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void name_of(int store, const char *uuid, char name[STOREFILES_NAME])
{
	int folder = open_folder(store, uuid);
	json_t *meta = NULL;
	const char *value;
	uint8_t *text;
	size_t len;

	if (folder >= 0 && !atomic_read(folder, "vtpm.json", META_MAX, &text, &len)) {
		meta = json_loadb((const char *)text, len, 0, NULL);
		free(text);
	}
	if (folder >= 0)
		close(folder);
	value = json_string_value(json_object_get(meta, "name"));
	snprintf(name, STOREFILES_NAME, "%s", value ? value : "");
	json_decref(meta);
}

int storefiles_runs(const char *store, char name[STOREFILES_NAME], bool *is_running)
{
	FILE *domains;
	int rc = list_domains(&domains);
	DIR *dir = domains ? opendir(store) : NULL;
	struct dirent *d;
	bool runs = false;

	while (dir && !runs && (d = readdir(dir))) {
		if (!is_folder_of_vtpm(d))
			continue;
		name_of(dirfd(dir), d->d_name, name);
		runs = is_listed(domains, name);
	}
	if (dir)
		closedir(dir);
	if (domains)
		fclose(domains);
	*is_running = runs;
	return rc;
}

/* Whether a vTPM's lease is another one's; where: whose. */
static bool is_leased(int folder, char where[LEASE_LEN + 1])
{
	char own[LEASE_LEN + 1] = "";
	int fd = openat(folder, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int id = open(MACHINE_ID, O_RDONLY | O_CLOEXEC);
	bool is_held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

	memset(where, 0, LEASE_LEN + 1);
	if (id < 0 || read(id, own, LEASE_LEN) != LEASE_LEN)
		strcpy(own, "unknown");
	/* what is in it is of who has started the vTPM, and did not stop it */
	if (fd >= 0 && pread(fd, where, LEASE_LEN, 0) > 0 && strcmp(own, where))
		is_held = true;
	if (fd >= 0)
		close(fd);
	if (id >= 0)
		close(id);
	return is_held;
}

static int check_leases(int store, const char *path, struct error *e)
{
	char where[LEASE_LEN + 1], shown[LEASE_LEN + 1];
	int fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), folder, rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (fd >= 0 && !dir)
		close(fd);
	while (dir && !rc && (d = readdir(dir))) {
		folder = is_folder_of_vtpm(d) ? open_folder(store, d->d_name) : -ENOENT;
		if (folder < 0)
			continue;
		if (is_leased(folder, where)) {
			text_clean(shown, sizeof(shown), where, strlen(where));
			rc = error_set(
				e, -EBUSY, CAUSE_LEASE,
				"the vTPM %.36s in %.100s is in use by a vtpmd of the "
				"machine %s: stop it there; nothing was removed",
				d->d_name, path, shown);
		}
		close(folder);
	}
	if (dir)
		closedir(dir);
	return rc;
}

int storefiles_claim(const char *store, int *claim, struct error *e)
{
	int rc;

	*claim = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*claim < 0)
		return 0; /* there is nothing that could be claimed */
	if (!flock(*claim, LOCK_EX | LOCK_NB))
		rc = check_leases(*claim, store, e);
	else
		rc = error_set(e, -EBUSY, CAUSE_LEASE,
			       "a vtpmd runs on %.200s, at another socket than --socket: "
			       "stop it; nothing was removed",
			       store);
	if (rc) {
		close(*claim);
		*claim = -1;
	}
	return rc;
}

static int write_zeroes(int fd)
{
	static const char zeroes[4096];
	struct stat s;
	off_t at = 0;
	ssize_t n = 0;

	if (fstat(fd, &s) || !S_ISREG(s.st_mode))
		return 0;
	/* nothing of ours is longer; a sparse file is as long as it likes */
	if (s.st_size > TWIN_FILE_MAX)
		s.st_size = TWIN_FILE_MAX;
	while (at < s.st_size && n >= 0) {
		n = pwrite(fd, zeroes,
			   s.st_size - at < (off_t)sizeof(zeroes)
				   ? (size_t)(s.st_size - at)
				   : sizeof(zeroes),
			   at);
		at += n;
	}
	return n < 0 || fsync(fd) ? -errno : 0;
}

/* A name that has another one (host.json.prev is a link) goes, and its bytes with the last. */
static int wipe_at(int folder, const char *name)
{
	int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	int rc = fd < 0 && errno == ENOENT ? -ENOENT : 0;
	struct stat s;

	if (fd >= 0 && !fstat(fd, &s) && s.st_nlink == 1)
		rc = write_zeroes(fd);
	if (fd >= 0)
		close(fd);
	if (!rc && unlinkat(folder, name, 0))
		rc = -errno;
	return rc == -ENOENT ? 0 : rc;
}

static int cannot_remove(struct error *e, int rc, const char *path)
{
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "cannot remove %.200s: %s; mend that, and run this again",
			      path, strerror(-rc))
		  : 0;
}

int storefiles_wipe(const char *path, struct error *e)
{
	return cannot_remove(e, wipe_at(AT_FDCWD, path), path);
}

/* All files in it, then itself; of a link in its place, that alone. */
static int remove_folder(int store, const char *uuid)
{
	int fd = open_folder(store, uuid), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (fd == -ENOTDIR || fd == -ELOOP)
		return unlinkat(store, uuid, 0) ? -errno : 0;
	if (!dir) {
		rc = fd < 0 ? fd : -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			rc = wipe_at(fd, d->d_name);
	closedir(dir);
	if (!rc && unlinkat(store, uuid, AT_REMOVEDIR))
		rc = -errno;
	return rc;
}

int storefiles_remove_vtpms(const char *store, struct error *e)
{
	char path[PATH_MAX];
	DIR *dir = opendir(store);
	struct dirent *d;
	int rc = 0;

	while (dir && !rc && (d = readdir(dir))) {
		if (!is_folder_of_vtpm(d))
			continue;
		fprintf(stderr, "Removing the vTPM %s\n", d->d_name);
		snprintf(path, sizeof(path), "%.200s/%.36s", store, d->d_name);
		rc = cannot_remove(e, remove_folder(dirfd(dir), d->d_name), path);
	}
	if (dir)
		closedir(dir);
	return rc;
}

int storefiles_remove_tables(const char *store, struct error *e)
{
	static const char *const tables[] = {"anchor", "anchor.prev", "anchor.new"};
	char path[PATH_MAX];
	int rc = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables) && !rc; i++)
		if (snprintf(path, sizeof(path), "%s/%s", store, tables[i]) <
		    (int)sizeof(path))
			rc = storefiles_wipe(path, e);
	if (!rc && rmdir(store) && errno != ENOENT && errno != EBUSY)
		fprintf(stderr, "Left alone: %s (%s)\n", store, strerror(errno));
	return rc;
}
