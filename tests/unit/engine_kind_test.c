/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as a TPM 1.2 and as a TPM 2.0: what each keeps, over which kind of end,
 * and that one's state is never opened as the other's. */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define RC_VALUE_P1   0x1c4
#define RC_INITIALIZE 0x100
#define FAIL	      9	   /* TPM_FAIL */
#define FAILED_TEST   0x1c /* TPM_FAILEDSELFTEST: nothing was saved for this start */
#define POSTINIT      0x26 /* TPM_INVALID_POSTINIT */

enum { CLEAR, STATE };

static struct {
	uint8_t *bytes;
	size_t len;
	int fail;
} disk;

static struct error error;
static uint8_t rsp[ENGINE_BUFFER_SIZE];
static size_t rsp_len;

static int load(void *ctx, uint8_t **state, size_t *len)
{
	if (!disk.bytes)
		return -ENOENT;
	*state = malloc(disk.len);
	memcpy(*state, disk.bytes, disk.len);
	*len = disk.len;
	return 0;
}

static int save(void *ctx, const uint8_t *state, size_t len, bool clock_only)
{
	if (disk.fail)
		return disk.fail;
	free(disk.bytes);
	disk.bytes = malloc(len);
	memcpy(disk.bytes, state, len);
	disk.len = len;
	return 0;
}

static int open_as(enum engine_version version, bool create, bool keep_saved)
{
	static const struct engine_store store = {.load = load, .save = save};
	const struct engine_options options = {
		.create = create,
		.version = version,
		.keep_saved = keep_saved,
	};

	memset(&error, 0, sizeof(error));
	return engine_open(&store, &options, &error);
}

static int setup(void **unused)
{
	free(disk.bytes);
	memset(&disk, 0, sizeof(disk));
	return 0;
}

static int teardown(void **unused)
{
	disk.fail = 0;
	(void)!engine_close();
	return 0;
}

/* The response code; the packet's size is filled in, and the response's tag is told. */
static uint32_t run(const uint8_t *cmd, size_t len, uint16_t *tag)
{
	uint8_t copy[128];
	struct cursor size = cursor_writer(copy + 2, 4), r;

	memcpy(copy, cmd, len);
	cursor_put_u32(&size, (uint32_t)len);
	rsp_len = sizeof(rsp);
	if (engine_execute(0, copy, len, rsp, &rsp_len))
		return UINT32_MAX;
	r = cursor_reader(rsp, rsp_len);
	*tag = cursor_u16(&r);
	assert_int_equal(cursor_u32(&r), rsp_len);
	return cursor_u32(&r);
}

#define RUN(want_tag, ...)                                       \
	({                                                       \
		const uint8_t cmd_[] = {__VA_ARGS__};            \
		uint16_t tag_ = want_tag;                        \
		uint32_t code_ = run(cmd_, sizeof(cmd_), &tag_); \
		if (code_ != UINT32_MAX)                         \
			assert_int_equal(tag_, want_tag);        \
		code_;                                           \
	})
#define RUN12(...) RUN(0x00c4, 0, 0xc1, 0, 0, 0, 0, 0, 0, __VA_ARGS__)
#define RUN20(...) RUN(0x8001, 0x80, 1, 0, 0, 0, 0, 0, 0, __VA_ARGS__)
#define DIGEST12   1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20

static uint32_t startup12(int how)
{
	return RUN12(0, 0x99, 0, how == STATE ? 2 : 1);
}

static uint32_t extend12(void)
{
	return RUN12(0, 0x14, 0, 0, 0, 10, DIGEST12);
}

/* Whether PCR 10 is not as a start leaves it. */
static bool extended12(void)
{
	static const uint8_t zero[20];

	assert_int_equal(RUN12(0, 0x15, 0, 0, 0, 10), 0);
	assert_int_equal(rsp_len, 30);
	return memcmp(rsp + 10, zero, 20) != 0;
}

