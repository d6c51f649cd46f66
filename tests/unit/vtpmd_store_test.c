/* SPDX-License-Identifier: Apache-2.0 */
/* The store on a real file system: order of generations, whole files whatever
 * fails, one owner, and nothing that belongs to another vTPM. */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "lib/atomic.h"
#include "lib/twin.h"
#include "tools/vtpmd/meta.h"
#include "tools/vtpmd/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];
static struct store store;
static int fsyncs, syncs;   /* how often; of a whole file system */
static const char *machine; /* the file in the place of /etc/machine-id; NULL: that */

int __real_fsync(int fd);
int __wrap_flock(int fd, int what);
int __real_flock(int fd, int what);
int __wrap_fsync(int fd);
int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);

static int no_locks; /* the errno of a file system that has none; 0: it has */

int __wrap_flock(int fd, int what)
{
	if (!no_locks || what == LOCK_UN)
		return __real_flock(fd, what);
	errno = no_locks;
	return -1;
}

int __wrap_fsync(int fd)
{
	fsyncs++;
	return __real_fsync(fd);
}

int __wrap_syncfs(int fd)
{
	syncs++;
	return __real_syncfs(fd);
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	if (machine && !strcmp(path, "/etc/machine-id"))
		path = machine;
	return __real_open(path, flags, mode);
}

static bool cannot_read; /* with EIO */

ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	if (!cannot_read)
		return __real_pread(fd, buf, len, at);
	errno = EIO;
	return -1;
}

static const uint8_t uuid[16] = "vtpm number one";
static const uint8_t other[16] = "vtpm number two";

static int setup(void **state)
{
	strcpy(root, "/tmp/vtpmd-store-XXXXXX");
	return !mkdtemp(root) || store_open(&store, root, uuid, true);
}

static int teardown(void **state)
{
	char command[128];

	store_close(&store);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

/* An object as lib/slot/envelope.h lays it out, of len bytes. */
static const uint8_t *object(bool header, const uint8_t id[16], uint64_t seq,
			     uint8_t fill, size_t len)
{
	static uint8_t buf[65536];
	struct cursor w = cursor_writer(buf, sizeof(buf));

	memset(buf, fill, sizeof(buf));
	cursor_put(&w, header ? "XVTPMHDR" : "XVTPMBLB", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, 2);
	cursor_put(&w, id, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 5); /* epoch */
	assert_true(len >= w.pos && len <= sizeof(buf));
	return buf;
}

static int put(uint64_t seq, uint8_t fill, size_t len)
{
	return store_put(&store, CHANNEL_OBJECT_PERMALL, seq,
			 object(false, uuid, seq, fill, len), len);
}

static int last_byte(const char *name)
{
	uint8_t *buf;
	size_t len;
	int byte;

	if (twin_read(store.dir, name, 65536, &buf, &len))
		return -1;
	byte = buf[len - 1];
	free(buf);
	return byte;
}

/* Length and kind of a file. */
static size_t look_at_file(const char *name, struct twin *t)
{
	uint8_t *buf;
	size_t len;

	assert_int_equal(atomic_read(store.dir, name, TWIN_FILE_MAX, &buf, &len), 0);
	assert_int_equal(twin_parse(buf, len, t), 0);
	free(buf);
	return len;
}

static void flip(const char *name, off_t at)
{
	int fd = openat(store.dir, name, O_RDWR);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void damage_newest(void)
{
	struct twin t;

	look_at_file("permall", &t);
	assert_true(t.newest >= 0);
	flip("permall", (off_t)((size_t)t.newest * t.side + TWIN_HEAD));
}

static void puts_and_gets(void **state)
{
	uint8_t *buf;
	size_t len;

	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), -ENOENT);
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	assert_int_equal(len, 100);
	assert_memory_equal(buf, object(false, uuid, 1, 'a', 100), 100);
	free(buf);
	assert_int_equal(store_get(&store, 0, &buf, &len), -EINVAL);
	assert_int_equal(store_get(&store, 5, &buf, &len), -EINVAL);
	assert_true(store_has(&store, CHANNEL_OBJECT_PERMALL));
	assert_false(store_has(&store, CHANNEL_OBJECT_HEADER));
}

static void keeps_the_previous_generation(void **state)
{
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(last_byte("permall.prev"), -1);
	assert_int_equal(put(2, 'b', 100), 0);
	assert_int_equal(last_byte("permall"), 'b');
	assert_int_equal(last_byte("permall.prev"), 'a');
	assert_int_equal(put(7, 'c', 100), 0);
	assert_int_equal(last_byte("permall"), 'c');
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 7);
	/* from here on it is in the file itself */
	damage_newest();
	assert_int_equal(last_byte("permall"), 'b');
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 2);
}

