/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmd/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SHA-256 of "abc", FIPS 180-2, B.1 */
static const uint8_t abc[IMAGE_HASH_SIZE] = {
	0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
	0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
	0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static char file[32];

static int setup(void **state)
{
	int fd;

	strcpy(file, "/tmp/image-test.XXXXXX");
	fd = mkstemp(file);
	if (fd < 0 || write(fd, "abc", 3) != 3)
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	return unlink(file);
}

static void copy_is_what_was_hashed(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t hash[IMAGE_HASH_SIZE];
	char path[64], text[8] = "";
	int fd, again, rc = image_take(file, &fd, hash, &e);

	assert_int_equal(rc, 0);
	assert_memory_equal(hash, abc, sizeof(hash));
	/* whatever becomes of the file */
	assert_int_equal(truncate(file, 0), 0);
	image_path(fd, path);
	again = open(path, O_RDONLY);
	assert_int_equal(read(again, text, sizeof(text)), 3);
	assert_string_equal(text, "abc");
	close(again);
	close(fd);
}

static void nobody_changes_the_copy(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t hash[IMAGE_HASH_SIZE];
	int fd, rc = image_take(file, &fd, hash, &e);

	assert_int_equal(rc, 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void no_file(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t hash[IMAGE_HASH_SIZE];
	int fd, rc = image_take("/nowhere/at-all", &fd, hash, &e);

	assert_int_equal(rc, -ENOENT);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(e.text, "/nowhere/at-all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(copy_is_what_was_hashed, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_changes_the_copy, setup, teardown),
		cmocka_unit_test(no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
