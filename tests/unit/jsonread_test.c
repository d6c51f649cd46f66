/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/jsonread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find(const char *text, const char *path, struct jsonread *v)
{
	/* without a zero behind it */
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, text, len);
	rc = jsonread_find(copy, len, path, v);
	v->text = rc ? NULL : text + (v->text - copy);
	free(copy);
	return rc;
}

static void is(const char *text, const char *path, enum jsonread_kind kind,
	       const char *want)
{
	struct jsonread v;

	assert_int_equal(find(text, path, &v), 0);
	assert_int_equal(v.kind, kind);
	assert_int_equal(v.len, strlen(want));
	assert_memory_equal(v.text, want, v.len);
}

static void values_are_found(void **state)
{
	static const char text[] =
		" {\"a\": 1, \"data\": {\"type\": \"aes\", \"x\": [true, {\"y\": null}], "
		"\"z\": -1.5e+3, \"e\": {}, \"f\": [ ]}, \"b\": false}\n";

	is(text, "data.type", JSONREAD_STRING, "aes");
	is(text, "data.x.0", JSONREAD_TRUE, "true");
	is(text, "data.x.1.y", JSONREAD_NULL, "null");
	is(text, "data.z", JSONREAD_NUMBER, "-1.5e+3");
	is(text, "data.e", JSONREAD_OBJECT, "{}");
	is(text, "data.f", JSONREAD_ARRAY, "[ ]");
	is(text, "b", JSONREAD_FALSE, "false");
	is("{\"s\":\"a\\\"\\u00e9b\"}", "s", JSONREAD_STRING, "a\\\"\\u00e9b");
}

static void what_is_not_there(void **state)
{
	static const char *const paths[] = {"data",   "a.b", "a.0",   "ab",
					    "errors", "dat", "a.0.c", "e.2"};
	struct jsonread v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(find("{\"a\": [\"x\"], \"dataa\": 1, \"e\": [1, 2]}",
				      strcmp(paths[i], "a.0") ? paths[i] : "a.1", &v),
				 -ENOENT);
}

static void what_is_no_json(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{\"a\":1 \"b\":2}",
		"{a:1}",
		"[1,]",
		"[1",
		"\"a",
		"{\"a\":tru}",
		"01",
		"1.",
		"-",
		"1e",
		"+1",
		".5",
		"{\"a\":1}x",
		"{\"a\":1}{}",
		"\"\\x\"",
		"\"\\u12g4\"",
		"\"a\nb\"",
		"nul",
		"\"\\",
		"\"\\u12",
		"[,1]",
		"{,}",
	};
	struct jsonread v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(find(bad[i], "a", &v), -EBADMSG);
	assert_int_equal(jsonread_find("{\"a\":\"b\0c\"}", 11, "a", &v), -EBADMSG);
}

static void doubled_names_are_refused(void **state)
{
	struct jsonread v;

	assert_int_equal(find("{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "a.b", &v), -EBADMSG);
	assert_int_equal(find("{\"a\":{\"b\":1,\"b\":2}}", "a.b", &v), -EBADMSG);
	/* of what is not asked for, either holds */
	assert_int_equal(find("{\"c\":1,\"c\":2,\"a\":3}", "a", &v), 0);
}

static void depth_is_bounded(void **state)
{
	char text[2 * 5000 + 1];
	struct jsonread v;

	memset(text, '[', 5000);
	memset(text + 5000, ']', 5000);
	text[10000] = '\0';
	assert_int_equal(find(text, "0", &v), -EBADMSG);
	assert_int_equal(find("[[[[[[[1]]]]]]]", "0.0.0.0.0.0.0", &v), 0);
	assert_int_equal(find("[[[[[[[[1]]]]]]]]", "0", &v), -EBADMSG);
}

static void texts_fit_and_have_no_escapes(void **state)
{
	static const char text[] = "{\"a\":\"12345\",\"b\":\"\",\"c\":\"x\\n\",\"d\":7}";
	char out[6];

	assert_int_equal(jsonread_text(text, strlen(text), "a", out, 6), 0);
	assert_string_equal(out, "12345");
	assert_int_equal(jsonread_text(text, strlen(text), "a", out, 5), -EBADMSG);
	assert_int_equal(jsonread_text(text, strlen(text), "b", out, 6), -EBADMSG);
	assert_int_equal(jsonread_text(text, strlen(text), "c", out, 6), -EBADMSG);
	assert_int_equal(jsonread_text(text, strlen(text), "d", out, 6), -EBADMSG);
	assert_int_equal(jsonread_text(text, strlen(text), "e", out, 6), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_found),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(what_is_no_json),
		cmocka_unit_test(doubled_names_are_refused),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(texts_fit_and_have_no_escapes),
	};

	return cmocka_run_group_tests_name("jsonread", tests, NULL, NULL);
}
