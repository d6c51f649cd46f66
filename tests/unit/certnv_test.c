/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates in the NV memory of the real engine: there, the guest's to read only, and
 * replaced alone. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "stubdom/manager/certnv.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EK_RSA 0x01c00002u
#define EK_ECC 0x01c0000au
#define OTHER  0x01500000u

#define CC_UNDEFINE   0x122
#define CC_DEFINE     0x12a
#define CC_WRITE      0x137
#define CC_READ	      0x14e
#define CC_READPUBLIC 0x169
#define OWNER_INDEX   0x00020002u /* ownerwrite, ownerread */
#define POLICY_DELETE 0x00000400u
#define FOR_GOOD      (0x40010001u | POLICY_DELETE) /* platformcreate, ppread, ppwrite */
#define RC_LOCKED     0x148
#define RC_NV_AUTH    0x149

static struct firmware firmware;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;
static struct certnv want;
static uint8_t der[CERTNV_SIZE_MAX + 1];

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};
	size_t i;

	disk_clear();
	memset(&want, 0, sizeof(want));
	error.cause = CAUSE_NONE;
	for (i = 0; i < sizeof(der); i++)
		der[i] = (uint8_t)(i * 7 + i / 256);
	return engine_open(&store, &(struct engine_options){.create = true}, &error) ||
	       firmware_start(&firmware);
}

static int teardown(void **unused)
{
	firmware_wipe(&firmware);
	return engine_close();
}

static void apply(unsigned int expected)
{
	unsigned int good = 99;

	assert_int_equal(certnv_apply(&want, &firmware, &good), 0);
	assert_int_equal(good, expected);
}

static void set(uint32_t index, const uint8_t *bytes, size_t len)
{
	assert_int_equal(certnv_set(&want, index, bytes, len), 0);
}

/* A guest's command: with the owner's authorization, which is empty. */
static uint32_t as_owner(uint32_t code, uint32_t index)
{
	tpm2_begin(&command, code);
	cursor_put_u32(&command.in, TPM2_RH_OWNER);
	cursor_put_u32(&command.in, index);
	tpm2_authorize(&command, NULL, 0);
	if (code == CC_WRITE) {
		cursor_put_u16(&command.in, 1);
		cursor_put_u8(&command.in, 'x');
		cursor_put_u16(&command.in, 0);
	}
	if (code == CC_READ) {
		cursor_put_u16(&command.in, 16);
		cursor_put_u16(&command.in, 0);
	}
	assert_int_not_equal(tpm2_run(&command), -EBADMSG);
	return command.rc;
}

static void define_with(uint32_t index, uint16_t size, uint32_t attributes)
{
	size_t mark;

	tpm2_begin(&command, CC_DEFINE);
	cursor_put_u32(&command.in, TPM2_RH_OWNER);
	tpm2_authorize(&command, NULL, 0);
	cursor_put_u16(&command.in, 0);
	mark = cursor_mark_u16(&command.in);
	cursor_put_u32(&command.in, index);
	cursor_put_u16(&command.in, 0x0b);
	cursor_put_u32(&command.in, attributes);
	cursor_put_u16(&command.in, 0);
	cursor_put_u16(&command.in, size);
	cursor_patch_u16(&command.in, mark);
	assert_int_equal(tpm2_run(&command), 0);
}

static void define_as_owner(uint32_t index, uint16_t size)
{
	define_with(index, size, OWNER_INDEX);
}

/* TPMA_NV; 0: there is none. */
static uint32_t attributes(uint32_t index)
{
	tpm2_begin(&command, CC_READPUBLIC);
	cursor_put_u32(&command.in, index);
	if (tpm2_run(&command))
		return 0;
	(void)cursor_bytes(&command.out, 8);
	return cursor_u32(&command.out);
}

static void assert_holds(uint32_t index, const uint8_t *bytes)
{
	assert_int_equal(as_owner(CC_READ, index), 0);
	assert_int_equal(cursor_u16(&command.out), 16);
	assert_memory_equal(cursor_bytes(&command.out, 16), bytes, 16);
}

static void a_guest_reads_and_no_more(void **unused)
{
	set(EK_RSA, der, 1234);
	set(EK_ECC, der, CERTNV_SIZE_MAX);
	apply(2);
	assert_holds(EK_RSA, der);
	assert_int_equal(attributes(EK_RSA), 0x62072801);
	assert_int_equal(as_owner(CC_WRITE, EK_RSA), RC_LOCKED);
	assert_int_equal(as_owner(CC_UNDEFINE, EK_RSA), RC_NV_AUTH);
	assert_holds(EK_RSA, der);
}

static void what_is_there_is_not_written_again(void **unused)
{
	unsigned int writes;

	set(EK_RSA, der, 1234);
	apply(1);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	writes = disk.puts;
	apply(1);
	assert_int_equal(disk.puts, writes);
}

static void another_takes_its_place_alone(void **unused)
{
	set(EK_RSA, der, 1234);
	set(EK_ECC, der + 1, 700);
	apply(2);
	define_as_owner(OTHER, 16);
	set(EK_RSA, der + 5, 1234); /* of the same size */
	apply(2);
	assert_holds(EK_RSA, der + 5);
	assert_holds(EK_ECC, der + 1);
	set(EK_RSA, der + 9, 900);
	apply(2);
	assert_holds(EK_RSA, der + 9);
	assert_int_equal(attributes(OTHER), OWNER_INDEX);
}

