/* SPDX-License-Identifier: Apache-2.0 */
/* What a TPM 2.0 has told of its clock stays true over crashes, on the real engine in a
 * time of our own. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CC_CLOCK_SET  0x128
#define CC_GETRANDOM  0x17b
#define CC_READ_CLOCK 0x181

static struct firmware firmware;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;
static bool lost;
static int64_t ahead_s; /* of the machine's clocks */

/* In the place of the C library's, for libtpms and the engine. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	t->tv_sec += ahead_s;
	return rc;
}

/* A state that may be written later is not written. */
static int save(void *ctx, const uint8_t *state, size_t len, bool clock_only)
{
	return lost || clock_only ? 0 : disk_save(ctx, state, len, clock_only);
}

static const struct engine_store store = {.load = disk_load, .save = save};

static int setup(void **unused)
{
	disk_clear();
	lost = false;
	if (engine_open(&store, &(struct engine_options){.create = true}, &error))
		return -1;
	return firmware_start(&firmware);
}

static int teardown(void **unused)
{
	firmware_wipe(&firmware);
	return engine_close();
}

struct told {
	uint64_t clock;
	uint32_t resets;
	bool safe;
};

static struct told ask(void)
{
	struct told t;

	tpm2_begin(&command, CC_READ_CLOCK);
	assert_int_equal(tpm2_run(&command), 0);
	(void)cursor_u64(&command.out);
	t.clock = cursor_u64(&command.out);
	t.resets = cursor_u32(&command.out);
	(void)cursor_u32(&command.out);
	t.safe = cursor_u8(&command.out);
	assert_true(cursor_ok(&command.out));
	return t;
}

/* The power goes: what is not stored by now never is. */
static void crash(void)
{
	lost = true;
	(void)!engine_close();
	lost = false;
	assert_int_equal(engine_open(&store, &(struct engine_options){0}, &error), 0);
	assert_int_equal(firmware_start(&firmware), 0);
}

static void crashes_do_not_turn_it_back(void **unused)
{
	static const int steps[] = {1, 2, 3, 4, 5, 30, 3600, 100000, 2, 1};
	struct told before, after;
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		ahead_s += steps[i];
		before = ask();
		crash();
		after = ask();
		assert_true(after.clock >= before.clock);
		/* nor far ahead */
		assert_true(after.clock <= before.clock + ENGINE_CLOCK_LAG_MS + 2000);
		assert_int_equal(after.resets, before.resets + 1);
	}
}

static void nor_in_the_midst_of_many_questions(void **unused)
{
	struct told before, after;
	int i;

	for (i = 0; i < 40; i++) {
		ahead_s++;
		before = ask();
	}
	crash();
	after = ask();
	assert_true(after.clock >= before.clock);
	for (i = 0; i < 5; i++) {
		before = ask();
		crash();
		after = ask();
		assert_true(after.clock >= before.clock);
	}
}

/* Without the firmware's part, what the stored clock says is not safe, and near. */
static void the_stored_clock_is_near(void **unused)
{
	struct told before;
	uint64_t lag;
	int i;

	for (i = 0; i < 400; i++) {
		ahead_s++;
		before = ask();
	}
	lost = true;
	(void)!engine_close();
	lost = false;
	assert_int_equal(engine_open(&store, &(struct engine_options){0}, &error), 0);
	tpm2_begin(&command, 0x144);
	cursor_put_u16(&command.in, 0);
	assert_int_equal(tpm2_run(&command), 0);
	lag = before.clock - ask().clock;
	assert_true(lag <= ENGINE_CLOCK_LAG_MS);
}

static void orderly_ends_leave_it_as_it_was(void **unused)
{
	struct told before, after;

	ahead_s += 1000;
	before = ask();
	assert_int_equal(engine_close(), 0);
	ahead_s += 1000; /* it does not run without power */
	assert_int_equal(engine_open(&store, &(struct engine_options){0}, &error), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	after = ask();
	assert_true(after.clock >= before.clock && after.clock < before.clock + 2000);
	assert_true(after.safe);
	assert_int_equal(after.resets, before.resets + 1);
}

static void a_clock_that_was_set_stays_set(void **unused)
{
	uint64_t to = ask().clock + 1000000;

	tpm2_begin(&command, CC_CLOCK_SET);
	cursor_put_u32(&command.in, TPM2_RH_OWNER);
	tpm2_authorize(&command, NULL, 0);
	cursor_put_u64(&command.in, to);
	assert_int_equal(tpm2_run(&command), 0);
	crash();
	assert_true(ask().clock >= to);
}

/* One question in three seconds writes, and nothing else for the clock. */
static void questions_write_seldom(void **unused)
{
	int i, puts;

	ahead_s += 10;
	(void)ask();
	puts = disk.puts;
	for (i = 0; i < 50; i++)
		(void)ask();
	assert_int_equal(disk.puts, puts);
	ahead_s += 3;
	(void)ask();
	assert_int_equal(disk.puts, puts + 1);
	ahead_s += 3600;
	tpm2_begin(&command, CC_GETRANDOM);
	cursor_put_u16(&command.in, 8);
	assert_int_equal(tpm2_run(&command), 0);
	assert_int_equal(disk.puts, puts + 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(crashes_do_not_turn_it_back),	   T(nor_in_the_midst_of_many_questions),
		T(the_stored_clock_is_near),	   T(orderly_ends_leave_it_as_it_was),
		T(a_clock_that_was_set_stays_set), T(questions_write_seldom),
	};
	return cmocka_run_group_tests_name("firmware_clock", tests, NULL, NULL);
}
