/* SPDX-License-Identifier: Apache-2.0 */
/* The records of handovers: as they were, whole or not at all. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/move_record.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

static bool fails;		   /* fsync() of a folder */
static bool fails_all;		   /* and of files, and fdatasync() */
static unsigned int syncs, writes; /* fsync(), and fdatasync(), so far */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
	struct stat st;

	syncs++;
	if (!fails_all && (!fails || fstat(fd, &st) || !S_ISDIR(st.st_mode)))
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	writes++;
	if (!fails_all)
		return __real_fdatasync(fd);
	errno = EIO;
	return -1;
}

static struct move_record sample(void)
{
	struct move_record r = {.h = {.state = HANDOVER_RELEASED,
				      .txid = "a transfer's id",
				      .gone = "another's id"},
				.uuid = "one vTPM of all",
				.name = "web1",
				.peer = "beta",
				.ak = {34, {0, 0x0b, 7}}};

	return r;
}

static void there_and_back(void **state)
{
	struct move_record r = sample(), s;
	uint8_t bytes[MOVE_RECORD_MAX];
	size_t len = sizeof(bytes), n;

	assert_int_equal(move_record_encode(&r, bytes, &len), 0);
	assert_int_equal(move_record_decode(bytes, len, &s), 0);
	assert_memory_equal(&r, &s, sizeof(r));
	for (n = 0; n < len; n++)
		assert_int_equal(move_record_decode(bytes, n, &s), -EBADMSG);
	n = 3;
	assert_int_equal(move_record_encode(&r, bytes, &n), -EMSGSIZE);
}

/* Of an older release, which knows the other host by its name alone. */
static void without_a_key(void **state)
{
	static const char older[] = "xen-vtpm handover 1";
	struct move_record r = sample(), s;
	uint8_t bytes[MOVE_RECORD_MAX];
	size_t len = sizeof(bytes);

	r.ak = (struct move_ak){.n = 0};
	assert_int_equal(move_record_encode(&r, bytes, &len), 0);
	assert_memory_equal(bytes + 2, older, sizeof(older) - 1);
	assert_int_equal(move_record_decode(bytes, len, &s), 0);
	assert_memory_equal(&r, &s, sizeof(r));
	/* of the newer form, with none, and with more than a Name may have */
	bytes[2 + sizeof(older) - 2] = '2';
	assert_int_equal(move_record_decode(bytes, len, &s), -EBADMSG);
	memset(bytes + len, 0, 2 + MOVE_AK_MAX + 1);
	assert_int_equal(move_record_decode(bytes, len + 2, &s), -EBADMSG);
	bytes[len + 1] = MOVE_AK_MAX + 1;
	assert_int_equal(move_record_decode(bytes, len + 2 + MOVE_AK_MAX + 1, &s),
			 -EBADMSG);
	bytes[len + 1] = MOVE_AK_MAX;
	assert_int_equal(move_record_decode(bytes, len + 2 + MOVE_AK_MAX, &s), 0);
}

/* Of a vTPM that has come, and may be given back as it came. */
static void with_what_came(void **state)
{
	struct move_record r = sample(), s;
	uint8_t bytes[MOVE_RECORD_MAX];
	size_t len = sizeof(bytes), n;

	r.came = 7;
	assert_int_equal(move_record_encode(&r, bytes, &len), 0);
	assert_int_equal(move_record_decode(bytes, len, &s), 0);
	assert_int_equal(s.came, 0); /* it has gone: of no importance */
	r.h.state = HANDOVER_OWNED;
	for (r.ak.n = 0;; r.ak.n = 34) {
		len = sizeof(bytes);
		if (!r.ak.n)
			memset(r.ak.bytes, 0, sizeof(r.ak.bytes));
		assert_int_equal(move_record_encode(&r, bytes, &len), 0);
		assert_int_equal(move_record_decode(bytes, len, &s), 0);
		assert_memory_equal(&r, &s, sizeof(r));
		for (n = 0; n < len; n++)
			assert_int_equal(move_record_decode(bytes, n, &s), -EBADMSG);
		if (r.ak.n)
			break;
	}
	/* a generation that is none; and in a state in which there is none */
	bytes[len - 1] = 0;
	assert_int_equal(move_record_decode(bytes, len, &s), -EBADMSG);
	bytes[len - 1] = 7;
	assert_int_equal(move_record_decode(bytes, len, &s), 0);
	bytes[2 + strlen("xen-vtpm handover 3")] = HANDOVER_RELEASED;
	assert_int_equal(move_record_decode(bytes, len, &s), -EBADMSG);
}