/* While nobody has it claimed, the file is the object, byte by byte; what a crash leaves is
 * read, and the next put goes on from there. */
static void is_plain_when_it_is_given_back(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct twin t;

	assert_int_equal(store_claim(&store, &e), 0);
	for (uint64_t i = 1; i < 5; i++)
		assert_int_equal(put(i, 'a', 100), 0);
	assert_int_equal(look_at_file("permall", &t), 2 * 8192);
	assert_int_equal(t.count, 3);
	store_close(&store); /* as a crash */
	assert_int_equal(store_open(&store, root, uuid, false), 0);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 4);
	assert_int_equal(store_claim(&store, &e), 0);
	store_release(&store); /* nothing was put: as it was */
	assert_int_equal(look_at_file("permall", &t), 2 * 8192);
	assert_int_equal(store_claim(&store, &e), 0);
	assert_int_equal(put(5, 'b', 100), 0);
	assert_int_equal(look_at_file("permall", &t), 2 * 8192);
	assert_int_equal(t.count, 1); /* another file: not the one of before the crash */
	store_release(&store);
	assert_int_equal(look_at_file("permall", &t), 100);
	assert_int_equal(t.side, 0);
	assert_int_equal(last_byte("permall"), 'b');
	/* the newest and the one before */
	assert_int_equal(look_at_file("permall.prev", &t), 2 * 8192);
	assert_int_equal(last_byte("permall.prev"), 'b');
	assert_int_equal(put(6, 'c', 100), 0);
	assert_int_equal(last_byte("permall"), 'c');
}

/* Of a twin that is damaged while it is plain nothing older opens. */
static void damage_is_not_taken_for_a_torn_write(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(store_claim(&store, &e), 0);
	for (uint64_t i = 1; i < 5; i++)
		assert_int_equal(put(i, 'a', 100), 0);
	store_release(&store);
	flip("permall", 3);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 0);
	assert_int_equal(put(6, 'c', 100), -EBADMSG);
}

/* Who had no answer puts the same again: that is durable, and counts as what it is. */
static void the_same_again_is_written(void **state)
{
	struct twin t;

	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(put(i, 'a', 100), 0);
	look_at_file("permall", &t);
	assert_int_equal(t.count, 2);
	assert_int_equal(put(3, 'a', 100), 0);
	look_at_file("permall", &t);
	assert_int_equal(t.count, 3);
	damage_newest();
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 3);
}

/* Who writes to the store gives an old side the higher count: it is what is read, and is not
 * what is known. */
static void an_old_side_is_not_what_is_known(void **state)
{
	uint8_t *file, *buf;
	size_t len;

	for (uint64_t i = 1; i < 4; i++)
		assert_int_equal(put(i, 'a', 100), 0);
	assert_int_equal(atomic_read(store.dir, "permall", 65536, &file, &len), 0);
	assert_int_equal(put(4, 'a', 100), 0);
	assert_int_equal(put(5, 'b', 100), 0);
	assert_int_equal(store_know_stored(&store, CHANNEL_OBJECT_PERMALL), 0);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	free(buf);
	assert_int_equal(atomic_write(store.dir, "permall", file, 2 * 8192, false), 0);
	free(file);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), -ESTALE);
	store_know_nothing(&store);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 3);
}

static void refuses_what_is_older(void **state)
{
	assert_int_equal(put(5, 'a', 100), 0);
	assert_int_equal(put(4, 'b', 100), -ESTALE);
	assert_int_equal(put(5, 'b', 100), -ESTALE);
	assert_int_equal(put(5, 'a', 101), -ESTALE);
	assert_int_equal(put(5, 'a', 100), 0);
	assert_int_equal(last_byte("permall"), 'a');
}

static void refuses_what_is_anothers(void **state)
{
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_PERMALL, 1,
				   object(false, other, 1, 'a', 100), 100),
			 -EPERM);
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_HEADER, 1,
				   object(true, other, 1, 'a', 100), 100),
			 -EPERM);
}

static void finds_a_folder_that_was_put_back(void **state)
{
	char command[256];
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(put(7, 1, 100), 0);
	snprintf(command, sizeof(command),
		 "cd %s && for d in *; do cp -a $d copy && rm -r $d && mv copy $d; done",
		 root);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 0);
	assert_int_equal(store_reopen(&store, root), 0);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 7);
	/* never under a vTPM that runs */
	assert_int_equal(store_claim(&store, &e), 0);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_reopen(&store, root), 0);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 0);
	store_release(&store);
	snprintf(command, sizeof(command), "rm -r %s/*", root);
	assert_int_equal(system(command), 0);
	assert_int_equal(store_reopen(&store, root), -ENOENT);
}

