/* SPDX-License-Identifier: Apache-2.0 */
/* AES by the processor's instructions: FIPS 197, appendix C, and what OpenSSL's own gives. */
#include "tests/unit/unit.h"

/* what libtpms calls is deprecated since OpenSSL 3.0 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/aes.h>
#include <openssl/rand.h>
#include <string.h>

void __real_AES_encrypt(const unsigned char *in, unsigned char *out, const AES_KEY *key);

static const uint8_t plain[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
				  0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

static void standard(void **unused)
{
	static const struct {
		int bits;
		uint8_t cipher[16];
	} vectors[] = {
		{128,
		 {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80,
		  0x70, 0xb4, 0xc5, 0x5a}},
		{192,
		 {0xdd, 0xa9, 0x7c, 0xa4, 0x86, 0x4c, 0xdf, 0xe0, 0x6e, 0xaf, 0x70, 0xa0,
		  0xec, 0x0d, 0x71, 0x91}},
		{256,
		 {0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf, 0xea, 0xfc, 0x49, 0x90,
		  0x4b, 0x49, 0x60, 0x89}},
	};
	uint8_t key[32], out[16];
	AES_KEY schedule;
	size_t i;

	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < 3; i++) {
		assert_int_equal(AES_set_encrypt_key(key, vectors[i].bits, &schedule), 0);
		AES_encrypt(plain, out, &schedule);
		assert_memory_equal(out, vectors[i].cipher, sizeof(out));
	}
}

static void as_openssl(void **unused)
{
	uint8_t key[32], text[16], ours[16], theirs[16];
	AES_KEY schedule;
	int i;

	for (i = 0; i < 1000; i++) {
		assert_int_equal(RAND_bytes(key, sizeof(key)), 1);
		assert_int_equal(RAND_bytes(text, sizeof(text)), 1);
		assert_int_equal(AES_set_encrypt_key(key, 128 + i % 3 * 64, &schedule),
				 0);
		__real_AES_encrypt(text, theirs, &schedule);
		AES_encrypt(text, ours, &schedule);
		assert_memory_equal(ours, theirs, sizeof(ours));
		AES_encrypt(text, text, &schedule); /* in place */
		assert_memory_equal(text, theirs, sizeof(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard),
		cmocka_unit_test(as_openssl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
