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

static bool fails; /* fsync() of a folder */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
	struct stat st;

	if (!fails || fstat(fd, &st) || !S_ISDIR(st.st_mode))
		return __real_fsync(fd);
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
				.peer = "beta"};

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
	assert_int_equal(move_record_write(dir, &r, NULL), 0);
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
	assert_int_equal(move_record_write(dir, &r, NULL), 0);
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
	assert_int_equal(move_record_write(dir, &r, &untouched), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	full.h.state = HANDOVER_HERE;
	assert_int_equal(move_record_write(dir, &full, &untouched), -EFBIG);
	assert_true(untouched);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(move_record_each(dir, &n, count, count_lost), 0);
	assert_int_equal(n, 1);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	/* what became of it is not known: the new one is there, and may not stay */
	fails = true;
	assert_int_equal(move_record_write(dir, &r, &untouched), -EIO);
	assert_false(untouched);
	fails = false;
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	snprintf(path, sizeof(path), "%s/handovers", dir);
	rmdir(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(states_that_are_not_recorded),
		cmocka_unit_test(a_name_that_is_no_text),
		cmocka_unit_test(in_a_folder),
		cmocka_unit_test(one_that_cannot_be_read),
		cmocka_unit_test(one_that_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
