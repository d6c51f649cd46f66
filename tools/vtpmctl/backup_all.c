/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl backup --all DIR: a backup of every vTPM, DIR/NAME-DATE.backup, and of each the
 * newest --keep of them.  One at a time: DIR is locked meanwhile, so that what an interrupted
 * one left there is known to be nobody's.
 *
 * Nothing is removed for a backup that may be worth less.  The state of a vTPM that does not run
 * is what the store has, which nobody but a manager can tell from noise: so its backup has to
 * open first.  One with a later date, of a clock that was wrong, is neither counted nor removed.
 */
#include "tools/vtpmctl/backup.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ENDING	 ".backup"
#define DATE_LEN 16 /* 20261128T181803Z */
#define DATE_FORM  \
	"dddddddd" \
	"T"        \
	"dddddd"   \
	"Z"
#define TEMP_LEN 7 /* what file_write() appends: .XXXXXX */

struct all {
	const struct backup_options *options;
	struct client client;
	int dir; /* open, and locked */
	unsigned int made, failed, gone;
};

static bool is_date(const char *text)
{
	static const char form[] = DATE_FORM;
	size_t i;

	for (i = 0; i < DATE_LEN; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i])
				   : text[i] != form[i])
			return false;
	return true;
}

/* Whether a file's name is NAME-DATE.backup, with `more` characters behind; name NULL: of
 * any vTPM. */
static bool is_backup_name(const char *file, const char *name, size_t more)
{
	size_t end = DATE_LEN + strlen(ENDING), len = strlen(file);
	size_t n = len > end + more + 1 ? len - end - more - 1 : 0;

	return n && (!name || (strlen(name) == n && !strncmp(file, name, n))) &&
	       file[n] == '-' && is_date(file + n + 1) &&
	       !strncmp(file + n + 1 + DATE_LEN, ENDING, strlen(ENDING));
}

static int open_all(struct all *a, struct error *e)
{
	const char *path = a->options->all;

	if (mkdir(path, 0700) && errno != EEXIST)
		return error_set(e, -errno, CAUSE_INTERNAL,
				 "cannot make %s: %m; make its parent folder first",
				 path);
	a->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->dir < 0)
		return error_set(e, -errno, CAUSE_INTERNAL,
				 "cannot open %s: %m; --all takes a folder", path);
	if (!flock(a->dir, LOCK_EX | LOCK_NB))
		return 0;
	close(a->dir);
	return error_set(e, -EBUSY, CAUSE_INTERNAL,
			 "another `vtpmctl backup --all` writes to %s: wait for its end",
			 path);
}

