/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over the sealed state over a place in memory: what a guest was
 * promised is what is there after a power cut. */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "stubdom/manager/engine.h"
#include "stubdom/manager/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RC_INITIALIZE	    0x100
#define RC_FAILURE	    0x101
#define PT_LOCKOUT_COUNTER  0x20e
#define PT_MAX_AUTH_FAIL    0x20f
#define PT_LOCKOUT_INTERVAL 0x210
#define PT_LOCKOUT_RECOVERY 0x211
#define RC_RETRY	    0x922
#define RC_AUTH_FAIL	    0x98e /* of the first session */
#define RC_LOCKOUT	    0x921

static struct {
	uint8_t *blob;
	size_t len;
	uint64_t seq;
	int puts, fail; /* fail: what the next puts return */
} disk;

static struct error error;
static struct state state;

static int disk_get(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	assert_int_equal(object, CHANNEL_OBJECT_PERMALL);
	if (!disk.blob)
		return -ENOENT;
	*buf = malloc(disk.len);
	memcpy(*buf, disk.blob, disk.len);
	*len = disk.len;
	return 0;
}

static int disk_put(void *ctx, enum channel_object object, uint64_t seq,
		    const uint8_t *buf, size_t len)
{
	assert_int_equal(object, CHANNEL_OBJECT_PERMALL);
	if (disk.fail)
		return disk.fail;
	assert_int_equal(seq, disk.seq + 1);
	disk.seq = seq;
	disk.puts++;
	free(disk.blob);
	disk.blob = malloc(len);
	memcpy(disk.blob, buf, len);
	disk.len = len;
	return 0;
}

static void new_state(void)
{
	memset(&state, 0, sizeof(state));
	memset(&error, 0, sizeof(error));
	state.place = (struct state_place){.get = disk_get, .put = disk_put};
	memset(state.uuid, 7, sizeof(state.uuid));
	memset(state.data_key, 9, sizeof(state.data_key));
	state.error = &error;
}

static int open_with(const struct engine_options *options)
{
	struct engine_store store;

	new_state();
	store = state_store(&state);
	return engine_open(&store, options, &error);
}

static int open_engine(bool create)
{
	return open_with(&(struct engine_options){.create = create});
}

static int setup(void **unused)
{
	free(disk.blob);
	memset(&disk, 0, sizeof(disk));
	return 0;
}

static int teardown(void **unused)
{
	disk.fail = 0;
	(void)!engine_close();
	state_wipe(&state);
	return 0;
}

static uint8_t rsp[ENGINE_BUFFER_SIZE];
static size_t rsp_len;

/* Runs a command given as bytes without its size; the response code. */
static uint32_t run(const uint8_t *cmd, size_t len)
{
	uint8_t copy[512];
	struct cursor size = cursor_writer(copy + 2, 4), r;

	memcpy(copy, cmd, len);
	cursor_put_u32(&size, (uint32_t)len);
	rsp_len = sizeof(rsp);
	if (engine_execute(0, copy, len, rsp, &rsp_len))
		return UINT32_MAX;
	r = cursor_reader(rsp, rsp_len);
	(void)cursor_u16(&r);
	assert_int_equal(cursor_u32(&r), rsp_len);
	return cursor_u32(&r);
}

#define RUN(...)                                      \
	({                                            \
		const uint8_t cmd_[] = {__VA_ARGS__}; \
		run(cmd_, sizeof(cmd_));              \
	})
#define NO_SESSIONS 0x80, 0x01, 0, 0, 0, 0, 0, 0
#define SESSIONS    0x80, 0x02, 0, 0, 0, 0, 0, 0
#define PASSWORD    0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0
#define NV_INDEX    1, 0x50, 0, 0x16

static uint32_t startup(void)
{
	return RUN(NO_SESSIONS, 1, 0x44, 0, 0);
}

static uint32_t define(void)
{
	/* 8 bytes, ownerwrite | ownerread */
	return RUN(SESSIONS, 1, 0x2a, 0x40, 0, 0, 1, PASSWORD, 0, 0, 0, 14, NV_INDEX, 0,
		   0x0b, 0, 2, 0, 2, 0, 0, 0, 8);
}

static uint32_t write_nv(uint8_t v)
{
	return RUN(SESSIONS, 1, 0x37, 0x40, 0, 0, 1, NV_INDEX, PASSWORD, 0, 8, v, v, v, v,
		   v, v, v, v, 0, 0);
}

