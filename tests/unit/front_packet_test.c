/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's module believes of a hostile backend. */
#include "tests/unit/unit.h"
#include <stdlib.h>
#include <string.h>
#include "frontend/packet.h"

#define ROOM 8180

/* Exactly len bytes on the heap, so that one byte too many is seen. */
static u8 *packet_of(size_t len, u32 claimed)
{
	u8 *p = calloc(1, len ? len : 1);

	assert_non_null(p);
	if (len >= 2)
		p[0] = 0x80, p[1] = 0x01;
	for (size_t i = 0; i < 4 && 2 + i < len; i++)
		p[2 + i] = (u8)(claimed >> (24 - 8 * i));
	return p;
}

static void check(size_t len, u32 claimed, int expected)
{
	u8 *p = packet_of(len, claimed);

	assert_int_equal(xtpm_packet_check(p, len), expected);
	free(p);
}

static void lengths_that_fit_are_taken(void **state)
{
	assert_int_equal(xtpm_packet_check_length(10, ROOM), 0);
	assert_int_equal(xtpm_packet_check_length(4096, ROOM), 0);
	assert_int_equal(xtpm_packet_check_length(4084, 4084), 0);
}

static void hostile_lengths_are_refused(void **state)
{
	static const u32 hostile[] = {0,    1,		9,	    4097,
				      8180, 0x7fffffff, 0x80000000, 0xffffffff};

	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++)
		assert_int_equal(xtpm_packet_check_length(hostile[i], ROOM), -EBADMSG);
	assert_int_equal(xtpm_packet_check_length(4085, 4084), -EBADMSG);
	assert_int_equal(xtpm_packet_check_length(10, 0), -EBADMSG);
}

static void a_packet_that_agrees_with_itself_is_taken(void **state)
{
	check(10, 10, 0);
	check(4096, 4096, 0);
}

static void a_packet_with_another_length_is_refused(void **state)
{
	check(10, 9, -EBADMSG);
	check(10, 11, -EBADMSG);
	check(10, 0, -EBADMSG);
	check(10, 0xffffffff, -EBADMSG);
	check(4096, 10, -EBADMSG);
}

static void a_packet_without_a_header_is_refused(void **state)
{
	for (size_t len = 0; len < PACKET_HEADER_SIZE; len++)
		check(len, (u32)len, -EBADMSG);
}

static void the_code_is_big_endian(void **state)
{
	static const u8 rsp[] = {0x80, 0x01, 0, 0, 0, 10, 0x81, 0x02, 0x03, 0xfe};

	assert_int_equal(xtpm_packet_check(rsp, sizeof(rsp)), 0);
	assert_true(xtpm_packet_code(rsp) == 0x810203fe);
}

