/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/pool_copy.h"
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/store_etcd.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

static bool is_value(const char *name)
{
	/* "host" is etcd's, "lock" the folder's; what a copy is made from is not its own */
	static const char *const others[] = {"lock", "host", STORE_DESCRIPTION,
					     POOL_MOVE_RELEASED};
	static const char *const ends[] = {".prev", ".new", ".link"};
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (n > strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i]))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(name, others[i]))
			return false;
	return name[0] != '.' && strncmp(name, "source.", 7) != 0;
}

static int copy_value(struct store *from, struct store *to, const char *name)
{
	uint8_t *buf;
	size_t len;
	int rc;

	if (!strcmp(name, store_name(CHANNEL_OBJECT_HEADER)))
		rc = store_get(from, CHANNEL_OBJECT_HEADER, &buf, &len);
	else if (!strcmp(name, store_name(CHANNEL_OBJECT_PERMALL)))
		rc = store_get(from, CHANNEL_OBJECT_PERMALL, &buf, &len);
	else
		rc = from->ops->get(from, name, CHANNEL_PAYLOAD_MAX, &buf, &len);
	if (rc)
		return rc;
	rc = store_set(to, name, buf, len);
	free(buf);
	return rc;
}

int pool_copy_in(struct store *folder, struct store *pool)
{
	int fd = dup(folder->dir), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	rewinddir(dir);
	while (!rc && (d = readdir(dir)))
		if (is_value(d->d_name))
			rc = copy_value(folder, pool, d->d_name);
	closedir(dir);
	return rc;
}

struct copier {
	struct store *from, *to;
	int rc;
};

static void copy_named(void *ctx, const char *name)
{
	struct copier *c = ctx;

	if (!c->rc && is_value(name))
		c->rc = copy_value(c->from, c->to, name);
}

int pool_copy_out(struct store *pool, struct store *folder)
{
	struct copier c = {pool, folder, 0};

	store_etcd_each_value(pool, copy_named, &c);
	return c.rc;
}

struct finder {
	const char *root, *name; /* NULL: all names, into names */
	json_t *names;
	struct meta *meta;
	bool found;
};

static void look_at_folder(void *ctx, const char *folder)
{
	struct finder *f = ctx;
	uint8_t uuid[16];
	struct store s;
	struct meta m;

	if (uuid_parse(folder, uuid) || f->found || store_open(&s, f->root, uuid, false))
		return;
	if (meta_read(&s, &m)) {
		store_close(&s);
		return;
	}
	if (!f->name) {
		json_array_append_new(f->names, json_string(m.name));
	} else if (!strcmp(m.name, f->name)) {
		*f->meta = m;
		f->found = true;
	}
	store_close(&s);
}

json_t *pool_copy_names(const char *root)
{
	struct finder f = {.root = root, .names = json_array()};

	(void)!store_list(root, look_at_folder, &f);
	return f.names;
}

bool pool_copy_find(const char *root, const char *name, struct meta *m)
{
	struct finder f = {.root = root, .name = name, .meta = m};

	(void)!store_list(root, look_at_folder, &f);
	return f.found;
}