static void count_names(void *ctx, const char *name)
{
	if (name[0] != '.' || strlen(name) > 2)
		++*(int *)ctx;
}

static int names_in_root(void)
{
	int n = 0;

	assert_int_equal(store_list(root, count_names, &n), 0);
	return n;
}

/* The other place has the other state, whole; a second one finds nothing of the first. */
static void swaps_with_the_place_beside(void **state)
{
	struct store beside;

	assert_int_equal(put(7, 'a', 100), 0);
	assert_int_equal(store_open_beside(&beside, root, uuid), 0);
	assert_int_equal(store_put(&beside, CHANNEL_OBJECT_PERMALL, 3,
				   object(false, uuid, 3, 'b', 100), 100),
			 0);
	store_close(&beside);
	assert_int_equal(store_open_beside(&beside, root, uuid), 0);
	assert_int_equal(store_seq(&beside, CHANNEL_OBJECT_PERMALL), 0);
	assert_int_equal(store_put(&beside, CHANNEL_OBJECT_PERMALL, 3,
				   object(false, uuid, 3, 'b', 100), 100),
			 0);
	assert_int_equal(store_swap(&store, &beside, root), 0);
	assert_int_equal(store.ops->remove(&store, root), 0);
	store_close(&store);
	store_close(&beside);
	assert_int_equal(store_open(&store, root, uuid, false), 0);
	assert_int_equal(last_byte("permall"), 'b');
	assert_int_equal(last_byte("permall.prev"), -1);
	assert_int_equal(names_in_root(), 1);
}

/* Also when it is whole: it is nobody's. */
static void a_place_beside_goes_with_the_next_list(void **state)
{
	struct store beside;

	assert_int_equal(put(7, 'a', 100), 0);
	assert_int_equal(store_open_beside(&beside, root, uuid), 0);
	assert_int_equal(store_put(&beside, CHANNEL_OBJECT_PERMALL, 3,
				   object(false, uuid, 3, 'b', 100), 100),
			 0);
	assert_int_equal(names_in_root(), 1);
	assert_int_equal(store_swap(&store, &beside, root), -ENOENT);
	store_close(&beside);
	assert_int_equal(store_reopen(&store, root), 0);
	assert_int_equal(last_byte("permall"), 'a');
}

static void refuses_what_is_no_object(void **state)
{
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_PERMALL, 1,
				   object(true, uuid, 1, 'a', 100), 100),
			 -EINVAL);
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_HEADER, 1,
				   object(false, uuid, 1, 'a', 100), 100),
			 -EINVAL);
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_PERMALL, 2,
				   object(false, uuid, 1, 'a', 100), 100),
			 -EINVAL);
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_PERMALL, 1,
				   object(false, uuid, 1, 'a', 100), 35),
			 -EINVAL);
	assert_int_equal(store_put(&store, 9, 1, object(false, uuid, 1, 'a', 100), 100),
			 -EINVAL);
	assert_int_equal(last_byte("permall"), -1);
}

static void leaves_what_is_damaged(void **state)
{
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(atomic_write(store.dir, "permall", "garbage", 7, false), 0);
	assert_int_equal(put(2, 'b', 100), -EBADMSG);
	assert_int_equal(last_byte("permall"), 'e');
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 0);
}

