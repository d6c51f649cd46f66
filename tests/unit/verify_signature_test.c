/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/unit/verify_vectors.h"
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <string.h>
#include <openssl/bn.h>

static struct tpm2_key ak;
static struct tpm2_signature s;

static int setup(void **state)
{
	int rc = tpm2_key_parse(vector_ak, sizeof(vector_ak), &ak);

	return rc ? rc
		  : tpm2_signature_parse(vector_signature, sizeof(vector_signature), &s);
}

static int teardown(void **state)
{
	tpm2_key_free(&ak);
	return 0;
}

static void of_the_quote(void **state)
{
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote)), 0);
}

static void of_something_else(void **state)
{
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote) - 1),
		-EACCES);
}

static void by_another_key(void **state)
{
	struct tpm2_key ek;

	assert_int_equal(tpm2_key_parse(vector_ek, sizeof(vector_ek), &ek), 0);
	assert_int_equal(
		tpm2_signature_verify(&s, &ek, vector_quote, sizeof(vector_quote)),
		-EACCES);
	tpm2_key_free(&ek);
}

/* A key signs by its own scheme only. */
static void by_another_scheme(void **state)
{
	ak.area.scheme_hash = 0x000c;
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote)),
		-EACCES);
}

static void sha1_is_too_weak(void **state)
{
	ak.area.scheme = TPM2_ALG_NULL;
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote)), 0);
	s.hash = tpm2_hash_of(TPM2_ALG_SHA);
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote)),
		-EACCES);
}

/* s as n - s, or with a zero before it: as good, and refused. */
static void one_form(void **state)
{
	uint8_t bytes[sizeof(vector_signature) + 1];
	BIGNUM *n = NULL, *second = NULL;

	assert_true(tpm2_signature_one_form(&s, &ak));
	assert_true(BN_hex2bn(
		&n, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"));
	memcpy(bytes, vector_signature, sizeof(vector_signature));
	second = BN_bin2bn(bytes + 40, 32, NULL);
	assert_true(BN_sub(second, n, second));
	assert_int_equal(BN_bn2binpad(second, bytes + 40, 32), 32);
	BN_free(second);
	BN_free(n);
	assert_int_equal(tpm2_signature_parse(bytes, sizeof(vector_signature), &s), 0);
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote)), 0);
	assert_false(tpm2_signature_one_form(&s, &ak));
	memcpy(bytes, vector_signature, 40);
	bytes[39] = 33;
	bytes[40] = 0;
	memcpy(bytes + 41, vector_signature + 40, 32);
	assert_int_equal(tpm2_signature_parse(bytes, sizeof(bytes), &s), 0);
	assert_int_equal(
		tpm2_signature_verify(&s, &ak, vector_quote, sizeof(vector_quote)), 0);
	assert_false(tpm2_signature_one_form(&s, &ak));
}

static void every_length_but_the_right_one(void **state)
{
	uint8_t longer[sizeof(vector_signature) + 1] = {0};
	size_t n;

	memcpy(longer, vector_signature, sizeof(vector_signature));
	for (n = 0; n < sizeof(vector_signature); n++)
		assert_int_equal(tpm2_signature_parse(vector_signature, n, &s), -EBADMSG);
	assert_int_equal(tpm2_signature_parse(longer, sizeof(longer), &s), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(of_the_quote, setup, teardown),
		cmocka_unit_test_setup_teardown(of_something_else, setup, teardown),
		cmocka_unit_test_setup_teardown(by_another_key, setup, teardown),
		cmocka_unit_test_setup_teardown(by_another_scheme, setup, teardown),
		cmocka_unit_test_setup_teardown(sha1_is_too_weak, setup, teardown),
		cmocka_unit_test_setup_teardown(one_form, setup, teardown),
		cmocka_unit_test(every_length_but_the_right_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
