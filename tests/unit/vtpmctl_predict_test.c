/* SPDX-License-Identifier: Apache-2.0 */
/* tests/host/predict compares what is predicted with what real boots measure. */
#include "tools/vtpmctl/pefile.h"
#include "tools/vtpmctl/predict.h"
#include "lib/firmwarelog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LOG "tests/unit/firmware-logs/ovmf-secure.log"

static const struct predict_from nowhere = {.root = "/nonexistent", .esp = PREDICT_ESP};

static void read_log(uint8_t **log, size_t *len)
{
	assert_int_equal(firmwarelog_read(LOG, log, len), 0);
}

/* A shim that is not there, its GRUB and what that read: all else is as it was. */
static void test_files_that_are_not_there(void **state)
{
	struct predicted p;
	struct error e = {.cause = CAUSE_NONE};
	uint8_t *log;
	size_t len;

	read_log(&log, &len);
	assert_int_equal(predict_run(log, len, &nowhere, &p, &e), 0);
	assert_int_equal(p.unknown, 1u << 4 | 1u << 9);
	for (int n = 0; n < APPROVAL_PCRS; n++)
		assert_memory_equal(p.value[n], p.logged[n], APPROVAL_HASH_SIZE);
	free(log);
}

/* In a command the text is what is measured. */
static void test_another_command(void **state)
{
	struct predict_from from = nowhere;
	struct predicted p;
	struct error e = {.cause = CAUSE_NONE};
	uint8_t *log;
	size_t len;

	read_log(&log, &len);
	from.replace = "quiet=loud";
	assert_int_equal(predict_run(log, len, &from, &p, &e), 0);
	assert_int_equal(p.unknown & 1u << 8, 0);
	assert_memory_not_equal(p.value[8], p.logged[8], APPROVAL_HASH_SIZE);
	assert_memory_equal(p.value[7], p.logged[7], APPROVAL_HASH_SIZE);
	free(log);
}

static void test_bad_replace(void **state)
{
	static const char *const bad[] = {"a", "=b", "a=b,",
					  "1=,2=,3=,4=,5=,6=,7=,8=,9="};
	struct predict_from from = nowhere;
	struct predicted p;
	uint8_t *log;
	size_t len;

	read_log(&log, &len);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error e = {.cause = CAUSE_NONE};

		from.replace = bad[i];
		assert_int_equal(predict_run(log, len, &from, &p, &e), -EINVAL);
		assert_non_null(strstr(e.text, "OLD=NEW"));
	}
	free(log);
}

/* Each beginning of the log is refused, or is a whole one of fewer events. */
static void test_cut_log(void **state)
{
	struct predicted p;
	uint8_t *log, *part;
	size_t len, n;
	int rc;

	read_log(&log, &len);
	for (n = 0; n < len; n += n < 400 ? 1 : 997) {
		struct error e = {.cause = CAUSE_NONE};

		part = malloc(n + 1);
		assert_non_null(part);
		memcpy(part, log, n);
		rc = predict_run(part, n, &nowhere, &p, &e);
		assert_true(!rc || rc == -EBADMSG);
		assert_int_equal(!rc, e.cause == CAUSE_NONE);
		free(part);
	}
	free(log);
}

/* The smallest image that has all that is looked at. */
static void make_pe(uint8_t pe[1024])
{
	memset(pe, 0, 1024);
	pe[0x3c] = 0x40;
	memcpy(pe + 0x40, "PE\0\0", 4);
	pe[0x46] = 1;	 /* a section */
	pe[0x54] = 0xf0; /* the optional header's size */
	pe[0x58] = 0x0b;
	pe[0x59] = 0x02;
	pe[0x58 + 61] = 2;   /* headers: 512 bytes */
	pe[0x58 + 108] = 16; /* directories */
	pe[0x148 + 17] = 1;  /* the section: 256 bytes */
	pe[0x148 + 21] = 2;  /* at 512 */
}

static void test_pe_parts(void **state)
{
	uint8_t pe[1024], was[CRYPT_HASH_SIZE], hash[CRYPT_HASH_SIZE];

	make_pe(pe);
	assert_int_equal(pefile_hash(pe, sizeof(pe), was), 0);
	pe[0x58 + 64] = 9;	     /* the checksum */
	pe[0x58 + 112 + 4 * 8] = 77; /* where certificates are */
	assert_int_equal(pefile_hash(pe, sizeof(pe), hash), 0);
	assert_memory_equal(hash, was, sizeof(hash));
	pe[600] = 1;
	assert_int_equal(pefile_hash(pe, sizeof(pe), hash), 0);
	assert_memory_not_equal(hash, was, sizeof(hash));
	pe[600] = 0;
	pe[1000] = 1; /* behind the section */
	assert_int_equal(pefile_hash(pe, sizeof(pe), hash), 0);
	assert_memory_not_equal(hash, was, sizeof(hash));
	pe[0x58 + 112 + 4 * 8 + 4] = 100; /* but not in the certificate table */
	assert_int_equal(pefile_hash(pe, sizeof(pe), was), 0);
	pe[1000] = 2;
	assert_int_equal(pefile_hash(pe, sizeof(pe), hash), 0);
	assert_memory_equal(hash, was, sizeof(hash));
}

static void test_hostile_pe(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} bad[] = {
		{0x3d, 0xff},	    /* the header is behind the end */
		{0x40, 'M'},	    /* no PE */
		{0x47, 1},	    /* 257 sections */
		{0x55, 0xff},	    /* the section table is behind the end */
		{0x58, 7},	    /* neither PE32 nor PE32+ */
		{0x58 + 62, 1},	    /* headers are longer than the file */
		{0x58 + 61, 0},	    /* and end before the certificate's entry */
		{0x148 + 18, 1},    /* so is the section */
		{0x148 + 23, 0xff}, /* or it begins there */
		{0x58 + 112 + 4 * 8 + 7, 0xff} /* the certificates are longer */
	};
	uint8_t pe[1024], hash[CRYPT_HASH_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		make_pe(pe);
		pe[bad[i].at] = bad[i].byte;
		assert_int_equal(pefile_hash(pe, sizeof(pe), hash), -EBADMSG);
	}
	make_pe(pe);
	for (size_t n = 0; n < 768; n++)
		assert_int_equal(pefile_hash(pe, n, hash), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_that_are_not_there),
		cmocka_unit_test(test_another_command),
		cmocka_unit_test(test_bad_replace),
		cmocka_unit_test(test_cut_log),
		cmocka_unit_test(test_pe_parts),
		cmocka_unit_test(test_hostile_pe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
