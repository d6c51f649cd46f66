/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpm-verify/evidence.h"

#include <errno.h>
#include <string.h>

#define SPEC_SIZE (16 + 8 + 4 + 2 * 4 + 1)

static uint8_t bytes[2048];
static size_t len;
static struct eventlog replayed;

static void put(const void *p, size_t n)
{
	memcpy(bytes + len, p, n);
	len += n;
}

static void le(uint32_t value, size_t n)
{
	for (; n; n--, value >>= 8)
		bytes[len++] = (uint8_t)value;
}

/* SHA-1 and SHA-256, the digests of the data. */
static void event(uint32_t pcr, uint32_t type, const char *data, size_t n)
{
	const struct crypt_part part = {data, n};
	const struct tpm2_hash *alg[] = {tpm2_hash_of(TPM2_ALG_SHA),
					 tpm2_hash_of(TPM2_ALG_SHA256)};
	uint8_t digest[TPM2_HASH_MAX];
	size_t i;

	le(pcr, 4);
	le(type, 4);
	le(2, 4);
	for (i = 0; i < 2; i++) {
		assert_int_equal(tpm2_digest(alg[i], &part, 1, digest), 0);
		le(alg[i]->id, 2);
		put(digest, alg[i]->size);
	}
	le((uint32_t)n, 4);
	put(data, n);
}

static int setup(void **state)
{
	len = 0;
	memset(bytes, 0, sizeof(bytes));
	le(0, 4);
	le(EVENTLOG_NO_ACTION, 4);
	len += 20;
	le(SPEC_SIZE, 4);
	put("Spec ID Event03", 16);
	len += 8;
	le(2, 4);
	le(TPM2_ALG_SHA, 2);
	le(20, 2);
	le(TPM2_ALG_SHA256, 2);
	le(32, 2);
	len++;
	return 0;
}

/* printf '' | of a PCR that is zero: sha256(32 zeroes || sha256("kernel")), by openssl */
static void leads_to_pcrs(void **state)
{
	static const uint8_t zeroes[32];
	uint8_t digest[32], want[32];
	const struct crypt_part one = {"kernel", 6}, two[] = {{zeroes, 32}, {digest, 32}};
	int rc;

	event(4, 13, "kernel", 6);
	rc = eventlog_replay(bytes, len, &replayed);
	assert_int_equal(rc, 0);
	assert_int_equal(replayed.pcrs, 1 << 4);
	assert_int_equal(crypt_sha256(&one, 1, digest), 0);
	assert_int_equal(crypt_sha256(two, 2, want), 0);
	assert_memory_equal(eventlog_value(&replayed, tpm2_hash_of(TPM2_ALG_SHA256), 4),
			    want, 32);
	assert_memory_equal(eventlog_value(&replayed, tpm2_hash_of(TPM2_ALG_SHA256), 5),
			    zeroes, 32);
	assert_null(eventlog_value(&replayed, tpm2_hash_named("sha384"), 4));
	assert_int_equal(replayed.value[0][17][0], 0xff);
}

static void what_says_nothing_extends_nothing(void **state)
{
	event(0, EVENTLOG_NO_ACTION, "StartupLocality\0\3", 17);
	event(6, EVENTLOG_NO_ACTION, "note", 4);
	assert_int_equal(eventlog_replay(bytes, len, &replayed), 0);
	assert_int_equal(replayed.pcrs, 0);
	assert_int_equal(replayed.value[1][0][31], 3);
}

static void goes_through(void **state)
{
	struct eventlog_event e;
	size_t at;
	char name[96];

	event(4, 13, "kernel", 6);
	event(9, 13, "\1\2", 2);
	assert_int_equal(eventlog_replay(bytes, len, &replayed), 0);
	at = replayed.first;
	assert_true(eventlog_next(&replayed, bytes, len, &at, &e));
	eventlog_name(&e, name, sizeof(name));
	assert_string_equal(name, "kernel");
	assert_true(eventlog_next(&replayed, bytes, len, &at, &e));
	assert_int_equal(e.pcr, 9);
	eventlog_name(&e, name, sizeof(name));
	assert_string_equal(name, "EV_IPL");
	assert_false(eventlog_next(&replayed, bytes, len, &at, &e));
}

static void cut_anywhere(void **state)
{
	size_t header = len, n;

	event(4, 13, "kernel", 6);
	for (n = 0; n < len; n++)
		assert_int_equal(eventlog_replay(bytes, n, &replayed),
				 n == header ? 0 : -EBADMSG);
}

static void malformed_at(size_t at, uint8_t value)
{
	uint8_t kept = bytes[at];

	bytes[at] = value;
	assert_int_equal(eventlog_replay(bytes, len, &replayed), -EBADMSG);
	bytes[at] = kept;
}

static void malformed(void **state)
{
	size_t first = len;

	event(4, 13, "kernel", 6);
	malformed_at(0, 1); /* the header is of PCR 0 */
	malformed_at(4, 4); /* and EV_NO_ACTION */
	malformed_at(28, SPEC_SIZE - 1);
	malformed_at(32, 'x');			   /* signature */
	malformed_at(32 + 24, 9);		   /* too many banks */
	malformed_at(32 + 28 + 2, 21);		   /* a digest of another size */
	malformed_at(first, 24);		   /* no such PCR */
	malformed_at(first + 8, 1);		   /* a bank is missing */
	malformed_at(first + 12, TPM2_ALG_SHA256); /* one is there twice */
	malformed_at(len - 10, 7);		   /* more data than there is */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(leads_to_pcrs, setup),
		cmocka_unit_test_setup(what_says_nothing_extends_nothing, setup),
		cmocka_unit_test_setup(goes_through, setup),
		cmocka_unit_test_setup(cut_anywhere, setup),
		cmocka_unit_test_setup(malformed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
