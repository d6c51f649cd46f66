/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's PCR banks, on the real engine. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct firmware firmware;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;

static const struct engine_store store = {.load = disk_load, .save = disk_save};

static int setup(void **unused)
{
	disk_clear();
	return engine_open(&store, &(struct engine_options){.create = true}, &error);
}

static int teardown(void **unused)
{
	firmware_wipe(&firmware);
	return engine_close();
}

/* Whether PCR 16 of a bank is there to be read. */
static bool has(uint16_t algorithm)
{
	tpm2_begin(&command, 0x17e);
	cursor_put_u32(&command.in, 1);
	cursor_put_u16(&command.in, algorithm);
	cursor_put_u8(&command.in, 3);
	cursor_put(&command.in, "\0\0\1", 3);
	assert_int_equal(tpm2_run(&command), 0);
	(void)cursor_u32(&command.out);			 /* update counter */
	(void)cursor_bytes(&command.out, 4 + 2 + 1 + 3); /* what was selected */
	return cursor_u32(&command.out) == 1;
}

static void are(bool sha1, bool sha256, bool sha384, bool sha512)
{
	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(has(4), sha1);
	assert_int_equal(has(11), sha256);
	assert_int_equal(has(12), sha384);
	assert_int_equal(has(13), sha512);
}

static void they_are_as_chosen_and_stay(void **unused)
{
	assert_int_equal(firmware_banks(6), 0);
	are(false, true, true, false);
	assert_int_equal(engine_close(), 0);
	assert_int_equal(engine_open(&store, &(struct engine_options){0}, &error), 0);
	are(false, true, true, false);
}

static void asked_for_again_nothing_changes(void **unused)
{
	assert_int_equal(firmware_banks(2), 0);
	assert_int_equal(firmware_banks(2), 0);
	are(false, true, false, false);
}

static void others_take_their_place(void **unused)
{
	assert_int_equal(firmware_banks(1), 0);
	are(true, false, false, false);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_banks(15), 0);
	are(true, true, true, true);
}

/* Root in an HVM guest, by the platform hierarchy that its firmware left open: only these PCRs
 * of these banks, from the next power-on on. */
static void allocate(uint8_t sha256, uint8_t sha384)
{
	static const uint16_t banks[] = {4, 11, 12, 13};
	const uint8_t pcrs[] = {0, sha256, sha384, 0};

	assert_int_equal(tpm2_startup(&command), 0);
	tpm2_begin(&command, 0x12b);
	cursor_put_u32(&command.in, 0x4000000c);
	cursor_put(&command.in, "\0\0\0\x09\x40\0\0\x09\0\0\0\0\0", 13);
	cursor_put_u32(&command.in, 4);
	for (size_t i = 0; i < 4; i++) {
		cursor_put_u16(&command.in, banks[i]);
		cursor_put_u8(&command.in, 3);
		cursor_put_u8(&command.in, pcrs[i]); /* 0 to 7 */
		cursor_put_u8(&command.in, pcrs[i]);
		cursor_put_u8(&command.in, pcrs[i] ? 0xfe : 0); /* 16 */
	}
	command.cmd[1] = 2; /* TPM_ST_SESSIONS */
	assert_int_equal(tpm2_run(&command), 0);
	assert_int_equal(engine_power_cycle(), 0);
}

static bool are_whole(void)
{
	bool are = false;

	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(firmware_banks_are_whole(&are), 0);
	return are;
}

static void a_part_of_one_is_none(void **unused)
{
	assert_true(are_whole());
	assert_int_equal(engine_power_cycle(), 0);
	allocate(0x7f, 0);
	assert_false(are_whole());
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_banks(2), 0);
	assert_true(are_whole());
	assert_true(!has(4) && has(11) && !has(12) && !has(13));
}

static void none_were_chosen(void **unused)
{
	allocate(0, 0xff);
	assert_false(are_whole());
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_banks(0), 0);
	assert_true(are_whole());
	assert_true(!has(4) && has(11) && has(12) && !has(13));
}

static void a_broken_tpm_has_none(void **unused)
{
	assert_int_equal(engine_close(), 0);
	assert_int_equal(firmware_banks(2), -EREMOTEIO);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(they_are_as_chosen_and_stay),
		T(asked_for_again_nothing_changes),
		T(others_take_their_place),
		T(a_part_of_one_is_none),
		T(none_were_chosen),
		T(a_broken_tpm_has_none),
	};
	return cmocka_run_group_tests_name("firmware_banks", tests, NULL, NULL);
}
