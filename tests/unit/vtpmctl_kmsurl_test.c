/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/kmsurl.h"

#include <stdio.h>

#include <errno.h>

#include <string.h>

static void check(const char *text, const char *host, const char *port,
		  const char *address)
{
	struct kmsurl url;

	assert_int_equal(kmsurl_parse(text, &url), 0);
	assert_string_equal(url.host, host);
	assert_string_equal(url.port, port);
	assert_string_equal(url.address, address);
}

static void takes_names_and_addresses(void **state)
{
	check("kmip://kms.example:5696", "kms.example", "5696", "kms.example:5696");
	check("kms://kms.example:1", "kms.example", "1", "kms.example:1");
	check("127.0.0.1:65535", "127.0.0.1", "65535", "127.0.0.1:65535");
	check("kmip://[::1]:5697", "::1", "5697", "[::1]:5697");
}

static void has_a_default_port(void **state)
{
	check("kmip://kms-1.example", "kms-1.example", "5696", "kms-1.example:5696");
	check("kmip://[fd00::5]", "fd00::5", "5696", "[fd00::5]:5696");
}

static void refuses_what_is_no_address(void **state)
{
	static const char *const bad[] = {
		"",
		"kmip://",
		"kmip://:5696",
		"kmip://host:",
		"kmip://host:0",
		"kmip://host:65536",
		"kmip://host:+1",
		"kmip://host: 1",
		"kmip://host:5696/",
		"kmip://host:5696:1",
		"kmip://host/path",
		"kmip://user@host",
		"kmip://ho st",
		"kmip://host\n",
		"kmip://-oProxy=x",
		"kmip://.host",
		"kmip://::1",
		"kmip://[::1",
		"kmip://[]:5696",
		"kmip://[host]:5696",
		"kmip://[127.0.0.1]:5696",
		"kmip://[::1]5696",
		"kmip://[::1%eth0]:5696",
		"https://host:5696",
		"kmip:/host",
		"kmip://h\xc3\xb6st",
	};
	struct kmsurl url;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!kmsurl_parse(bad[i], &url))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void takes_lists(void **state)
{
	static const char *const bad[] = {"",	  ",",	       "a,",	   ",a",
					  "a,,b", "a, b",      "a,a:5696", "a,b,c,d,e",
					  "a;b",  "a,http://b"};
	char list[ADDRESS_LIST];
	size_t i;

	assert_int_equal(kmsurl_parse_list("kmip://a:5697,b,kmip://[::1]", list), 0);
	assert_string_equal(list, "a:5697,b:5696,[::1]:5696");
	assert_int_equal(kmsurl_parse_list("kmip://a", list), 0);
	assert_string_equal(list, "a:5696");
	assert_int_equal(kmsurl_parse_list("a,b,c,d", list), 0);
	assert_string_equal(list, "a:5696,b:5696,c:5696,d:5696");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!kmsurl_parse_list(bad[i], list))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void takes_vaults(void **state)
{
	static const char *const bad[] = {
		"vault://a/transit/keys/web",
		"vault://a:1,b/transit/keys/web",
		"vault://a:1",
		"vault://a:1/",
		"vault://a:1/keys/web",
		"vault://a:1//keys/web",
		"vault://a:1/transit/keys/",
		"vault://a:1/transit/web",
		"vault://a:1/transit/keys/web/x",
		"vault://a:1/../keys/web",
		"vault://a:1/transit/keys/..",
		"vault://a:1/tr%61nsit/keys/web",
		"vault://a:1/transit/keys/web?x=1",
		"vault://a:1/transit/keys/web\r\nX: y",
		"kmip://a:1/transit/keys/web",
		"vault://:1/transit/keys/web",
		"vault://a:/transit/keys/web",
	};
	char list[ADDRESS_LIST], id[128], text[300];
	size_t i;

	assert_int_equal(kmsurl_parse_vault("vault://v.example:8200/transit/keys/web-1",
					    list, id, sizeof(id)),
			 0);
	assert_string_equal(list, "v.example:8200");
	assert_string_equal(id, "vault:transit/web-1");
	assert_int_equal(kmsurl_parse_vault("vault://[::1]:8200,b:1/team/a.b/keys/keys",
					    list, id, sizeof(id)),
			 0);
	assert_string_equal(list, "[::1]:8200,b:1");
	assert_string_equal(id, "vault:team/a.b/keys");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (!kmsurl_parse_vault(bad[i], list, id, sizeof(id)))
			fail_msg("\"%s\" was taken", bad[i]);
	snprintf(text, sizeof(text), "vault://a:1/transit/keys/%0150d", 7);
	assert_int_equal(kmsurl_parse_vault(text, list, id, sizeof(id)), -EINVAL);
}

static void bounds_the_length(void **state)
{
	char text[1024] = "kmip://";
	struct kmsurl url;

	memset(text + 7, 'a', KMSURL_HOST_MAX - 1);
	assert_int_equal(kmsurl_parse(text, &url), 0);
	assert_int_equal(strlen(url.address), KMSURL_HOST_MAX - 1 + 5);
	memset(text + 7, 'a', KMSURL_HOST_MAX);
	assert_int_not_equal(kmsurl_parse(text, &url), 0);
	memset(text + 7, 'a', sizeof(text) - 8);
	assert_int_not_equal(kmsurl_parse(text, &url), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_names_and_addresses),
		cmocka_unit_test(has_a_default_port),
		cmocka_unit_test(refuses_what_is_no_address),
		cmocka_unit_test(takes_lists),
		cmocka_unit_test(takes_vaults),
		cmocka_unit_test(bounds_the_length),
	};

	return cmocka_run_group_tests_name("vtpmctl_kmsurl", tests, NULL, NULL);
}
