/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deep rekey over the real store, killed before every single call to the file system,
 * with puts that fail before or after they were done: what was acknowledged opens, and
 * in the end nothing is left that the old key opens or that leads to it.
 *
 * Each life of the vTPM is a child process, so that a kill is one.
 */
#include "tests/unit/unit.h"
#include "lib/atomic.h"
#include "lib/slot/previous_key.h"
#include "stubdom/manager/rekey.h"
#include "lib/slot/slot.h"
#include "tools/vtpmd/store.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED	  77
#define STEPS_MAX 400
#define NEVER	  (-1)

static const uint8_t uuid[16] = "the rekeyed vTPM";
static char root[64];

/* What outlives the children: the last number that the guest was told is stored, and
 * the first data key. */
static struct {
	int acknowledged;
	int steps; /* that the last life took */
	uint8_t first_key[32];
} * shared;

/* For what runs in the children, too: cmocka's own would go on with the next test. */
static pid_t parent;

static void failed(const char *what, int line)
{
	if (getpid() == parent)
		fail_msg("line %d: %s", line, what);
	fprintf(stderr, "line %d: %s\n", line, what);
	_exit(1);
}

#define MUST(c)	    ((c) ? (void)0 : failed(#c, __LINE__))
#define MUST_NOT(c) MUST(!(c))

/* --- the kill --- */

static int step, kill_at = NEVER;

static void next_step(void)
{
	if (step++ == kill_at)
		_exit(KILLED);
}

int __real_openat(int dir, const char *name, int flags, mode_t mode);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_openat(int dir, const char *name, int flags, mode_t mode);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);

int __wrap_openat(int dir, const char *name, int flags, mode_t mode)
{
	if (flags & O_CREAT)
		next_step();
	return __real_openat(dir, name, flags, mode);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	next_step();
	return __real_write(fd, buf, len);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	next_step();
	return __real_pwrite(fd, buf, len, at);
}

int __wrap_fsync(int fd)
{
	next_step();
	return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	next_step();
	return __real_fdatasync(fd);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	next_step();
	return __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	next_step();
	return __real_linkat(from_dir, from, to_dir, to, flags);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	next_step();
	return __real_unlinkat(dir, name, flags);
}

/* --- one life of the vTPM --- */

static struct store store;
static struct state state;
static struct error error;
static int fail_put = NEVER; /* the put that fails */
static bool fail_after;	     /* ... once it is done */
static int puts_done;
static bool keep_links; /* of every file that was stored */

static int get(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	return store_get(&store, object, buf, len);
}

static void keep(enum channel_object object)
{
	char name[96];

	snprintf(name, sizeof(name), "%s/kept.%d.%d", root, (int)object, puts_done);
	MUST(__real_linkat(store.dir,
			   object == CHANNEL_OBJECT_HEADER ? "header" : "permall",
			   AT_FDCWD, name, 0) == 0);
}

static int put(void *ctx, enum channel_object object, uint64_t seq, const uint8_t *buf,
	       size_t len)
{
	bool fails = puts_done++ == fail_put;
	int rc = fails && !fail_after
			 ? 0
			 : store_put(&store, (uint16_t)object, seq, buf, len);

	/* the TPM has it: the header that it replaced may go */
	if (!rc && !fails && object == CHANNEL_OBJECT_HEADER)
		rc = store_settle(&store);
	if (keep_links)
		keep(object);
	return fails ? -EIO : rc;
}

/* The header's own slot: a fixed secret, in place of TPM and KMS. */
static const struct slot_context context = {
	.uuid = uuid, .key = (const uint8_t[SLOT_SHARE_SIZE]){"the secret of this host"}};

static int new_key(const struct unlock *u, uint8_t data_key[32])
{
	return crypt_random(data_key, 32);
}

static int new_header(const struct unlock *u, const uint8_t data_key[32], uint64_t seq,
		      uint8_t *header, size_t *len)
{
	struct envelope_header *h = calloc(1, sizeof(*h));

	memcpy(h->uuid, uuid, sizeof(h->uuid));
	h->seq = seq;
	h->desc = (struct envelope_desc){.policy = ENVELOPE_SLOT_LOCAL, .localities = 1};
	h->slot_count = 1;
	h->slots[0].kind = ENVELOPE_SLOT_LOCAL;
	MUST(slot_seal(&context, &h->slots[0], data_key) == 0);
	MUST(envelope_header_seal(h, data_key, header, len) == 0);
	free(h);
	return 0;
}

