/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/store.h"
#include "lib/atomic.h"
#include "lib/crypt.h"
#include "lib/slot/envelope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

/* The object's file; NULL: there is no such object. */
static const char *object_name(uint16_t object)
{
	switch (object) {
	case CHANNEL_OBJECT_HEADER:
		return "header";
	case CHANNEL_OBJECT_PERMALL:
		return "permall";
	case CHANNEL_OBJECT_VOLATILE:
		return "volatile";
	case CHANNEL_OBJECT_SAVESTATE:
		return "savestate";
	case CHANNEL_OBJECT_SOURCE_HEADER:
		return "source.header";
	case CHANNEL_OBJECT_SOURCE_PERMALL:
		return "source.permall";
	}
	return NULL;
}

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

/* One file in a folder; not being there is success.  The folder is not synced. */
static int erase_file(int dir, const char *name)
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

/* The generation before NAME, and what an interrupted write left beside it
 * (lib/atomic.h).  NAME itself stays, also when they are names of the same file. */
static int erase_previous(int dir, const char *name)
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

#define MACHINE_ID "/etc/machine-id"

static void uuid_path(char *out, size_t room, const char *root, const uint8_t uuid[16])
{
	char text[37];

	uuid_unparse_lower(uuid, text);
	snprintf(out, room, "%s/%s", root, text);
}

/* Makes the entry of path in its parent durable. */
static int sync_parent(const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

int store_open(struct store *s, const char *root, const uint8_t uuid[16], bool create)
{
	char path[4096];
	int rc;

	*s = (struct store){.lease = -1};
	memcpy(s->uuid, uuid, sizeof(s->uuid));
	uuid_path(path, sizeof(path), root, uuid);
	if (create && mkdir(path, 0700))
		return -errno;
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->dir < 0)
		return -errno;
	rc = create ? sync_parent(root) : 0;
	if (rc)
		store_close(s);
	return rc;
}

int store_reopen(struct store *s, const char *root)
{
	struct store fresh;
	int rc;

	if (s->lease >= 0)
		return 0;
	rc = store_open(&fresh, root, s->uuid, false);
	if (rc)
		return rc;
	store_close(s);
	*s = fresh;
	return 0;
}

void store_close(struct store *s)
{
	if (s->lease >= 0)
		close(s->lease);
	if (s->dir >= 0)
		close(s->dir);
	s->lease = s->dir = -1;
}

/* This machine, for leases on storage that several machines share. */
static void machine_id(char out[33])
{
	int fd = open(MACHINE_ID, O_RDONLY | O_CLOEXEC);

	memset(out, 0, 33);
	if (fd < 0 || read(fd, out, 32) != 32)
		strcpy(out, "unknown");
	if (fd >= 0)
		close(fd);
}

int store_lease(struct store *s, struct error *e)
{
	char own[33], other[33] = "";
	int fd;

	if (s->lease >= 0)
		return 0;
	fd = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(
			e, -errno, CAUSE_STORE,
			"The lease on the vTPM's store could not be opened: %m.");
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return error_set(e, -EBUSY, CAUSE_LEASE,
				 "The vTPM's store is in use by another vtpmd: stop the "
				 "vTPM there first.");
	}
	machine_id(own);
	if (pread(fd, other, 32, 0) > 0 && strcmp(own, other)) {
		close(fd);
		return error_set(
			e, -EBUSY, CAUSE_LEASE,
			"The vTPM was last started on the machine %s and not "
			"stopped there: stop it there, or remove the file \"lock\" "
			"in its store when that machine is dead for certain.",
			other);
	}
	if (ftruncate(fd, 0) || pwrite(fd, own, strlen(own), 0) < 0 || fsync(fd)) {
		int rc = -errno;

		close(fd);
		return error_set(
			e, rc, CAUSE_STORE,
			"The lease on the vTPM's store could not be written: %s.",
			strerror(-rc));
	}
	s->lease = fd;
	return 0;
}

