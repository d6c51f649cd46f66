/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vTPM as a folder, ROOT/UUID/: a file for each value, and "lock" with the claim.  An
 * object is put in a thread (work.h): the event loop waits for no fsync of a manager's.
 * The permanent state, which a guest changes as often as it likes, is a twin file (lib/twin.h)
 * from the first put of a claim that replaces one until that is given back; all else
 * lib/atomic.h writes.
 */
#include "lib/atomic.h"
#include "lib/twin.h"
#include "tools/vtpmd/store.h"
#include "tools/vtpmd/work.h"

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

_Static_assert(TWIN_VALUE_MAX >= CHANNEL_PAYLOAD_MAX, "a state fits into a side");

static bool is_state(const char *name)
{
	return !strcmp(name, store_name(CHANNEL_OBJECT_PERMALL));
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
	if (st.st_size > TWIN_FILE_MAX)
		st.st_size = TWIN_FILE_MAX;
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

/* What is beside NAME: the generation before, and what an interrupted write left
 * (lib/atomic.h).  NAME itself stays, also when they are names of the same file. */
static int erase_beside(int dir, const char *name)
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

/* The generations before NAME, that on the other side of a state's file, too. */
static int erase_previous(int dir, const char *name)
{
	int rc = erase_beside(dir, name);

	if (rc || !is_state(name))
		return rc;
	rc = twin_settle(dir, name);
	return rc ? rc : erase_beside(dir, name);
}

#define MACHINE_ID "/etc/machine-id"

#define BESIDE_LEN (1 + 36 + 4) /* .UUID.new */

static void folder_path(char *out, size_t room, const char *root, const struct store *s)
{
	char text[37];

	uuid_unparse_lower(s->uuid, text);
	snprintf(out, room, s->beside ? "%s/.%s.new" : "%s/%s", root, text);
}

/* Whether a name is that of a folder beside a vTPM's. */
static bool is_beside(const char *name, uint8_t uuid[16])
{
	char text[37];

	if (strlen(name) != BESIDE_LEN || name[0] != '.' || strcmp(name + 37, ".new"))
		return false;
	memcpy(text, name + 1, 36);
	text[36] = '\0';
	return !uuid_parse(text, uuid);
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

static int remove_folder(struct store *s, const char *root);

/* A replacement that was interrupted left it: what it was to replace, or what was not whole. */
static int sweep_beside(const char *root, const uint8_t uuid[16])
{
	struct store s = {.beside = true, .lease = -1};
	char path[4096];
	int rc;

	memcpy(s.uuid, uuid, sizeof(s.uuid));
	folder_path(path, sizeof(path), root, &s);
	s.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s.dir < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = remove_folder(&s, root);
	close(s.dir);
	return rc;
}

static int list_folders(const char *root, void (*each)(void *ctx, const char *uuid),
			void *ctx)
{
	struct dirent *entry;
	uint8_t uuid[16];
	DIR *dir;

	if (mkdir(root, 0700) && errno != EEXIST)
		return -errno;
	dir = opendir(root);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (!is_beside(entry->d_name, uuid))
			each(ctx, entry->d_name);
		else
			(void)!sweep_beside(root, uuid);
	closedir(dir);
	return 0;
}

static int open_folder(struct store *s, const char *root, bool create)
{
	char path[4096];

	s->dir = s->lease = -1;
	folder_path(path, sizeof(path), root, s);
	if (create && mkdir(path, 0700))
		return -errno;
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->dir < 0)
		return -errno;
	return create ? sync_parent(root) : 0;
}

static int open_beside(struct store *s, const char *root)
{
	int rc = sweep_beside(root, s->uuid);

	return rc ? rc : open_folder(s, root, true);
}

static int swap_folders(struct store *own, struct store *beside, const char *root)
{
	char a[4096], b[4096];

	folder_path(a, sizeof(a), root, own);
	folder_path(b, sizeof(b), root, beside);
	if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE))
		return -errno;
	/* should it not be durable, a power cut leaves the old one: none is lost */
	(void)!sync_parent(root);
	return 0;
}

static void close_folder(struct store *s)
{
	if (s->lease >= 0)
		close(s->lease);
	if (s->dir >= 0)
		close(s->dir);
	s->lease = s->dir = -1;
}

