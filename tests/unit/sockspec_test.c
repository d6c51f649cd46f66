/* SPDX-License-Identifier: Apache-2.0 */
/* swtpm's words for a socket, and the sentences for what is not one. */
#include "tests/unit/unit.h"
#include "stubdom/manager/sockspec.h"

#include <errno.h>
#include <string.h>

static struct sockspec spec;
static struct error error;

static int parse(const char *option, const char *text)
{
	error = (struct error){0};
	return sockspec_parse(option, text, &spec, &error);
}

static void taken(void **state)
{
	assert_int_equal(parse("--ctrl", "type=unixio,path=/tmp/a.sock"), 0);
	assert_int_equal(spec.kind, SOCKSPEC_UNIX);
	assert_string_equal(spec.path, "/tmp/a.sock");
	assert_int_equal(parse("--ctrl", "type=tcp,port=65535"), 0);
	assert_int_equal(spec.kind, SOCKSPEC_TCP);
	assert_int_equal(spec.port, 65535);
	assert_false(spec.disconnect);
	assert_int_equal(
		parse("--server", "type=tcp,port=1,bindaddr=127.0.0.1,disconnect"), 0);
	assert_true(spec.disconnect);
	assert_int_equal(parse("--ctrl", "type=unixio,clientfd=7"), 0);
	assert_int_equal(spec.kind, SOCKSPEC_CLIENT);
	assert_int_equal(spec.fd, 7);
	assert_int_equal(parse("--ctrl", "type=tcp,fd=0"), 0);
	assert_int_equal(spec.kind, SOCKSPEC_LISTENS);
	assert_int_equal(parse("--server", "fd=3"), 0);
	assert_int_equal(spec.kind, SOCKSPEC_CLIENT);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"",	      "type=tcp", "port=0",    "port=65536",
		"port=",      "port=-1",  "port=1x",   "port=99999999999999999999",
		"path=",      "type=pts", "mode=0600", "bindaddr=::",
		"disconnect", "fd=65536", "fd= 1",     "port",
		"portx=1",    "tcp=1",
	};
	char path[200] = "path=";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse("--ctrl", bad[i]), -EINVAL);
		assert_int_equal(strncmp(error.text, "--ctrl", 6), 0);
	}
	assert_int_equal(parse("--server", "clientfd=3"), -EINVAL);
	memset(path + 5, 'a', 108);
	assert_int_equal(parse("--ctrl", path), -EINVAL);
	path[5 + 107] = 0;
	assert_int_equal(parse("--ctrl", path), 0);
	assert_int_equal(strlen(spec.path), 107);
}

static void says_why(void **state)
{
	unsigned long n;

	assert_int_equal(parse("--server", "type=tcp,port=70000"), -EINVAL);
	assert_string_equal(error.text, "--server 70000: name a number from 1 to 65535");
	assert_int_equal(parse("--server", "port=1,bindaddr=0.0.0.0"), -EINVAL);
	assert_non_null(strstr(error.text, "127.0.0.1 alone"));
	error = (struct error){0};
	assert_int_equal(sockspec_number("--tcp", "abc", 1, 9, &n, &error), -EINVAL);
	assert_string_equal(error.text, "--tcp abc: name a number from 1 to 9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(refused),
		cmocka_unit_test(says_why),
	};

	return cmocka_run_group_tests_name("sockspec", tests, NULL, NULL);
}