static int read_nv(void)
{
	if (RUN(SESSIONS, 1, 0x4e, 0x40, 0, 0, 1, NV_INDEX, PASSWORD, 0, 8, 0, 0))
		return -1;
	/* header, parameter size, TPM2B size */
	return rsp[10 + 4 + 2];
}

static uint32_t property(uint16_t tag)
{
	struct cursor r;
	uint32_t got;

	assert_int_equal(RUN(NO_SESSIONS, 1, 0x7a, 0, 0, 0, 6, 0, 0, (uint8_t)(tag >> 8),
			     (uint8_t)tag, 0, 0, 0, 1),
			 0);
	r = cursor_reader(rsp + 10, rsp_len - 10);
	(void)cursor_u8(&r);
	assert_int_equal(cursor_u32(&r), 6);
	assert_int_equal(cursor_u32(&r), 1);
	got = cursor_u32(&r);
	assert_int_equal(got, tag);
	return cursor_u32(&r);
}

/* The public part of the owner's ECC primary: the seed's fingerprint. */
static size_t primary(uint8_t *out, size_t room)
{
	assert_int_equal(RUN(SESSIONS, 1, 0x31, 0x40, 0, 0, 1, PASSWORD, 0, 4, 0, 0, 0, 0,
			     0, 26, 0, 0x23, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 128,
			     0, 0x43, 0, 0x10, 0, 3, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0,
			     0),
			 0);
	assert_true(rsp_len > 110);
	assert_true(room >= 90);
	memcpy(out, rsp + 18, 90);
	assert_int_equal(RUN(NO_SESSIONS, 1, 0x65, 0x80, 0, 0, 0), 0);
	return 90;
}

/* The power goes: whatever the engine would still write is lost. */
static void crash(void)
{
	disk.fail = -EIO;
	(void)!engine_close();
	state_wipe(&state);
	disk.fail = 0;
	assert_int_equal(open_engine(false), 0);
}

#define DA_INDEX	1, 0x50, 0, 0x17
#define WORD(a, b)	0, 0, 0, 11, 0x40, 0, 0, 9, 0, 0, 0, 0, 2, a, b
#define RIGHT		WORD('o', 'k')
#define WRONG		WORD('n', 'o')
#define READ_WITH(word) RUN(SESSIONS, 1, 0x4e, DA_INDEX, DA_INDEX, word, 0, 8, 0, 0)

/* An index behind a password that dictionary attacks are counted for, and written. */
static void define_protected(void)
{
	assert_int_equal(RUN(SESSIONS, 1, 0x2a, 0x40, 0, 0, 1, PASSWORD, 0, 2, 'o', 'k',
			     0, 14, DA_INDEX, 0, 0x0b, 0, 4, 0, 4, 0, 0, 0, 8),
			 0);
	assert_int_equal(RUN(SESSIONS, 1, 0x37, DA_INDEX, DA_INDEX, RIGHT, 0, 8, 1, 1, 1,
			     1, 1, 1, 1, 1, 0, 0),
			 RC_RETRY);
	assert_int_equal(RUN(SESSIONS, 1, 0x37, DA_INDEX, DA_INDEX, RIGHT, 0, 8, 1, 1, 1,
			     1, 1, 1, 1, 1, 0, 0),
			 0);
}

/* The first use after a start is to be sent again: Part 1, 19.8.6. */
static uint32_t read_protected(bool right)
{
	uint32_t rc = right ? READ_WITH(RIGHT) : READ_WITH(WRONG);

	return rc != RC_RETRY ? rc : right ? READ_WITH(RIGHT) : READ_WITH(WRONG);
}

static void crashes_are_no_failed_authorizations(void **unused)
{
	int i;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	define_protected();
	for (i = 0; i < 40; i++) {
		assert_int_equal(read_protected(true), 0);
		crash();
		assert_int_equal(startup(), 0);
	}
	assert_int_equal(property(PT_LOCKOUT_COUNTER), 0);
	assert_int_equal(read_protected(true), 0);
}

static void failed_authorizations_survive_crashes(void **unused)
{
	int i;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	define_protected();
	for (i = 1; i <= 32; i++) {
		assert_int_equal(read_protected(false), RC_AUTH_FAIL);
		if (i & 1)
			crash();
		else
			assert_int_equal(engine_power_cycle(), 0);
		assert_int_equal(startup(), 0);
		assert_int_equal(property(PT_LOCKOUT_COUNTER), i);
	}
	assert_int_equal(read_protected(true), RC_LOCKOUT);
}

/* Whether the try failed shows, as it is the one that changes something; a client that
 * has the TPM started again has not got it for nothing. */
