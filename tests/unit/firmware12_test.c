/* SPDX-License-Identifier: Apache-2.0 */
/* What the manager does to a TPM 1.2 that was just powered on, on the real engine. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ORD_FORCE_CLEAR	      0x5d
#define ORD_GET_CAPABILITY    0x65
#define ORD_PHYSICAL_DISABLE  0x70
#define ORD_READ_PUBEK	      0x7c
#define ORD_EXTEND	      0x14
#define ORD_PCR_READ	      0x15
#define ORD_NV_DEFINE_SPACE   0xcc
#define ORD_SELF_TEST	      0x50
#define ORD_STARTUP	      0x99
#define ORD_PHYSICAL_PRESENCE 0x4000000a
#define BAD_PRESENCE	      0x2d
#define BAD_PARAMETER	      3
#define INVALID_POSTINIT      0x26
#define NV_AUTH		      0x13b /* TPM_AREA_LOCKED and others: not without the owner */

static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;

static int open_engine(bool create)
{
	static const struct engine_store store = {.load = disk_load, .save = disk_save};

	return engine_open(
		&store,
		&(struct engine_options){.create = create, .version = ENGINE_TPM_12},
		&error);
}

static int setup(void **unused)
{
	disk_clear();
	return open_engine(true);
}

static int teardown(void **unused)
{
	return engine_close();
}

static void begin(uint32_t ordinal)
{
	struct cursor tag = cursor_writer(command.cmd, 2);

	tpm2_begin(&command, ordinal);
	cursor_put_u16(&tag, 0x00c1);
}

static uint32_t run(void)
{
	assert_int_not_equal(tpm2_run(&command), -EBADMSG);
	return command.rc;
}

static uint32_t presence(uint16_t what)
{
	begin(ORD_PHYSICAL_PRESENCE);
	cursor_put_u16(&command.in, what);
	return run();
}

/* The endorsement key's modulus; false: there is none. */
static bool key(uint8_t modulus[256])
{
	static const uint8_t nonce[20] = {1};

	begin(ORD_READ_PUBEK);
	cursor_put(&command.in, nonce, sizeof(nonce));
	if (run())
		return false;
	(void)cursor_bytes(&command.out, 28);
	cursor_copy(&command.out, modulus, 256);
	return cursor_ok(&command.out);
}

static bool flag(unsigned int n)
{
	const uint8_t *flags;

	begin(ORD_GET_CAPABILITY);
	cursor_put_u32(&command.in, 4);
	cursor_put_u32(&command.in, 4);
	cursor_put_u32(&command.in, 0x108);
	assert_int_equal(run(), 0);
	flags = cursor_bytes(&command.out, 4 + 2 + n + 1);
	assert_non_null(flags);
	return flags[6 + n];
}

static uint32_t extend(void)
{
	static const uint8_t digest[20] = {7};

	begin(ORD_EXTEND);
	cursor_put_u32(&command.in, 10);
	cursor_put(&command.in, digest, sizeof(digest));
	return run();
}

static void a_guest_finds_a_tpm_that_it_can_own(void **unused)
{
	uint8_t one[256], two[256];

	assert_int_equal(firmware12_start(), 0);
	assert_int_equal(firmware12_start(), 0);
	assert_true(key(one));
	assert_int_equal(extend(), 0); /* it is enabled and active */
	assert_false(flag(0));	       /* disable */
	assert_false(flag(2));	       /* deactivated */
	begin(ORD_STARTUP);
	cursor_put_u16(&command.in, 2);
	assert_int_equal(run(), INVALID_POSTINIT);
	/* the key is made once */
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware12_start(), 0);
	assert_true(key(two));
	assert_memory_equal(one, two, sizeof(one));
}

static void starts_write_nothing(void **unused)
{
	int puts;

	assert_int_equal(firmware12_start(), 0);
	assert_int_equal(engine_power_cycle(), 0);
	puts = disk.puts;
	assert_int_equal(firmware12_start(), 0);
	assert_int_equal(disk.puts, puts);
}

static void a_guest_is_never_present(void **unused)
{
	assert_int_equal(firmware12_start(), 0);
	assert_int_equal(presence(0x08), BAD_PARAMETER);
	begin(ORD_FORCE_CLEAR);
	assert_int_equal(run(), BAD_PRESENCE);
	begin(ORD_PHYSICAL_DISABLE);
	assert_int_equal(run(), BAD_PRESENCE);
	/* nor does it take presence from us */
	assert_int_equal(presence(0x100), BAD_PARAMETER); /* not by command */
	assert_int_equal(presence(0x40), BAD_PARAMETER);  /* by hardware */
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware12_start(), 0);
	assert_int_equal(presence(0x08), BAD_PARAMETER);
}

/* As a TPM is after TPM_OwnerClear: disabled and deactivated. */
static void a_tpm_that_was_disabled_comes_back(void **unused)
{
	uint8_t modulus[256];

	assert_int_equal(firmware12_start(), 0);
	assert_int_equal(engine_power_cycle(), 0);
	begin(ORD_STARTUP);
	cursor_put_u16(&command.in, 1);
	assert_int_equal(run(), 0);
	assert_int_equal(presence(0x08), 0);
	begin(0x72); /* PhysicalSetDeactivated */
	cursor_put_u8(&command.in, 1);
	assert_int_equal(run(), 0);
	begin(ORD_PHYSICAL_DISABLE);
	assert_int_equal(run(), 0);
	assert_true(flag(0) && flag(2));
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware12_start(), 0);
	assert_false(flag(0) || flag(2));
	assert_int_equal(extend(), 0);
	assert_true(key(modulus));
	assert_int_equal(presence(0x08), BAD_PARAMETER);
}

/* Before the lock, everybody could define and read everything. */
static void the_nv_asks_for_authorizations(void **unused)
{
	static const uint8_t none[20];
	int i;

	assert_int_equal(firmware12_start(), 0);
	begin(ORD_NV_DEFINE_SPACE);
	cursor_put_u16(&command.in, 0x18);
	cursor_put_u32(&command.in, 0x10);
	for (i = 0; i < 2; i++) {
		cursor_put_u16(&command.in, 3);
		cursor_put(&command.in, none, 3);
		cursor_put_u8(&command.in, 0x1f);
		cursor_put(&command.in, none, 20);
	}
	cursor_put_u16(&command.in, 0x17);
	cursor_put_u32(&command.in, 2); /* written by the owner */
	cursor_put(&command.in, none, 3);
	cursor_put_u32(&command.in, 8);
	cursor_put(&command.in, none, 20);
	assert_int_equal(run(), BAD_PRESENCE);
}

#define FIRMWARE_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIRMWARE_TEST(a_guest_finds_a_tpm_that_it_can_own),
		FIRMWARE_TEST(starts_write_nothing),
		FIRMWARE_TEST(a_guest_is_never_present),
		FIRMWARE_TEST(a_tpm_that_was_disabled_comes_back),
		FIRMWARE_TEST(the_nv_asks_for_authorizations),
	};
	int failed = cmocka_run_group_tests_name("firmware12", tests, NULL, NULL);

	free(disk.blob);
	return failed;
}
