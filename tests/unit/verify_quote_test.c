/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/unit/verify_vectors.h"
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <string.h>

static void what_it_says(void **state)
{
	struct tpm2_attest q;
	size_t i;

	assert_int_equal(tpm2_attest_parse(vector_quote, sizeof(vector_quote), &q), 0);
	assert_int_equal(q.extra.n, 32);
	assert_int_equal(q.extra.p[1], 0x11);
	assert_int_equal(q.banks, 4);
	for (i = 0; i < q.banks; i++)
		assert_int_equal(q.bank[i].pcrs, 0xffff);
	assert_int_equal(q.digest.n, 32);
}

static void every_length_but_the_right_one(void **state)
{
	uint8_t longer[sizeof(vector_quote) + 1] = {0};
	struct tpm2_attest q;
	size_t n;

	memcpy(longer, vector_quote, sizeof(vector_quote));
	for (n = 0; n < sizeof(vector_quote); n++)
		assert_int_equal(tpm2_attest_parse(vector_quote, n, &q), -EBADMSG);
	assert_int_equal(tpm2_attest_parse(longer, sizeof(longer), &q), -EBADMSG);
}

/* TPM_GENERATED_VALUE, and the type of TPM2_Quote */
static void made_elsewhere_or_something_else(void **state)
{
	uint8_t bytes[sizeof(vector_quote)];
	struct tpm2_attest q;
	size_t at;

	for (at = 0; at < 6; at++) {
		memcpy(bytes, vector_quote, sizeof(bytes));
		bytes[at] ^= 1;
		assert_int_equal(tpm2_attest_parse(bytes, sizeof(bytes), &q), -EBADMSG);
	}
}

/* Behind signer (36 with its length), nonce (34), clock and firmware: 25; count: 4 */
static void a_bank_twice(void **state)
{
	uint8_t bytes[sizeof(vector_quote)];
	size_t first = 6 + 36 + 34 + 25 + 4;
	struct tpm2_attest q;

	memcpy(bytes, vector_quote, sizeof(bytes));
	memcpy(bytes + first + 6, bytes + first, 6);
	assert_int_equal(tpm2_attest_parse(bytes, sizeof(bytes), &q), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says),
		cmocka_unit_test(every_length_but_the_right_one),
		cmocka_unit_test(made_elsewhere_or_something_else),
		cmocka_unit_test(a_bank_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