/* ... and the last byte counts as well. */
static void every_byte_is_compared(void **unused)
{
	static uint8_t other[1500];

	set(EK_RSA, der, sizeof(other));
	apply(1);
	memcpy(other, der, sizeof(other));
	other[sizeof(other) - 1] ^= 1;
	set(EK_RSA, other, sizeof(other));
	disk.puts = 0;
	apply(1);
	assert_true(disk.puts > 0);
}

static void one_that_is_not_wanted_goes(void **unused)
{
	set(EK_RSA, der, 1234);
	apply(1);
	want.one[TPM2_CERT_RSA2048].len = 0;
	apply(0);
	assert_int_equal(attributes(EK_RSA), 0);
}

static void a_guests_own_index_stays_until_there_is_one(void **unused)
{
	define_as_owner(EK_RSA, 16);
	apply(0);
	assert_int_equal(attributes(EK_RSA), OWNER_INDEX);
	set(EK_RSA, der, 1234);
	apply(1);
	assert_holds(EK_RSA, der);
}

/* ... that the guest could change afterwards. */
static void a_guests_index_with_the_same_bytes_is_replaced(void **unused)
{
	uint8_t own[] = {'x'};

	define_with(EK_RSA, sizeof(own), OWNER_INDEX | 0x00010000u /* ppread */);
	assert_int_equal(as_owner(CC_WRITE, EK_RSA), 0);
	set(EK_RSA, own, sizeof(own));
	apply(1);
	assert_int_equal(attributes(EK_RSA), 0x62072801);
}

/* Root in an HVM guest whose firmware left the platform hierarchy open. */
static void define_as_platform(uint32_t index, uint32_t attributes)
{
	const struct tpm2_auth auth = firmware_auth(&firmware);
	size_t mark;

	tpm2_begin(&command, CC_DEFINE);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	tpm2_authorize(&command, &auth, 0);
	cursor_put_u16(&command.in, 3);
	cursor_put(&command.in, "own", 3);
	mark = cursor_mark_u16(&command.in);
	cursor_put_u32(&command.in, index);
	cursor_put_u16(&command.in, 0x0b);
	cursor_put_u32(&command.in, attributes);
	cursor_put_u16(&command.in, 32);
	cursor_put(&command.in, der, 32); /* authPolicy, which nothing satisfies */
	cursor_put_u16(&command.in, 8);
	cursor_patch_u16(&command.in, mark);
	assert_int_equal(tpm2_run(&command), 0);
}

static bool withholds(size_t len)
{
	return firmware_withholds(command.cmd, len);
}

/* It would be there for good, Clear or not, and so it is not executed for a guest. */
static void one_that_only_its_policy_deletes(void **unused)
{
	unsigned int good;

	set(EK_RSA, der, 300);
	define_as_platform(EK_RSA, FOR_GOOD);
	assert_true(withholds(command.in.pos));
	for (size_t n = 0; n + 42 < command.in.pos; n++)
		assert_false(withholds(n));
	assert_int_equal(certnv_apply(&want, &firmware, &good), -EREMOTEIO);
	/* what is nobody's else's place is the guest's */
	define_as_platform(OTHER, FOR_GOOD);
	assert_false(withholds(command.in.pos));
	define_as_platform(EK_ECC, FOR_GOOD & ~POLICY_DELETE);
	assert_false(withholds(command.in.pos));
	want.one[TPM2_CERT_RSA2048].len = 0;
	want.keeps_others = true;
	set(EK_ECC, der, 300);
	apply(1);
}

static void what_has_no_place_is_refused(void **unused)
{
	assert_int_equal(certnv_set(&want, OTHER, der, 300), -EINVAL);
	assert_int_equal(certnv_set(&want, EK_RSA, der, sizeof(der)), -EINVAL);
}

/* The others are there all the same. */
static void a_full_memory_is_told(void **unused)
{
	unsigned int good;
	uint32_t i;

	for (i = 0; i < 200; i++) {
		define_as_owner(OTHER + i, 2048);
		tpm2_begin(&command, CC_READPUBLIC);
		set(EK_RSA, der, 300);
		set(EK_ECC, der, 2048);
		if (certnv_apply(&want, &firmware, &good) == -EREMOTEIO)
			break;
		want.one[TPM2_CERT_RSA2048].len = 0;
		want.one[TPM2_CERT_P256].len = 0;
		apply(0);
	}
	assert_true(i < 200);
	assert_true(good < 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_guest_reads_and_no_more),
		T(what_is_there_is_not_written_again),
		T(another_takes_its_place_alone),
		T(every_byte_is_compared),
		T(one_that_is_not_wanted_goes),
		T(a_guests_own_index_stays_until_there_is_one),
		T(a_guests_index_with_the_same_bytes_is_replaced),
		T(one_that_only_its_policy_deletes),
		T(what_has_no_place_is_refused),
		T(a_full_memory_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