static void a_failed_authorization_that_is_not_stored_counts(void **unused)
{
	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	define_protected();
	assert_int_equal(read_protected(true), 0);
	disk.fail = -ENOSPC;
	assert_int_equal(read_protected(false), UINT32_MAX);
	disk.fail = 0;
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup(), 0);
	assert_int_equal(property(PT_LOCKOUT_COUNTER), 1);
	assert_int_equal(read_protected(true), 0);
	crash();
	assert_int_equal(startup(), 0);
	assert_int_equal(property(PT_LOCKOUT_COUNTER), 1);
}

static uint32_t set_parameters(uint8_t tries)
{
	return RUN(SESSIONS, 1, 0x3a, 0x40, 0, 0, 0x0a, PASSWORD, 0, 0, 0, tries, 0, 0, 0,
		   60, 0, 0, 0, 120);
}

static void the_parameters_are_the_guests_until_it_clears(void **unused)
{
	int puts;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	assert_int_equal(set_parameters(5), 0);
	crash();
	assert_int_equal(startup(), 0);
	assert_int_equal(property(PT_MAX_AUTH_FAIL), 5);
	puts = disk.puts;
	assert_int_equal(RUN(SESSIONS, 1, 0x26, 0x40, 0, 0, 0x0a, PASSWORD), 0);
	assert_int_equal(disk.puts, puts + 1); /* never stored with others */
	assert_int_equal(property(PT_MAX_AUTH_FAIL), 32);
	crash();
	assert_int_equal(startup(), 0);
	assert_int_equal(property(PT_MAX_AUTH_FAIL), 32);
	assert_int_equal(property(PT_LOCKOUT_RECOVERY), 86400);
}

static void a_new_tpm_is_a_whole_one(void **unused)
{
	assert_int_equal(open_engine(true), 0);
	assert_true(disk.puts >= 1);
	assert_true(disk.len > 1000);
	assert_int_equal(RUN(NO_SESSIONS, 1, 0x7b, 0, 8), RC_INITIALIZE);
	assert_int_equal(startup(), 0);
	assert_int_equal(RUN(NO_SESSIONS, 1, 0x7b, 0, 8), 0);
	/* the parameters that manufacturing sets, not zeroes */
	assert_int_equal(property(PT_MAX_AUTH_FAIL), 32);
	assert_int_equal(property(PT_LOCKOUT_INTERVAL), 600);
	assert_int_equal(property(PT_LOCKOUT_RECOVERY), 86400);
	assert_int_equal(property(PT_LOCKOUT_COUNTER), 0);
}

/* Nothing is stored before it is whole: an interrupted creation leaves no TPM of other
 * parameters. */
static void a_new_tpm_is_stored_once(void **unused)
{
	assert_int_equal(open_engine(true), 0);
	assert_int_equal(disk.puts, 1);
	crash();
	assert_int_equal(startup(), 0);
	assert_int_equal(property(PT_MAX_AUTH_FAIL), 32);
}