void store_release(struct store *s)
{
	if (s->lease < 0)
		return;
	/* failing leaves a lease of this very machine: harmless here */
	if (ftruncate(s->lease, 0) == 0)
		(void)fsync(s->lease);
	/* close() alone is not enough: a child that was forked for a program, and has
	 * not come to it yet, has the descriptor too */
	(void)flock(s->lease, LOCK_UN);
	close(s->lease);
	s->lease = -1;
}

/* Its place in s->known; -1: nothing is known of such objects. */
static int known_place(uint16_t object)
{
	static const uint16_t objects[STORE_KNOWN] = {
		CHANNEL_OBJECT_HEADER,
		CHANNEL_OBJECT_PERMALL,
		CHANNEL_OBJECT_SOURCE_HEADER,
		CHANNEL_OBJECT_SOURCE_PERMALL,
	};
	int i;

	for (i = 0; i < STORE_KNOWN; i++)
		if (objects[i] == object)
			return i;
	return -1;
}

static int store_hash_of(const uint8_t *buf, size_t len, uint8_t hash[32])
{
	const struct crypt_part part = {buf, len};

	return crypt_sha256(&part, 1, hash);
}

int store_know(struct store *s, uint16_t object, const uint8_t *buf, size_t len)
{
	bool header =
		object == CHANNEL_OBJECT_HEADER || object == CHANNEL_OBJECT_SOURCE_HEADER;
	int rc, place = known_place(object);
	struct store_known k = {.set = true};
	struct envelope_head h = {0};

	if (place < 0)
		return 0;
	rc = envelope_head_parse(header ? CHANNEL_OBJECT_HEADER : CHANNEL_OBJECT_PERMALL,
				 buf, len, &h);
	if (!rc)
		rc = store_hash_of(buf, len, k.hash);
	k.seq = h.seq;
	k.epoch = h.epoch;
	if (!rc)
		s->known[place] = k;
	return rc;
}

void store_know_nothing(struct store *s)
{
	memset(s->known, 0, sizeof(s->known));
	s->epoch = 0;
}

const struct store_known *store_known(const struct store *s, uint16_t object)
{
	int place = known_place(object);

	return place >= 0 && s->known[place].set ? &s->known[place] : NULL;
}

static bool has_hash(const struct store_known *k, const uint8_t *buf, size_t len)
{
	uint8_t hash[32];

	return !store_hash_of(buf, len, hash) && !memcmp(hash, k->hash, sizeof(hash));
}

bool store_knows(const struct store *s, uint16_t object, const uint8_t *buf, size_t len)
{
	const struct store_known *k = store_known(s, object);

	return k && has_hash(k, buf, len);
}

void store_expect(struct store *s, const uint8_t *buf, size_t len)
{
	s->coming.set = buf && !store_hash_of(buf, len, s->coming.hash);
}

int store_get(struct store *s, uint16_t object, uint8_t **buf, size_t *len)
{
	const char *name = object_name(object);
	int rc;

	if (!name)
		return -EINVAL;
	rc = atomic_read(s->dir, name, CHANNEL_PAYLOAD_MAX, buf, len);
	if (rc || !store_known(s, object) || store_knows(s, object, *buf, *len) ||
	    (s->coming.set && has_hash(&s->coming, *buf, *len)))
		return rc;
	free(*buf);
	return -ESTALE;
}

/* A file that has this hash becomes what is known of the header. */
static int try_header(struct store *s, const char *name, const uint8_t hash[32],
		      bool put_back)
{
	uint8_t own[32], *buf;
	size_t len;
	int rc = atomic_read(s->dir, name, CHANNEL_PAYLOAD_MAX, &buf, &len);

	if (rc)
		return rc;
	rc = store_hash_of(buf, len, own);
	if (!rc && memcmp(own, hash, sizeof(own)))
		rc = -ESTALE;
	if (!rc && put_back)
		rc = atomic_write(s->dir, "header", buf, len, false);
	if (!rc)
		rc = store_know(s, CHANNEL_OBJECT_HEADER, buf, len);
	free(buf);
	return rc;
}

int store_find_header(struct store *s, const uint8_t hash[32])
{
	int rc = try_header(s, "header", hash, false), prev;

	if (rc != -ESTALE && rc != -ENOENT)
		return rc;
	prev = try_header(s, "header.prev", hash, true);
	return prev == -ENOENT || prev == -ESTALE ? rc : prev ? prev : 1;
}