static void startup_is_as_specified(void **state)
{
	static const u8 tpm2_state[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 1};
	static const u8 tpm2_clear[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
	static const u8 tpm1_state[] = {0x00, 0xc1, 0, 0, 0, 12, 0, 0, 0, 0x99, 0, 2};
	static const u8 tpm1_clear[] = {0x00, 0xc1, 0, 0, 0, 12, 0, 0, 0, 0x99, 0, 1};
	u8 p[PACKET_STARTUP_SIZE];

	xtpm_packet_startup(p, true, true);
	assert_memory_equal(p, tpm2_state, sizeof(p));
	xtpm_packet_startup(p, true, false);
	assert_memory_equal(p, tpm2_clear, sizeof(p));
	xtpm_packet_startup(p, false, true);
	assert_memory_equal(p, tpm1_state, sizeof(p));
	xtpm_packet_startup(p, false, false);
	assert_memory_equal(p, tpm1_clear, sizeof(p));
	assert_int_equal(xtpm_packet_check(p, sizeof(p)), 0);
}

static void resets_are_read_from_a_clock_only(void **state)
{
	u8 rsp[36] = {0x80, 0x01, 0, 0, 0, 35};
	u8 cmd[PACKET_CLOCK_SIZE];
	u32 resets = 7;

	rsp[26] = 0x01, rsp[29] = 0x02;
	assert_int_equal(xtpm_packet_resets(rsp, 35, &resets), 0);
	assert_true(resets == 0x01000002);
	for (size_t len = 0; len <= sizeof(rsp); len++)
		if (len != 35)
			assert_int_equal(xtpm_packet_resets(rsp, len, &resets), -EBADMSG);
	rsp[9] = 1; /* not successful */
	assert_int_equal(xtpm_packet_resets(rsp, 35, &resets), -EBADMSG);
	xtpm_packet_clock(cmd);
	assert_int_equal(xtpm_packet_check(cmd, sizeof(cmd)), 0);
	assert_true(xtpm_packet_code(cmd) == 0x181);
}

/* A response to READ_LOG: a part of n bytes that says these numbers. */
static int log_part(u32 total, u16 says, size_t n, u32 offset)
{
	size_t len = 16 + n;
	u8 *rsp = packet_of(len, (u32)len);
	struct packet_log part;
	int rc;

	for (int i = 0; i < 4; i++)
		rsp[10 + i] = (u8)(total >> (24 - 8 * i));
	rsp[14] = (u8)(says >> 8), rsp[15] = (u8)says;
	rc = xtpm_packet_log(rsp, len, offset, &part);
	if (!rc) {
		assert_true(part.total == total);
		assert_true(part.len == n);
		assert_ptr_equal(part.bytes, rsp + 16);
	}
	free(rsp);
	return rc;
}

static void a_log_comes_in_full_parts(void **state)
{
	u8 cmd[PACKET_LOG_SIZE];

	assert_int_equal(log_part(1, 1, 1, 0), 0);
	assert_int_equal(log_part(5000, 2048, 2048, 0), 0);
	assert_int_equal(log_part(5000, 904, 904, 4096), 0);
	xtpm_packet_read_log(cmd, 0x01020304);
	assert_int_equal(xtpm_packet_check(cmd, sizeof(cmd)), 0);
	assert_true(xtpm_packet_code(cmd) == 0x20005601);
	assert_memory_equal(cmd + 10, "\1\2\3\4", 4);
}

static void hostile_parts_of_a_log_are_refused(void **state)
{
	struct packet_log part;
	u8 *rsp;

	assert_int_equal(log_part(0, 0, 0, 0), -ENODATA);
	assert_int_equal(log_part(5000, 1, 1, 0), -EBADMSG);
	assert_int_equal(log_part(5000, 0, 0, 0), -EBADMSG);
	assert_int_equal(log_part(5000, 2049, 2049, 0), -EBADMSG);
	assert_int_equal(log_part(5000, 2048, 2047, 0), -EBADMSG);
	assert_int_equal(log_part(5000, 2047, 2048, 0), -EBADMSG);
	assert_int_equal(log_part(5000, 905, 905, 4096), -EBADMSG);
	assert_int_equal(log_part(5000, 0, 0, 5000), -EBADMSG);
	assert_int_equal(log_part(5000, 2048, 2048, 0xffffffff), -EBADMSG);
	for (size_t len = 0; len < 16; len++) {
		rsp = packet_of(len, (u32)len);
		assert_int_equal(xtpm_packet_log(rsp, len, 0, &part), -EBADMSG);
		free(rsp);
	}
	rsp = packet_of(10, 10);
	rsp[9] = 1; /* the TPM does not know the command */
	assert_int_equal(xtpm_packet_log(rsp, 10, 0, &part), -ENODATA);
	free(rsp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_that_fit_are_taken),
		cmocka_unit_test(hostile_lengths_are_refused),
		cmocka_unit_test(a_packet_that_agrees_with_itself_is_taken),
		cmocka_unit_test(a_packet_with_another_length_is_refused),
		cmocka_unit_test(a_packet_without_a_header_is_refused),
		cmocka_unit_test(the_code_is_big_endian),
		cmocka_unit_test(startup_is_as_specified),
		cmocka_unit_test(resets_are_read_from_a_clock_only),
		cmocka_unit_test(a_log_comes_in_full_parts),
		cmocka_unit_test(hostile_parts_of_a_log_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