/* As a full disk: the write itself fails. */
static void a_failed_write_changes_nothing(void **state)
{
	struct rlimit old, small = {.rlim_cur = 4096};

	assert_int_equal(put(1, 'a', 100), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(put(2, 'b', 60000), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(last_byte("permall"), 'a');
	assert_int_equal(last_byte("permall.new"), -1);
	assert_int_equal(put(2, 'b', 60000), 0);
	assert_int_equal(last_byte("permall"), 'b');
}

/* What a power cut may have left is in nobody's way. */
static void leftovers_do_no_harm(void **state)
{
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(linkat(store.dir, "permall", store.dir, "permall.link", 0), 0);
	assert_int_equal(atomic_write(store.dir, "permall.new", "half", 4, false), 0);
	assert_int_equal(put(2, 'b', 100), 0);
	assert_int_equal(last_byte("permall"), 'b');
	assert_int_equal(last_byte("permall.prev"), 'a');
	assert_int_equal(last_byte("permall.link"), -1);
	assert_int_equal(last_byte("permall.new"), -1);
}

static void does_not_follow_links(void **state)
{
	assert_int_equal(symlinkat("/etc/passwd", store.dir, "permall"), 0);
	assert_int_equal(last_byte("permall"), -1);
}

static void has_one_owner(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct store second;

	assert_int_equal(store_claim(&store, &e), 0);
	assert_int_equal(store_claim(&store, &e), 0);
	assert_int_equal(store_open(&second, root, uuid, false), 0);
	assert_int_equal(store_claim(&second, &e), -EBUSY);
	assert_int_equal(e.cause, CAUSE_LEASE);
	store_release(&store);
	assert_int_equal(store_claim(&second, &e), 0);
	store_close(&second);
	/* the same machine comes back after a crash */
	assert_int_equal(store_claim(&store, &e), 0);
}

/* One that was forked to become xl, say, and is not that yet. */
static void a_childs_copy_of_the_lease_does_not_hold(void **state)
{
	struct error e = {0};
	pid_t child;
	int rc;

	assert_int_equal(store_claim(&store, &e), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		pause();
		_exit(0);
	}
	store_release(&store);
	rc = store_claim(&store, &e);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(rc, 0);
}

static void another_machines_lease_holds(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(atomic_write(store.dir, "lock",
				      "0123456789abcdef0123456789abcdef", 32, false),
			 0);
	assert_int_equal(store_claim(&store, &e), -EBUSY);
	assert_non_null(strstr(e.text, "0123456789abcdef0123456789abcdef"));
	assert_non_null(strstr(e.text, "truncate -s 0"));
}

/* An NFS server without its lock service, a mount without locks: nobody has it, and nobody gets it. */
static void a_file_system_without_locks(void **state)
{
	static const int errors[] = {ENOLCK, EOPNOTSUPP, ENOSYS, EIO};
	uint8_t *lease;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct error e = {.cause = CAUSE_NONE};

		no_locks = errors[i];
		assert_int_equal(store_claim(&store, &e), -errors[i]);
		no_locks = 0;
		assert_int_equal(e.cause, CAUSE_STORE);
		assert_non_null(strstr(e.text, strerror(errors[i])));
		assert_null(strstr(e.text, "in use"));
		assert_int_equal(atomic_read(store.dir, "lock", 64, &lease, &len), 0);
		assert_int_equal(len, 0);
		free(lease);
	}
	assert_int_equal(store_claim(&store, &(struct error){.cause = CAUSE_NONE}), 0);
}

/* When the other one is dead, a person empties the file, and what is claimed then is claimed. */
static void another_machines_lease_is_taken_over(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct store second;
	int fd;

	another_machines_lease_holds(state);
	fd = openat(store.dir, "lock", O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(store_claim(&store, &e), 0);
	/* emptied while it is claimed, it still is: the lock is the file's */
	fd = openat(store.dir, "lock", O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(store_open(&second, root, uuid, false), 0);
	assert_int_equal(store_claim(&second, &e), -EBUSY);
	store_close(&second);
}

/* It may be another machine's, which a disk that fails does not tell; nor does it tell which
 * machine this is. */
static void a_lease_that_cannot_be_read(void **state)
{
	static const char another[] = "0123456789abcdef0123456789abcdef";
	struct error e = {.cause = CAUSE_NONE};
	uint8_t *lease;
	size_t len;

	assert_int_equal(atomic_write(store.dir, "lock", another, 32, false), 0);
	cannot_read = true;
	assert_int_equal(store_claim(&store, &e), -EIO);
	cannot_read = false;
	assert_int_equal(e.cause, CAUSE_STORE);
	assert_non_null(strstr(e.text, "Input/output error"));
	assert_int_equal(atomic_read(store.dir, "lock", 64, &lease, &len), 0);
	assert_int_equal(len, 32);
	assert_memory_equal(lease, another, 32);
	free(lease);
	assert_int_equal(atomic_write(store.dir, "lock", "", 0, false), 0);
	machine = "/tmp"; /* read() fails */
	e = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(store_claim(&store, &e), -EISDIR);
	assert_int_equal(e.cause, CAUSE_STORE);
	machine = NULL;
	assert_int_equal(store_claim(&store, &e), 0);
}

/* Whether nobody has the claim, by what other machines see of it. */
static bool is_free(const struct store *s)
{
	struct stat st;

	return !fstatat(s->dir, "lock", &st, 0) && !st.st_size;
}

/* A vtpmd that ends with thousands of vTPMs does not wait for the disk for each of them; what
 * a manager puts meanwhile it does wait for. */
static void an_end_syncs_once(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct store many[5];

	for (uint8_t i = 0; i < ARRAY_SIZE(many); i++) {
		assert_int_equal(store_open(&many[i], root, (uint8_t[16]){i + 1}, true),
				 0);
		assert_int_equal(store_claim(&many[i], &e), 0);
	}
	assert_int_equal(store_claim(&store, &e), 0);
	store_ending();
	fsyncs = syncs = 0;
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(fsyncs, 2); /* the file and its folder */
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		store_release(&many[i]);
		assert_true(is_free(&many[i]));
	}
	assert_int_equal(fsyncs, 2);
	assert_int_equal(syncs, 0);
	assert_int_equal(store_end(root), 0);
	assert_int_equal(fsyncs, 2);
	assert_int_equal(syncs, 1);
	/* who stops one is told when that is durable */
	fsyncs = 0;
	store_release(&store);
	assert_int_equal(fsyncs, 1);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		store_close(&many[i]);
}

/* A power cut before that sync undoes some of it: what is there again lets this machine in,
 * and no other. */
static void an_end_that_was_cut(void **state)
{
	static const char another[] = "0123456789abcdef0123456789abcdef";
	struct error e = {.cause = CAUSE_NONE};
	char path[96];
	uint8_t *lease;
	size_t len;

	snprintf(path, sizeof(path), "%s/machine-id", root);
	assert_int_equal(store_claim(&store, &e), 0);
	assert_int_equal(atomic_read(store.dir, "lock", 64, &lease, &len), 0);
	assert_int_equal(atomic_write(store.dir, "another", another, 32, false), 0);
	assert_int_equal(renameat(store.dir, "another", AT_FDCWD, path), 0);
	store_ending();
	store_release(&store);
	assert_int_equal(atomic_write(store.dir, "lock", lease, len, false), 0);
	free(lease);
	machine = path;
	assert_int_equal(store_claim(&store, &e), -EBUSY);
	assert_int_equal(e.cause, CAUSE_LEASE);
	machine = NULL;
	assert_int_equal(store_claim(&store, &e), 0);
	/* one that is not undone lets both in */
	store_release(&store);
	assert_int_equal(store_end(root), 0);
	machine = path;
	assert_int_equal(store_claim(&store, &e), 0);
	machine = NULL;
}

/* vtpm.json is written when something in it is another, or another host may have. */
static void describes_when_that_changes(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct meta m = {.name = "web1", .memory = 8, .wanted = true};

	memcpy(m.uuid, uuid, sizeof(uuid));
	assert_int_equal(store_claim(&store, &e), 0);
	fsyncs = 0;
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(fsyncs, 2);
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(fsyncs, 2);
	m.wanted = false;
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(fsyncs, 4);
	/* one that failed is written again, also as it was before */
	assert_int_equal(mkdirat(store.dir, "vtpm.json.new", 0700), 0);
	m.wanted = true;
	assert_int_not_equal(meta_write(&store, &m), 0);
	assert_int_equal(unlinkat(store.dir, "vtpm.json.new", AT_REMOVEDIR), 0);
	fsyncs = 0;
	m.wanted = false;
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(fsyncs, 2);
	/* with another claim, in a folder that was opened again, or with none, it is read before */
	store_release(&store);
	assert_int_equal(store_reopen(&store, root), 0);
	assert_int_equal(store_claim(&store, &e), 0);
	fsyncs = 0;
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(fsyncs, 0);
	store_release(&store);
	fsyncs = 0;
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(fsyncs, 0);
	/* what another host made of it is not left there */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			atomic_write(store.dir, "vtpm.json", "another's", 9, true), 0);
		fsyncs = 0;
		assert_int_equal(meta_write(&store, &m), 0);
		assert_int_equal(fsyncs, 2);
		assert_int_equal(store_claim(&store, &e), 0);
	}
}