/* Whether an object may replace what is stored; 1: it is stored already. */
static int compare(struct store *s, uint16_t object, uint64_t seq, const uint8_t *buf,
		   size_t len)
{
	uint8_t *old;
	size_t old_len;
	struct envelope_head h;
	int rc = store_get(s, object, &old, &old_len);

	if (rc == -ENOENT)
		return 0;
	if (rc)
		return rc;
	rc = envelope_head_parse(object, old, old_len, &h);
	if (!rc && seq == h.seq && len == old_len && !memcmp(old, buf, len))
		rc = 1;
	else if (!rc && seq <= h.seq)
		rc = -ESTALE;
	free(old);
	return rc;
}

/* What a file of the folder is, if it is there and can be read. */
enum file { NONE, NO_HEADER, HEADER, HEADER_WITH_OLD_KEY };

static enum file look_at(struct store *s, const char *name)
{
	enum file what = NO_HEADER;
	struct envelope_head h;
	uint8_t *buf;
	size_t len;

	if (atomic_read(s->dir, name, CHANNEL_PAYLOAD_MAX, &buf, &len))
		return NONE;
	if (!envelope_head_parse(CHANNEL_OBJECT_HEADER, buf, len, &h))
		what = envelope_has_old_key(buf, len) ? HEADER_WITH_OLD_KEY : HEADER;
	free(buf);
	return what;
}

/* What the stored header of a deep rekey's end replaces: the old key's own slots, and
 * the states under it. */
static int forget_old_key(struct store *s)
{
	uint16_t object;
	int rc = 0;

	for (object = CHANNEL_OBJECT_HEADER; object_name(object) && !rc; object++)
		rc = erase_previous(s->dir, object_name(object));
	if (!rc && fsync(s->dir))
		rc = -errno;
	return rc;
}

int store_settle(struct store *s)
{
	enum file previous = look_at(s, "header.prev");
	int rc;

	/* NO_HEADER: it was being erased */
	if (look_at(s, "header") != HEADER || previous == NONE || previous == HEADER)
		return 0;
	rc = erase_previous(s->dir, "header");
	return rc ? rc : fsync(s->dir) ? -errno : 0;
}

/* A deep rekey begins or ends: erases the other copies of the previous key before the
 * header is replaced. */
static int replace_header(struct store *s, const uint8_t *buf, size_t len)
{
	enum file present = look_at(s, "header");
	bool old_key = envelope_has_old_key(buf, len);
	int rc = 0;

	if (present == HEADER_WITH_OLD_KEY && !old_key)
		rc = forget_old_key(s);
	else if (present == HEADER && old_key)
		rc = erase_previous(s->dir, "header");
	return rc ? rc : atomic_write(s->dir, "header", buf, len, true);
}

int store_put(struct store *s, uint16_t object, uint64_t seq, const uint8_t *buf,
	      size_t len)
{
	const char *name = object_name(object);
	struct envelope_head h;
	int rc;

	if (object == CHANNEL_OBJECT_SOURCE_HEADER ||
	    object == CHANNEL_OBJECT_SOURCE_PERMALL)
		return -EPERM;
	if (!name || len > CHANNEL_PAYLOAD_MAX ||
	    envelope_head_parse(object, buf, len, &h))
		return -EINVAL;
	if (memcmp(h.uuid, s->uuid, sizeof(h.uuid)))
		return -EPERM;
	if (h.seq != seq || (s->epoch && h.epoch != s->epoch))
		return -EINVAL;
	rc = compare(s, object, seq, buf, len);
	if (rc < 0)
		return rc;
	if (object != CHANNEL_OBJECT_HEADER)
		return rc ? 0 : atomic_write(s->dir, name, buf, len, true);
	return rc ? 0 : replace_header(s, buf, len);
}

int store_object_seq(uint16_t object, const uint8_t *buf, size_t len, uint64_t *seq)
{
	struct envelope_head h = {0};

	if (!object_name(object))
		return -EINVAL;
	*seq = 0;
	if (envelope_head_parse(object, buf, len, &h))
		return -EBADMSG;
	*seq = h.seq;
	return 0;
}

