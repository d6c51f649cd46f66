/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says about the guest's PCRs and the events of its launch. */
#include "tests/unit/unit.h"
#include "tools/vtpm-verify/judge.h"

#include <stdio.h>
#include <string.h>

static uint8_t bytes[1024];
static size_t len;
static struct evidence_side evidence;
static struct side side;
static struct verdict v;
static char kernel_hex[65];

static void le(uint32_t value, size_t n)
{
	for (; n; n--, value >>= 8)
		bytes[len++] = (uint8_t)value;
}

/* SHA-256 alone. */
static void event(uint32_t pcr, uint32_t type, const char *data, size_t n)
{
	const struct crypt_part part = {data, n};

	le(pcr, 4);
	le(type, 4);
	le(1, 4);
	le(TPM2_ALG_SHA256, 2);
	assert_int_equal(crypt_sha256(&part, 1, bytes + len), 0);
	len += 32;
	le((uint32_t)n, 4);
	memcpy(bytes + len, data, n);
	len += n;
}

static int setup(void **state)
{
	const struct crypt_part part = {"kernel", 6};
	uint8_t hash[32];
	size_t i;

	memset(bytes, 0, sizeof(bytes));
	memset(&v, 0, sizeof(v));
	len = 0;
	le(0, 4);
	le(EVENTLOG_NO_ACTION, 4);
	len += 20;
	le(16 + 8 + 4 + 4 + 1, 4);
	memcpy(bytes + len, "Spec ID Event03", 16);
	len += 16 + 8;
	le(1, 4);
	le(TPM2_ALG_SHA256, 2);
	le(32, 2);
	len++;
	event(4, 4, "\0\0\0\0", 4); /* EV_SEPARATOR */
	event(4, 13, "kernel", 6);
	event(9, 13, "ramdisk", 7);
	evidence = (struct evidence_side){.log = {bytes, len}, .banks = 1};
	evidence.bank[0].alg = tpm2_hash_of(TPM2_ALG_SHA256);
	evidence.bank[0].pcrs = 0xffff;
	side = (struct side){.who = "vTPM", .e = &evidence};
	if (crypt_sha256(&part, 1, hash))
		return -1;
	for (i = 0; i < sizeof(hash); i++)
		snprintf(kernel_hex + 2 * i, 3, "%02x", hash[i]);
	return eventlog_replay(bytes, len, &side.log);
}

/* events: what the policy has in it */
static void judged(const char *fmt, const char *hex)
{
	struct policy p = {0};
	char text[512];

	snprintf(text, sizeof(text), "{\"events\": {\"4\": [%s%s%s]}}", fmt, hex,
		 hex[0] ? "\"}" : "");
	p.all = json_loads(text, 0, NULL);
	assert_non_null(p.all);
	judge_guest(&p, &side, &v);
	json_decref(p.all);
}

static void the_right_kernel(void **state)
{
	judged("{\"name\": \"k\", \"sha256\": \"", kernel_hex);
	assert_int_equal(v.reasons, 0);
}

static void another_kernel(void **state)
{
	kernel_hex[0] = kernel_hex[0] == '0' ? '1' : '0';
	judged("{\"name\": \"k\", \"sha256\": \"", kernel_hex);
	assert_int_equal(v.reasons, 1);
	assert_string_equal(v.reason[0].word, "event");
	assert_non_null(strstr(v.reason[0].text, "PCR 4, event 1 (\"kernel\")"));
}

static void one_too_many(void **state)
{
	judged("", "");
	assert_int_equal(v.reasons, 1);
	assert_non_null(strstr(v.reason[0].text, "expects no event here"));
}

static void one_too_few(void **state)
{
	char two[300];

	snprintf(
		two, sizeof(two),
		"{\"name\": \"k\", \"sha256\": \"%s\"}, {\"name\": \"more\", \"sha256\": \"",
		kernel_hex);
	judged(two, kernel_hex);
	assert_int_equal(v.reasons, 1);
	assert_non_null(strstr(v.reason[0].text, "no event 2, \"more\""));
}

/* The log is worth what the quote of its PCR is. */
static void not_quoted(void **state)
{
	evidence.bank[0].pcrs = 0xffef;
	judged("{\"name\": \"k\", \"sha256\": \"", kernel_hex);
	assert_int_equal(v.reasons, 1);
	assert_string_equal(v.reason[0].word, "pcr");
}

static void no_log(void **state)
{
	evidence.log.p = NULL;
	judged("{\"name\": \"k\", \"sha256\": \"", kernel_hex);
	assert_int_equal(v.reasons, 1);
	assert_string_equal(v.reason[0].word, "event");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_right_kernel, setup),
		cmocka_unit_test_setup(another_kernel, setup),
		cmocka_unit_test_setup(one_too_many, setup),
		cmocka_unit_test_setup(one_too_few, setup),
		cmocka_unit_test_setup(not_quoted, setup),
		cmocka_unit_test_setup(no_log, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