static void drops_only_a_useless_header(void **state)
{
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_HEADER, 1,
				   object(true, uuid, 1, 'h', 100), 100),
			 0);
	assert_int_equal(store_drop_header(&store), 0);
	assert_false(store_has(&store, CHANNEL_OBJECT_HEADER));
	assert_int_equal(store_drop_header(&store), 0);
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(store_drop_header(&store), -EEXIST);
}

static void removes_all_of_it(void **state)
{
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(put(2, 'a', 100), 0);
	assert_int_equal(store.ops->remove(&store, root), 0);
	assert_int_equal(rmdir(root), 0);
	assert_int_equal(mkdir(root, 0700), 0);
}

static void meta_round_trip(void **state)
{
	struct meta m = {
		.name = "web1",
		.policy = "unknown",
		.memory = 8,
		.localities = 1,
		.creating = true,
		.wanted = true,
		.created = "2026-01-01T00:00:00Z",
		.error = {.cause = CAUSE_KMS_KEY, .text = "The key is revoked."},
	};
	struct meta back;

	memcpy(m.uuid, uuid, sizeof(uuid));
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(meta_read(&store, &back), 0);
	assert_memory_equal(&m, &back, sizeof(m));
	m.launched = m.ending = true;
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(meta_read(&store, &back), 0);
	assert_memory_equal(&m, &back, sizeof(m));
	memcpy(m.uuid, other, sizeof(other));
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(meta_read(&store, &back), -EBADMSG);
	memcpy(m.uuid, uuid, sizeof(uuid));
	/* what is not the file's to say */
	m.tpm12 = m.measured = true;
	m.localities = 31;
	m.pcr_banks = 1;
	strcpy(m.policy, "tpm");
	assert_int_equal(meta_write(&store, &m), 0);
	assert_int_equal(meta_read(&store, &back), 0);
	assert_false(back.tpm12 || back.measured || back.pcr_banks);
	assert_int_equal(back.localities, 1);
	assert_string_equal(back.policy, "unknown");
	assert_int_equal(atomic_write(store.dir, "vtpm.json", "{", 1, false), 0);
	assert_int_equal(meta_read(&store, &back), -EBADMSG);
}

