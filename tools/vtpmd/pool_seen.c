/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/pool_seen.h"
#include "lib/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_own_folder(const char *folder)
{
	int dir = open(folder, O_DIRECTORY | O_CLOEXEC | O_RDONLY);

	return dir < 0 ? -errno : dir;
}

/* -EBADMSG */
static int parse_seen(const uint8_t *buf, size_t len, const char *pool,
		      struct session_seen *seen)
{
	json_t *o = json_loadb((const char *)buf, len, JSON_REJECT_DUPLICATES, NULL);
	const char *of = json_string_value(json_object_get(o, "pool"));
	const char *id = json_string_value(json_object_get(o, "cluster_id"));
	json_int_t revision = json_integer_value(json_object_get(o, "revision"));
	char *end = NULL;
	int rc = 0;

	if (!of || !id || strlen(id) != 16 ||
	    strspn(id, "0123456789abcdef") != strlen(id) || revision <= 0) {
		rc = -EBADMSG;
	} else if (!strcmp(of, pool)) {
		seen->cluster_id = strtoull(id, &end, 16);
		seen->revision = revision;
	}
	json_decref(o);
	return rc;
}

int pool_seen_load(const char *folder, const char *pool, struct session_seen *seen,
		   struct error *e)
{
	int dir = open_own_folder(folder), rc = dir < 0 ? dir : 0;
	uint8_t *buf = NULL;
	size_t len;

	*seen = (struct session_seen){0};
	if (!rc)
		rc = atomic_read(dir, POOL_SEEN_FILE, POOL_SEEN_MAX, &buf, &len);
	if (!rc)
		rc = parse_seen(buf, len, pool, seen);
	free(buf);
	if (dir >= 0)
		close(dir);
	if (!rc || rc == -ENOENT)
		return 0;
	return error_set(
		e, rc, CAUSE_STORE,
		"%s/" POOL_SEEN_FILE
		", what this host last knew of the pool, cannot be read: %s; bring it back, "
		"or, when etcd's data are known to be the newest, remove it.",
		folder, strerror(-rc));
}

int pool_seen_save(const char *folder, const char *pool, const struct session_seen *seen)
{
	int dir = open_own_folder(folder), rc = dir < 0 ? dir : 0;
	char id[17], *text;
	json_t *o;

	if (rc)
		return rc;
	snprintf(id, sizeof(id), "%016" PRIx64, seen->cluster_id);
	o = json_pack("{s:s, s:s, s:I}", "pool", pool, "cluster_id", id, "revision",
		      (json_int_t)seen->revision);
	text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	rc = text ? atomic_write(dir, POOL_SEEN_FILE, text, strlen(text), false)
		  : -ENOMEM;
	free(text);
	json_decref(o);
	close(dir);
	return rc;
}
