/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch does to the PCRs, on the real engine. */
#include "tests/unit/unit.h"
#include "tests/unit/engine_disk.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/launch.h"
#include "lib/crypt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CC_STARTUP  0x144
#define CC_PCR_READ 0x17e
#define CC_ALLOCATE 0x12b

static struct firmware firmware;
static struct tpm2_cmd command = {.transport = &engine_tpm};
static struct eventlog logged;
static struct error error;
static uint8_t list[MEASURE_MAX];
static size_t list_len;

static int setup(void **unused)
{
	const struct engine_store store = {.load = disk_load, .save = disk_save};

	disk_clear();
	list_len = 0;
	return engine_open(&store, &(struct engine_options){.create = true}, &error)
		       ?: firmware_start(&firmware);
}

static int teardown(void **unused)
{
	eventlog_clear(&logged);
	firmware_wipe(&firmware);
	return engine_close();
}

/* An event whose n-th digest is this byte and 16 * n. */
static void add(uint32_t pcr, uint8_t byte, const char *text)
{
	uint8_t digests[MEASURE_DIGESTS];
	struct measure_event e = {pcr, MEASURE_EV_IPL, digests, (const uint8_t *)text,
				  strlen(text)};
	struct cursor w = cursor_writer(list + list_len, sizeof(list) - list_len);

	for (int i = 0, at = 0; i < TPM2_BANKS; at += tpm2_hashes[i++].size)
		memset(digests + at, byte + 16 * i, tpm2_hashes[i].size);
	measure_put(&w, &e);
	assert_true(cursor_ok(&w));
	list_len += w.pos;
}

/* A PCR of one bank: its bytes, or 0 when the TPM has no such bank. */
static size_t read_pcr(uint16_t bank, unsigned int pcr, uint8_t out[64])
{
	struct cursor *c = &command.out;
	uint8_t select[3] = {0};
	size_t n;

	select[pcr / 8] = (uint8_t)(1u << pcr % 8);
	tpm2_begin(&command, CC_PCR_READ);
	cursor_put_u32(&command.in, 1);
	cursor_put_u16(&command.in, bank);
	cursor_put_u8(&command.in, sizeof(select));
	cursor_put(&command.in, select, sizeof(select));
	assert_int_equal(tpm2_run(&command), 0);
	(void)cursor_bytes(c, 4 + 4 + 6);
	if (cursor_u32(c) != 1)
		return 0;
	n = cursor_u16(c);
	cursor_copy(c, out, n);
	assert_true(cursor_done(c));
	return n;
}

static void sha256_extend(uint8_t pcr[32], uint8_t byte)
{
	uint8_t digest[32];
	const struct crypt_part parts[] = {{pcr, 32}, {digest, 32}};

	memset(digest, byte + 16, sizeof(digest));
	assert_int_equal(crypt_sha256(parts, 2, pcr), 0);
}

static void each_event_extends_its_pcr(void **unused)
{
	uint8_t want[32] = {0}, got[64];

	add(4, 1, "kernel");
	add(4, 2, "another");
	add(15, 3, "last");
	assert_int_equal(launch_measure(list, list_len, &logged), 0);
	sha256_extend(want, 1);
	sha256_extend(want, 2);
	assert_int_equal(read_pcr(0x0b, 4, got), 32);
	assert_memory_equal(got, want, 32);
	memset(want, 0, sizeof(want));
	sha256_extend(want, 3);
	assert_int_equal(read_pcr(0x0b, 15, got), 32);
	assert_memory_equal(got, want, 32);
}

static void in_all_banks(void **unused)
{
	static const uint8_t zeroes[64];
	uint8_t got[64];

	add(9, 1, "ramdisk");
	assert_int_equal(launch_measure(list, list_len, &logged), 0);
	assert_int_equal(logged.banks, 15);
	for (int i = 0; i < TPM2_BANKS; i++) {
		assert_int_equal(read_pcr(tpm2_hashes[i].id, 9, got),
				 tpm2_hashes[i].size);
		assert_memory_not_equal(got, zeroes, tpm2_hashes[i].size);
	}
}

/* A TPM with another set of banks: the log and the PCRs have these. */
static void only_in_those_that_are_there(void **unused)
{
	const struct tpm2_auth by = firmware_auth(&firmware);
	uint8_t got[64];

	tpm2_begin(&command, CC_ALLOCATE);
	cursor_put_u32(&command.in, TPM2_RH_PLATFORM);
	tpm2_authorize(&command, &by, 0);
	cursor_put_u32(&command.in, 4);
	for (int i = 0; i < TPM2_BANKS; i++) {
		cursor_put_u16(&command.in, tpm2_hashes[i].id);
		cursor_put_u8(&command.in, 3);
		cursor_put(&command.in, i == 1 ? "\xff\xff\xff" : "\0\0\0", 3);
	}
	assert_int_equal(tpm2_run(&command), 0);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(firmware_start(&firmware), 0);
	add(12, 1, "cmdline");
	assert_int_equal(launch_measure(list, list_len, &logged), 0);
	assert_int_equal(logged.banks, 2);
	assert_int_equal(read_pcr(0x0b, 12, got), 32);
	assert_int_equal(read_pcr(0x04, 12, got), 0);
}

/* The TPM is the firmware's to start: not one command goes to it. */
static void a_record_extends_nothing(void **unused)
{
	static const uint8_t zeroes[MEASURE_DIGESTS];
	struct measure_event e = {0, MEASURE_EV_NO_ACTION, zeroes,
				  (const uint8_t *)"firmware bios", 13};
	struct cursor w = cursor_writer(list, sizeof(list));
	uint8_t got[64];

	measure_put(&w, &e);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(launch_measure(list, w.pos, &logged), 0);
	assert_int_equal(logged.banks, 2);
	assert_true(logged.len > 13);
	assert_memory_equal(logged.bytes + logged.len - 13, "firmware bios", 13);
	assert_int_equal(firmware_start(&firmware), 0);
	assert_int_equal(read_pcr(0x0b, 0, got), 32);
	assert_memory_equal(got, zeroes, 32);
}

/* Of an HVM guest, whose TPM nobody has started yet. */
static void nothing_is_extended_before_startup(void **unused)
{
	add(4, 1, "kernel");
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(launch_measure(list, list_len, &logged), -EREMOTEIO);
	assert_int_equal(logged.len, 0);
	assert_int_equal(firmware_start(&firmware), 0);
}

static void nonsense_leaves_no_log(void **unused)
{
	assert_int_equal(launch_measure(list, 0, &logged), -EBADMSG);
	add(16, 1, "the guest's own");
	assert_int_equal(launch_measure(list, list_len, &logged), -EBADMSG);
	assert_int_equal(logged.len, 0);
	list_len = 0;
	add(4, 1, "kernel");
	assert_int_equal(launch_measure(list, list_len - 1, &logged), -EBADMSG);
	assert_int_equal(logged.len, 0);
}

static void a_tpm_that_is_not_started_has_none(void **unused)
{
	add(4, 1, "kernel");
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(launch_measure(list, list_len, &logged), -EREMOTEIO);
	assert_int_equal(logged.len, 0);
	assert_null(logged.bytes);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(each_event_extends_its_pcr),
		T(in_all_banks),
		T(only_in_those_that_are_there),
		T(nonsense_leaves_no_log),
		T(a_record_extends_nothing),
		T(nothing_is_extended_before_startup),
		T(a_tpm_that_is_not_started_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
