/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "include/vendor.h"
#include "stubdom/manager/vendor.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <string.h>

static struct eventlog logged;
static char evidence[3000];
static struct attest attested = {.evidence = evidence, .len = sizeof(evidence)};
static const struct vendor vendor = {.log = &logged, .attest = &attested};
static struct attest_request asked;
static uint32_t answer;
static uint8_t cmd[64], rsp[4096];
static size_t rsp_len;

/* The TPM and the host: only what they are asked for is of interest here. */
int attest_run(struct attest *a, const struct attest_request *r, uint32_t *tpm_rc,
	       struct error *e)
{
	asked = *r;
	*tpm_rc = answer;
	return answer ? -1 : 0;
}

/* A log of total bytes. */
static void log_of(size_t total)
{
	static uint8_t digests[MEASURE_DIGESTS], data[MEASURE_DATA];
	struct measure_event e = {.digests = digests, .data = data};
	int rc = eventlog_begin(&logged, 1);

	assert_int_equal(rc, 0);
	while (logged.len < total) {
		/* PCR, type, count, SHA-1 and its id, size */
		e.data_len = total - logged.len - 38;
		if (e.data_len > 1000)
			e.data_len = 1000;
		memset(data, (int)logged.len, sizeof(data));
		assert_int_equal(eventlog_add(&logged, &e), 0);
	}
	assert_int_equal(logged.len, total);
}

static int teardown(void **state)
{
	eventlog_clear(&logged);
	return 0;
}

static bool ask(uint16_t tag, uint32_t size, uint32_t code, uint32_t offset, size_t len)
{
	struct cursor w = cursor_writer(cmd, sizeof(cmd));

	cursor_put_u16(&w, tag);
	cursor_put_u32(&w, size);
	cursor_put_u32(&w, code);
	cursor_put_u32(&w, offset);
	memset(rsp, 0xee, sizeof(rsp));
	rsp_len = sizeof(rsp);
	return vendor_execute(&vendor, cmd, len, rsp, &rsp_len);
}

/* The response's code; its parameters are in *c. */
static uint32_t code_of(struct cursor *c)
{
	uint32_t rc;

	*c = cursor_reader(rsp, rsp_len);
	assert_int_equal(cursor_u16(c), 0x8001);
	assert_int_equal(cursor_u32(c), rsp_len);
	rc = cursor_u32(c);
	assert_true(cursor_ok(c));
	if (rc)
		assert_true(cursor_done(c));
	return rc;
}

static uint32_t refusal(uint16_t tag, uint32_t size, uint32_t offset, size_t len)
{
	struct cursor c;

	assert_true(ask(tag, size, XVTPM_CC_READ_LOG, offset, len));
	return code_of(&c);
}

/* What is read from offset on: n bytes of a log that has total. */
static void reads(uint32_t offset, size_t n, size_t total)
{
	struct cursor c;
	const uint8_t *bytes;

	assert_true(ask(0x8001, 14, XVTPM_CC_READ_LOG, offset, 14));
	assert_int_equal(code_of(&c), 0);
	assert_int_equal(cursor_u32(&c), total);
	assert_int_equal(cursor_u16(&c), n);
	bytes = cursor_bytes(&c, n);
	assert_true(cursor_done(&c));
	if (n)
		assert_memory_equal(bytes, logged.bytes + offset, n);
}

static void reads_in_chunks(void **state)
{
	log_of(5000);
	reads(0, VENDOR_CHUNK, 5000);
	reads(2048, VENDOR_CHUNK, 5000);
	reads(4096, 904, 5000);
	reads(4999, 1, 5000);
	reads(5000, 0, 5000);
	log_of(VENDOR_CHUNK);
	reads(0, VENDOR_CHUNK, VENDOR_CHUNK);
}

