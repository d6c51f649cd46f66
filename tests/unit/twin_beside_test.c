/* SPDX-License-Identifier: Apache-2.0 */
/* A twin file in memory, where a write takes microseconds, beside readers: none of them gets
 * anything but a whole value, nor one that is older than the last that it got. */
#include "tests/unit/unit.h"
#include "lib/twin.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITES 20000
#define LEN    9000

static char folder[] = "/dev/shm/twin-test.XXXXXX";
static int dir;
static struct twin_own own;

static bool write_number(uint32_t n)
{
	static uint32_t value[LEN / 4];

	for (size_t i = 0; i < LEN / 4; i++)
		value[i] = n;
	return !twin_write(&own, dir, "f", value, LEN);
}

/* 0: something else than a whole value. */
static uint32_t read_number(void)
{
	uint32_t n, other;
	uint8_t *buf;
	size_t len;

	if (twin_read(dir, "f", LEN, &buf, &len))
		return 0;
	memcpy(&n, buf, sizeof(n));
	for (size_t i = 0; i < len; i += sizeof(n)) {
		memcpy(&other, buf + i, sizeof(n));
		if (other != n)
			n = 0;
	}
	free(buf);
	return len == LEN ? n : 0;
}

static void readers_beside_a_writer(void **state)
{
	uint32_t last = 1, n;
	int reads = 0, status;
	pid_t writer;

	assert_true(write_number(1) && write_number(2));
	writer = fork();
	assert_true(writer >= 0);
	if (!writer) {
		for (n = 3; n < WRITES; n++)
			if (!write_number(n))
				_exit(1);
		_exit(0);
	}
	while (!waitpid(writer, &status, WNOHANG)) {
		n = read_number();
		assert_true(n >= last);
		last = n;
		reads++;
	}
	assert_int_equal(status, 0);
	assert_int_equal(read_number(), WRITES - 1);
	print_message("# %d reads beside %d writes\n", reads, WRITES);
}

/* One that is too long for a side is written all the same, though the last one's has room. */
static void longer_than_a_side_may_be(void **state)
{
	static uint8_t value[TWIN_VALUE_MAX + 1];
	struct twin_own one = {.side = 0};
	uint8_t *buf;
	size_t len;

	for (size_t n = TWIN_VALUE_MAX - 1; n <= TWIN_VALUE_MAX + 1; n++) {
		memset(value, (int)n, n);
		assert_int_equal(twin_write(&one, dir, "f", value, n), 0);
		assert_int_equal(one.side > n, n <= TWIN_VALUE_MAX);
		assert_int_equal(twin_read(dir, "f", n, &buf, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(buf, value, n);
		free(buf);
	}
}

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	return dir < 0;
}

static int teardown(void **state)
{
	unlinkat(dir, "f", 0);
	unlinkat(dir, "f.prev", 0);
	close(dir);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_beside_a_writer),
		cmocka_unit_test(longer_than_a_side_may_be),
	};

	return cmocka_run_group_tests_name("twin_beside", tests, setup, teardown);
}