/* What a firmware does once, so that the TPM is of use. */
static void enable12(void)
{
	assert_int_equal(RUN(0xc4, 0, 0xc1, 0, 0, 0, 0, 0x40, 0, 0, 0x0a, 0, 0x20), 0);
	assert_int_equal(RUN(0xc4, 0, 0xc1, 0, 0, 0, 0, 0x40, 0, 0, 0x0a, 0, 8), 0);
	assert_int_equal(RUN12(0, 0x6f), 0);
	assert_int_equal(RUN12(0, 0x72, 0), 0);
}

/* An endorsement key: its modulus, or false. */
static bool make_key12(void)
{
	return !RUN12(0, 0x78, DIGEST12, 0, 0, 0, 1, 0, 3, 0, 1, 0, 0, 0, 12, 0, 0, 8, 0,
		      0, 0, 0, 2, 0, 0, 0, 0);
}

static bool read_key12(uint8_t key[256])
{
	if (RUN12(0, 0x7c, DIGEST12))
		return false;
	assert_int_equal(rsp_len, 10 + 28 + 256 + 20);
	memcpy(key, rsp + 38, 256);
	return true;
}

static uint32_t startup20(int how)
{
	return RUN20(1, 0x44, 0, how);
}

static uint32_t shutdown20(int how)
{
	return RUN20(1, 0x45, 0, how);
}

static uint32_t extend20(void)
{
	return RUN(0x8002, 0x80, 2, 0, 0, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 10, 0, 0, 0, 9,
		   0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, DIGEST12);
}

static bool extended20(void)
{
	static const uint8_t zero[20];

	assert_int_equal(RUN20(1, 0x7e, 0, 0, 0, 1, 0, 4, 3, 0, 4, 0), 0);
	assert_true(rsp_len > 20);
	return memcmp(rsp + rsp_len - 20, zero, 20) != 0;
}

static void a_tpm12_keeps_its_key_and_clears_its_pcrs(void **unused)
{
	uint8_t before[256], after[256];

	assert_int_equal(open_as(ENGINE_TPM_12, true, false), 0);
	assert_int_equal(RUN12(0, 0x15, 0, 0, 0, 10), POSTINIT);
	assert_int_equal(startup12(CLEAR), 0);
	enable12();
	assert_true(make_key12());
	assert_true(read_key12(before));
	assert_int_equal(extend12(), 0);
	assert_true(extended12());
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup12(CLEAR), 0);
	assert_false(extended12());
	assert_true(read_key12(after));
	assert_memory_equal(before, after, 256);
	/* and a new process, after a crash of this one */
	disk.fail = -EIO;
	(void)!engine_close();
	disk.fail = 0;
	assert_int_equal(open_as(ENGINE_TPM_12, false, false), 0);
	assert_int_equal(startup12(CLEAR), 0);
	assert_true(read_key12(after));
	assert_memory_equal(before, after, 256);
}

static void not_opened_as_the_other(enum engine_version is, enum engine_version asked,
				    const char *names)
{
	uint8_t *kept;
	size_t len;

	setup(NULL);
	assert_int_equal(open_as(is, true, false), 0);
	assert_int_equal(engine_close(), 0);
	len = disk.len;
	kept = malloc(len);
	memcpy(kept, disk.bytes, len);
	assert_int_equal(open_as(asked, false, false), -EMEDIUMTYPE);
	assert_int_equal(error.cause, CAUSE_ENGINE);
	assert_non_null(strstr(error.text, names));
	assert_int_equal(disk.len, len);
	assert_memory_equal(disk.bytes, kept, len);
	free(kept);
	assert_int_equal(open_as(is, false, false), 0);
	assert_int_equal(engine_close(), 0);
}

static void a_state_is_of_one_version(void **unused)
{
	not_opened_as_the_other(ENGINE_TPM_12, ENGINE_TPM_20,
				"of a TPM 1.2, and a TPM 2.0");
	not_opened_as_the_other(ENGINE_TPM_20, ENGINE_TPM_12,
				"of a TPM 2.0, and a TPM 1.2");
}