/* One that a crash cannot have left. */
static void states_that_are_not_recorded(void **state)
{
	uint8_t bytes[MOVE_RECORD_MAX];
	struct move_record r = sample(), s;
	size_t len, n, good = 0;

	for (n = 0; n < 256; n++) {
		r.h.state = (enum handover_state)n;
		len = sizeof(bytes);
		assert_int_equal(move_record_encode(&r, bytes, &len), 0);
		good += !move_record_decode(bytes, len, &s);
	}
	assert_int_equal(good, 9);
}

static void a_name_that_is_no_text(void **state)
{
	uint8_t bytes[MOVE_RECORD_MAX];
	struct move_record r = sample(), s;
	size_t len = sizeof(bytes);

	strcpy(r.name, "we\x1b[1m");
	assert_int_equal(move_record_encode(&r, bytes, &len), 0);
	assert_int_equal(move_record_decode(bytes, len, &s), -EBADMSG);
}

static void count(void *ctx, const struct move_record *r)
{
	struct move_record s = sample();

	assert_memory_equal(r, &s, sizeof(s));
	++*(int *)ctx;
}

static void count_lost(void *ctx, const uint8_t uuid[16], int rc)
{
	assert_int_equal(uuid[0], 0x12);
	assert_true(rc < 0);
	*(int *)ctx += 100;
}

static void in_a_folder(void **state)
{
	char dir[] = "/tmp/move-record.XXXXXX", path[64];
	struct move_record r = sample();
	int n = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(move_record_each(dir, &n, count, count_lost), 0);
	assert_int_equal(move_record_write(dir, &r, NULL, NULL), 0);
	assert_int_equal(move_record_each(dir, &n, count, count_lost), 0);
	assert_int_equal(n, 1);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	assert_int_equal(move_record_each(dir, &n, count, count_lost), 0);
	assert_int_equal(n, 1);
	snprintf(path, sizeof(path), "%s/handovers", dir);
	rmdir(path);
	rmdir(dir);
}

