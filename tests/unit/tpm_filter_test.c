/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "tools/vtpmd/tpm_filter.h"

#include <errno.h>
#include <string.h>

#define SRK 0x81005654u

static struct tpm_filter_verdict verdict;

static int check(uint16_t tag, uint32_t code, uint32_t handle, size_t len)
{
	uint8_t cmd[64] = {0};
	struct cursor w = cursor_writer(cmd, sizeof(cmd));

	cursor_put_u16(&w, tag);
	cursor_put_u32(&w, (uint32_t)len);
	cursor_put_u32(&w, code);
	cursor_put_u32(&w, handle);
	return tpm_filter_check(cmd, len, SRK, &verdict);
}

static void allows_what_sealing_needs(void **state)
{
	static const struct {
		uint32_t code, handle;
	} good[] = {
		{0x153, SRK},	     {0x157, SRK},	  {0x15e, 0x80ffffff},
		{0x165, 0x80ffffff}, {0x167, 0},	  {0x16a, 0x03000000},
		{0x16b, 0x03000000}, {0x173, SRK},	  {0x173, 0x80000001},
		{0x176, SRK},	     {0x176, 0x40000007}, {0x177, 0x80000001},
		{0x17b, 0},	     {0x17e, 0},	  {0x17f, 0x03000000},
		{0x189, 0x03000000},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(check(0x8001, good[i].code, good[i].handle, 20), 0);
		assert_int_equal(check(0x8002, good[i].code, good[i].handle, 20), 0);
		assert_non_null(verdict.name);
	}
}

/* Every other code there is, and some that there are not. */
static void refuses_all_others(void **state)
{
	static const uint32_t good[] = {0x153, 0x157, 0x15e, 0x165, 0x167, 0x16a, 0x16b,
					0x173, 0x176, 0x177, 0x17b, 0x17e, 0x17f, 0x189};
	uint32_t code;
	size_t i;

	for (code = 0; code < 0x400; code++) {
		for (i = 0; i < ARRAY_SIZE(good) && good[i] != code; i++)
			;
		if (i == ARRAY_SIZE(good))
			assert_int_equal(check(0x8002, code, SRK, 20), -EPERM);
	}
	assert_int_equal(check(0x8001, 0x20000000, SRK, 20), -EPERM);
	assert_int_equal(check(0x8001, 0x8000017b, SRK, 20), -EPERM);
	assert_int_equal(check(0x8001, 0x2000017b, SRK, 20), -EPERM);
}

static void names_the_refused(void **state)
{
	assert_int_equal(check(0x8002, 0x126, 0x4000000c, 20), -EPERM);
	assert_string_equal(verdict.name, "TPM2_Clear");
	assert_int_equal(verdict.code, 0x126);
	assert_non_null(verdict.why);
	assert_int_equal(check(0x8002, 0x3ff, 0, 20), -EPERM);
	assert_null(verdict.name);
}

static void only_under_the_storage_key(void **state)
{
	static const uint32_t bad[] = {0x81005655, 0x80000000, 0x40000001, 0x4000000b,
				       0x40000007, 0,	       0x01500040};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(check(0x8002, 0x153, bad[i], 20), -EPERM);
		assert_int_equal(check(0x8002, 0x157, bad[i], 20), -EPERM);
	}
	/* somebody else's sealed object that is persistent */
	assert_int_equal(check(0x8002, 0x15e, 0x81000001, 20), -EPERM);
	assert_int_equal(check(0x8001, 0x176, 0x81000001, 20), -EPERM);
}

static void without_a_storage_key_nothing_fits(void **state)
{
	static const uint8_t create[] = {0x80, 2, 0, 0, 0, 14, 0, 0, 1, 0x53, 0, 0, 0, 0};

	assert_int_equal(tpm_filter_check(create, sizeof(create), 0, &verdict), -EPERM);
}

static void lengths_must_agree(void **state)
{
	static const uint8_t cut[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x53, 0x81, 0};
	uint8_t cmd[4200] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
	size_t n;

	assert_int_equal(tpm_filter_check(cmd, 12, SRK, &verdict), 0);
	for (n = 0; n < 12; n++)
		assert_int_equal(tpm_filter_check(cmd, n, SRK, &verdict), -EPERM);
	assert_int_equal(tpm_filter_check(cmd, 13, SRK, &verdict), -EPERM);
	/* a handle that is cut short */
	assert_int_equal(tpm_filter_check(cut, sizeof(cut), SRK, &verdict), -EPERM);
	memcpy(cmd + 2, "\0\0\x10\x68", 4);
	assert_int_equal(tpm_filter_check(cmd, 4200, SRK, &verdict), -EPERM);
	memcpy(cmd + 2, "\xff\xff\xff\xff", 4);
	assert_int_equal(tpm_filter_check(cmd, 12, SRK, &verdict), -EPERM);
}

static void tags_are_tpm2s(void **state)
{
	assert_int_equal(check(0x00c1, 0x17b, 0, 20), -EPERM);
	assert_int_equal(check(0x8003, 0x17b, 0, 20), -EPERM);
	assert_int_equal(check(0, 0x17b, 0, 20), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allows_what_sealing_needs),
		cmocka_unit_test(refuses_all_others),
		cmocka_unit_test(names_the_refused),
		cmocka_unit_test(only_under_the_storage_key),
		cmocka_unit_test(without_a_storage_key_nothing_fits),
		cmocka_unit_test(lengths_must_agree),
		cmocka_unit_test(tags_are_tpm2s),
	};

	return cmocka_run_group_tests_name("tpm_filter", tests, NULL, NULL);
}
