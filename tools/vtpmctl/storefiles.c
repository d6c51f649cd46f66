/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/storefiles.h"
#include "tools/vtpmctl/xl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

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

/* The names of all domains, a line each; NULL: there is no Xen.  The caller closes it. */
static FILE *list_domains(void)
{
	char *const argv[] = {"xl", "list", NULL};
	int fd = memfd_create("xl list", MFD_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (!f && fd >= 0)
		close(fd);
	if (f && xl_run(argv, fd)) {
		fclose(f);
		return NULL;
	}
	if (f)
		rewind(f);
	return f;
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

static void name_of(const char *store, const char *folder, char name[STOREFILES_NAME])
{
	char path[PATH_MAX];
	json_t *meta = NULL;
	const char *text;

	if (snprintf(path, sizeof(path), "%s/%s/vtpm.json", store, folder) <
	    (int)sizeof(path))
		meta = json_load_file(path, 0, NULL);
	text = json_string_value(json_object_get(meta, "name"));
	snprintf(name, STOREFILES_NAME, "%s", text ? text : "");
	json_decref(meta);
}

bool storefiles_runs(const char *store, char name[STOREFILES_NAME])
{
	FILE *domains = list_domains();
	DIR *dir = domains ? opendir(store) : NULL;
	struct dirent *d;
	bool runs = false;

	while (dir && !runs && (d = readdir(dir))) {
		if (!is_folder_of_vtpm(d))
			continue;
		name_of(store, d->d_name, name);
		runs = is_listed(domains, name);
	}
	if (dir)
		closedir(dir);
	if (domains)
		fclose(domains);
	return runs;
}

static int write_zeroes(int fd)
{
	static const char zeroes[4096];
	struct stat s;
	off_t at = 0;
	ssize_t n = 0;

	if (fstat(fd, &s) || !S_ISREG(s.st_mode))
		return 0;
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

/* All files in it, then itself. */
static int remove_folder(const char *path, struct error *e)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int rc = dir ? 0 : -errno;

	while (!rc && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			rc = wipe_at(dirfd(dir), d->d_name);
	if (dir)
		closedir(dir);
	if (!rc && rmdir(path))
		rc = -errno;
	return cannot_remove(e, rc, path);
}

int storefiles_remove_vtpms(const char *store, struct error *e)
{
	char path[PATH_MAX];
	DIR *dir = opendir(store);
	struct dirent *d;
	int rc = 0;

	while (dir && !rc && (d = readdir(dir))) {
		if (!is_folder_of_vtpm(d) || snprintf(path, sizeof(path), "%s/%s", store,
						      d->d_name) >= (int)sizeof(path))
			continue;
		fprintf(stderr, "Removing the vTPM %s\n", d->d_name);
		rc = remove_folder(path, e);
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