/* libtpms of another TPM: the mark alone is not what makes it one. */
static void a_mark_before_nonsense(void **unused)
{
	static const uint8_t nonsense[40] = "XVTPM1.2nonsense";

	assert_int_equal(save(NULL, nonsense, sizeof(nonsense), false), 0);
	assert_int_equal(open_as(ENGINE_TPM_12, false, false), -EBADMSG);
	assert_int_equal(error.cause, CAUSE_ENGINE);
	assert_int_equal(save(NULL, nonsense, 8, false), 0);
	assert_int_equal(open_as(ENGINE_TPM_12, false, false), -EBADMSG);
}

static void a_failed_store_is_answered_in_words_of_a_tpm12(void **unused)
{
	assert_int_equal(open_as(ENGINE_TPM_12, true, false), 0);
	assert_int_equal(startup12(CLEAR), 0);
	disk.fail = -ENOSPC;
	assert_int_equal(RUN(0xc4, 0, 0xc1, 0, 0, 0, 0, 0x40, 0, 0, 0x0a, 0, 0x20),
			 UINT32_MAX);
	disk.fail = 0;
	assert_int_equal(RUN12(0, 0x15, 0, 0, 0, 10), FAIL);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup12(CLEAR), 0);
	assert_false(extended12());
}

static void what_a_tpm12_saved_is_found_again(void **unused)
{
	assert_int_equal(open_as(ENGINE_TPM_12, true, true), 0);
	assert_int_equal(startup12(CLEAR), 0);
	assert_int_equal(extend12(), 0);
	assert_int_equal(RUN12(0, 0x98), 0); /* SaveState */
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup12(STATE), 0);
	assert_true(extended12());
	/* a start uses it up */
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup12(STATE), FAILED_TEST);
}

static void a_tpm12_that_may_not_keep_what_was_saved(void **unused)
{
	assert_int_equal(open_as(ENGINE_TPM_12, true, false), 0);
	assert_int_equal(startup12(CLEAR), 0);
	assert_int_equal(extend12(), 0);
	assert_int_equal(RUN12(0, 0x98), 0);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup12(STATE), FAILED_TEST);
}

/* Shutdown(STATE), then an end; how the next start goes. */
static uint32_t resume20(bool keep_saved, bool extend_after, bool new_process)
{
	(void)!engine_close();
	setup(NULL);
	assert_int_equal(open_as(ENGINE_TPM_20, true, keep_saved), 0);
	assert_int_equal(startup20(CLEAR), 0);
	assert_int_equal(extend20(), 0);
	assert_int_equal(shutdown20(STATE), 0);
	assert_int_equal(RUN20(1, 0x7b, 0, 8), 0); /* GetRandom */
	if (extend_after)
		assert_int_equal(extend20(), 0);
	if (new_process) {
		assert_int_equal(engine_close(), 0);
		assert_int_equal(open_as(ENGINE_TPM_20, false, keep_saved), 0);
	} else {
		assert_int_equal(engine_power_cycle(), 0);
	}
	return startup20(STATE);
}

static void what_a_tpm20_saved_is_found_again(void **unused)
{
	assert_int_equal(resume20(true, false, false), 0);
	assert_true(extended20());
	assert_int_equal(resume20(true, false, true), 0);
	assert_true(extended20());
	/* nothing is there twice: that start was the orderly one */
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(startup20(STATE), RC_VALUE_P1);
}

static void what_was_saved_before_a_change_is_not(void **unused)
{
	assert_int_equal(resume20(true, true, false), RC_VALUE_P1);
	assert_int_equal(startup20(CLEAR), 0);
	assert_false(extended20());
}

static uint32_t wake20(uint16_t type)
{
	const uint8_t cmd[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, (uint8_t)type};
	uint8_t out[ENGINE_BUFFER_SIZE];
	size_t len = sizeof(out);

	assert_int_equal(engine_execute_or_wake(0, cmd, sizeof(cmd), out, &len), 0);
	return (uint32_t)out[6] << 24 | (uint32_t)out[7] << 16 | (uint32_t)out[8] << 8 |
	       out[9];
}