/* This machine, for leases on storage that several machines share.  -errno: its disk fails. */
static int machine_id(char out[33])
{
	int fd = open(MACHINE_ID, O_RDONLY | O_CLOEXEC), rc = 0;
	ssize_t n;

	memset(out, 0, 33);
	n = fd < 0 ? 0 : read(fd, out, 32);
	if (n < 0)
		rc = -errno;
	else if (n != 32)
		strcpy(out, "unknown");
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Returns 0 when the lease that fd is open at is nobody's or this machine's, which own gets.  One
 * that cannot be read may be another machine's. */
static int read_lease(int fd, char own[33], struct error *e)
{
	char other[33] = "";
	ssize_t n = pread(fd, other, 32, 0);
	int rc = n < 0 ? -errno : machine_id(own);

	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The lease on the vTPM's store, or " MACHINE_ID
			", could not be read, and whether another machine has it "
			"is not known: %s; see its disk.",
			strerror(-rc));
	if (!n || !strcmp(own, other))
		return 0;
	return error_set(e, -EBUSY, CAUSE_LEASE,
			 "The vTPM was last started on the machine %s and not "
			 "stopped there: stop it there, or empty the file \"lock\" in "
			 "its store (`truncate -s 0`) when that machine is dead for "
			 "certain.",
			 other);
}

/* What keeps the lock from being taken: another vtpmd, or a file system without locks, as one that
 * machines share may be. */
static int refuse_lock(int rc, struct error *e)
{
	if (rc == -EWOULDBLOCK)
		return error_set(e, -EBUSY, CAUSE_LEASE,
				 "The vTPM's store is in use by another vtpmd: stop the "
				 "vTPM there first.");
	return error_set(
		e, rc, CAUSE_STORE,
		"The lease on the vTPM's store could not be taken: %s; its file system gives "
		"no locks: see its mount options and its server's lock service, or keep the "
		"store on another one (docs/pool.md).",
		strerror(-rc));
}

static int claim_folder(struct store *s, struct error *e)
{
	int fd = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char own[33];
	int rc;

	if (fd < 0)
		return error_set(
			e, -errno, CAUSE_STORE,
			"The lease on the vTPM's store could not be opened: %m; see its disk's space and permissions.");
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		rc = -errno;
		close(fd);
		return refuse_lock(rc, e);
	}
	rc = read_lease(fd, own, e);
	if (rc) {
		close(fd);
		return rc;
	}
	if (ftruncate(fd, 0) || pwrite(fd, own, strlen(own), 0) < 0 || fsync(fd))
		rc = -errno;
	/* a guest sees the state from now on: one that a vtpmd which was killed has put,
	 * and not synced, must not be lost after that */
	if (!rc)
		rc = twin_sync(s->dir, store_name(CHANNEL_OBJECT_PERMALL));
	if (rc) {

		close(fd);
		return error_set(
			e, rc, CAUSE_STORE,
			"The lease on the vTPM's store could not be written: %s; see its disk's space and permissions.",
			strerror(-rc));
	}
	s->lease = fd;
	s->own = (struct twin_own){.side = 0};
	return 0;
}

static void release_folder(struct store *s, bool later)
{
	/* What was refused, or only looked at, is left as it is.  Failing leaves a twin,
	 * which is as good; so does vtpmd's end, which waits for no disk here. */
	if (s->own.side && !later)
		(void)!twin_settle(s->dir, store_name(CHANNEL_OBJECT_PERMALL));
	/* failing leaves a lease of this very machine: harmless here */
	if (ftruncate(s->lease, 0) == 0 && !later)
		(void)fsync(s->lease);
	/* close() alone is not enough: a child that was forked for a program, and has
	 * not come to it yet, has the descriptor too */
	(void)flock(s->lease, LOCK_UN);
	close(s->lease);
	s->lease = -1;
}

/* All folders' leases, but for a folder that is a mount of its own: after a power cut that may
 * have this machine's again, which is harmless, too. */
static int sync_folders(const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (syncfs(fd))
		rc = -errno;
	close(fd);
	return rc;
}

static int read_value(int dir, const char *name, size_t max, uint8_t **buf, size_t *len)
{
	return (is_state(name) ? twin_read : atomic_read)(dir, name, max, buf, len);
}

static int get_file(struct store *s, const char *name, size_t max, uint8_t **buf,
		    size_t *len)
{
	return read_value(s->dir, name, max, buf, len);
}

