/* SPDX-License-Identifier: Apache-2.0 */
/* What the manager does to a TPM that was just powered on, on the real engine. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CC_CLEAR     0x126
#define CC_STARTUP   0x144
#define CC_SHUTDOWN  0x145
#define CC_GETRANDOM 0x17b
#define CC_PCR_READ  0x17e
#define CC_EXTEND    0x182
#define SU_STATE     1
#define RC_BAD_AUTH  0x9a2 /* of the first session */
#define RC_INIT	     0x100

static struct firmware firmware;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};

	disk_clear();
	return engine_open(&store, &(struct engine_options){.create = true}, &error);
}

static int teardown(void **unused)
{
	firmware_wipe(&firmware);
	return engine_close();
}

static uint32_t rc_of(uint32_t code, uint16_t argument)
{
	tpm2_begin(&command, code);
	cursor_put_u16(&command.in, argument);
	assert_int_not_equal(tpm2_run(&command), -EBADMSG);
	return command.rc;
}

/* The first byte of PCR 16's SHA-256 bank. */
static uint8_t pcr16(void)
{
	static const uint8_t selection[] = {0, 0, 0, 1, 0, 0x0b, 3, 0, 0, 1};
	struct cursor *c = &command.out;

	tpm2_begin(&command, CC_PCR_READ);
	cursor_put(&command.in, selection, sizeof(selection));
	assert_int_equal(tpm2_run(&command), 0);
	(void)cursor_bytes(c, 4 + sizeof(selection) + 4 + 2);
	return cursor_u8(c);
}

static void extend16(void)
{
	static const uint8_t digest[2 + 32] = {0, 0x0b, 1};

	tpm2_begin(&command, CC_EXTEND);
	cursor_put_u32(&command.in, 16);
	tpm2_authorize(&command, NULL, 0);
	cursor_put_u32(&command.in, 1);
	cursor_put(&command.in, digest, sizeof(digest));
	assert_int_equal(tpm2_run(&command), 0);
}

static uint32_t clear(const uint8_t *auth, size_t len)
{
	const struct tpm2_auth by = {.password = auth, .len = len};

	tpm2_begin(&command, CC_CLEAR);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	tpm2_authorize(&command, &by, 0);
	(void)!tpm2_run(&command);
	return command.rc;
}

static void it_is_started(void **unused)
{
	assert_int_equal(rc_of(CC_GETRANDOM, 4), RC_INIT);
	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(rc_of(CC_GETRANDOM, 4), 0);
}

/* A guest must not get the PCRs of its last boot back with Startup(STATE). */
static void the_guest_cannot_choose_how(void **unused)
{
	assert_int_equal(firmware_start(&firmware), 0);
	extend16();
	assert_int_not_equal(pcr16(), 0);
	assert_int_equal(rc_of(CC_SHUTDOWN, SU_STATE), 0);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(rc_of(CC_STARTUP, SU_STATE), RC_INIT);
	assert_int_equal(pcr16(), 0);
}

static void the_platform_is_ours_alone(void **unused)
{
	uint8_t first[FIRMWARE_AUTH_SIZE];

	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(firmware.platform_auth_len, FIRMWARE_AUTH_SIZE);
	assert_int_equal(clear(NULL, 0), RC_BAD_AUTH);
	memcpy(first, firmware.platform_auth, sizeof(first));
	assert_int_equal(clear(first, sizeof(first)), 0);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	assert_memory_not_equal(firmware.platform_auth, first, sizeof(first));
	assert_int_equal(clear(first, sizeof(first)), RC_BAD_AUTH);
}

/* As SeaBIOS and edk2 do it, before they start the operating system. */
static uint32_t set_platform_auth(uint32_t session, const uint8_t *auth, size_t len)
{
	const uint8_t tail[] = {0, 0, 1, 0, 0}; /* nonceCaller, attributes, password */
	static uint8_t sent[128], rsp[ENGINE_BUFFER_SIZE];
	struct cursor w = cursor_writer(sent, sizeof(sent));
	size_t size, n = sizeof(rsp);

	cursor_put_u16(&w, TPM2_ST_SESSIONS);
	size = w.pos;
	cursor_put_u32(&w, 0);
	cursor_put_u32(&w, TPM2_CC_HierarchyChangeAuth);
	cursor_put_u32(&w, TPM2_RH_PLATFORM);
	cursor_put_u32(&w, 4 + sizeof(tail));
	cursor_put_u32(&w, session);
	cursor_put(&w, tail, sizeof(tail));
	cursor_put_u16(&w, (uint16_t)len);
	cursor_put(&w, auth, len);
	sent[size + 3] = (uint8_t)w.pos;
	assert_true(cursor_ok(&w));
	assert_int_equal(engine_execute(0, sent, w.pos, rsp, &n), 0);
	firmware_observe(&firmware, sent, w.pos, rsp, n);
	return (uint32_t)rsp[8] << 8 | rsp[9];
}