/* S3 of a guest whose firmware starts the TPM. */
static void a_tpm20_sleeps(void **unused)
{
	assert_int_equal(open_as(ENGINE_TPM_20, true, false), 0);
	assert_int_equal(wake20(CLEAR), 0);
	assert_int_equal(extend20(), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(shutdown20(STATE), 0);
		assert_int_equal(wake20(STATE), 0);
		assert_true(extended20());
	}
	/* it runs */
	assert_int_equal(wake20(STATE), RC_INITIALIZE);
	assert_int_equal(wake20(CLEAR), RC_INITIALIZE);
	assert_true(extended20());
}

/* Its guest gets no other PCRs by it. */
static void a_tpm20_that_does_not_sleep(void **unused)
{
	assert_int_equal(open_as(ENGINE_TPM_20, true, false), 0);
	assert_int_equal(wake20(CLEAR), 0);
	assert_int_equal(extend20(), 0);
	assert_int_equal(wake20(STATE), RC_INITIALIZE);
	assert_int_equal(shutdown20(CLEAR), 0);
	assert_int_equal(wake20(STATE), RC_INITIALIZE);
	assert_int_equal(shutdown20(STATE), 0);
	assert_int_equal(wake20(CLEAR), RC_INITIALIZE);
	assert_int_equal(wake20(STATE), RC_INITIALIZE);
	assert_int_equal(shutdown20(STATE), 0);
	assert_int_equal(extend20(), 0);
	assert_int_equal(wake20(STATE), RC_INITIALIZE);
	/* the next guest does not find what the last one saved */
	assert_int_equal(shutdown20(STATE), 0);
	assert_int_equal(engine_power_cycle(), 0);
	assert_int_equal(wake20(STATE), RC_VALUE_P1);
	assert_int_equal(wake20(CLEAR), 0);
	assert_false(extended20());
}

/* false: the TPM has failed.  Else PCR 10 is what was extended. */
static bool has_pcr10(const uint8_t want[20])
{
	uint32_t code = RUN20(1, 0x7e, 0, 0, 0, 1, 0, 4, 3, 0, 4, 0);

	if (code == UINT32_MAX || code == 0x101)
		return false;
	/* a TPM that waits for its Startup would let it choose */
	assert_int_equal(code, 0);
	assert_memory_equal(rsp + rsp_len - 20, want, 20);
	return true;
}

/* One of what it may send in between. */
static const struct {
	uint8_t locality, len, bytes[40];
} sent[] = {
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 1}}, /* Shutdown(STATE) */
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 1}},
	{3, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 1}},
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0}},
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 1}}, /* Startup(STATE) */
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 1}},
	{3, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 1}},
	{0, 12, {0x80, 2, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 1}},
	{0, 12, {0x80, 1, 0, 0, 0, 99, 0, 0, 1, 0x44, 0, 1}},
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0}},
	{3, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0}},
	{0, 12, {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8}},	     /* GetRandom */
	{0, 11, {0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 1}},	     /* SelfTest */
	{0, 10, {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x81}},		     /* ReadClock */
	{3, 27, {0x80, 2, 0, 0, 0,    27, 0, 0, 1, 0x3d, 0, 0, 0, 0, /* PCR_Reset */
		 0,    0, 0, 9, 0x40, 0,  0, 9}},
	{3, 27, {0x80, 2, 0,  0, 0, 27, 0, 0,	 1, 0x3d, 0,
		 0,    0, 16, 0, 0, 0,	9, 0x40, 0, 0,	  9}},
	{0,
	 32,
	 {0x80, 2, 0, 0, 0,    32, 0, 0, 1, 0x21, 0x40, 0, 0, 0x0c, /* HierarchyControl */
	  0,	0, 0, 9, 0x40, 0,  0, 9, 0, 0,	  0,	0, 0, 0x40, 0, 0, 0x0b, 0}},
};

