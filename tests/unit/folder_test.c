/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
/* The folder of the stand-alone mode. */
#include "stubdom/manager/folder.c"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/folder-test.XXXXXX", file[64];
static struct folder folder, second;
static struct state state;
static struct error error;
static bool create;

static const char *in_folder(const char *name)
{
	snprintf(file, sizeof(file), "%s/%s", path, name);
	return file;
}

static int setup(void **unused)
{
	strcpy(path + strlen(path) - 6, "XXXXXX");
	memset(&state, 0, sizeof(state));
	memset(&error, 0, sizeof(error));
	state.error = &error;
	return mkdtemp(path) ? 0 : -1;
}

static int teardown(void **unused)
{
	static const char *const names[] = {"key",     "header",       "header.prev",
					    "permall", "permall.prev", "lock"};
	size_t i;

	folder_close(&folder);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_folder(names[i]));
	return rmdir(path);
}

static int open_again(void)
{
	int rc;

	folder_close(&folder);
	memset(&state, 0, sizeof(state));
	memset(&error, 0, sizeof(error));
	state.error = &error;
	rc = folder_open(&folder, path, &error);
	return rc ? rc : folder_unlock(&folder, &state, &create, &error);
}

static void flip_first_byte(const char *name)
{
	int fd = open(in_folder(name), O_RDWR);
	uint8_t b;

	assert_int_equal(pread(fd, &b, 1, 0), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, 0), 1);
	close(fd);
}

static void save(const char *text)
{
	struct engine_store store = state_store(&state);

	assert_int_equal(
		store.save(store.ctx, (const uint8_t *)text, strlen(text), false), 0);
}

static void loads(const char *text)
{
	struct engine_store store = state_store(&state);
	uint8_t *got = NULL;
	size_t len;

	assert_int_equal(store.load(store.ctx, &got, &len), 0);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(got, text, len);
	free(got);
}

static bool fails_to_load(void)
{
	struct engine_store store = state_store(&state);
	uint8_t *got = NULL;
	size_t len;

	return store.load(store.ctx, &got, &len) < 0;
}

static void a_new_one_and_the_same_again(void **unused)
{
	uint8_t key[ENVELOPE_KEY_SIZE], uuid[ENVELOPE_UUID_SIZE];

	folder = second = (struct folder){.dir = -1, .lock = -1};
	assert_int_equal(open_again(), 0);
	assert_true(create);
	memcpy(key, state.data_key, sizeof(key));
	memcpy(uuid, state.uuid, sizeof(uuid));
	/* a power cut before the first state: the same vTPM is made again */
	assert_int_equal(open_again(), 0);
	assert_true(create);
	assert_memory_equal(state.data_key, key, sizeof(key));
	save("one");
	save("two");
	assert_int_equal(open_again(), 0);
	assert_false(create);
	assert_memory_equal(state.data_key, key, sizeof(key));
	assert_memory_equal(state.uuid, uuid, sizeof(uuid));
	loads("two");
	assert_int_equal(access(in_folder("permall.prev"), F_OK), 0);
}

static bool begins_with(const char *name, const char *magic)
{
	char text[9] = "";
	int fd = open(in_folder(name), O_RDONLY);

	assert_int_equal(read(fd, text, 8), 8);
	close(fd);
	return !strcmp(text, magic);
}

/* lib/twin.h: a file with two sides in between, and after a crash. */
static void plain_at_an_orderly_end(void **unused)
{
	assert_int_equal(open_again(), 0);
	for (int i = 0; i < 5; i++)
		save(i % 2 ? "odd" : "even");
	assert_true(begins_with("permall", "XVTPMTWN"));
	close(folder.lock);
	close(folder.dir);
	folder.dir = folder.lock = -1;
	assert_int_equal(open_again(), 0);
	loads("even");
	/* nothing was written: it stays as it is */
	assert_int_equal(open_again(), 0);
	assert_true(begins_with("permall", "XVTPMTWN"));
	save("more");
	assert_int_equal(open_again(), 0);
	assert_true(begins_with("permall", "XVTPMBLB"));
	loads("more");
	/* which is not taken for a torn one when it is damaged */
	flip_first_byte("permall");
	assert_int_equal(open_again(), 0);
	assert_true(fails_to_load());
}

static void one_process_at_a_time(void **unused)
{
	assert_int_equal(open_again(), 0);
	assert_int_equal(folder_open(&second, path, &error), -EBUSY);
	assert_non_null(strstr(error.text, "in use"));
	folder_close(&folder);
	assert_int_equal(folder_open(&second, path, &error), 0);
	folder_close(&second);
}

static void nothing_fresh_where_something_was(void **unused)
{
	assert_int_equal(open_again(), 0);
	save("precious");
	save("more");
	assert_int_equal(unlink(in_folder("permall")), 0);
	assert_int_equal(open_again(), 0);
	assert_false(create); /* permall.prev tells */
	assert_int_equal(unlink(in_folder("key")), 0);
	assert_true(open_again() < 0);
	assert_int_equal(error.cause, CAUSE_STORE);
	assert_true(access(in_folder("key"), F_OK) < 0);
}

static void damaged_files(void **unused)
{
	assert_int_equal(open_again(), 0);
	save("precious");
	flip_first_byte("key");
	assert_true(open_again() < 0);
	assert_int_equal(error.cause, CAUSE_HEADER_CORRUPT);
	flip_first_byte("key");
	flip_first_byte("header");
	assert_true(open_again() < 0);
	assert_int_equal(error.cause, CAUSE_HEADER_CORRUPT);
	flip_first_byte("header");
	assert_int_equal(truncate(in_folder("key"), 31), 0);
	assert_true(open_again() < 0);
}

static void a_folder_that_cannot_be(void **unused)
{
	assert_true(folder_open(&folder, "/proc/no/such", &error) < 0);
	assert_non_null(strstr(error.text, "/proc/no/such"));
}

#define FOLDER_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(a_new_one_and_the_same_again),
		FOLDER_TEST(plain_at_an_orderly_end),
		FOLDER_TEST(one_process_at_a_time),
		FOLDER_TEST(nothing_fresh_where_something_was),
		FOLDER_TEST(damaged_files),
		FOLDER_TEST(a_folder_that_cannot_be),
	};

	folder = second = (struct folder){.dir = -1, .lock = -1};
	return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
