/* SPDX-License-Identifier: Apache-2.0 */
/* The endorsement keys on the real engine: the same ones whatever a guest does, and only
 * as many made as are needed; none where a witness tells that they have their Names. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "include/ekwitness.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CC_CHANGE_EPS  0x124
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
static const struct identity_options anew = {.is_new = true}, later = {.is_new = false};

/* What vtpmd keeps. */
static uint8_t witness[EKWITNESS_SIZE];
static const struct identity_options kept = {.wants_witness = true,
					     .witness = {witness, sizeof(witness)}};

/* libtpms's release */
static uint32_t release;
uint32_t __real_TPMLIB_GetVersion(void);
uint32_t __wrap_TPMLIB_GetVersion(void);

uint32_t __wrap_TPMLIB_GetVersion(void)
{
	return release ? release : __real_TPMLIB_GetVersion();
}

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};

	disk_clear();
	memset(names, 0, sizeof(names));
	error.cause = CAUSE_NONE;
	release = 0;
	return engine_open(&store, &(struct engine_options){.create = true}, &error) ||
	       firmware_start(&firmware) || identity_find(&first, names, &anew, &error);
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
	assert_int_equal(identity_find(&last, names, &later, &error), 0);
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
		assert_int_equal(identity_find(&last, names, &later, &error), -EPERM);
		assert_int_equal(error.cause, CAUSE_WRONG_VTPM);
		names[i].bytes[names[i].len - 1] ^= 1;
	}
}

static void a_new_tpm_needs_them(void **unused)
{
	change_auth(TPM2_RH_ENDORSEMENT);
	assert_int_equal(identity_find(&last, names, &anew, &error), -EACCES);
	assert_int_equal(error.cause, CAUSE_ENGINE);
}

/* Three slots for objects: one that is left behind would soon be missed. */
static void nothing_is_left_in_the_tpm(void **unused)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(identity_find(&last, names, &anew, &error), 0);
}

/* A start of which vtpmd keeps the witness; all keys are made. */
static void leave_witness(void)
{
	const struct identity_options first_time = {.wants_witness = true};
	struct cursor c;

	assert_int_equal(identity_find(&last, names, &first_time, &error), 0);
	assert_int_equal(last.len, first.len + 2 + EKWITNESS_SIZE);
	assert_memory_equal(last.publics, first.publics, first.len);
	c = cursor_reader(last.publics + first.len, 2 + EKWITNESS_SIZE);
	assert_int_equal(cursor_u16(&c), 0);
	cursor_copy(&c, witness, sizeof(witness));
	assert_true(cursor_done(&c));
}

/* A start with that witness: what it makes is in last. */
static int start_with_it(void)
{
	error.cause = CAUSE_NONE;
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	return identity_find(&last, names, &kept, &error);
}

static void makes_all(void)
{
	assert_int_equal(start_with_it(), 0);
	assert_memory_equal(last.publics, first.publics, first.len);
	assert_int_equal(last.len, first.len + 2 + EKWITNESS_SIZE);
}

static void a_witness_spares_the_keys(void **unused)
{
	leave_witness();
	for (unsigned int i = 0; i < 4; i++) { /* nor is it left in the TPM */
		assert_int_equal(start_with_it(), 0);
		assert_int_equal(last.len, 0);
		assert_false(last.changed);
	}
}

static void nobody_who_does_not_want_it_gets_it(void **unused)
{
	restart();
	assert_int_equal(last.len, first.len);
}

static void a_witness_that_is_none_spares_nothing(void **unused)
{
	leave_witness();
	witness[EKWITNESS_SIZE - 1] ^= 1;
	makes_all();
	assert_int_equal(last.publics[last.len - 1], witness[EKWITNESS_SIZE - 1] ^ 1);
}