static void the_guests_firmware_sets_it(void **unused)
{
	static const uint8_t auth[20] = {1, 2, 3};

	assert_int_equal(rc_of(CC_STARTUP, 0), 0);
	assert_int_equal(set_platform_auth(TPM2_RS_PW, auth, sizeof(auth)), 0);
	assert_int_equal(firmware.platform_auth_len, sizeof(auth));
	assert_int_equal(clear(NULL, 0), RC_BAD_AUTH);
	assert_int_equal(clear(firmware.platform_auth, firmware.platform_auth_len), 0);
}

/* What the TPM refused is not kept. */
static void a_guest_does_not_set_it(void **unused)
{
	static const uint8_t auth[20] = {1, 2, 3}, other[65] = {9};

	assert_int_equal(rc_of(CC_STARTUP, 0), 0);
	assert_int_equal(set_platform_auth(TPM2_RS_PW, auth, sizeof(auth)), 0);
	assert_int_not_equal(set_platform_auth(TPM2_RS_PW, other, 20), 0);
	assert_int_not_equal(set_platform_auth(0x02000000, other, 20), 0);
	assert_int_not_equal(set_platform_auth(TPM2_RS_PW, other, sizeof(other)), 0);
	assert_int_equal(firmware.platform_auth_len, sizeof(auth));
	assert_memory_equal(firmware.platform_auth, auth, sizeof(auth));
}

static void a_broken_tpm_is_given_to_no_guest(void **unused)
{
	assert_int_equal(engine_close(), 0);
	assert_int_equal(firmware_start(&firmware), -EREMOTEIO);
	assert_int_equal(firmware.platform_auth_len, 0);
}

static void what_does_not_fit_is_not_sent(void **unused)
{
	static const uint8_t long_one[ENGINE_BUFFER_SIZE];

	tpm2_begin(&command, CC_GETRANDOM);
	cursor_put(&command.in, long_one, sizeof(long_one));
	assert_int_equal(tpm2_run(&command), -EMSGSIZE);
}

/* TPM_RC_VALUE of the first parameter: nothing was saved for this start. */
#define RC_NOT_SAVED 0x1c4

static void fail_a_store(void)
{
	disk.fail = -EIO;
	tpm2_begin(&command, CC_CLEAR);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	tpm2_authorize(&command, NULL, 0);
	(void)!tpm2_run(&command);
	disk.fail = 0;
	assert_true(engine_is_broken());
}

/* A guest's firmware may say TPM2_Startup(STATE): it finds nothing of a guest before it. */
static void what_a_guest_saved_is_not_the_next_ones(void **unused)
{
	for (int fails = 0; fails < 2; fails++) {
		assert_int_equal(firmware_leave(&firmware), 0);
		assert_int_equal(rc_of(CC_STARTUP, SU_STATE), RC_NOT_SAVED);
		assert_int_equal(rc_of(CC_STARTUP, 0), 0);
		assert_int_equal(rc_of(CC_SHUTDOWN, SU_STATE), 0);
		if (fails)
			fail_a_store();
	}
	assert_int_equal(firmware_leave(&firmware), 0);
	assert_int_equal(rc_of(CC_STARTUP, SU_STATE), RC_NOT_SAVED);
	assert_int_equal(rc_of(CC_STARTUP, 0), 0);
	/* platformAuth is the empty one, as a firmware finds it */
	assert_int_equal(clear(NULL, 0), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_is_started),
		T(the_guest_cannot_choose_how),
		T(the_platform_is_ours_alone),
		T(the_guests_firmware_sets_it),
		T(a_guest_does_not_set_it),
		T(a_broken_tpm_is_given_to_no_guest),
		T(what_does_not_fit_is_not_sent),
		T(what_a_guest_saved_is_not_the_next_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