/* The folder's entries; NULL: it cannot be read. */
static DIR *read_all(const struct all *a)
{
	int fd = openat(a->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/* What a backup that was killed left. */
static void sweep_all(const struct all *a)
{
	DIR *dir = read_all(a);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (is_backup_name(d->d_name, NULL, TEMP_LEN) &&
		    d->d_name[strlen(d->d_name) - TEMP_LEN] == '.')
			(void)unlinkat(a->dir, d->d_name, 0);
	if (dir)
		closedir(dir);
}

struct kept {
	char **files;
	size_t count;
};

/* DATEs sort as texts do; the newest first. */
static int by_age(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

static void list_kept(const struct all *a, const char *name, struct kept *k)
{
	DIR *dir = read_all(a);
	struct dirent *d;
	char **more;

	*k = (struct kept){.files = NULL};
	while (dir && (d = readdir(dir))) {
		if (!is_backup_name(d->d_name, name, 0))
			continue;
		more = reallocarray(k->files, k->count + 1, sizeof(*more));
		if (!more)
			break;
		k->files = more;
		more[k->count] = strdup(d->d_name);
		k->count += more[k->count] != NULL;
	}
	if (dir)
		closedir(dir);
	if (k->count)
		qsort(k->files, k->count, sizeof(*k->files), by_age);
}

/* Whether the file is a backup of the vTPM uuid, and not of one that had its name before: of
 * what was deleted the backups are all that is left. */
static bool is_of(const struct all *a, const char *file, const char *uuid)
{
	int fd = openat(a->dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool is = false;
	json_t *backup;
	struct stat s;

	if (fd >= 0 && !fstat(fd, &s) && S_ISREG(s.st_mode) &&
	    s.st_size <= (off_t)BACKUP_FILE_MAX) {
		backup = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
		is = !strcmp(client_text(backup, "uuid"), uuid);
		json_decref(backup);
	}
	if (fd >= 0)
		close(fd);
	return is;
}

/* What was made of a vTPM, and in whose place. */
struct made {
	const json_t *vtpm;
	const char *path, *file; /* file: of the folder */
};

/* Leaves in k what is to go.  Returns how many have a later date. */
static unsigned int choose_old(const struct all *a, const struct made *m, struct kept *k)
{
	const char *uuid = client_text(m->vtpm, "uuid");
	unsigned int own = 0, later = 0;
	size_t i, old = 0;

	for (i = 0; i < k->count; i++) {
		bool is_own = is_of(a, k->files[i], uuid);

		if (is_own && strcmp(k->files[i], m->file) > 0)
			later++;
		else if (is_own && ++own > a->options->keep) {
			k->files[old++] = k->files[i];
			continue;
		}
		free(k->files[i]);
	}
	k->count = old;
	return later;
}

/* Whether the backup of a vTPM that does not run opens. */
static int check_opens(const struct all *a, const struct made *m, struct error *e)
{
	json_t *backup, *reply = NULL;
	char text[CLIENT_TEXT] = "it cannot be read";
	int status = VTPMCTL_FAILED;

	if (!strcmp(client_text(m->vtpm, "state"), "running"))
		return 0;
	backup = backup_read(m->path);
	if (backup)
		status = client_try(
			a->options->socket,
			json_pack("{s:s, s:O}", "op", "verify", "backup", backup), &reply,
			text);
	json_decref(reply);
	json_decref(backup);
	return status ? error_set(e, -EIO, CAUSE_INTERNAL,
				  "%.200s does not open, so no older one was removed: %s",
				  m->path, text)
		      : 0;
}

/* Removes the vTPM's backups but the newest; 0, or -errno. */
static int thin_out(struct all *a, const struct made *m, struct error *e)
{
	const char *name = client_text(m->vtpm, "name");
	struct kept k;
	unsigned int later;
	size_t i;
	int rc;

	list_kept(a, name, &k);
	later = choose_old(a, m, &k);
	if (later)
		fprintf(stderr,
			"vtpmctl: %s: %u backup%s a later date than this one, and %s not "
			"counted, nor removed; see the host's clock, and move what was "
			"made when it was wrong away\n",
			name, later, later == 1 ? " has" : "s have",
			later == 1 ? "is" : "are");
	rc = k.count ? check_opens(a, m, e) : 0;
	for (i = 0; i < k.count; i++) {
		if (!rc && unlinkat(a->dir, k.files[i], 0))
			rc = error_set(
				e, -errno, CAUSE_INTERNAL,
				"an old backup in %s could not be removed: %s; see its "
				"permissions",
				a->options->all, strerror(errno));
		else if (!rc)
			a->gone++;
		free(k.files[i]);
	}
	free(k.files);
	return rc;
}

static int backup_one(struct all *a, const json_t *vtpm, struct error *e)
{
	char path[PATH_MAX], date[DATE_LEN + 1];
	const char *name = client_text(vtpm, "name");
	time_t now = time(NULL);
	struct made made = {.vtpm = vtpm, .path = path};
	struct tm tm;
	int status;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	if (snprintf(path, sizeof(path), "%s/%s-%s" ENDING, a->options->all, name,
		     date) >= (int)sizeof(path))
		return error_set(e, VTPMCTL_FAILED, CAUSE_INTERNAL,
				 "%s is too long a path", a->options->all);
	made.file = path + strlen(a->options->all) + 1;
	status = backup_write(&a->client, a->options, name, path, e);
	if (status)
		return status;
	a->made++;
	printf("%s\n", path);
	return a->options->keep && thin_out(a, &made, e) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/* One failure does not stop the others, unless nobody answers. */
static int backup_each(struct all *a, const json_t *vtpms)
{
	const json_t *v;
	size_t i;

	json_array_foreach(vtpms, i, v)
	{
		const char *name = client_text(v, "name");
		struct error e = {.cause = CAUSE_NONE};
		int status = backup_one(a, v, &e);

		if (!status)
			continue;
		a->failed++;
		fprintf(stderr, "vtpmctl: %s: %s\n", name, e.text);
		if (status == VTPMCTL_NO_VTPMD)
			return status;
	}
	return a->failed ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/* vTPMs that vtpmd cannot name have no backup of today either. */
static unsigned int tell_damaged(const json_t *damaged)
{
	const json_t *one;
	size_t i;

	json_array_foreach(damaged, i, one)
	{
		fprintf(stderr,
			"vtpmctl: the vTPM in the store's folder %s has no backup: its "
			"vtpm.json cannot be used (%s); put it back from a copy of the "
			"folder, and restart vtpmd\n",
			client_text(one, "folder"), client_text(one, "error"));
	}
	return (unsigned int)i;
}

/* Nor have those that a host of a pool has in its folder still: vtpmd does not start them. */
static void tell_in_folder(struct all *a)
{
	char text[CLIENT_TEXT];
	json_t *reply;
	const json_t *name;
	size_t i;

	if (client_ask(&a->client, a->options->socket, client_request("pool", NULL),
		       &reply, text))
		return; /* in no pool */
	json_array_foreach(json_object_get(reply, "folder"), i, name)
	{
		fprintf(stderr,
			"vtpmctl: the vTPM %s has no backup: it is in this host's folder, and "
			"not in the pool; `vtpmctl pool move %s`\n",
			json_string_value(name), json_string_value(name));
	}
	json_decref(reply);
}

int backup_all(const struct backup_options *o)
{
	struct all a = {.options = o};
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT];
	json_t *reply;
	int status;

	if (open_all(&a, &e))
		return vtpmctl_fail(&e);
	sweep_all(&a);
	status = client_ask(&a.client, o->socket, client_request("list", NULL), &reply,
			    text);
	if (status) {
		fprintf(stderr, "vtpmctl: %s\n", text);
	} else {
		a.failed += tell_damaged(json_object_get(reply, "damaged"));
		status = backup_each(&a, json_object_get(reply, "vtpms"));
		tell_in_folder(&a);
		fprintf(stderr, "%u backed up, %u failed, %u old ones removed\n", a.made,
			a.failed, a.gone);
	}
	json_decref(reply);
	client_close(&a.client);
	close(a.dir);
	return fflush(stdout) ? VTPMCTL_FAILED : status;
}