static const struct rekey_source source = {.key = new_key, .header = new_header};

static int write_number(int number)
{
	struct engine_store to = state_store(&state);
	char text[16];
	int rc;

	snprintf(text, sizeof(text), "number %d", number);
	rc = to.save(to.ctx, (uint8_t *)text, sizeof(text), false);
	if (!rc)
		shared->acknowledged = number;
	return rc;
}

static int read_number(void)
{
	struct engine_store from = state_store(&state);
	uint8_t *text = NULL;
	size_t len = 0;
	int number;

	MUST(from.load(from.ctx, &text, &len) == 0);
	number = atoi((char *)text + sizeof("number"));
	free(text);
	return number;
}

static void open_store(bool create)
{
	MUST(store_open(&store, root, uuid, create) == 0);
	memset(&state, 0, sizeof(state));
	memset(&error, 0, sizeof(error));
	state.place = (struct state_place){.get = get, .put = put};
	memcpy(state.uuid, uuid, sizeof(uuid));
	state.error = &error;
}

/* As a manager opens a vTPM, up to the state. */
static void power_on(void)
{
	struct envelope_header *h = malloc(sizeof(*h));
	uint8_t *header;
	size_t len;

	open_store(false);
	MUST(store_settle(&store) == 0);
	MUST(get(NULL, CHANNEL_OBJECT_HEADER, &header, &len) == 0);
	MUST(envelope_header_parse(header, len, h, &error) == 0);
	MUST(slot_open(&context, &h->slots[0], state.data_key) == 0);
	MUST(rekey_find(&state, header, len, &error) == 0);
	free(header);
	free(h);
}

static void check_number(void)
{
	int number = read_number();

	if (number != shared->acknowledged && number != shared->acknowledged + 1)
		fail_msg("%d was acknowledged, %d is there", shared->acknowledged,
			 number);
	shared->acknowledged = number; /* the guest has read it */
}

/* No blob that begins anywhere in these bytes opens with the first key. */
static void check_blobs(uint16_t kind, const uint8_t *buf, size_t len)
{
	static uint8_t plain[4096];
	struct envelope_blob b = {.uuid = uuid, .kind = kind};
	const uint8_t *at = buf;
	uint32_t length;
	size_t left, n;

	while ((at = memmem(at, len - (size_t)(at - buf), "XVTPMBLB", 8))) {
		left = len - (size_t)(at - buf);
		n = sizeof(plain);
		if (left > ENVELOPE_BLOB_OVERHEAD) {
			/* what stands before the ciphertext and the tag */
			memcpy(&length, at + ENVELOPE_BLOB_OVERHEAD - 20, 4);
			length = be32toh(length) + ENVELOPE_BLOB_OVERHEAD;
			MUST(length > left ||
			     envelope_blob_open(shared->first_key, &b, at, length, plain,
						&n, NULL) < 0);
		}
		at++;
	}
}

/* Nothing that is stored opens with the first key, or leads to it. */
static void check_old_key_is_gone(void)
{
	uint8_t *buf, key[32];
	size_t len;
	struct dirent *d;
	DIR *dir = fdopendir(dup(store.dir));

	rewinddir(dir);
	while ((d = readdir(dir))) {
		if (strncmp(d->d_name, "permall", 7) && strncmp(d->d_name, "header", 6) &&
		    strncmp(d->d_name, "volatile", 8))
			continue;
		MUST(atomic_read(store.dir, d->d_name, 65536, &buf, &len) == 0);
		check_blobs(d->d_name[0] == 'v' ? 3 : 2, buf, len);
		MUST(envelope_header_verify(buf, len, shared->first_key, NULL) < 0);
		if (d->d_name[0] == 'h')
			MUST(previous_key_find(buf, len, state.data_key, key, &error) ==
			     0);
		free(buf);
	}
	closedir(dir);
}

/* --- lives --- */

/* A life ends with _exit(): 0, KILLED, or 1 for a check that failed, which was told. */
static int live(void (*life)(void), int kill)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		step = 0;
		kill_at = kill;
		life();
		shared->steps = step;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void first_life(void)
{
	uint8_t header[ENVELOPE_HEADER_MAX];
	size_t len = sizeof(header);

	open_store(true);
	MUST(crypt_random(state.data_key, 32) == 0);
	memcpy(shared->first_key, state.data_key, 32);
	new_header(NULL, state.data_key, 1, header, &len);
	MUST(put(NULL, CHANNEL_OBJECT_HEADER, 1, header, len) == 0);
	MUST(write_number(1) == 0);
	MUST(write_number(2) == 0);
}