static void what_was_acknowledged_survives_a_power_cut(void **unused)
{
	uint8_t before[96], after[96];
	size_t n;
	int puts;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	n = primary(before, sizeof(before));
	assert_int_equal(define(), 0);
	puts = disk.puts;
	assert_int_equal(write_nv(5), 0);
	assert_int_equal(disk.puts, puts + 1); /* one write of one command */
	assert_int_equal(read_nv(), 5);
	/* the power goes: whatever the engine would still write is lost */
	disk.fail = -EIO;
	(void)!engine_close();
	disk.fail = 0;
	assert_int_equal(open_engine(false), 0);
	assert_int_equal(startup(), 0);
	assert_int_equal(read_nv(), 5);
	assert_int_equal(property(PT_MAX_AUTH_FAIL), 32);
	assert_int_equal(primary(after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
}

static void orderly_ends_are_no_failed_authorizations(void **unused)
{
	int i;

	assert_int_equal(open_engine(true), 0);
	for (i = 0; i < 5; i++) {
		assert_int_equal(startup(), 0);
		assert_int_equal(define(), i ? 0x14c : 0);
		assert_int_equal(engine_power_cycle(), 0);
		assert_int_equal(RUN(NO_SESSIONS, 1, 0x7b, 0, 8), RC_INITIALIZE);
	}
	assert_int_equal(startup(), 0);
	assert_int_equal(property(PT_LOCKOUT_COUNTER), 0);
}

static void two_tpms_have_two_seeds(void **unused)
{
	uint8_t one[96], two[96];
	size_t n;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	n = primary(one, sizeof(one));
	assert_int_equal(engine_close(), 0);
	setup(NULL);
	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	assert_int_equal(primary(two, sizeof(two)), n);
	assert_memory_not_equal(one, two, n);
}

static void never_a_fresh_tpm_in_place_of_another(void **unused)
{
	assert_int_equal(open_engine(false), -ENOENT);
	assert_int_equal(error.cause, CAUSE_NO_STATE);
	assert_null(disk.blob);
	assert_int_equal(open_engine(true), 0);
	assert_int_equal(engine_close(), 0);
	assert_int_equal(open_engine(true), -EEXIST);
	assert_int_equal(error.cause, CAUSE_STATE_EXISTS);
	assert_int_equal(open_engine(false), 0);
}

/* A sealed state that libtpms does not take: an error, and it stays as it is. */
static void a_state_that_makes_no_sense(void **unused)
{
	static const uint8_t nonsense[64] = "not a TPM";
	struct engine_store store;
	uint8_t *kept;
	size_t len;

	new_state();
	store = state_store(&state);
	assert_int_equal(store.save(store.ctx, nonsense, sizeof(nonsense), false), 0);
	kept = malloc(disk.len);
	len = disk.len;
	memcpy(kept, disk.blob, len);
	assert_int_equal(open_engine(false), -EBADMSG);
	assert_int_equal(error.cause, CAUSE_ENGINE);
	assert_int_equal(disk.len, len);
	assert_memory_equal(disk.blob, kept, len);
	/* and one that was altered does not even get there */
	disk.blob[len - 1] ^= 1;
	assert_int_equal(open_engine(false), -EBADMSG);
	assert_int_equal(error.cause, CAUSE_BLOB_CORRUPT);
	free(kept);
}

static void a_store_that_fails_is_not_forgotten(void **unused)
{
	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	assert_int_equal(define(), 0);
	assert_int_equal(write_nv(1), 0);
	disk.fail = -ENOSPC;
	assert_int_equal(write_nv(2), UINT32_MAX); /* nothing is published */
	disk.fail = 0;
	/* memory may be newer than the disk: nothing more is shown of it */
	assert_int_equal(read_nv(), -1);
	assert_int_equal(startup(), RC_FAILURE);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup(), 0);
	assert_int_equal(read_nv(), 1);
}

static void the_clock_alone_waits(void **unused)
{
	int puts, i;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	puts = disk.puts;
	for (i = 0; i < 50; i++)
		assert_int_equal(RUN(NO_SESSIONS, 1, 0x7b, 0, 8), 0);
	assert_int_equal(disk.puts, puts);
	assert_int_equal(state_flush(&state), 0);
	assert_true(disk.puts <= puts + 1);
	assert_int_equal(state_flush(&state), 0);
	assert_true(disk.puts <= puts + 1);
}

static void malformed_commands_are_answered(void **unused)
{
	static uint8_t cmd[ENGINE_BUFFER_SIZE + 1];
	size_t len;

	assert_int_equal(open_engine(true), 0);
	assert_int_equal(startup(), 0);
	memset(cmd, 0xff, sizeof(cmd));
	for (len = 1; len <= sizeof(cmd); len += 13) {
		rsp_len = sizeof(rsp);
		assert_int_equal(engine_execute(0, cmd, len, rsp, &rsp_len), 0);
		assert_int_equal(rsp_len, 10);
	}
	assert_int_equal(RUN(NO_SESSIONS, 1, 0x7b, 0, 8), 0);
}

#define ENGINE_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENGINE_TEST(a_new_tpm_is_a_whole_one),
		ENGINE_TEST(a_new_tpm_is_stored_once),
		ENGINE_TEST(crashes_are_no_failed_authorizations),
		ENGINE_TEST(failed_authorizations_survive_crashes),
		ENGINE_TEST(a_failed_authorization_that_is_not_stored_counts),
		ENGINE_TEST(the_parameters_are_the_guests_until_it_clears),
		ENGINE_TEST(what_was_acknowledged_survives_a_power_cut),
		ENGINE_TEST(orderly_ends_are_no_failed_authorizations),
		ENGINE_TEST(two_tpms_have_two_seeds),
		ENGINE_TEST(never_a_fresh_tpm_in_place_of_another),
		ENGINE_TEST(a_state_that_makes_no_sense),
		ENGINE_TEST(a_store_that_fails_is_not_forgotten),
		ENGINE_TEST(the_clock_alone_waits),
		ENGINE_TEST(malformed_commands_are_answered),
	};
	int failed = cmocka_run_group_tests_name("engine", tests, NULL, NULL);

	free(disk.blob);
	return failed;
}