bool store_has(struct store *s, uint16_t object)
{
	const char *name = object_name(object);

	return name && !faccessat(s->dir, name, F_OK, 0);
}

uint64_t store_seq(struct store *s, uint16_t object)
{
	uint8_t *buf;
	size_t len;
	struct envelope_head h = {0};

	if (store_get(s, object, &buf, &len))
		return 0;
	if (envelope_head_parse(object, buf, len, &h))
		h.seq = 0;
	free(buf);
	return h.seq;
}

int store_own_seq(struct store *s, uint16_t object, uint64_t *seq)
{
	uint8_t *buf;
	size_t len;
	struct envelope_head h;
	int rc = store_get(s, object, &buf, &len);

	*seq = 0;
	if (rc)
		return rc;
	rc = envelope_head_parse(object, buf, len, &h);
	if (!rc && memcmp(h.uuid, s->uuid, sizeof(h.uuid)))
		rc = -EBADMSG;
	if (!rc)
		*seq = h.seq;
	free(buf);
	return rc;
}

size_t store_slots(struct store *s, uint16_t *kinds, size_t room)
{
	uint8_t *buf;
	size_t len, n;

	if (store_get(s, CHANNEL_OBJECT_HEADER, &buf, &len))
		return 0;
	n = envelope_slot_kinds(buf, len, kinds, room);
	free(buf);
	return n;
}

int store_drop_header(struct store *s)
{
	if (store_has(s, CHANNEL_OBJECT_PERMALL))
		return -EEXIST;
	if (unlinkat(s->dir, "header", 0) && errno != ENOENT)
		return -errno;
	return fsync(s->dir) ? -errno : 0;
}

/* The key slots: without them what is left of the state is noise. */
static int erase_slots(struct store *s)
{
	static const char *const names[] = {"header",	     "header.prev",
					    "header.new",    "header.link",
					    "source.header", "source.header.new"};
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(names) && !rc; i++)
		rc = erase_file(s->dir, names[i]);
	if (!rc && fsync(s->dir))
		rc = -errno;
	return rc;
}

int store_remove(struct store *s, const char *root)
{
	char path[4096];
	struct dirent *d;
	DIR *dir;
	int fd = dup(s->dir), rc;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	rc = erase_slots(s);
	if (rc) {
		closedir(dir);
		return rc;
	}
	/* The description goes next: what is left of an interrupted removal is no
	 * vTPM any more. */
	if (unlinkat(s->dir, "vtpm.json", 0) && errno != ENOENT) {
		closedir(dir);
		return -errno;
	}
	rewinddir(dir);
	while ((d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			(void)unlinkat(s->dir, d->d_name, 0);
	closedir(dir);
	uuid_path(path, sizeof(path), root, s->uuid);
	if (rmdir(path))
		return -errno;
	return sync_parent(root);
}

/* Of each, what it is in the folder of the vTPM that is a copy. */
static const struct {
	uint16_t object, copy;
} sources[] = {
	{CHANNEL_OBJECT_HEADER, CHANNEL_OBJECT_SOURCE_HEADER},
	{CHANNEL_OBJECT_PERMALL, CHANNEL_OBJECT_SOURCE_PERMALL},
};

int store_take_source(struct store *s, struct store *from)
{
	uint8_t *buf;
	size_t i, len;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(sources) && !rc; i++) {
		rc = store_get(from, sources[i].object, &buf, &len);
		if (rc)
			break;
		rc = atomic_write(s->dir, object_name(sources[i].copy), buf, len, false);
		if (!rc)
			rc = store_know(s, sources[i].copy, buf, len);
		free(buf);
	}
	return rc;
}

int store_drop_source(struct store *s)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(sources) && !rc; i++) {
		rc = erase_previous(s->dir, object_name(sources[i].copy));
		if (!rc)
			rc = erase_file(s->dir, object_name(sources[i].copy));
	}
	if (!rc && fsync(s->dir))
		rc = -errno;
	return rc;
}
