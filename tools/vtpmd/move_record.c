/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/move_record.h"
#include "lib/atomic.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmd/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define LABEL  "xen-vtpm handover 1"
#define FOLDER "handovers"

static void put_text(struct cursor *w, const char *text)
{
	cursor_put_u16(w, (uint16_t)strlen(text));
	cursor_put(w, text, strlen(text));
}

int move_record_encode(const struct move_record *r, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	put_text(&w, LABEL);
	cursor_put_u8(&w, (uint8_t)r->h.state);
	cursor_put(&w, r->h.txid, sizeof(r->h.txid));
	cursor_put(&w, r->h.gone, sizeof(r->h.gone));
	cursor_put(&w, r->uuid, sizeof(r->uuid));
	put_text(&w, r->name);
	put_text(&w, r->peer);
	*len = w.pos;
	return cursor_ok(&w) ? 0 : -EMSGSIZE;
}

static void take_text(struct cursor *c, char *out, size_t room)
{
	size_t n = cursor_u16(c);

	if (n >= room) {
		cursor_fail(c);
		n = 0;
	}
	cursor_copy(c, out, n);
	out[n] = '\0';
	if (strlen(out) != n || !text_is_clean(out, n))
		cursor_fail(c);
}

static bool is_recorded(unsigned int state)
{
	const unsigned int all = 1u << HANDOVER_ABSENT | 1u << HANDOVER_HERE |
				 1u << HANDOVER_RELEASED | 1u << HANDOVER_AWAY |
				 1u << HANDOVER_INCOMING | 1u << HANDOVER_PREPARED |
				 1u << HANDOVER_OWNED | 1u << HANDOVER_BACK;

	return state < HANDOVER_STATES && all & 1u << state;
}

int move_record_decode(const uint8_t *buf, size_t len, struct move_record *r)
{
	struct cursor c = cursor_reader(buf, len);
	char label[sizeof(LABEL)];
	unsigned int state;

	memset(r, 0, sizeof(*r));
	take_text(&c, label, sizeof(label));
	state = cursor_u8(&c);
	cursor_copy(&c, r->h.txid, sizeof(r->h.txid));
	cursor_copy(&c, r->h.gone, sizeof(r->h.gone));
	cursor_copy(&c, r->uuid, sizeof(r->uuid));
	take_text(&c, r->name, sizeof(r->name));
	take_text(&c, r->peer, sizeof(r->peer));
	if (!cursor_done(&c) || strcmp(label, LABEL) != 0 || !is_recorded(state))
		return -EBADMSG;
	r->h.state = (enum handover_state)state;
	return 0;
}

/* The folder, made if it is not there. */
static int open_folder(const char *store)
{
	int at = open(store, O_DIRECTORY | O_CLOEXEC | O_RDONLY), fd, rc;

	if (at < 0)
		return -errno;
	if (!mkdirat(at, FOLDER, 0700))
		(void)fsync(at);
	fd = openat(at, FOLDER, O_DIRECTORY | O_CLOEXEC | O_RDONLY | O_NOFOLLOW);
	rc = fd < 0 ? -errno : fd;
	close(at);
	return rc;
}

int move_record_write(const char *store, const struct move_record *r)
{
	uint8_t bytes[MOVE_RECORD_MAX];
	size_t len = sizeof(bytes);
	char name[37];
	int fd, rc = move_record_encode(r, bytes, &len);

	if (rc)
		return rc;
	fd = open_folder(store);
	if (fd < 0)
		return fd;
	uuid_unparse_lower(r->uuid, name);
	rc = atomic_write(fd, name, bytes, len, false);
	close(fd);
	return rc;
}

int move_record_remove(const char *store, const uint8_t uuid[16])
{
	int fd = open_folder(store), rc = 0;
	char name[37];

	if (fd < 0)
		return fd;
	uuid_unparse_lower(uuid, name);
	if (unlinkat(fd, name, 0) && errno != ENOENT)
		rc = -errno;
	if (!rc && fsync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

static void read_record(int fd, const char *name, void *ctx,
			void (*each)(void *ctx, const struct move_record *r))
{
	struct move_record r;
	uint8_t *bytes, uuid[16];
	size_t len;
	int rc;

	if (uuid_parse(name, uuid))
		return;
	rc = atomic_read(fd, name, MOVE_RECORD_MAX, &bytes, &len);
	if (!rc) {
		rc = move_record_decode(bytes, len, &r);
		free(bytes);
	}
	if (!rc && memcmp(r.uuid, uuid, sizeof(uuid)) != 0)
		rc = -EBADMSG;
	if (rc)
		log_line(LOG_ERR,
			 FOLDER
			 "/%s is left alone: it is no record of a handover (%s); put "
			 "it back from a copy, and restart vtpmd",
			 name, strerror(-rc));
	else
		each(ctx, &r);
}

int move_record_each(const char *store, void *ctx,
		     void (*each)(void *ctx, const struct move_record *r))
{
	int fd = open_folder(store);
	struct dirent *one;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -errno;
	}
	while ((one = readdir(dir)))
		read_record(fd, one->d_name, ctx, each);
	closedir(dir);
	return 0;
}
