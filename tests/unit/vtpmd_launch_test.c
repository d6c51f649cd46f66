/* SPDX-License-Identifier: Apache-2.0 */
/* A launch counts while somebody holds the lock on its file. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/launch.h"
#include "lib/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/launch-unit.XXXXXX";
static int dir = -1, lock = -1;
static uint8_t list[400], out[MEASURE_MAX];
static struct cursor found;
static struct launch launch = {.domain = {1}, .vtpms = 2, .vtpm = {{2}, {3}}};

static int setup(void **state)
{
	static const uint8_t digests[MEASURE_DIGESTS];
	struct measure_event e = {4, MEASURE_EV_IPL, digests, (const uint8_t *)"k", 1};
	struct cursor w = cursor_writer(list, sizeof(list));

	measure_put(&w, &e);
	launch.list = list;
	launch.len = w.pos;
	found = cursor_writer(out, sizeof(out));
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	return dir < 0 ? -1 : 0;
}

static void unlock(void)
{
	if (lock >= 0)
		close(lock);
	lock = -1;
}

static int teardown(void **state)
{
	char name[LAUNCH_NAME_SIZE];

	unlock();
	launch_name(launch.domain, name);
	(void)unlinkat(dir, name, 0);
	close(dir);
	return rmdir(folder);
}

static int open_file(int flags)
{
	char name[LAUNCH_NAME_SIZE];

	launch_name(launch.domain, name);
	return openat(dir, name, flags);
}

static void keep_and_lock(void)
{
	assert_int_equal(launch_keep(dir, &launch), 0);
	lock = open_file(O_RDONLY);
	assert_true(lock >= 0);
	assert_int_equal(flock(lock, LOCK_SH | LOCK_NB), 0);
}

static void a_held_launch_is_found(void **state)
{
	keep_and_lock();
	assert_true(launch_held(dir, launch.domain));
	assert_int_equal(launch_find(dir, launch.domain, launch.vtpm[1], &found), 0);
	assert_int_equal(found.pos, launch.len);
	assert_memory_equal(out, list, launch.len);
}

static void without_the_lock_it_is_over(void **state)
{
	assert_int_equal(launch_keep(dir, &launch), 0);
	assert_false(launch_held(dir, launch.domain));
	assert_int_equal(launch_find(dir, launch.domain, launch.vtpm[0], &found),
			 -ENOENT);
	keep_and_lock();
	assert_int_equal(launch_find(dir, launch.domain, launch.vtpm[0], &found), 0);
	unlock();
	assert_int_equal(launch_find(dir, launch.domain, launch.vtpm[0], &found),
			 -ENOENT);
}

/* A stub domain may ask for any domain. */
static void it_is_for_its_vtpms_only(void **state)
{
	static const uint8_t other[16] = {9};

	keep_and_lock();
	assert_int_equal(launch_find(dir, launch.domain, other, &found), -ENOENT);
	assert_int_equal(launch_find(dir, other, launch.vtpm[0], &found), -ENOENT);
	assert_int_equal(launch_find(dir, NULL, other, &found), -ENOENT);
	assert_int_equal(found.pos, 0);
	assert_int_equal(launch_find(dir, NULL, launch.vtpm[0], &found), 0);
}

static void nonsense_is_not_kept(void **state)
{
	struct launch bad = launch;

	bad.len--;
	assert_int_equal(launch_keep(dir, &bad), -EBADMSG);
	bad = launch;
	bad.vtpms = 0;
	assert_int_equal(launch_keep(dir, &bad), -EBADMSG);
	bad.vtpms = LAUNCH_VTPMS_MAX + 1;
	assert_int_equal(launch_keep(dir, &bad), -EBADMSG);
	assert_int_equal(open_file(O_RDONLY), -1);
}

static void a_damaged_file_is_refused(void **state)
{
	struct stat st;
	int fd;

	keep_and_lock();
	fd = open_file(O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t n = st.st_size - 1; n >= 0; n--) {
		assert_int_equal(ftruncate(fd, n), 0);
		assert_int_not_equal(
			launch_find(dir, launch.domain, launch.vtpm[0], &found), 0);
	}
	assert_int_equal(found.pos, 0);
	close(fd);
}

static void only_what_is_old_and_free_is_swept(void **state)
{
	const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	int fd;

	keep_and_lock();
	fd = open_file(O_RDONLY);
	assert_int_equal(futimens(fd, old), 0);
	close(fd);
	launch_sweep(dir);
	assert_int_equal(launch_find(dir, launch.domain, launch.vtpm[0], &found), 0);
	unlock();
	launch_sweep(dir);
	assert_int_equal(open_file(O_RDONLY), -1);
	assert_int_equal(launch_keep(dir, &launch), 0);
	launch_sweep(dir);
	fd = open_file(O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_held_launch_is_found),    T(without_the_lock_it_is_over),
		T(it_is_for_its_vtpms_only),  T(nonsense_is_not_kept),
		T(a_damaged_file_is_refused), T(only_what_is_old_and_free_is_swept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
