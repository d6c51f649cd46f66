/* SPDX-License-Identifier: Apache-2.0 */
/* The digests are those that tpm2_createpolicy and tpm2_policyauthorize got from a
 * TPM with these PCR values and this key. */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/approval.h"
#include "lib/hex.h"
#include "tools/vtpmctl/policykey.h"

#include <string.h>
#include <openssl/pem.h>

static const char key_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbACe4Fjj+ih/Rxnm\n"
	"bUWMV5vGWwjnWHqvwXVfyjf60V2hRANCAATIuZbUzlnuxZo883s3sLjYt/VoCPgT\n"
	"Zxo6kYX5EiGg+B5oiio4m3FxfUJtkpK/v5ulvHbWHOyiz1y5657solGf\n"
	"-----END PRIVATE KEY-----\n";

static void unhex(const char *text, uint8_t *out, size_t size)
{
	size_t len = size;

	assert_int_equal(hex_decode(text, out, &len), 0);
	assert_int_equal(len, size);
}

static EVP_PKEY *test_key(void)
{
	BIO *bio = BIO_new_mem_buf(key_pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(key);
	return key;
}

/* PCRs 0, 16, 17 and 23: first byte, and last one, of the bitmap */
static void sample(struct approval *a)
{
	memset(a, 0, sizeof(*a));
	a->pcrs = 1u << 0 | 1u << 16 | 1u << 17 | 1u << 23;
	unhex("9ef814b42fa0be12d197c44d3e8e03441a4b1118237658368ba1351090e556ed",
	      a->value[16], sizeof(a->value[16]));
	memset(a->value[17], 0xff, sizeof(a->value[17]));
	assert_int_equal(approval_digest(a, a->digest), 0);
}

static void pcr_policy_is_the_tpms(void **state)
{
	struct approval a = {.pcrs = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 7};
	uint8_t want[APPROVAL_HASH_SIZE], got[APPROVAL_HASH_SIZE];

	unhex("4f04c837291ac05d8c8fceb5d03ac530d3189c1dd24dc744f2145cf71eaa9cf6", want,
	      sizeof(want));
	assert_int_equal(approval_digest(&a, got), 0);
	assert_memory_equal(got, want, sizeof(want));

	sample(&a);
	unhex("0041330c43848f5da1ce212d7ba22175c77b1afd7647058eebe9a4bf6d3769e5", want,
	      sizeof(want));
	assert_memory_equal(a.digest, want, sizeof(want));
}

static void authorize_policy_is_the_tpms(void **state)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE], name[POLICYKEY_NAME_SIZE],
		policy[APPROVAL_HASH_SIZE], want[POLICYKEY_NAME_SIZE];
	EVP_PKEY *key = test_key();

	assert_int_equal(policykey_public(key, public), 0);
	assert_int_equal(policykey_name(public, name), 0);
	unhex("000bd18c2852327fb5cf52b2a3ac0eae610f0551bf24a5b9de5c069ac9a9c97eeec0",
	      want, sizeof(want));
	assert_memory_equal(name, want, sizeof(name));
	assert_int_equal(policykey_policy(public, policy), 0);
	unhex("8bb8522eda06703b1dd06a4d6736716392b023735fcbe7106ad822a73c19e3d3", want,
	      sizeof(policy));
	assert_memory_equal(policy, want, sizeof(policy));
	EVP_PKEY_free(key);
}

static void only_the_keys_signature_verifies(void **state)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE], other[POLICYKEY_PUBLIC_SIZE];
	struct error e = {0};
	struct approval a;
	EVP_PKEY *key = test_key(), *stranger;

	sample(&a);
	assert_int_equal(policykey_public(key, public), 0);
	assert_int_equal(policykey_sign(key, &a), 0);
	assert_int_equal(policykey_verify(public, &a), 0);
	a.digest[0] ^= 1;
	assert_int_not_equal(policykey_verify(public, &a), 0);
	a.digest[0] ^= 1;
	a.s[31] ^= 1;
	assert_int_not_equal(policykey_verify(public, &a), 0);
	a.s[31] ^= 1;
	assert_int_equal(policykey_make(&stranger, &e), 0);
	assert_int_equal(policykey_public(stranger, other), 0);
	assert_int_not_equal(policykey_verify(other, &a), 0);
	memset(other, 0xff, sizeof(other));
	assert_int_not_equal(policykey_verify(other, &a), 0);
	EVP_PKEY_free(stranger);
	EVP_PKEY_free(key);
}

static void other_curves_are_refused(void **state)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE];
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *rsa = EVP_RSA_gen(2048);

	assert_int_not_equal(policykey_public(p384, public), 0);
	assert_int_not_equal(policykey_public(rsa, public), 0);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
}

