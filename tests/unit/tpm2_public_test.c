/* SPDX-License-Identifier: Apache-2.0 */
/* Public areas against what tpm2-tools and openssl said of the same keys: made with
 * tpm2_createek -G rsa, ecc, ecc384, then tpm2_readpublic -f pem -n. */
#include "tests/unit/unit.h"
#include "lib/text.h"
#include "lib/tpm2/public.h"

#include <errno.h>
#include <string.h>

static const struct vector {
	const char *word, *name, *digest, *whole;
	uint16_t name_alg;
} vectors[] = {
	{"rsa2048",
	 "000b8dd0c0751518bd81e7871a8633a411fa9676e8025b7a94af1aaf4b17d36a0db0",
	 "78eaf6008090efc7f05435a164f464ffa90cdf16fdd5f3e783544018e21e7368",
	 "0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1"
	 "da1b331469aa000600800043001008000000000001009629d5c77167f784a6f4d79d7df7"
	 "6b0d5871444619e04c661dae659a17ca0f665c1481dd405c500fed9580acd94ac350c183"
	 "d5387bcec0c4aca543505a21d410db8a6cac621445860ecbd38152a1475d7a428b767a42"
	 "d8aaaed4d4dc385273fc7c5a980de2b2481b5eb41731712a32dd7c81b570b8af75ec360b"
	 "373e52828b6e15f6c191e4503cd82b453f3c85d2a271c70c6253f78a177a8976da945ab4"
	 "7c3a3504867383fde3629389b97889765c5b79320820ebb360e3ee5d5b1bc4dd7214f961"
	 "4e15dc65cf068e7d31aa860939588ca2a83087a64bd8485287031897e06390e81d730ee4"
	 "b601b149394a1c8131bbca482d6c154ac46c30772e3bb619433d",
	 TPM2_ALG_SHA256},
	{"ecc-p256",
	 "000ba24dc724fe2f88cf18be65521d51d956cd9e7585d04041b403ce5fd22258cef8",
	 "061d3a27e270d679734fbfd782b2d8745f90280a8258e26d41fad07bd2cf3b35",
	 "0023000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1"
	 "da1b331469aa00060080004300100003001000206cffc83ed6db3e3319974fb8e26e27f6"
	 "f302cf223681da3864887a7f8df873380020da0275f314c4dfe2ede4fcd7306789f24993"
	 "b0fe34c2b7e2ed1c507cb08a942c",
	 TPM2_ALG_SHA256},
	{"ecc-p384",
	 "000c0fe1739bcde7ecb5e6bd466376c508e435c9f84c8598b2ba44d5deb954a14bb62b7a"
	 "af05deb481fe2c3c7bb9aac9b22b",
	 "9ae4d7a55da41f116011107a248d0459fc015bac6da57a4771d4700489c50644",
	 "0023000c000300f20030b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c"
	 "0ad9bde419cacb47ba09699646150f9fc000f3f80e120006010000430010000400100030"
	 "37c92db3935b107fe2de365841aafdf3df14e3b7d3e374c12e615873d9a1b14f9920eb59"
	 "c05744b5cdfb1b486134dd8a003049276d3ef86f7e96d247045c49b7ccdd8b86a9050804"
	 "5a3c6adb8f851961737336c7f5d37c0f3ca3d580bb56cb7ac5ad",
	 TPM2_ALG_SHA384},
};

static uint8_t bytes[512];
static size_t len;

static struct tpm2_public parse(const struct vector *v)
{
	struct tpm2_public p;

	len = sizeof(bytes);
	assert_int_equal(hex_decode(v->whole, bytes, &len), 0);
	assert_int_equal(tpm2_public_parse(bytes, len, &p), 0);
	return p;
}

static void they_are_what_others_say(void **unused)
{
	uint8_t name[TPM2_NAME_MAX], digest[32];
	char text[2 * TPM2_NAME_MAX + 1];
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct tpm2_public p = parse(&vectors[i]);

		assert_string_equal(tpm2_public_word(&p), vectors[i].word);
		assert_int_equal(p.name_alg, vectors[i].name_alg);
		assert_int_equal(tpm2_public_name(&p, name, &n), 0);
		hex_encode(name, n, text);
		assert_string_equal(text, vectors[i].name);
		assert_int_equal(tpm2_public_digest(&p, digest), 0);
		hex_encode(digest, sizeof(digest), text);
		assert_string_equal(text, vectors[i].digest);
	}
}

static void no_byte_more_or_less(void **unused)
{
	struct tpm2_public p;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		parse(&vectors[i]);
		for (n = 0; n < len; n++)
			assert_int_equal(tpm2_public_parse(bytes, n, &p), -EBADMSG);
		bytes[len] = 0;
		assert_int_equal(tpm2_public_parse(bytes, len + 1, &p), -EBADMSG);
	}
}

static void a_point_off_the_curve_is_no_key(void **unused)
{
	struct tpm2_public p = parse(&vectors[1]);
	uint8_t digest[32];

	bytes[len - 1] ^= 1;
	assert_null(tpm2_public_key(&p));
	assert_int_equal(tpm2_public_digest(&p, digest), -EBADMSG);
}

/* Part 2, 11.2.5.1 leaves it to the TPM. */
static void a_coordinate_may_lack_its_zeroes(void **unused)
{
	struct tpm2_public p = parse(&vectors[1]);
	static const char y_hex[] =
		"459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc";
	uint8_t x[32] = {0}, y[32], whole[32], digest[32];
	size_t n = sizeof(y);

	assert_int_equal(hex_decode(y_hex, y, &n), 0);
	x[31] = 5;
	p.x.p = x;
	p.y.p = y;
	assert_int_equal(tpm2_public_digest(&p, whole), 0);
	p.x = (struct tpm2_bytes){x + 31, 1};
	assert_int_equal(tpm2_public_digest(&p, digest), 0);
	assert_memory_equal(digest, whole, sizeof(whole));
}

static void a_coordinate_is_not_longer_than_the_field(void **unused)
{
	static const uint8_t long_one[33] = {1};
	struct tpm2_public p = parse(&vectors[1]);

	p.x = (struct tpm2_bytes){long_one, sizeof(long_one)};
	assert_null(tpm2_public_key(&p));
}

static void other_kinds_are_refused(void **unused)
{
	struct tpm2_public p = parse(&vectors[0]);
	uint8_t name[TPM2_NAME_MAX];
	size_t n;

	p.size = 1024;
	assert_null(tpm2_public_word(&p));
	assert_null(tpm2_public_key(&p));
	p.name_alg = 4; /* SHA-1 */
	assert_int_equal(tpm2_public_name(&p, name, &n), -ENOTSUP);
	bytes[1] = 8; /* a keyed hash */
	assert_int_equal(tpm2_public_parse(bytes, len, &p), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_what_others_say),
		cmocka_unit_test(no_byte_more_or_less),
		cmocka_unit_test(a_point_off_the_curve_is_no_key),
		cmocka_unit_test(a_coordinate_may_lack_its_zeroes),
		cmocka_unit_test(a_coordinate_is_not_longer_than_the_field),
		cmocka_unit_test(other_kinds_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
