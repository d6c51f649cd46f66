/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/launch.h"
#include "lib/atomic.h"
#include "lib/measure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define SWEEP_S	   60
#define PREFIX	   "launch-"
#define MAGIC	   "XVLAUNCH"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define FILE_MAX   (MAGIC_SIZE + 1 + LAUNCH_VTPMS_MAX * 16 + MEASURE_MAX)

void launch_name(const uint8_t domain[16], char name[static LAUNCH_NAME_SIZE])
{
	char uuid[37];

	uuid_unparse_lower(domain, uuid);
	snprintf(name, LAUNCH_NAME_SIZE, PREFIX "%s", uuid);
}

int launch_keep(int run_dir, const struct launch *l)
{
	char name[LAUNCH_NAME_SIZE];
	struct cursor w;
	uint8_t *file;
	int rc;

	if (l->vtpms < 1 || l->vtpms > LAUNCH_VTPMS_MAX ||
	    !measure_check(l->list, l->len))
		return -EBADMSG;
	file = malloc(FILE_MAX);
	if (!file)
		return -ENOMEM;
	w = cursor_writer(file, FILE_MAX);
	cursor_put(&w, MAGIC, MAGIC_SIZE);
	cursor_put_u8(&w, (uint8_t)l->vtpms);
	cursor_put(&w, l->vtpm, l->vtpms * sizeof(l->vtpm[0]));
	cursor_put(&w, l->list, l->len);
	launch_name(l->domain, name);
	rc = cursor_ok(&w) ? atomic_write(run_dir, name, file, w.pos, false) : -EMSGSIZE;
	free(file);
	return rc;
}

static bool held(int run_dir, const char *name)
{
	int fd = openat(run_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool yes;

	if (fd < 0)
		return false;
	yes = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return yes;
}

bool launch_held(int run_dir, const uint8_t domain[16])
{
	char name[LAUNCH_NAME_SIZE];

	launch_name(domain, name);
	return held(run_dir, name);
}

static int parse_launch(struct cursor *c, struct launch *l)
{
	const uint8_t *magic = cursor_bytes(c, MAGIC_SIZE);

	l->vtpms = cursor_u8(c);
	if (!magic || memcmp(magic, MAGIC, MAGIC_SIZE) || l->vtpms > LAUNCH_VTPMS_MAX)
		return -EBADMSG;
	cursor_copy(c, l->vtpm, l->vtpms * sizeof(l->vtpm[0]));
	l->len = cursor_left(c);
	l->list = cursor_bytes(c, l->len);
	return cursor_done(c) && measure_check(l->list, l->len) ? 0 : -EBADMSG;
}

static bool names(const struct launch *l, const uint8_t vtpm[16])
{
	for (unsigned int i = 0; i < l->vtpms; i++)
		if (!memcmp(l->vtpm[i], vtpm, sizeof(l->vtpm[i])))
			return true;
	return false;
}

static int find_launch(int run_dir, const char *name, const uint8_t vtpm[16],
		       struct cursor *out)
{
	struct launch l = {.vtpms = 0};
	struct cursor c;
	uint8_t *file;
	size_t len;
	int rc;

	if (!held(run_dir, name))
		return -ENOENT;
	rc = atomic_read(run_dir, name, FILE_MAX, &file, &len);
	if (rc)
		return rc;
	c = cursor_reader(file, len);
	rc = parse_launch(&c, &l);
	if (!rc && !names(&l, vtpm))
		rc = -ENOENT;
	if (!rc)
		cursor_put(out, l.list, l.len);
	free(file);
	return rc;
}

/* Calls each() for every launch file, until it returns 0. */
static int walk(int run_dir, int (*each)(int run_dir, const char *name, void *ctx),
		void *ctx)
{
	int fd = openat(run_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -ENOENT;
	struct dirent *entry;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -errno;
	}
	while (rc && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, PREFIX, strlen(PREFIX)))
			rc = each(run_dir, entry->d_name, ctx);
	closedir(dir);
	return rc;
}

struct search {
	const uint8_t *vtpm;
	struct cursor *out;
	uint8_t *found; /* the guest's uuid */
};

static int search_one(int run_dir, const char *name, void *ctx)
{
	struct search *s = ctx;

	return uuid_parse(name + strlen(PREFIX), s->found)
		       ? -ENOENT
		       : find_launch(run_dir, name, s->vtpm, s->out);
}

int launch_find_of(int run_dir, const uint8_t *domain, const uint8_t vtpm[16],
		   struct cursor *out, uint8_t found[16])
{
	struct search any = {vtpm, out, found};
	char name[LAUNCH_NAME_SIZE];

	if (!domain)
		return walk(run_dir, search_one, &any);
	memcpy(found, domain, 16);
	launch_name(domain, name);
	return find_launch(run_dir, name, vtpm, out);
}

int launch_find(int run_dir, const uint8_t *domain, const uint8_t vtpm[16],
		struct cursor *out)
{
	uint8_t found[16];

	return launch_find_of(run_dir, domain, vtpm, out, found);
}

static int sweep_one(int run_dir, const char *name, void *ctx)
{
	struct timespec now;
	struct stat st;
	time_t age;

	if (fstatat(run_dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -ENOENT;
	/* a new one may not be locked yet; one from the future is not known to be new */
	/* time() is behind the times of files, by a tick, from Linux 6.13 on */
	(void)clock_gettime(CLOCK_REALTIME, &now);
	age = now.tv_sec - st.st_mtime;
	if ((age < 0 || age > SWEEP_S) && !held(run_dir, name))
		(void)unlinkat(run_dir, name, 0);
	return -ENOENT;
}

void launch_sweep(int run_dir)
{
	(void)!walk(run_dir, sweep_one, NULL);
}