static void encodes_and_decodes(void **state)
{
	uint8_t bytes[APPROVAL_SIZE_MAX];
	size_t len = sizeof(bytes);
	struct approval a, b;

	sample(&a);
	memset(a.r, 0x11, sizeof(a.r));
	memset(a.s, 0x22, sizeof(a.s));
	assert_int_equal(approval_encode(&a, bytes, &len), 0);
	assert_int_equal(len, 1 + 4 * 33 + 32 + 4 + 2 * 34);
	assert_int_equal(bytes[0], 4);
	assert_int_equal(bytes[1 + 33], 16);
	assert_int_equal(approval_decode(bytes, len, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	len = 200;
	assert_int_not_equal(approval_encode(&a, bytes, &len), 0);
}

static void all_pcrs_fit(void **state)
{
	uint8_t bytes[APPROVAL_SIZE_MAX];
	size_t len = sizeof(bytes);
	struct approval a = {.pcrs = 0xffffff}, b;

	assert_int_equal(approval_digest(&a, a.digest), 0);
	assert_int_equal(approval_encode(&a, bytes, &len), 0);
	assert_int_equal(len, APPROVAL_SIZE_MAX);
	assert_int_equal(approval_decode(bytes, len, &b), 0);
}

static void damaged_bytes_are_refused(void **state)
{
	uint8_t bytes[APPROVAL_SIZE_MAX + 1] = {0};
	size_t i, len = APPROVAL_SIZE_MAX;
	struct approval a, b;

	sample(&a);
	assert_int_equal(approval_encode(&a, bytes, &len), 0);
	for (i = 0; i < len; i++)
		assert_int_not_equal(approval_decode(bytes, i, &b), 0);
	assert_int_not_equal(approval_decode(bytes, len + 1, &b), 0);
	/* each byte but those of r and s, which only the signature protects */
	for (i = 0; i < len - 2 * 34; i++) {
		bytes[i] ^= 1;
		assert_int_not_equal(approval_decode(bytes, len, &b), 0);
		bytes[i] ^= 1;
	}
	bytes[1] = 24; /* no such PCR */
	assert_int_not_equal(approval_decode(bytes, len, &b), 0);
	bytes[1] = 16; /* twice */
	assert_int_not_equal(approval_decode(bytes, len, &b), 0);
}

static void matches_only_equal_values(void **state)
{
	struct approval a;
	uint8_t now[APPROVAL_PCRS][APPROVAL_HASH_SIZE];

	sample(&a);
	memcpy(now, a.value, sizeof(now));
	assert_true(approval_matches(&a, now));
	now[1][0] ^= 1; /* not selected */
	assert_true(approval_matches(&a, now));
	now[23][31] ^= 1;
	assert_false(approval_matches(&a, now));
}

static void pcr_lists_are_strict(void **state)
{
	static const char *const bad[] = {"",	 ",",	"0,",	"0,,1", "24",  "-1",
					  "0,0", "0 1", "0, 1", "007",	"1-3", "all"};
	char text[APPROVAL_PCRS * 3];
	uint32_t pcrs;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!approval_pcrs_parse(bad[i], &pcrs))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(approval_pcrs_parse("23,0,7", &pcrs), 0);
	assert_int_equal(pcrs, 1u << 23 | 1u << 7 | 1);
	approval_pcrs_print(pcrs, text);
	assert_string_equal(text, "0,7,23");
	approval_pcrs_print(0xffffff, text);
	assert_int_equal(strlen(text), 10 * 2 + 14 * 3 - 1);
}

#define ONES  "1111111111111111111111111111111111111111111111111111111111111111"
#define NINES "9999999999999999999999999999999999999999999999999999999999999999"

static void values_are_strict(void **state)
{
	static const char *const bad[] = {
		"",
		"16",
		"16=",
		"=" ONES,
		"16=" ONES ",",
		"16=" ONES "1",
		"16=" ONES ",16=" ONES,
		"5=" ONES, /* not selected */
		"24=" ONES,
		"99999999999999999999=" ONES,
		"16=0x" ONES,
		"16=g" ONES,
		" 16=" ONES,
		"16=11",
	};
	struct approval a;
	size_t i;

	sample(&a);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!approval_values_parse(bad[i], &a))
			fail_msg("\"%s\" was taken", bad[i]);
	sample(&a);
	assert_int_equal(approval_values_parse("16=" ONES ",0=" NINES, &a), 0);
	assert_int_equal(a.value[16][31], 0x11);
	assert_int_equal(a.value[0][0], 0x99);
	assert_int_equal(a.value[17][0], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pcr_policy_is_the_tpms),
		cmocka_unit_test(authorize_policy_is_the_tpms),
		cmocka_unit_test(only_the_keys_signature_verifies),
		cmocka_unit_test(other_curves_are_refused),
		cmocka_unit_test(encodes_and_decodes),
		cmocka_unit_test(all_pcrs_fit),
		cmocka_unit_test(damaged_bytes_are_refused),
		cmocka_unit_test(matches_only_equal_values),
		cmocka_unit_test(pcr_lists_are_strict),
		cmocka_unit_test(values_are_strict),
	};

	return cmocka_run_group_tests_name("vtpmctl_approval", tests, NULL, NULL);
}