static void rekey_and_write(void)
{
	power_on();
	check_number();
	MUST(rekey_finish(&state, &error) == 0);
	MUST(write_number(shared->acknowledged + 1) == 0);
	MUST(rekey_run(&state, &source, &error) == 0);
	MUST(write_number(shared->acknowledged + 1) == 0);
}

static void only_open(void)
{
	power_on();
	check_number();
	MUST(rekey_finish(&state, &error) == 0);
	MUST(read_number() == shared->acknowledged);
}

/* Opens, and when the kill came too early for that has the data key replaced. */
static void end_well(void)
{
	only_open();
	MUST_NOT(state.has_old);
	MUST(write_number(shared->acknowledged + 1) == 0);
	if (!memcmp(state.data_key, shared->first_key, 32))
		MUST(rekey_run(&state, &source, &error) == 0);
	MUST(read_number() == shared->acknowledged);
	check_old_key_is_gone();
	store_close(&store);
	/* and again, from the disk */
	only_open();
	check_old_key_is_gone();
}

static int setup(void **unused)
{
	snprintf(root, sizeof(root), "%s/rekey-test-XXXXXX",
		 faccessat(AT_FDCWD, "/dev/shm", W_OK, 0) ? "/tmp" : "/dev/shm");
	shared->acknowledged = 0;
	fail_put = NEVER;
	puts_done = 0;
	keep_links = false;
	return !mkdtemp(root) || live(first_life, NEVER);
}

static int teardown(void **unused)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void again(void)
{
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
}

static void replaces_the_data_key(void **unused)
{
	assert_int_equal(live(rekey_and_write, NEVER), 0);
	assert_int_equal(shared->acknowledged, 4);
	assert_int_equal(live(end_well, NEVER), 0);
}

static void killed_at_any_step(void **unused)
{
	int n, rc = KILLED;

	for (n = 0; rc == KILLED; n++) {
		assert_true(n < STEPS_MAX);
		rc = live(rekey_and_write, n);
		assert_true(rc == KILLED || rc == 0);
		assert_int_equal(live(end_well, NEVER), 0);
		again();
	}
	print_message("killed at %d steps\n", n - 1);
	assert_true(n > 40);
}

/* The opening that goes on with it is killed too, at every step of its own. */
static void killed_again_and_again(void **unused)
{
	int n, m, rc = KILLED, opening;

	for (n = 0; rc == KILLED; n += 3) {
		rc = live(rekey_and_write, n);
		for (m = 0, opening = KILLED; opening == KILLED; m++) {
			assert_true(m < STEPS_MAX);
			opening = live(only_open, m);
			assert_true(opening == KILLED || opening == 0);
		}
		assert_int_equal(live(end_well, NEVER), 0);
		again();
	}
}

/* --- puts that fail, while the manager goes on --- */

static void fail_and_go_on(void)
{
	int rc;

	power_on();
	check_number();
	puts_done = 0;
	rc = rekey_run(&state, &source, &error);
	MUST(rc == (fail_put < 3 ? -EIO : 0));
	fail_put = NEVER;
	MUST(error.cause == (rc ? CAUSE_STORE : CAUSE_NONE));
	/* the guest notices nothing */
	MUST(read_number() == shared->acknowledged);
	MUST(write_number(shared->acknowledged + 1) == 0);
	MUST(read_number() == shared->acknowledged);
}

static void fail_and_try_again(void)
{
	fail_and_go_on();
	memset(&error, 0, sizeof(error));
	MUST(rekey_run(&state, &source, &error) == 0);
	MUST(read_number() == shared->acknowledged);
	MUST(write_number(shared->acknowledged + 1) == 0);
	check_old_key_is_gone();
}

static void puts_that_fail(void **unused)
{
	for (int n = 0; n < 4; n++)
		for (int after = 0; after < 2; after++) {
			fail_put = n;
			fail_after = after;
			assert_int_equal(live(fail_and_go_on, NEVER), 0);
			fail_put = NEVER;
			assert_int_equal(live(end_well, NEVER), 0);
			again();
			fail_put = n;
			assert_int_equal(live(fail_and_try_again, NEVER), 0);
			fail_put = NEVER;
			assert_int_equal(live(end_well, NEVER), 0);
			again();
		}
}

/* --- what else is stored --- */