/* Whoever writes them into a header that has its MAC. */
static void other_names_are_not_believed_for_it(void **unused)
{
	leave_witness();
	for (unsigned int i = 0; i < TPM2_EKS; i++) {
		names[i].bytes[names[i].len - 1] ^= 1;
		assert_int_equal(start_with_it(), -EPERM);
		assert_int_equal(error.cause, CAUSE_WRONG_VTPM);
		names[i].bytes[names[i].len - 1] ^= 1;
	}
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 0);
}

static void a_name_that_is_not_known_is_made_in_spite_of_it(void **unused)
{
	struct envelope_name was = names[TPM2_EK_P384];

	leave_witness();
	names[TPM2_EK_P384].len = 0;
	makes_all();
	assert_true(last.changed);
	assert_memory_equal(&names[TPM2_EK_P384], &was, 2 + was.len);
}

/* By the manager, who alone has the authorization: these are not the keys of that header. */
static void another_seed_is_seen(void **unused)
{
	const struct tpm2_auth platform = firmware_auth(&firmware);
	struct envelope_name was[TPM2_EKS];
	uint8_t old[EKWITNESS_SIZE];

	leave_witness();
	memcpy(was, names, sizeof(was));
	memcpy(old, witness, sizeof(old));
	tpm2_begin(&command, CC_CHANGE_EPS);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	tpm2_authorize(&command, &platform, 0);
	assert_int_equal(tpm2_run(&command), 0);
	assert_int_equal(start_with_it(), -EPERM);
	assert_int_equal(error.cause, CAUSE_WRONG_VTPM);
	/* with a header that names the new ones the old witness spares none of them */
	memset(names, 0, sizeof(names));
	assert_int_equal(start_with_it(), 0);
	assert_true(last.changed);
	for (unsigned int i = 0; i < TPM2_EKS; i++)
		assert_memory_not_equal(names[i].bytes, was[i].bytes, was[i].len);
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, first.len + 2 + EKWITNESS_SIZE);
	memcpy(witness, last.publics + first.len + 2, sizeof(witness));
	assert_memory_not_equal(witness, old, sizeof(old));
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 0);
}

/* It might make other keys of the seed. */
static void another_libtpms_makes_them(void **unused)
{
	leave_witness();
	release = 0x00630000;
	makes_all();
	memcpy(witness, last.publics + first.len + 2, sizeof(witness));
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 0);
}

/* Of the same keys: the owner's proof, which is another one, goes into it. */
static void a_clear_takes_another_witness(void **unused)
{
	uint8_t old[EKWITNESS_SIZE];

	leave_witness();
	tpm2_begin(&command, CC_CLEAR);
	cursor_put_u32(&command.in, RH_LOCKOUT);
	tpm2_authorize(&command, NULL, 0);
	assert_int_equal(tpm2_run(&command), 0);
	memcpy(old, witness, sizeof(old));
	makes_all();
	assert_true(exists(KEPT));
	memcpy(witness, last.publics + first.len + 2, sizeof(witness));
	assert_memory_not_equal(witness, old, sizeof(old));
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 0);
}

/* The RSA key alone, to be kept again. */
static void a_key_that_is_not_kept_is_made(void **unused)
{
	leave_witness();
	assert_int_equal(tpm2_evict_control(&command, KEPT, KEPT), 0); /* evicts it */
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 2 + 314);
	assert_memory_equal(last.publics, first.publics + 2 + 122, 2 + 314);
	assert_true(exists(KEPT));
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 0);
}

static void with_a_password_of_the_guest_there_is_none(void **unused)
{
	leave_witness();
	change_auth(TPM2_RH_ENDORSEMENT);
	assert_int_equal(start_with_it(), 0);
	assert_int_equal(last.len, 0);
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
		T(a_witness_spares_the_keys),
		T(nobody_who_does_not_want_it_gets_it),
		T(a_witness_that_is_none_spares_nothing),
		T(other_names_are_not_believed_for_it),
		T(a_name_that_is_not_known_is_made_in_spite_of_it),
		T(another_seed_is_seen),
		T(another_libtpms_makes_them),
		T(a_clear_takes_another_witness),
		T(a_key_that_is_not_kept_is_made),
		T(with_a_password_of_the_guest_there_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
