/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/text.h"

#include <errno.h>
#include <string.h>

/* RFC 4648, 10, without padding */
static void vectors(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""},
		{"f", "Zg"},
		{"fo", "Zm8"},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg"},
		{"fooba", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff", "-_8"},
	};
	char text[16];
	uint8_t back[16];
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		const char *bytes = pairs[i][0];

		base64url_encode((const uint8_t *)bytes, strlen(bytes), text);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(strlen(text), BASE64URL_SIZE(strlen(bytes)));
		len = sizeof(back);
		assert_int_equal(base64url_decode(text, back, &len), 0);
		assert_int_equal(len, strlen(bytes));
		assert_memory_equal(back, bytes, len);
	}
}

/* Bits that carry nothing, a digit too many, padding, digits of the other alphabet. */
static void only_one_form(void **state)
{
	static const char *const wrong[] = {"Zh", "Zm9", "Z", "Zm9vYg==", "+/8", "Zm 8"};
	uint8_t back[16];
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		len = sizeof(back);
		assert_int_equal(base64url_decode(wrong[i], back, &len), -EINVAL);
	}
}

static void room(void **state)
{
	uint8_t back[2];
	size_t len = sizeof(back);

	assert_int_equal(base64url_decode("Zm9v", back, &len), -ENOSPC);
	len = sizeof(back);
	assert_int_equal(base64url_decode("Zm8", back, &len), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(only_one_form),
		cmocka_unit_test(room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
