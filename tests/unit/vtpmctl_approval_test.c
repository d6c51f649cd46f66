/* SPDX-License-Identifier: Apache-2.0 */
/* The digests are those that tpm2_createpolicy and tpm2_policyauthorize got from a
 * TPM with these PCR values and this key. */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/policykey.h"
#include "lib/text.h"

#include <errno.h>
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

static const uint8_t counter[POLICYKEY_NAME_SIZE] = {0, 11, 0xcc};
static const uint8_t srk[POLICYKEY_NAME_SIZE] = {0, 11, 0x5a};
static const uint8_t other_srk[POLICYKEY_NAME_SIZE] = {0, 11, 0x5b};

/* PCRs 0, 16, 17 and 23: first byte, and last one, of the bitmap */
static void sample(struct approval *a)
{
	memset(a, 0, sizeof(*a));
	a->pcrs = 1u << 0 | 1u << 16 | 1u << 17 | 1u << 23;
	unhex("9ef814b42fa0be12d197c44d3e8e03441a4b1118237658368ba1351090e556ed",
	      a->value[16], sizeof(a->value[16]));
	memset(a->value[17], 0xff, sizeof(a->value[17]));
	a->number = 5;
	assert_int_equal(approval_digest(a, counter, a->digest), 0);
}

static void pcr_policy_is_the_tpms(void **state)
{
	struct approval a = {.pcrs = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 7};
	uint8_t want[APPROVAL_HASH_SIZE], got[APPROVAL_HASH_SIZE];

	unhex("4f04c837291ac05d8c8fceb5d03ac530d3189c1dd24dc744f2145cf71eaa9cf6", want,
	      sizeof(want));
	assert_int_equal(approval_pcr_digest(&a, got), 0);
	assert_memory_equal(got, want, sizeof(want));

	sample(&a);
	unhex("0041330c43848f5da1ce212d7ba22175c77b1afd7647058eebe9a4bf6d3769e5", want,
	      sizeof(want));
	assert_int_equal(approval_pcr_digest(&a, got), 0);
	assert_memory_equal(got, want, sizeof(want));
}

/* H(H of the PCR policy || TPM_CC_PolicyNV || H(operandB || offset || TPM_EO_EQ) || Name) */
static void the_number_is_part_of_it(void **state)
{
	static const uint8_t operand[] = {0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0};
	static const uint8_t code[] = {0, 0, 1, 0x49};
	const struct crypt_part part = {operand, sizeof(operand)};
	uint8_t args[32], pcr[32], want[32];
	const struct crypt_part parts[] = {
		{pcr, 32}, {code, 4}, {args, 32}, {counter, sizeof(counter)}};
	struct approval a;

	sample(&a);
	assert_int_equal(approval_pcr_digest(&a, pcr), 0);
	assert_int_equal(crypt_sha256(&part, 1, args), 0);
	assert_int_equal(crypt_sha256(parts, ARRAY_SIZE(parts), want), 0);
	assert_memory_equal(a.digest, want, sizeof(want));
	a.number = 6;
	assert_int_equal(approval_digest(&a, counter, want), 0);
	assert_memory_not_equal(a.digest, want, sizeof(want));
	a.number = 5;
	assert_int_equal(approval_digest(&a, srk, want), 0);
	assert_memory_not_equal(a.digest, want, sizeof(want));
}

static void authorize_policy_is_the_tpms(void **state)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE], name[POLICYKEY_NAME_SIZE],
		policy[APPROVAL_HASH_SIZE], want[POLICYKEY_NAME_SIZE], ref[32], inner[32];
	static const uint8_t zeroes[32], code[] = {0, 0, 1, 0x6a};
	const struct crypt_part parts[] = {{zeroes, 32}, {code, 4}, {name, sizeof(name)}};
	const struct crypt_part again[] = {{inner, 32}, {ref, 32}};
	EVP_PKEY *key = test_key();

	assert_int_equal(policykey_public(key, public), 0);
	assert_int_equal(policykey_name(public, name), 0);
	unhex("000bd18c2852327fb5cf52b2a3ac0eae610f0551bf24a5b9de5c069ac9a9c97eeec0",
	      want, sizeof(want));
	assert_memory_equal(name, want, sizeof(name));
	/* with an empty policyRef the TPM got 8bb8522e...: the last hash is of a ref, too */
	assert_int_equal(policykey_policy(public, APPROVAL_KMS, srk, policy), 0);
	assert_int_equal(policy_ref(APPROVAL_KMS, srk, ref), 0);
	assert_int_equal(crypt_sha256(parts, 3, inner), 0);
	assert_int_equal(crypt_sha256(again, 2, want), 0);
	assert_memory_equal(policy, want, sizeof(policy));
	assert_int_equal(crypt_sha256(again, 1, inner), 0);
	unhex("8bb8522eda06703b1dd06a4d6736716392b023735fcbe7106ad822a73c19e3d3", want,
	      sizeof(policy));
	assert_memory_equal(inner, want, sizeof(policy));
	assert_int_equal(policykey_policy(public, APPROVAL_VTPM, srk, want), 0);
	assert_memory_not_equal(policy, want, sizeof(policy));
	assert_int_equal(policykey_policy(public, APPROVAL_KMS, other_srk, want), 0);
	assert_memory_not_equal(policy, want, sizeof(policy));
	EVP_PKEY_free(key);
}

