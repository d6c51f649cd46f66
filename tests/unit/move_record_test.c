/* SPDX-License-Identifier: Apache-2.0 */
/* The records of handovers: as they were, whole or not at all. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/move_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void in_a_folder(void **state)
{
	char dir[] = "/tmp/move-record.XXXXXX", path[64];
	struct move_record r = sample();
	int n = 0;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(move_record_each(dir, &n, count), 0);
	assert_int_equal(move_record_write(dir, &r), 0);
	assert_int_equal(move_record_each(dir, &n, count), 0);
	assert_int_equal(n, 1);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	assert_int_equal(move_record_remove(dir, r.uuid), 0);
	assert_int_equal(move_record_each(dir, &n, count), 0);
	assert_int_equal(n, 1);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
