/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/unit/verify_vectors.h"
#include "tools/vtpm-verify/quote.h"

#include <errno.h>
#include <string.h>

static struct public ak, ek;

static int setup(void **state)
{
	int rc = public_parse(vector_ak, sizeof(vector_ak), &ak);

	return rc ? rc : public_parse(vector_ek, sizeof(vector_ek), &ek);
}

static int teardown(void **state)
{
	public_free(&ak);
	public_free(&ek);
	return 0;
}

static void attributes_and_scheme(void **state)
{
	assert_int_equal(ak.type, TPM2_ALG_ECC);
	assert_int_equal(ak.scheme, TPM2_ALG_ECDSA);
	assert_int_equal(ak.scheme_hash, TPM2_ALG_SHA256);
	assert_int_equal(ak.attributes & (PUBLIC_AK_ATTRIBUTES | TPMA_OBJECT_DECRYPT),
			 PUBLIC_AK_ATTRIBUTES);
	assert_int_equal(ek.attributes &
				 (PUBLIC_EK_ATTRIBUTES | TPMA_OBJECT_SIGN_ENCRYPT),
			 PUBLIC_EK_ATTRIBUTES);
	assert_int_equal(ak.name_len, 34);
}

/* What the TPM itself wrote into the quote. */
static void qualified_name(void **state)
{
	uint8_t name[PUBLIC_NAME_MAX];
	struct quote q;
	size_t len;
	int rc = quote_parse(vector_quote, sizeof(vector_quote), &q);

	assert_int_equal(rc, 0);
	assert_int_equal(public_qualified(&ak, TPM2_RH_PLATFORM, name, &len), 0);
	assert_int_equal(len, q.signer.n);
	assert_memory_equal(name, q.signer.p, len);
	assert_int_equal(public_qualified(&ak, TPM2_RH_ENDORSEMENT, name, &len), 0);
	assert_memory_not_equal(name, q.signer.p, len);
}

static void every_length_but_the_right_one(void **state)
{
	uint8_t longer[sizeof(vector_ak) + 1] = {0};
	struct public p;
	size_t n;

	memcpy(longer, vector_ak, sizeof(vector_ak));
	for (n = 0; n < sizeof(vector_ak); n++) {
		assert_int_equal(public_parse(vector_ak, n, &p), -EBADMSG);
		public_free(&p);
	}
	assert_int_equal(public_parse(longer, sizeof(longer), &p), -EBADMSG);
	public_free(&p);
}

static void no_point_of_the_curve(void **state)
{
	uint8_t bytes[sizeof(vector_ak)];
	struct public p;

	memcpy(bytes, vector_ak, sizeof(bytes));
	bytes[sizeof(bytes) - 1] ^= 1;
	assert_int_equal(public_parse(bytes, sizeof(bytes), &p), -EBADMSG);
	public_free(&p);
}

static void another_type_or_hash(void **state)
{
	uint8_t bytes[sizeof(vector_ak)];
	struct public p;
	size_t at;

	for (at = 0; at < 4; at++) {
		memcpy(bytes, vector_ak, sizeof(bytes));
		bytes[at] ^= 0x40;
		assert_int_equal(public_parse(bytes, sizeof(bytes), &p), -EBADMSG);
		public_free(&p);
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
