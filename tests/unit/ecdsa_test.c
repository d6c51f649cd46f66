/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "lib/tpm2/quote.h"

#include <errno.h>
#include <string.h>
#include <openssl/bn.h>

#define ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

static uint8_t in[300], out[TPM2_ECDSA_P256];

/* A TPMT_SIGNATURE of these integers, in hexadecimal, with zeroes before them. */
static size_t signature(const char *r, const char *s, size_t zeroes)
{
	static const uint8_t zero[100];
	struct cursor w = cursor_writer(in, sizeof(in));
	const char *text[] = {r, s};
	uint8_t bytes[64];
	BIGNUM *b = NULL;
	size_t i, n;

	cursor_put_u16(&w, 0x0018);
	cursor_put_u16(&w, 0x000b);
	for (i = 0; i < 2; i++) {
		assert_true(BN_hex2bn(&b, text[i]));
		n = (size_t)BN_bn2bin(b, bytes);
		cursor_put_u16(&w, (uint16_t)(zeroes + n));
		cursor_put(&w, zero, zeroes);
		cursor_put(&w, bytes, n);
	}
	BN_free(b);
	assert_true(cursor_ok(&w));
	return w.pos;
}

static void is(const char *r, const char *s)
{
	uint8_t wanted[TPM2_ECDSA_P256] = {0, 0x18, 0, 0x0b, 0, 32, [38] = 0, 32};
	BIGNUM *b = NULL;

	assert_true(BN_hex2bn(&b, r));
	assert_int_equal(BN_bn2binpad(b, wanted + 6, 32), 32);
	assert_true(BN_hex2bn(&b, s));
	assert_int_equal(BN_bn2binpad(b, wanted + 40, 32), 32);
	BN_free(b);
	assert_memory_equal(out, wanted, sizeof(wanted));
}

#define LOW \
	"7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8" /* (n-1)/2 */
#define HIGH "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a9"
#define LAST "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550" /* n-1 */

static void the_smaller_of_the_two(void **state)
{
	assert_int_equal(tpm2_ecdsa_p256(in, signature("5", LOW, 0), out), 0);
	is("5", LOW);
	assert_int_equal(tpm2_ecdsa_p256(in, signature("5", HIGH, 0), out), 0);
	is("5", LOW);
	assert_int_equal(tpm2_ecdsa_p256(in, signature(LAST, LAST, 0), out), 0);
	is(LAST, "1");
	assert_int_equal(tpm2_ecdsa_p256(in, signature("1", "1", 0), out), 0);
	is("1", "1");
}

static void zeroes_do_not_matter(void **state)
{
	assert_int_equal(tpm2_ecdsa_p256(in, signature("ab", "cd", 1), out), 0);
	is("ab", "cd");
	assert_int_equal(tpm2_ecdsa_p256(in, signature(LAST, HIGH, 40), out), 0);
	is(LAST, LOW);
	assert_int_equal(tpm2_ecdsa_p256(out, sizeof(out), in), 0);
	assert_memory_equal(in, out, sizeof(out));
}

static void out_of_range(void **state)
{
	assert_int_equal(tpm2_ecdsa_p256(in, signature("0", "1", 0), out), -EBADMSG);
	assert_int_equal(tpm2_ecdsa_p256(in, signature("1", "0", 3), out), -EBADMSG);
	assert_int_equal(tpm2_ecdsa_p256(in, signature(ORDER, "1", 0), out), -EBADMSG);
	assert_int_equal(tpm2_ecdsa_p256(in, signature("1", ORDER, 0), out), -EBADMSG);
	assert_int_equal(tpm2_ecdsa_p256(in, signature("1", "1" ORDER, 0), out),
			 -EBADMSG);
}

static void no_signature(void **state)
{
	size_t n, len = signature("ab", HIGH, 2);

	for (n = 0; n < len; n++)
		assert_int_equal(tpm2_ecdsa_p256(in, n, out), -EBADMSG);
	assert_int_equal(tpm2_ecdsa_p256(in, len + 1, out), -EBADMSG);
	in[1] = 0x14;
	assert_int_equal(tpm2_ecdsa_p256(in, len, out), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smaller_of_the_two),
		cmocka_unit_test(zeroes_do_not_matter),
		cmocka_unit_test(out_of_range),
		cmocka_unit_test(no_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