/* The manager's own, between two of the guest's. */
static void of_manager(void)
{
	static const uint8_t cmd[] = {0x80, 2, 0, 0, 0,	   27, 0, 0, 1, 0x3d, 0, 0, 0, 23,
				      0,    0, 0, 9, 0x40, 0,  0, 9, 0, 0,    0, 0, 0};
	size_t len = sizeof(rsp);

	(void)!engine_tpm.exchange(NULL, cmd, sizeof(cmd), rsp, &len);
}

static void extend_model(uint8_t pcr[20])
{
	const uint8_t digest[] = {DIGEST12};
	uint8_t both[40];

	memcpy(both, pcr, 20);
	memcpy(both + 20, digest, 20);
	assert_int_equal(EVP_Q_digest(NULL, "SHA1", NULL, both, 40, pcr, NULL), 1);
}

static void whatever_a_guest_sends_no_pcr_begins_anew(void **unused)
{
	unsigned int runs, wakes = 0, i;

	srandom(1);
	/* How often a TPM fails in between, which ends a run, is libtpms's chance. */
	for (runs = 0; runs < 40 || (wakes < 20 && runs < 400); runs++) {
		uint8_t pcr10[20] = {0};

		(void)!engine_close();
		setup(NULL);
		assert_int_equal(open_as(ENGINE_TPM_20, true, false), 0);
		assert_int_equal(wake20(CLEAR), 0);
		for (i = 0; i < 60 && has_pcr10(pcr10); i++) {
			size_t n = (size_t)random() % (ARRAY_SIZE(sent) + 4);

			rsp_len = sizeof(rsp);
			if (n < ARRAY_SIZE(sent)) {
				(void)!engine_execute_or_wake(sent[n].locality,
							      sent[n].bytes, sent[n].len,
							      rsp, &rsp_len);
				wakes += sent[n].bytes[9] == 0x44 && rsp_len == 10 &&
					 !rsp[6] && !rsp[7] && !rsp[8] && !rsp[9];
			} else if (n == ARRAY_SIZE(sent)) {
				if (!extend20())
					extend_model(pcr10);
			} else if (n == ARRAY_SIZE(sent) + 1) {
				of_manager();
			}
		}
	}
	print_message("%u wakes\n", wakes);
	assert_in_range(wakes, 20, 3600);
}

static void a_tpm20_that_may_not_keep_what_was_saved(void **unused)
{
	assert_int_equal(resume20(false, false, false), RC_VALUE_P1);
	assert_int_equal(resume20(false, false, true), RC_VALUE_P1);
	assert_int_equal(startup20(CLEAR), 0);
	assert_false(extended20());
}

static void a_closed_engine_answers_with_failure(void **unused)
{
	assert_int_equal(RUN20(1, 0x7b, 0, 8), 0x101);
	assert_int_equal(open_as(ENGINE_TPM_12, true, false), 0);
	assert_int_equal(engine_close(), 0);
	assert_int_equal(RUN20(1, 0x7b, 0, 8), 0x101);
}

#define KIND_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIND_TEST(a_closed_engine_answers_with_failure),
		KIND_TEST(a_tpm12_keeps_its_key_and_clears_its_pcrs),
		KIND_TEST(a_state_is_of_one_version),
		KIND_TEST(a_mark_before_nonsense),
		KIND_TEST(a_failed_store_is_answered_in_words_of_a_tpm12),
		KIND_TEST(what_a_tpm12_saved_is_found_again),
		KIND_TEST(a_tpm12_that_may_not_keep_what_was_saved),
		KIND_TEST(what_a_tpm20_saved_is_found_again),
		KIND_TEST(what_was_saved_before_a_change_is_not),
		KIND_TEST(a_tpm20_that_may_not_keep_what_was_saved),
		KIND_TEST(a_tpm20_sleeps),
		KIND_TEST(a_tpm20_that_does_not_sleep),
		KIND_TEST(whatever_a_guest_sends_no_pcr_begins_anew),
	};
	int failed = cmocka_run_group_tests_name("engine_kind", tests, NULL, NULL);

	free(disk.bytes);
	return failed;
}
