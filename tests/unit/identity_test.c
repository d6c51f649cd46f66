/* SPDX-License-Identifier: Apache-2.0 */
/* The endorsement keys on the real engine: the same ones whatever a guest does, and only
 * as many made as are needed. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "stubdom/manager/ek.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CC_CLEAR       0x126
#define CC_CHANGE_AUTH 0x129
#define RH_LOCKOUT     0x4000000au
#define KEPT	       EK_RSA2048_HANDLE

static struct firmware firmware;
static struct command command;
static struct error error;

/* What vtpmd was told. */
static struct {
	unsigned int times;
	uint8_t first[1024], last[1024];
	size_t first_len, last_len;
	uint32_t known;
	int rc;
} told;

static int tell(void *ctx, const uint8_t *keys, size_t len, uint32_t *known)
{
	assert_true(len <= sizeof(told.last));
	memcpy(told.last, keys, len);
	told.last_len = len;
	if (!told.times++) {
		memcpy(told.first, keys, len);
		told.first_len = len;
	}
	*known = told.known;
	return told.rc;
}

static const struct identity_ops ops = {.tell = tell};

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};

	disk_clear();
	memset(&told, 0, sizeof(told));
	told.known = EK_KINDS;
	error.cause = CAUSE_NONE;
	return engine_open(&store, &(struct engine_options){.create = true}, &error) ||
	       firmware_start(&firmware) || identity_report(&ops, true, &error);
}

static int teardown(void **unused)
{
	firmware_wipe(&firmware);
	return engine_close();
}

static void restart(void)
{
	told.times = 0;
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(identity_report(&ops, false, &error), 0);
}

/* TPM2_HierarchyChangeAuth, of the empty one */
static void change_auth(uint32_t hierarchy)
{
	command_begin(&command, CC_CHANGE_AUTH);
	cursor_put_u32(&command.in, hierarchy);
	command_auth(&command, NULL, 0);
	cursor_put_u16(&command.in, 6);
	cursor_put(&command.in, "secret", 6);
	assert_int_equal(command_run(&command), 0);
}

static void a_new_tpm_tells_all_and_keeps_one(void **unused)
{
	struct cursor c = cursor_reader(told.last, told.last_len);

	assert_int_equal(told.times, 1);
	assert_int_equal(cursor_u16(&c), 122);
	(void)cursor_bytes(&c, 122);
	assert_int_equal(cursor_u16(&c), 314);
	(void)cursor_bytes(&c, 314);
	assert_int_equal(cursor_u16(&c), 170);
	(void)cursor_bytes(&c, 170);
	assert_true(cursor_done(&c));
	assert_int_equal(ek_exists(&command, KEPT), 1);
}

/* The kept one is the one that was told. */
static void the_kept_one_is_the_key(void **unused)
{
	command_begin(&command, 0x173); /* ReadPublic */
	cursor_put_u32(&command.in, KEPT);
	assert_int_equal(command_run(&command), 0);
	assert_memory_equal(command.rsp + 10, told.last + 2 + 122, 2 + 314);
}

static void a_later_start_tells_the_cheap_one(void **unused)
{
	restart();
	assert_int_equal(told.times, 1);
	assert_int_equal(told.last_len, 2 + 122);
	assert_memory_equal(told.last, told.first, told.last_len);
}

static void a_clear_changes_no_key(void **unused)
{
	uint8_t before[1024];

	memcpy(before, told.last, sizeof(before));
	command_begin(&command, CC_CLEAR);
	cursor_put_u32(&command.in, RH_LOCKOUT);
	command_auth(&command, NULL, 0);
	assert_int_equal(command_run(&command), 0);
	assert_int_equal(ek_exists(&command, KEPT), 0);
	restart(); /* all, as the kept one is made again */
	assert_int_equal(told.times, 1);
	assert_memory_equal(told.last, before, sizeof(before));
	assert_int_equal(ek_exists(&command, KEPT), 1);
}

static void what_vtpmd_does_not_know_is_told(void **unused)
{
	size_t all = told.last_len;

	told.known = 0;
	restart();
	assert_int_equal(told.times, 2);
	assert_int_equal(told.last_len, all);
	told.known = UINT32_MAX; /* an old one, which does not know the message */
	restart();
	assert_int_equal(told.times, 1);
}

static void an_owner_keeps_its_handles(void **unused)
{
	assert_int_equal(ek_keep(&command, KEPT, KEPT), 0); /* evicts it */
	change_auth(COMMAND_RH_OWNER);
	restart();
	assert_int_equal(told.last_len, 2 + 122);
	assert_int_equal(ek_exists(&command, KEPT), 0);
}

static void an_endorsement_auth_is_the_guests(void **unused)
{
	change_auth(COMMAND_RH_ENDORSEMENT);
	restart();
	assert_int_equal(told.times, 0);
}

static void others_than_known_end_the_start(void **unused)
{
	told.rc = -EPERM;
	assert_int_equal(identity_report(&ops, false, &error), -EPERM);
	assert_int_equal(error.cause, CAUSE_WRONG_VTPM);
	told.rc = -ENOMEM; /* vtpmd's own trouble */
	assert_int_equal(identity_report(&ops, false, &error), 0);
}

static void a_new_tpm_needs_them(void **unused)
{
	change_auth(COMMAND_RH_ENDORSEMENT);
	assert_int_equal(identity_report(&ops, true, &error), -EACCES);
	assert_int_equal(error.cause, CAUSE_ENGINE);
}

/* Three slots for objects: one that is left behind would soon be missed. */
static void nothing_is_left_in_the_tpm(void **unused)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(identity_report(&ops, true, &error), 0);
	assert_int_equal(told.times, 5);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_new_tpm_tells_all_and_keeps_one),
		T(the_kept_one_is_the_key),
		T(a_later_start_tells_the_cheap_one),
		T(a_clear_changes_no_key),
		T(what_vtpmd_does_not_know_is_told),
		T(an_owner_keeps_its_handles),
		T(an_endorsement_auth_is_the_guests),
		T(others_than_known_end_the_start),
		T(a_new_tpm_needs_them),
		T(nothing_is_left_in_the_tpm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
