/* SPDX-License-Identifier: Apache-2.0 */
/* Known answers: FIPS 180-4's "abc", RFC 4231 and RFC 5869, and for GCM what a KMIP
 * server made of kmip-vectors/12-encrypt-gcm. */
#include "tests/unit/unit.h"
#include "lib/crypt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void unhex(const char *text, uint8_t *out, size_t len)
{
	unsigned int v;

	assert_int_equal(strlen(text), 2 * len);
	for (; len; len--, text += 2) {
		assert_int_equal(sscanf(text, "%2x", &v), 1);
		*out++ = (uint8_t)v;
	}
}

static void is(const uint8_t *got, const char *want)
{
	uint8_t w[CRYPT_HASH_SIZE];

	unhex(want, w, sizeof(w));
	assert_memory_equal(got, w, sizeof(w));
}

static void sha256(void **state)
{
	const struct crypt_part parts[] = {{"a", 1}, {NULL, 5}, {"bc", 2}, {"x", 0}};
	uint8_t out[CRYPT_HASH_SIZE];

	assert_int_equal(crypt_sha256(parts, ARRAY_SIZE(parts), out), 0);
	is(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(crypt_sha256(NULL, 0, out), 0);
	is(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hmac(void **state)
{
	const struct crypt_part parts[] = {{"what do ya want ", 16},
					   {"for nothing?", 12}};
	uint8_t out[CRYPT_HASH_SIZE];

	assert_int_equal(crypt_hmac((const uint8_t *)"Jefe", 4, parts, 2, out), 0);
	is(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	/* an empty key is a key, not the key of the call before */
	assert_int_equal(crypt_hmac(NULL, 0, NULL, 0, out), 0);
	is(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void hkdf(void **state)
{
	uint8_t ikm[22], salt[13], info[10], out[CRYPT_HASH_SIZE];

	memset(ikm, 0x0b, sizeof(ikm));
	unhex("000102030405060708090a0b0c", salt, sizeof(salt));
	unhex("f0f1f2f3f4f5f6f7f8f9", info, sizeof(info));
	assert_int_equal(
		crypt_hkdf(ikm, sizeof(ikm), salt, sizeof(salt), info, sizeof(info), out),
		0);
	is(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
	assert_int_equal(crypt_hkdf(ikm, sizeof(ikm), NULL, 0, NULL, 0, out), 0);
	is(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

static void gcm(void **state)
{
	static const char aad[] = "guest-uuid|gen=7";
	uint8_t key[32], iv[12], buf[32], plain[32], tag[16], want[32];
	size_t i;

	unhex("7d7dc1406e74998677c3cf27ba0f9b18b7681a8eef2e091ff2f265134b07bf57", key,
	      sizeof(key));
	for (i = 0; i < sizeof(iv); i++)
		iv[i] = (uint8_t)i;
	for (i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(0x20 + i);
	memcpy(buf, plain, sizeof(buf));
	assert_int_equal(crypt_gcm_seal(key, iv, (const uint8_t *)aad, strlen(aad), buf,
					sizeof(buf), buf, tag),
			 0);
	unhex("d4e16d96f8e52ad974b118b9e2157a10e4ee4dc6a0f584c2439918a7735bb937", want,
	      sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
	unhex("3f548f32802f56c615461007caef29b4", want, sizeof(tag));
	assert_memory_equal(tag, want, sizeof(tag));

	/* any changed bit of AAD, text or tag: refused, and nothing is shown */
	tag[15] ^= 1;
	memset(want, 0xaa, sizeof(want));
	assert_int_equal(crypt_gcm_open(key, iv, (const uint8_t *)aad, strlen(aad), buf,
					sizeof(buf), want, tag),
			 -EBADMSG);
	for (i = 0; i < sizeof(want); i++)
		assert_int_equal(want[i], 0);
	tag[15] ^= 1;
	assert_int_equal(crypt_gcm_open(key, iv, (const uint8_t *)"x", 1, buf,
					sizeof(buf), want, tag),
			 -EBADMSG);
	assert_int_equal(crypt_gcm_open(key, iv, (const uint8_t *)aad, strlen(aad), buf,
					sizeof(buf), buf, tag),
			 0);
	assert_memory_equal(buf, plain, sizeof(plain));
}

static void random_bytes_differ(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};

	assert_int_equal(crypt_random(a, sizeof(a)), 0);
	assert_int_equal(crypt_random(b, sizeof(b)), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256),
		cmocka_unit_test(hmac),
		cmocka_unit_test(hkdf),
		cmocka_unit_test(gcm),
		cmocka_unit_test(random_bytes_differ),
	};

	return cmocka_run_group_tests_name("crypt", tests, NULL, NULL);
}