static void an_unmeasured_guest_has_none(void **state)
{
	reads(0, 0, 0);
	assert_int_equal(refusal(0x8001, 14, 1, 14),
			 TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
}

static void an_offset_behind_the_end_is_refused(void **state)
{
	log_of(5000);
	assert_int_equal(refusal(0x8001, 14, 5001, 14),
			 TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(refusal(0x8001, 14, UINT32_MAX, 14),
			 TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
}

static void sizes_and_tags_are_checked(void **state)
{
	assert_int_equal(refusal(0x8001, 15, 0, 14), TPM2_RC_COMMAND_SIZE);
	assert_int_equal(refusal(0x8001, 13, 0, 14), TPM2_RC_COMMAND_SIZE);
	assert_int_equal(refusal(0x8001, 13, 0, 13),
			 TPM2_RC_INSUFFICIENT + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(refusal(0x8001, 10, 0, 10),
			 TPM2_RC_INSUFFICIENT + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(refusal(0x8001, 15, 0, 15), TPM2_RC_SIZE);
	assert_int_equal(refusal(0x8002, 14, 0, 14), TPM2_RC_AUTH_CONTEXT);
	assert_int_equal(refusal(0x8000, 14, 0, 14), TPM2_RC_BAD_TAG);
	assert_int_equal(refusal(0x00c1, 99, 0, 14), TPM2_RC_BAD_TAG);
}

static void all_else_is_the_tpms(void **state)
{
	assert_false(ask(0x8001, 14, 0x17b, 0, 14));
	assert_false(ask(0x8001, 14, XVTPM_CC_VENDOR, 0, 14));
	assert_false(ask(0x8001, 14, XVTPM_CC_READ_LOG & ~XVTPM_CC_VENDOR, 0, 14));
	assert_false(ask(0x8001, 9, XVTPM_CC_READ_LOG, 0, 9));
	assert_int_equal(rsp[0], 0xee);
}

static void a_small_buffer_is_not_overrun(void **state)
{
	struct cursor c;

	log_of(5000);
	assert_true(ask(0x8001, 14, XVTPM_CC_READ_LOG, 0, 14));
	memset(rsp, 0xee, sizeof(rsp));
	rsp_len = 100;
	assert_true(vendor_execute(&vendor, cmd, 14, rsp, &rsp_len));
	assert_int_equal(code_of(&c), TPM2_RC_SIZE);
	assert_int_equal(rsp[100], 0xee);
	rsp_len = 9;
	assert_false(vendor_execute(&vendor, cmd, 14, rsp, &rsp_len));
}

/* TPM2B nonce | u32 PCRs | TPM2B user data | what does not belong there */
static uint32_t attest_with(size_t nonce, uint32_t pcrs, size_t user, size_t more)
{
	static const uint8_t zeroes[256];
	uint8_t big[1024];
	struct cursor w = cursor_writer(big, sizeof(big)), size, c;
	uint32_t rc;

	cursor_put_u16(&w, 0x8001);
	cursor_put_u32(&w, 0);
	cursor_put_u32(&w, XVTPM_CC_ATTEST);
	cursor_put_u16(&w, (uint16_t)nonce);
	cursor_put(&w, zeroes, nonce);
	cursor_put_u32(&w, pcrs);
	cursor_put_u16(&w, (uint16_t)user);
	cursor_put(&w, zeroes, user);
	cursor_put(&w, zeroes, more);
	size = cursor_writer(big + 2, 4);
	cursor_put_u32(&size, (uint32_t)w.pos);
	rsp_len = sizeof(rsp);
	asked = (struct attest_request){0};
	assert_true(vendor_execute(&vendor, big, w.pos, rsp, &rsp_len));
	rc = code_of(&c);
	if (!rc)
		assert_int_equal(cursor_u32(&c), sizeof(evidence));
	return rc;
}

static void attests(void **state)
{
	answer = 0;
	assert_int_equal(attest_with(32, 3, 0, 0), 0);
	assert_int_equal(asked.nonce_len, 32);
	assert_int_equal(asked.pcrs, 3);
	assert_int_equal(asked.user_len, 0);
	assert_int_equal(attest_with(64, 1, 64, 0), 0);
	assert_int_equal(asked.user_len, 64);
	answer = TPM2_RC_RETRY;
	assert_int_equal(attest_with(32, 3, 0, 0), TPM2_RC_RETRY);
}

static void attests_nothing_else(void **state)
{
	answer = 0;
	assert_int_equal(attest_with(15, 3, 0, 0), TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(attest_with(65, 3, 0, 0), TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(attest_with(32, 0, 0, 0), TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(attest_with(32, 1 << 24, 0, 0),
			 TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(attest_with(32, 3, 65, 0),
			 TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
	assert_int_equal(attest_with(32, 3, 32, 1), TPM2_RC_SIZE);
	assert_int_equal(asked.nonce_len, 0);
}

/* As a guest once handed over a key and what it had signed: u32 key | TPM2B | TPM2B */
static void no_key_is_taken(void **state)
{
	answer = 0;
	assert_int_equal(attest_with(32, 3, 0, 6), TPM2_RC_SIZE);
	assert_int_equal(attest_with(32, 3, 0, 200), TPM2_RC_SIZE);
	assert_int_equal(asked.nonce_len, 0);
}

static void evidence_in_pieces(void **state)
{
	struct cursor c;

	memset(evidence, 'e', sizeof(evidence));
	assert_true(ask(0x8001, 14, XVTPM_CC_READ_EVIDENCE, 2048, 14));
	assert_int_equal(code_of(&c), 0);
	assert_int_equal(cursor_u32(&c), sizeof(evidence));
	assert_int_equal(cursor_u16(&c), sizeof(evidence) - 2048);
	assert_int_equal(cursor_u8(&c), 'e');
	assert_true(ask(0x8001, 14, XVTPM_CC_READ_EVIDENCE, 3001, 14));
	assert_int_equal(code_of(&c), TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_1);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attests),
		cmocka_unit_test(attests_nothing_else),
		cmocka_unit_test(no_key_is_taken),
		cmocka_unit_test(evidence_in_pieces),
		T(reads_in_chunks),
		T(an_unmeasured_guest_has_none),
		T(an_offset_behind_the_end_is_refused),
		T(sizes_and_tags_are_checked),
		T(all_else_is_the_tpms),
		T(a_small_buffer_is_not_overrun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