/* Those beside it are told of. */
static void one_that_cannot_be_read(void **state)
{
	static const char name[] = "12345678-1234-1234-1234-123456789abc";
	char dir[] = "/tmp/move-record.XXXXXX", path[128];
	struct move_record r = sample();
	int n = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(move_record_write(dir, &r, NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/handovers/%s", dir, name);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(move_record_each(dir, &n, count, count_lost), 0);
	assert_int_equal(n, 101);
	unlink(path);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	path[strlen(dir) + strlen("/handovers")] = '\0';
	rmdir(path);
	/* what is no folder has none, and is not waited for */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(move_record_each(dir, &n, count, count_lost), -ENOTDIR);
	unlink(path);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_true(move_record_each(dir, &n, count, count_lost) < 0);
	unlink(path);
	rmdir(dir);
}

/* Whether a failure leaves what there was: a full disk does. */
static void one_that_cannot_be_written(void **state)
{
	struct rlimit was, none;
	char dir[] = "/tmp/move-record.XXXXXX", path[64];
	struct move_record r = sample(), full = r;
	bool untouched = false;
	int n = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(move_record_write(dir, &r, NULL, &untouched), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	full.h.state = HANDOVER_HERE;
	assert_int_equal(move_record_write(dir, &full, NULL, &untouched), -EFBIG);
	assert_true(untouched);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(move_record_each(dir, &n, count, count_lost), 0);
	assert_int_equal(n, 1);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	/* what became of it is not known: the new one is there, and may not stay */
	fails = true;
	assert_int_equal(move_record_write(dir, &r, NULL, &untouched), -EIO);
	assert_false(untouched);
	fails = false;
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	snprintf(path, sizeof(path), "%s/handovers", dir);
	rmdir(path);
	rmdir(dir);
}

static enum handover_state found;

static void note_found(void *ctx, const struct move_record *r)
{
	found = r->h.state;
}

static enum handover_state read_back(const char *dir)
{
	int lost = 0;

	found = HANDOVER_STATES;
	assert_int_equal(move_record_each(dir, &lost, note_found, count_lost), 0);
	assert_int_equal(lost, 0);
	return found;
}

static int write_state(const char *dir, enum handover_state state, struct twin_own *room,
		       bool *untouched)
{
	struct move_record r = sample();

	r.h.state = state;
	return move_record_write(dir, &r, room, untouched);
}

/* While a guest stands still a record is one write, and one sync of what is on the disk already;
 * there was a record before, or none. */
static void in_place(void **state)
{
	for (int had = 0; had < 2; had++) {
		char dir[] = "/tmp/move-record.XXXXXX", path[64];
		struct twin_own room = {.side = 0}, again = {.side = 0};
		struct move_record r = sample();

		r.h.state = HANDOVER_HERE;
		assert_non_null(mkdtemp(dir));
		if (had)
			assert_int_equal(write_state(dir, HANDOVER_INCOMING, NULL, NULL),
					 0);
		assert_int_equal(move_record_make_room(dir, &r, &room), !had);
		assert_int_equal(read_back(dir), had ? HANDOVER_INCOMING : HANDOVER_HERE);
		syncs = writes = 0;
		assert_int_equal(write_state(dir, HANDOVER_PREPARED, &room, NULL), 0);
		assert_int_equal(write_state(dir, HANDOVER_OWNED, &room, NULL), 0);
		assert_int_equal(syncs, 0);
		assert_int_equal(writes, 2);
		assert_int_equal(read_back(dir), HANDOVER_OWNED);
		/* a vtpmd that begins anew overwrites nothing of another one's */
		assert_int_equal(move_record_make_room(dir, &r, &again), 0);
		assert_int_equal(read_back(dir), HANDOVER_OWNED);
		assert_int_equal(write_state(dir, HANDOVER_PREPARED, &room, NULL), 0);
		assert_int_equal(read_back(dir), HANDOVER_PREPARED);
		/* what is past is plain again */
		assert_int_equal(write_state(dir, HANDOVER_HERE, NULL, NULL), 0);
		assert_int_equal(read_back(dir), HANDOVER_HERE);
		assert_int_equal(move_record_settle(dir, r.uuid), 0);
		assert_int_equal(move_record_remove(dir, r.uuid), 0);
		snprintf(path, sizeof(path), "%s/handovers", dir);
		assert_int_equal(rmdir(path), 0);
		rmdir(dir);
	}
}

/* A disk that is full leaves what there was; of one that fails nobody knows. */
static void not_in_place(void **state)
{
	struct rlimit was, none;
	char dir[] = "/tmp/move-record.XXXXXX", path[64];
	struct twin_own room = {.side = 0};
	struct move_record r = sample();
	bool untouched = false;

	r.h.state = HANDOVER_HERE;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(move_record_make_room(dir, &r, &room), 1);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(write_state(dir, HANDOVER_RELEASED, &room, &untouched), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_true(untouched);
	assert_int_equal(read_back(dir), HANDOVER_HERE);

	room = (struct twin_own){.side = 0};
	assert_int_equal(move_record_make_room(dir, &r, &room), 0);
	fails_all = true;
	assert_int_equal(write_state(dir, HANDOVER_RELEASED, &room, &untouched), -EIO);
	assert_false(untouched);
	fails_all = false;
	assert_int_equal(read_back(dir), HANDOVER_HERE);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	snprintf(path, sizeof(path), "%s/handovers", dir);
	assert_int_equal(rmdir(path), 0);
	rmdir(dir);
}

/* Of a twin file no older record is left when it is plain. */
static void settled(void **state)
{
	char dir[] = "/tmp/move-record.XXXXXX", path[128];
	struct twin_own room = {.side = 0};
	struct move_record r = sample();
	struct stat st;
	int n;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(move_record_make_room(dir, &r, &room), 1);
	assert_int_equal(write_state(dir, HANDOVER_OWNED, &room, NULL), 0);
	assert_int_equal(move_record_settle(dir, r.uuid), 0);
	assert_int_equal(read_back(dir), HANDOVER_OWNED);
	n = snprintf(path, sizeof(path), "%s/handovers/", dir);
	uuid_unparse_lower(r.uuid, path + n);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < MOVE_RECORD_MAX);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	path[n] = '\0';
	assert_int_equal(rmdir(path), 0);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(without_a_key),
		cmocka_unit_test(with_what_came),
		cmocka_unit_test(states_that_are_not_recorded),
		cmocka_unit_test(a_name_that_is_no_text),
		cmocka_unit_test(in_a_folder),
		cmocka_unit_test(one_that_cannot_be_read),
		cmocka_unit_test(one_that_cannot_be_written),
		cmocka_unit_test(in_place),
		cmocka_unit_test(not_in_place),
		cmocka_unit_test(settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
