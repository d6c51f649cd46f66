/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpm-verify/policy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define H32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"

static const char good[] =
	"{\"version\": 1,"
	" \"hosts\": [{\"name\": \"h\", \"ak\": \"000b" H32
	"\", \"pcrs\": [{\"0\": \"" H32 "\"}]}],"
	" \"images\": [{\"kernel\": \"" H32 "\", \"manager\": \"" H32 "\"}],"
	" \"eks\": [\"" H32 "\"],"
	" \"pcrs\": {\"sha256\": {\"7\": [\"" H32 "\"]}},"
	" \"events\": {\"4\": [{\"name\": \"kernel\", \"sha256\": \"" H32 "\"}]}}";

static char why[200];

static int parse(const char *text)
{
	struct policy p;
	int rc = policy_parse(text, &p, why, sizeof(why));

	if (!rc)
		policy_free(&p);
	return rc;
}

static int parse_with(const char *from, const char *to)
{
	static char text[4096];
	const char *at = strstr(good, from);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to,
		 at + strlen(from));
	return parse(text);
}

static void whole(void **state)
{
	assert_int_equal(parse(good), 0);
}

/* A word that is misspelt must not approve. */
static void misspelt(void **state)
{
	static const char *const words[] = {"\"events\"",      "\"pcrs\": {",
					    "\"name\": \"h\"", "\"kernel\": \"" H32,
					    "\"sha256\": {",   "\"sha256\": \"",
					    "\"version\""};
	char to[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(to, sizeof(to), "\"x%s", words[i] + 1);
		assert_int_equal(parse_with(words[i], to), -EBADMSG);
		assert_int_not_equal(strlen(why), 0);
	}
}

static void too_little(void **state)
{
	assert_int_equal(parse_with("\"eks\": [\"" H32 "\"],", ""), -EBADMSG);
	assert_non_null(strstr(why, "every key would do"));
	assert_int_equal(parse_with("\"pcrs\": [{\"0\": \"" H32 "\"}]", "\"pcrs\": []"),
			 -EBADMSG);
	assert_int_equal(parse_with("{\"0\": \"" H32 "\"}", "{}"), -EBADMSG);
	assert_int_equal(parse_with("\"7\": [\"" H32 "\"]", "\"7\": []"), -EBADMSG);
	assert_int_equal(parse_with("\"version\": 1", "\"version\": 2"), -EBADMSG);
	assert_int_equal(parse("[]"), -EBADMSG);
	assert_int_equal(parse(""), -EBADMSG);
}

static void values(void **state)
{
	assert_int_equal(parse_with("ABCDEF\"}]}]", "ABCDE\"}]}]"), -EBADMSG);
	assert_int_equal(parse_with("\"7\"", "\"07\""), -EBADMSG);
	assert_int_equal(parse_with("\"7\"", "\"24\""), -EBADMSG);
	assert_int_equal(parse_with("\"eks\"", "\"ek_ca\": \"no PEM\", \"eks\""),
			 -EBADMSG);
}

static void has(void **state)
{
	json_t *list = json_pack("[s, s]", "00ff", "ABCD");
	static const uint8_t in[] = {0xab, 0xcd}, out[] = {0xab, 0xce};

	assert_true(policy_has(list, in, 2));
	assert_false(policy_has(list, out, 2));
	assert_false(policy_has(list, in, 1));
	assert_false(policy_has(NULL, in, 2));
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),      cmocka_unit_test(misspelt),
		cmocka_unit_test(too_little), cmocka_unit_test(values),
		cmocka_unit_test(has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