static void other_objects_come_along(void **unused)
{
	uint8_t blob[200], plain[200], *buf;
	size_t len = sizeof(blob), n = sizeof(plain);
	struct envelope_blob b = {uuid, CHANNEL_OBJECT_VOLATILE, 9, 1};

	power_on();
	assert_int_equal(envelope_blob_seal(state.data_key, &b, (const uint8_t *)"kept",
					    4, blob, &len),
			 0);
	assert_int_equal(put(NULL, CHANNEL_OBJECT_VOLATILE, 9, blob, len), 0);
	assert_int_equal(read_number(), 2);
	assert_int_equal(rekey_run(&state, &source, &error), 0);
	check_old_key_is_gone();
	assert_int_equal(get(NULL, CHANNEL_OBJECT_VOLATILE, &buf, &len), 0);
	assert_int_equal(
		envelope_blob_open(state.data_key, &b, buf, len, plain, &n, &error), 0);
	assert_int_equal(b.seq, 10);
	assert_memory_equal(plain, "kept", 4);
	free(buf);
	store_close(&store);
}

/* A state under neither key, or of an unknown one, ends the rekey where it is. */
static void a_damaged_state_is_not_given_up(void **unused)
{
	uint8_t old[32];

	power_on();
	memcpy(old, state.data_key, sizeof(old));
	assert_int_equal(read_number(), 2);
	assert_int_equal(atomic_write(store.dir, "permall", "XVTPMBLB", 8, true), 0);
	assert_true(rekey_run(&state, &source, &error) < 0);
	assert_int_equal(error.cause, CAUSE_BLOB_CORRUPT);
	assert_true(state.has_old);
	assert_memory_equal(state.old_key, old, sizeof(old));
	assert_int_equal(faccessat(store.dir, "permall.prev", F_OK, 0), 0);
	store_close(&store);
}

static bool all_zero(const char *name)
{
	int dir = open(root, O_RDONLY | O_DIRECTORY);
	uint8_t *buf, sum = 0;
	size_t len, i;

	assert_int_equal(atomic_read(dir, name, 65536, &buf, &len), 0);
	close(dir);
	for (i = 0; i < len; i++)
		sum |= buf[i];
	free(buf);
	return !sum;
}

/* Seen through another name of each file: the headers that lead to the old key, the one
 * that has it, and the state under it are zeroes, what is in use is not. */
static void what_led_to_the_old_key_is_zeroed(void **unused)
{
	uint8_t *buf;
	size_t len;

	power_on();
	assert_int_equal(read_number(), 2);
	puts_done = 0;
	keep(CHANNEL_OBJECT_HEADER);
	keep(CHANNEL_OBJECT_PERMALL);
	keep_links = true;
	assert_int_equal(rekey_run(&state, &source, &error), 0);
	assert_int_equal(puts_done, 3);
	assert_true(all_zero("kept.1.0"));
	assert_true(all_zero("kept.2.0"));
	assert_true(all_zero("kept.1.1"));
	/* the state under the new key has another file since */
	assert_int_equal(get(NULL, CHANNEL_OBJECT_PERMALL, &buf, &len), 0);
	assert_memory_equal(buf, "XVTPMBLB", 8);
	free(buf);
	assert_false(all_zero("kept.1.3"));
	assert_int_equal(faccessat(store.dir, "header.prev", F_OK, 0), -1);
	assert_int_equal(faccessat(store.dir, "permall.prev", F_OK, 0), -1);
	store_close(&store);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* vtpmd takes none while the anchor has not the one before: says what to look at. */
static int put_busy(void *ctx, enum channel_object object, uint64_t seq,
		    const uint8_t *data, size_t len)
{
	return -EBUSY;
}

static void header_waits_for_the_anchor(void **unused)
{
	struct state s = {.place.put = put_busy};
	struct error e = {0};

	assert_int_equal(state_put_header(&s, 2, (const uint8_t *)"h", 1, &e), -EBUSY);
	assert_int_equal(e.cause, CAUSE_STORE);
	assert_non_null(
		strstr(e.text, "before the host's TPM has the hash of the last one"));
	assert_non_null(strstr(e.text, "journalctl -u vtpmd"));
	assert_non_null(strstr(e.text, "try again"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_waits_for_the_anchor),
		TEST(replaces_the_data_key),
		TEST(killed_at_any_step),
		TEST(killed_again_and_again),
		TEST(puts_that_fail),
		TEST(other_objects_come_along),
		TEST(a_damaged_state_is_not_given_up),
		TEST(what_led_to_the_old_key_is_zeroed),
	};

	parent = getpid();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests_name("rekey", tests, NULL, NULL);
}