static void names(void **state)
{
	assert_true(meta_name_ok("web1"));
	assert_true(meta_name_ok("a_b.c-D"));
	assert_false(meta_name_ok(""));
	assert_false(meta_name_ok("../x"));
	assert_false(meta_name_ok(".hidden"));
	assert_false(meta_name_ok("-e"));
	assert_false(meta_name_ok("a b"));
	assert_false(meta_name_ok("a\"\nkernel=\"x"));
	assert_false(meta_name_ok("12345678901234567890123456789012345678901"));
	assert_int_equal(meta_policy("none"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The key slots are zeroed before they go, with the generations kept beside them:
 * seen through another name of the same file. */
static void erases_the_slots(void **state)
{
	static const char *const names[] = {"header", "header.prev"};
	char kept[2][96];
	uint8_t buf[200], sum;
	size_t i, j;
	int fd;

	for (i = 1; i < 3; i++)
		assert_int_equal(store_put(&store, CHANNEL_OBJECT_HEADER, i,
					   object(true, uuid, i, 'h', 200), 200),
				 0);
	assert_int_equal(put(1, 'a', 100), 0);
	for (i = 0; i < 2; i++) {
		snprintf(kept[i], sizeof(kept[i]), "%s/kept.%zu", root, i);
		assert_int_equal(linkat(store.dir, names[i], AT_FDCWD, kept[i], 0), 0);
	}
	assert_int_equal(store.ops->remove(&store, root), 0);
	for (i = 0; i < 2; i++) {
		fd = open(kept[i], O_RDONLY);
		assert_int_equal(read(fd, buf, sizeof(buf)), sizeof(buf));
		close(fd);
		for (sum = 0, j = 0; j < sizeof(buf); j++)
			sum |= buf[j];
		assert_int_equal(sum, 0);
	}
}

/* What a copy is made of lies beside it for a while, and no manager can put it there. */
static void takes_another_ones_state(void **state)
{
	struct store copy;
	uint8_t *buf;
	size_t len;

	assert_int_equal(store_open(&copy, root, other, true), 0);
	assert_int_equal(store_take_source(&copy, &store), -ENOENT);
	assert_int_equal(store_put(&store, CHANNEL_OBJECT_HEADER, 3,
				   object(true, uuid, 3, 'h', 200), 200),
			 0);
	assert_int_equal(put(7, 'a', 100), 0);
	assert_int_equal(store_take_source(&copy, &store), 0);
	assert_int_equal(store_get(&copy, CHANNEL_OBJECT_SOURCE_HEADER, &buf, &len), 0);
	assert_int_equal(len, 200);
	assert_memory_equal(buf, object(true, uuid, 3, 'h', 200), 200);
	free(buf);
	assert_int_equal(store_get(&copy, CHANNEL_OBJECT_SOURCE_PERMALL, &buf, &len), 0);
	assert_memory_equal(buf, object(false, uuid, 7, 'a', 100), 100);
	free(buf);
	assert_false(store_has(&copy, CHANNEL_OBJECT_PERMALL));
	assert_int_equal(store_put(&copy, CHANNEL_OBJECT_SOURCE_PERMALL, 9,
				   object(false, other, 9, 'x', 100), 100),
			 -EPERM);
	assert_int_equal(store_put(&copy, CHANNEL_OBJECT_SOURCE_HEADER, 9,
				   object(true, other, 9, 'x', 100), 100),
			 -EPERM);
	assert_int_equal(store_drop_source(&copy), 0);
	assert_int_equal(store_get(&copy, CHANNEL_OBJECT_SOURCE_HEADER, &buf, &len),
			 -ENOENT);
	assert_int_equal(store_get(&copy, CHANNEL_OBJECT_SOURCE_PERMALL, &buf, &len),
			 -ENOENT);
	assert_int_equal(store_drop_source(&copy), 0);
	assert_int_equal(store_has(&store, CHANNEL_OBJECT_HEADER), true);
	store_close(&copy);
}

/* A header with key slots of these kinds. */
static int put_header(uint64_t seq, size_t count, const uint16_t *kinds)
{
	uint8_t buf[512];
	struct cursor w = cursor_writer(buf, sizeof(buf));
	int rc;

	cursor_put(&w, "XVTPMHDR", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, (uint16_t)count);
	cursor_put(&w, uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 5);
	cursor_put(&w, (uint8_t[12]){0, 1, 0, 20, 1}, 12); /* its description */
	for (size_t i = 0; i < count; i++) {
		cursor_put_u16(&w, kinds[i]);
		cursor_put_u16(&w, (uint16_t)i);
		cursor_put_u32(&w, 4);
		cursor_put(&w, "slot", 4);
	}
	cursor_put(&w, (uint8_t[32]){0}, 32);
	rc = store_put(&store, CHANNEL_OBJECT_HEADER, seq, buf, w.pos);
	return rc ? rc : store_settle(&store);
}

static const uint16_t host_slot[] = {1}, both_slots[] = {1, 7};

/* The end of a deep rekey takes the previous generations with it; nothing else does. */
static void a_deep_rekeys_end_erases(void **state)
{
	assert_int_equal(put_header(1, 1, host_slot), 0);
	assert_int_equal(put(1, 'a', 100), 0);
	assert_int_equal(put_header(2, 1, host_slot), 0);
	assert_int_equal(put(2, 'b', 100), 0);
	assert_int_not_equal(last_byte("header.prev"), -1);
	assert_int_not_equal(last_byte("permall.prev"), -1);
	assert_int_equal(put_header(3, 2, both_slots), 0);
	assert_int_equal(put_header(4, 2, both_slots), 0);
	assert_int_not_equal(last_byte("header.prev"), -1);
	assert_int_not_equal(last_byte("permall.prev"), -1);
	assert_int_equal(put_header(5, 1, host_slot), 0);
	assert_int_equal(last_byte("header.prev"), -1);
	assert_int_equal(last_byte("permall.prev"), -1);
	assert_int_equal(last_byte("permall"), 'b');
	assert_int_equal(put_header(6, 1, host_slot), 0);
	assert_int_not_equal(last_byte("header.prev"), -1);
}

/* What is erased is never the file in use, whatever names a power cut has left of it. */
static void erasing_spares_what_is_in_use(void **state)
{
	static const char *const names[] = {"permall.prev", "permall.link"};
	size_t i;

	assert_int_equal(put_header(1, 2, both_slots), 0);
	assert_int_equal(put(1, 'a', 100), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(linkat(store.dir, "permall", store.dir, names[i], 0), 0);
	assert_int_equal(linkat(store.dir, "header", store.dir, "header.prev", 0), 0);
	assert_int_equal(atomic_write(store.dir, "header.new", "half", 4, false), 0);
	assert_int_equal(put_header(2, 1, host_slot), 0);
	assert_int_equal(last_byte("permall"), 'a');
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_HEADER), 2);
	for (i = 0; i < 2; i++)
		assert_int_equal(last_byte(names[i]), -1);
	assert_int_equal(last_byte("header.prev"), -1);
}

/* An erasure that was interrupted is done later: with the same header, or at a start. */
static void an_interrupted_end_is_made_good(void **state)
{
	for (int zeroed = 0; zeroed < 2; zeroed++)
		for (int by_put = 0; by_put < 2; by_put++) {
			assert_int_equal(put_header(1, 2, both_slots), 0);
			assert_int_equal(renameat(store.dir, "header", store.dir, "both"),
					 0);
			assert_int_equal(put_header(2, 1, host_slot), 0);
			assert_int_equal(
				renameat(store.dir, "both", store.dir, "header.prev"), 0);
			if (zeroed)
				assert_int_equal(atomic_write(store.dir, "header.prev",
							      "\0\0\0\0", 4, false),
						 0);
			assert_int_equal(by_put ? put_header(2, 1, host_slot)
						: store_settle(&store),
					 0);
			assert_int_equal(last_byte("header.prev"), -1);
			assert_int_equal(store_seq(&store, CHANNEL_OBJECT_HEADER), 2);
			assert_int_equal(unlinkat(store.dir, "header", 0), 0);
		}
	/* of a rekey that goes on, and of another change of slots, all stays */
	assert_int_equal(put_header(1, 2, both_slots), 0);
	assert_int_equal(put_header(2, 2, both_slots), 0);
	assert_int_equal(store_settle(&store), 0);
	assert_int_not_equal(last_byte("header.prev"), -1);
}

/* What was checked or stored is what is given out, whatever is put into the folder. */
static void gives_out_what_is_known(void **state)
{
	const struct store_known *k;
	struct store_put *p;
	uint8_t *buf;
	size_t len;

	assert_int_equal(put(1, 'a', 100), 0);
	assert_null(store_known(&store, CHANNEL_OBJECT_PERMALL));
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	assert_int_equal(store_know(&store, CHANNEL_OBJECT_PERMALL, buf, len), 0);
	assert_true(store_knows(&store, CHANNEL_OBJECT_PERMALL, buf, len));
	free(buf);
	k = store_known(&store, CHANNEL_OBJECT_PERMALL);
	assert_int_equal(k->seq, 1);
	assert_int_equal(k->epoch, 5);
	/* another one, even a newer one */
	assert_int_equal(put(2, 'b', 100), 0);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), -ESTALE);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 1);
	/* one that a thread is just putting there */
	assert_int_equal(store_put_new(&store, CHANNEL_OBJECT_PERMALL, 2,
				       object(false, uuid, 2, 'b', 100), 100, NULL, NULL,
				       &p),
			 0);
	store.coming.set = true;
	memcpy(store.coming.hash, p->hash, sizeof(p->hash));
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	free(buf);
	/* and is there: it is what is known */
	assert_int_equal(store_put_run(p), 0);
	assert_false(store.coming.set);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	free(buf);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 2);
	assert_int_equal(atomic_write(store.dir, "permall",
				      object(false, uuid, 1, 'a', 100), 100, false),
			 0);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), -ESTALE);
	store_know_nothing(&store);
	assert_int_equal(store_get(&store, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	free(buf);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 1);
}