static int set_file(struct store *s, const char *name, const void *buf, size_t len)
{
	return atomic_write(s->dir, name, buf, len, false);
}

static int erase_value(struct store *s, const char *name, bool whole)
{
	int rc = erase_previous(s->dir, name);

	if (!rc && whole)
		rc = erase_file(s->dir, name);
	return rc ? rc : fsync(s->dir) ? -errno : 0;
}

/* What the stored header of a deep rekey's end replaces: the old key's own slots, and
 * the states under it. */
static int forget_old_key(int dir)
{
	uint16_t object;
	int rc = 0;

	for (object = CHANNEL_OBJECT_HEADER; store_name(object) && !rc; object++)
		rc = erase_previous(dir, store_name(object));
	if (!rc && fsync(dir))
		rc = -errno;
	return rc;
}

/* A deep rekey begins or ends: erases the other copies of the previous key before the
 * header is replaced. */
static int erase_before(const struct store_put *p, const uint8_t *old, size_t len)
{
	bool had = envelope_has_old_key(old, len);
	bool has = envelope_has_old_key(p->buf, p->len);

	if (had && !has)
		return forget_old_key(p->dir);
	return !had && has ? erase_previous(p->dir, store_name(p->object)) : 0;
}

/* Whether an object may replace what is stored; 1: it is stored already. */
static int compare(const struct store_put *p, const uint8_t *old, size_t len)
{
	struct envelope_head h;
	int rc = envelope_head_parse(p->object, old, len, &h);

	if (rc)
		return rc;
	if (p->head.seq == h.seq && len == p->len && !memcmp(old, p->buf, len))
		return 1;
	return p->head.seq <= h.seq ? -ESTALE : 0;
}

static int put_file(const struct store_put *p)
{
	const char *name = store_name(p->object);
	uint8_t *old;
	size_t len;
	int rc = read_value(p->dir, name, CHANNEL_PAYLOAD_MAX, &old, &len);

	if (!rc) {
		rc = compare(p, old, len);
		if (!rc && p->object == CHANNEL_OBJECT_HEADER)
			rc = erase_before(p, old, len);
		free(old);
	} else if (rc == -ENOENT) {
		rc = 0;
	}
	if (rc < 0)
		return rc;
	/* the same again, of who had no answer: what is read may not be on the disk */
	if (is_state(name))
		return twin_write(&p->store->own, p->dir, name, p->buf, p->len);
	if (rc)
		return fsync(p->dir) ? -errno : 0;
	return atomic_write(p->dir, name, p->buf, p->len, true);
}

static void on_put_run(struct work *w)
{
	struct store_put *p = (struct store_put *)w;

	p->rc = put_file(p);
}

static void on_put_done(struct work *w)
{
	struct store_put *p = (struct store_put *)w;

	close(p->dir);
	store_put_end(p, p->rc);
}

static int begin_put(struct store_put *p)
{
	if (p->now) {
		p->dir = p->store->dir;
		store_put_end(p, put_file(p));
		return 0;
	}
	p->dir = fcntl(p->store->dir, F_DUPFD_CLOEXEC, 0);
	if (p->dir < 0)
		return -errno;
	p->work = (struct work){.key = p->store, .run = on_put_run, .done = on_put_done};
	work_add(&p->work);
	return 0;
}

/* The key slots: without them what is left of the state is noise. */
static int erase_slots(int dir)
{
	static const char *const names[] = {"header",	     "header.prev",
					    "header.new",    "header.link",
					    "source.header", "source.header.new"};
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(names) && !rc; i++)
		rc = erase_file(dir, names[i]);
	if (!rc && fsync(dir))
		rc = -errno;
	return rc;
}

static int remove_folder(struct store *s, const char *root)
{
	char path[4096];
	struct dirent *d;
	DIR *dir;
	int fd = dup(s->dir), rc;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	rc = erase_slots(s->dir);
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
	folder_path(path, sizeof(path), root, s);
	if (rmdir(path))
		return -errno;
	return sync_parent(root);
}

const struct store_ops store_folder = {
	.list = list_folders,
	.open = open_folder,
	.close = close_folder,
	.claim = claim_folder,
	.release = release_folder,
	.sync = sync_folders,
	.get = get_file,
	.set = set_file,
	.put = begin_put,
	.erase = erase_value,
	.remove = remove_folder,
	.open_beside = open_beside,
	.swap = swap_folders,
};
