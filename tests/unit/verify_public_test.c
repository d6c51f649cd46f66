/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/unit/verify_vectors.h"
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <string.h>

static struct tpm2_key ak, ek;

static int setup(void **state)
{
	int rc = tpm2_key_parse(vector_ak, sizeof(vector_ak), &ak);

	return rc ? rc : tpm2_key_parse(vector_ek, sizeof(vector_ek), &ek);
}

static int teardown(void **state)
{
	tpm2_key_free(&ak);
	tpm2_key_free(&ek);
	return 0;
}

static void attributes_and_scheme(void **state)
{
	assert_int_equal(ak.area.type, TPM2_ALG_ECC);
	assert_int_equal(ak.area.scheme, TPM2_ALG_ECDSA);
	assert_int_equal(ak.area.scheme_hash, TPM2_ALG_SHA256);
	assert_int_equal(ak.area.attributes & (TPM2_AK_ATTRIBUTES | TPMA_OBJECT_DECRYPT),
			 TPM2_AK_ATTRIBUTES);
	assert_int_equal(ek.area.attributes &
				 (TPM2_EK_ATTRIBUTES | TPMA_OBJECT_SIGN_ENCRYPT),
			 TPM2_EK_ATTRIBUTES);
	assert_int_equal(ak.name_len, 34);
}

/* What the TPM itself wrote into the quote. */
static void qualified_name(void **state)
{
	uint8_t name[TPM2_NAME_MAX];
	struct tpm2_attest q;
	size_t len;
	int rc = tpm2_attest_parse(vector_quote, sizeof(vector_quote), &q);

	assert_int_equal(rc, 0);
	assert_int_equal(tpm2_public_qualified(&ak.area, TPM2_RH_PLATFORM, name, &len),
			 0);
	assert_int_equal(len, q.signer.n);
	assert_memory_equal(name, q.signer.p, len);
	assert_int_equal(tpm2_public_qualified(&ak.area, TPM2_RH_ENDORSEMENT, name, &len),
			 0);
	assert_memory_not_equal(name, q.signer.p, len);
}

static void every_length_but_the_right_one(void **state)
{
	uint8_t longer[sizeof(vector_ak) + 1] = {0};
	struct tpm2_key p;
	size_t n;

	memcpy(longer, vector_ak, sizeof(vector_ak));
	for (n = 0; n < sizeof(vector_ak); n++) {
		assert_int_equal(tpm2_key_parse(vector_ak, n, &p), -EBADMSG);
		tpm2_key_free(&p);
	}
	assert_int_equal(tpm2_key_parse(longer, sizeof(longer), &p), -EBADMSG);
	tpm2_key_free(&p);
}

static void no_point_of_the_curve(void **state)
{
	uint8_t bytes[sizeof(vector_ak)];
	struct tpm2_key p;

	memcpy(bytes, vector_ak, sizeof(bytes));
	bytes[sizeof(bytes) - 1] ^= 1;
	assert_int_equal(tpm2_key_parse(bytes, sizeof(bytes), &p), -EBADMSG);
	tpm2_key_free(&p);
}

static void another_type_or_hash(void **state)
{
	uint8_t bytes[sizeof(vector_ak)];
	struct tpm2_key p;
	size_t at;

	for (at = 0; at < 4; at++) {
		memcpy(bytes, vector_ak, sizeof(bytes));
		bytes[at] ^= 0x40;
		assert_int_equal(tpm2_key_parse(bytes, sizeof(bytes), &p), -EBADMSG);
		tpm2_key_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attributes_and_scheme, setup, teardown),
		cmocka_unit_test_setup_teardown(qualified_name, setup, teardown),
		cmocka_unit_test(every_length_but_the_right_one),
		cmocka_unit_test(no_point_of_the_curve),
		cmocka_unit_test(another_type_or_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