static void takes_its_epoch_alone(void **state)
{
	store.epoch = 4;
	assert_int_equal(put(1, 'a', 100), -EINVAL);
	store.epoch = 5;
	assert_int_equal(put(1, 'a', 100), 0);
}

/* Of a header that was put and the one before it, the one that is anchored. */
static void finds_the_header_that_counts(void **state)
{
	struct store_known first, second;

	assert_int_equal(put_header(1, 1, host_slot), 0);
	assert_int_equal(store_find_header(&store, (uint8_t[32]){0}), -ESTALE);
	for (int i = 0; i < 2; i++) {
		uint8_t *buf;
		size_t len;

		assert_int_equal(store_get(&store, CHANNEL_OBJECT_HEADER, &buf, &len), 0);
		assert_int_equal(store_know(&store, CHANNEL_OBJECT_HEADER, buf, len), 0);
		free(buf);
		*(i ? &second : &first) = *store_known(&store, CHANNEL_OBJECT_HEADER);
		store_know_nothing(&store);
		if (!i)
			assert_int_equal(put_header(2, 1, host_slot), 0);
	}
	assert_int_equal(store_find_header(&store, second.hash), 0);
	assert_int_equal(store_find_header(&store, first.hash), 1);
	store_know_nothing(&store);
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_HEADER), 1);
	assert_int_equal(store_find_header(&store, first.hash), 0);
	assert_int_equal(store_find_header(&store, second.hash), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gives_out_what_is_known),
		TEST(takes_its_epoch_alone),
		TEST(finds_the_header_that_counts),
		TEST(puts_and_gets),
		TEST(erases_the_slots),
		TEST(takes_another_ones_state),
		TEST(a_deep_rekeys_end_erases),
		TEST(erasing_spares_what_is_in_use),
		TEST(an_interrupted_end_is_made_good),
		TEST(keeps_the_previous_generation),
		TEST(is_plain_when_it_is_given_back),
		TEST(damage_is_not_taken_for_a_torn_write),
		TEST(the_same_again_is_written),
		TEST(an_old_side_is_not_what_is_known),
		TEST(refuses_what_is_older),
		TEST(refuses_what_is_anothers),
		TEST(finds_a_folder_that_was_put_back),
		TEST(refuses_what_is_no_object),
		TEST(leaves_what_is_damaged),
		TEST(a_failed_write_changes_nothing),
		TEST(leftovers_do_no_harm),
		TEST(does_not_follow_links),
		TEST(has_one_owner),
		TEST(a_childs_copy_of_the_lease_does_not_hold),
		TEST(another_machines_lease_holds),
		TEST(another_machines_lease_is_taken_over),
		TEST(a_file_system_without_locks),
		TEST(a_lease_that_cannot_be_read),
		TEST(an_end_syncs_once),
		TEST(an_end_that_was_cut),
		TEST(describes_when_that_changes),
		TEST(drops_only_a_useless_header),
		TEST(removes_all_of_it),
		TEST(meta_round_trip),
		TEST(swaps_with_the_place_beside),
		TEST(a_place_beside_goes_with_the_next_list),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("vtpmd_store", tests, NULL, NULL);
}