static void only_the_keys_signature_verifies(void **state)
{
	uint8_t public[POLICYKEY_PUBLIC_SIZE], other[POLICYKEY_PUBLIC_SIZE];
	struct approval_signature swap;
	struct error e = {0};
	struct approval a;
	EVP_PKEY *key = test_key(), *stranger;
	int i;

	sample(&a);
	assert_int_equal(policykey_public(key, public), 0);
	assert_int_equal(policykey_sign(key, srk, &a), 0);
	assert_int_equal(policykey_verify(public, srk, &a), 0);
	assert_int_not_equal(policykey_verify(public, other_srk, &a), 0);
	a.digest[0] ^= 1;
	assert_int_not_equal(policykey_verify(public, srk, &a), 0);
	a.digest[0] ^= 1;
	for (i = 0; i < APPROVAL_PURPOSES; i++) {
		a.signature[i].s[31] ^= 1;
		assert_int_not_equal(policykey_verify(public, srk, &a), 0);
		a.signature[i].s[31] ^= 1;
	}
	/* a signature for one purpose in the place of another one's */
	swap = a.signature[0];
	a.signature[0] = a.signature[1];
	assert_int_not_equal(policykey_verify(public, srk, &a), 0);
	a.signature[0] = swap;
	assert_int_equal(policykey_verify(public, srk, &a), 0);
	assert_int_equal(policykey_make(&stranger, &e), 0);
	assert_int_equal(policykey_public(stranger, other), 0);
	assert_int_not_equal(policykey_verify(other, srk, &a), 0);
	memset(other, 0xff, sizeof(other));
	assert_int_not_equal(policykey_verify(other, srk, &a), 0);
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
	memset(a.signature, 0x11, sizeof(a.signature));
	assert_int_equal(approval_encode(&a, bytes, &len), 0);
	assert_int_equal(len, 1 + 4 * 33 + 8 + 32 + 3 * (4 + 2 * 34));
	assert_int_equal(bytes[0], 4);
	assert_int_equal(bytes[1 + 33], 16);
	assert_int_equal(approval_decode(bytes, len, counter, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	/* the digest is of this host's counter */
	assert_int_equal(approval_decode(bytes, len, srk, &b), -EBADMSG);
	len = 380;
	assert_int_not_equal(approval_encode(&a, bytes, &len), 0);
}

static void all_pcrs_fit(void **state)
{
	uint8_t bytes[APPROVAL_SIZE_MAX];
	size_t len = sizeof(bytes);
	struct approval a = {.pcrs = 0xffffff}, b;

	assert_int_equal(approval_digest(&a, counter, a.digest), 0);
	assert_int_equal(approval_encode(&a, bytes, &len), 0);
	assert_int_equal(len, APPROVAL_SIZE_MAX);
	assert_int_equal(approval_decode(bytes, len, counter, &b), 0);
}

static void damaged_bytes_are_refused(void **state)
{
	uint8_t bytes[APPROVAL_SIZE_MAX + 1] = {0};
	size_t i, len = APPROVAL_SIZE_MAX;
	struct approval a, b;

	sample(&a);
	assert_int_equal(approval_encode(&a, bytes, &len), 0);
	for (i = 0; i < len; i++)
		assert_int_not_equal(approval_decode(bytes, i, counter, &b), 0);
	assert_int_not_equal(approval_decode(bytes, len + 1, counter, &b), 0);
	/* each byte but those of r and s, which only the signature protects */
	for (i = 0; i < len - 3 * 72; i++) {
		bytes[i] ^= 1;
		assert_int_not_equal(approval_decode(bytes, len, counter, &b), 0);
		bytes[i] ^= 1;
	}
	bytes[1] = 24; /* no such PCR */
	assert_int_not_equal(approval_decode(bytes, len, counter, &b), 0);
	bytes[1] = 16; /* twice */
	assert_int_not_equal(approval_decode(bytes, len, counter, &b), 0);
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
		cmocka_unit_test(the_number_is_part_of_it),
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
