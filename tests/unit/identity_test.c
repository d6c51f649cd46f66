/* SPDX-License-Identifier: Apache-2.0 */
/* The endorsement keys on the real engine: the same ones whatever a guest does, and only
 * as many made as are needed. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CC_CLEAR       0x126
#define CC_CHANGE_AUTH 0x129
#define RH_LOCKOUT     0x4000000au
#define KEPT	       IDENTITY_RSA2048_HANDLE

static struct firmware firmware;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct error error;

/* What the header has, and what was found. */
static struct envelope_name names[TPM2_EKS];
static struct identity_keys first, last;

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};

	disk_clear();
	memset(names, 0, sizeof(names));
	error.cause = CAUSE_NONE;
	return engine_open(&store, &(struct engine_options){.create = true}, &error) ||
	       firmware_start(&firmware) || identity_find(&first, names, true, &error);
}

static int teardown(void **unused)
{
	firmware_wipe(&firmware);
	return engine_close();
}

static void restart(void)
{
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(identity_find(&last, names, false, &error), 0);
}

static bool exists(uint32_t handle)
{
	struct tpm2_bytes public, name;
	int rc = tpm2_read_public(&command, handle, &public, &name);

	assert_true(!rc || rc == -EREMOTEIO);
	return !rc;
}

/* TPM2_HierarchyChangeAuth, of the empty one */
static void change_auth(uint32_t hierarchy)
{
	tpm2_begin(&command, CC_CHANGE_AUTH);
	cursor_put_u32(&command.in, hierarchy);
	tpm2_authorize(&command, NULL, 0);
	cursor_put_u16(&command.in, 6);
	cursor_put(&command.in, "secret", 6);
	assert_int_equal(tpm2_run(&command), 0);
}

static void a_new_tpm_has_all_and_keeps_one(void **unused)
{
	struct cursor c = cursor_reader(first.publics, first.len);

	assert_true(first.changed);
	assert_int_equal(cursor_u16(&c), 122);
	(void)cursor_bytes(&c, 122);
	assert_int_equal(cursor_u16(&c), 314);
	(void)cursor_bytes(&c, 314);
	assert_int_equal(cursor_u16(&c), 170);
	(void)cursor_bytes(&c, 170);
	assert_true(cursor_done(&c));
	assert_int_equal(names[TPM2_EK_P256].len, 34);
	assert_int_equal(names[TPM2_EK_RSA2048].len, 34);
	assert_int_equal(names[TPM2_EK_P384].len, 50);
	assert_int_equal(exists(KEPT), 1);
}

/* The kept one is the one that was found. */
static void the_kept_one_is_the_key(void **unused)
{
	tpm2_begin(&command, 0x173); /* ReadPublic */
	cursor_put_u32(&command.in, KEPT);
	assert_int_equal(tpm2_run(&command), 0);
	assert_memory_equal(command.rsp + 10, first.publics + 2 + 122, 2 + 314);
}

static void a_later_start_finds_the_same(void **unused)
{
	restart();
	assert_false(last.changed);
	assert_int_equal(last.len, first.len);
	assert_memory_equal(last.publics, first.publics, first.len);
}

static void a_clear_changes_no_key(void **unused)
{
	tpm2_begin(&command, CC_CLEAR);
	cursor_put_u32(&command.in, RH_LOCKOUT);
	tpm2_authorize(&command, NULL, 0);
	assert_int_equal(tpm2_run(&command), 0);
	assert_int_equal(exists(KEPT), 0);
	restart();
	assert_memory_equal(last.publics, first.publics, first.len);
	assert_int_equal(exists(KEPT), 1);
}

static void a_name_that_is_not_known_is_added(void **unused)
{
	struct envelope_name was[TPM2_EKS];
	unsigned int i;

	memcpy(was, names, sizeof(was));
	for (i = 0; i < TPM2_EKS; i++) {
		names[i].len = 0;
		restart();
		assert_true(last.changed);
		assert_memory_equal(&names[i], &was[i], 2 + was[i].len);
	}
}

/* What a guest puts there is not taken for the key, nor is the key lost by it. */
static void another_key_at_the_handle_is_not_the_key(void **unused)
{
	struct tpm2_bytes public, name;
	uint32_t handle;

	assert_int_equal(tpm2_evict_control(&command, KEPT, KEPT), 0); /* evicts it */
	assert_int_equal(tpm2_create_primary(&command, TPM2_RH_ENDORSEMENT, NULL,
					     &tpm2_eks[TPM2_EK_P256], &public, &name),
			 0);
	handle = command.handle;
	assert_int_equal(tpm2_evict_control(&command, handle, KEPT), 0);
	assert_int_equal(tpm2_flush_context(&command, handle), 0);
	restart();
	assert_memory_equal(last.publics, first.publics, first.len);
}

static void an_owner_keeps_its_handles(void **unused)
{
	assert_int_equal(tpm2_evict_control(&command, KEPT, KEPT), 0); /* evicts it */
	change_auth(TPM2_RH_OWNER);
	restart();
	assert_int_equal(last.len, first.len);
	assert_int_equal(exists(KEPT), 0);
}

/* They are not known to be equal, and nothing is told of them. */
static void an_endorsement_auth_is_the_guests(void **unused)
{
	struct envelope_name was[TPM2_EKS];

	memcpy(was, names, sizeof(was));
	change_auth(TPM2_RH_ENDORSEMENT);
	restart();
	assert_int_equal(last.len, 0);
	assert_false(last.changed);
	assert_memory_equal(names, was, sizeof(was));
	memset(names, 0, sizeof(names));
	restart();
	assert_int_equal(names[0].len, 0);
}

static void others_than_known_end_the_start(void **unused)
{
	unsigned int i;

	for (i = 0; i < TPM2_EKS; i++) {
		error.cause = CAUSE_NONE;
		names[i].bytes[names[i].len - 1] ^= 1;
		assert_int_equal(identity_find(&last, names, false, &error), -EPERM);
		assert_int_equal(error.cause, CAUSE_WRONG_VTPM);
		names[i].bytes[names[i].len - 1] ^= 1;
	}
}

static void a_new_tpm_needs_them(void **unused)
{
	change_auth(TPM2_RH_ENDORSEMENT);
	assert_int_equal(identity_find(&last, names, true, &error), -EACCES);
	assert_int_equal(error.cause, CAUSE_ENGINE);
}

/* Three slots for objects: one that is left behind would soon be missed. */
static void nothing_is_left_in_the_tpm(void **unused)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(identity_find(&last, names, true, &error), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_new_tpm_has_all_and_keeps_one),
		T(the_kept_one_is_the_key),
		T(a_later_start_finds_the_same),
		T(a_clear_changes_no_key),
		T(a_name_that_is_not_known_is_added),
		T(another_key_at_the_handle_is_not_the_key),
		T(an_owner_keeps_its_handles),
		T(an_endorsement_auth_is_the_guests),
		T(others_than_known_end_the_start),
		T(a_new_tpm_needs_them),
		T(nothing_is_left_in_the_tpm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
