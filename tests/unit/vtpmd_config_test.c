/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/channel.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TPM_MEMBERS                                                                    \
	"\"srk_handle\": \"0x81005654\", \"srk_name\": \"000bAA\","                    \
	" \"policy_key\": \"0023\", \"pcrs\": [0], \"approvals\": [\"01\", \"0203\"]," \
	" \"counter_name\": \"000bcc\", \"auth\": \"a5a6\""
#define TPM   "\"tpm\": {" TPM_MEMBERS "}"
#define ADOPT "ab000000000000000000000000000000000000000000000000000000000000cd"
#define KMS                                                                            \
	"\"kms\": {\"address\": \"kms.example:5696\", \"ca\": \"C\", \"cert\": \"D\"," \
	" \"key_sealed\": \"ff\", \"key_id\": \"1\"}"

static struct config config;
static struct error error;

static int load(const char *text)
{
	char path[] = "/tmp/vtpmd-config-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	error.cause = CAUSE_NONE;
	rc = config_load(path, &config, &error);
	unlink(path);
	return rc;
}

/* The n-th TLV of this tag. */
static struct cursor find(uint16_t tag, int n)
{
	struct cursor c = cursor_reader(config.tlvs, config.len);
	struct channel_tlv t;

	while (channel_tlv_next(&c, &t))
		if (t.tag == tag && !n--)
			return t.value;
	return (struct cursor){.bad = true};
}

static void tlvs_are_the_fields(void **state)
{
	struct cursor c;

	assert_int_equal(load("{\"version\": 3, " TPM ", " KMS "}"), 0);
	assert_int_equal(config.srk_handle, 0x81005654);
	assert_string_equal(config.kms_address, "kms.example:5696");
	c = find(CONFIG_SRK_HANDLE, 0);
	assert_int_equal(cursor_u32(&c), 0x81005654);
	c = find(CONFIG_SRK_NAME, 0);
	assert_int_equal(c.len, 3);
	assert_memory_equal(c.rd, "\x00\x0b\xaa", 3);
	c = find(CONFIG_COUNTER_NAME, 0);
	assert_memory_equal(c.rd, "\x00\x0b\xcc", 3);
	c = find(CONFIG_HOST_AUTH, 0);
	assert_int_equal(c.len, 2);
	assert_memory_equal(c.rd, "\xa5\xa6", 2);
	c = find(CONFIG_APPROVAL, 1);
	assert_memory_equal(c.rd, "\x02\x03", 2);
	c = find(CONFIG_KMS_ADDRESS, 0);
	assert_memory_equal(c.rd, "kms.example:5696", c.len);
	c = find(CONFIG_KMS_KEY_ID, 0);
	assert_int_equal(c.len, 1);
	assert_int_equal(config_covers(&config, "host", &error), 0);
	config_free(&config);
}

static void several_addresses_stay_a_list(void **state)
{
	struct cursor c;

	assert_int_equal(
		load("{\"version\": 3, \"kms\": {\"address\": \"a:1,[::1]:2\", \"ca\":"
		     " \"C\", \"cert\": \"D\", \"key_sealed\": \"ff\", \"key_id\": \"1\"}}"),
		0);
	assert_string_equal(config.kms_address, "a:1,[::1]:2");
	assert_string_equal(config.kms_cert, "D");
	c = find(CONFIG_KMS_ADDRESS, 0);
	assert_memory_equal(c.rd, "a:1,[::1]:2", c.len);
	config_free(&config);
}

/* The notes are found by the approval's digest; what makes no sense is left out. */
static void approvals_are_told(void **state)
{
	static const char zeroes[] = "0000000000000000000000000000000000000000000000000"
				     "000000000000000";
	static const char digest[] = "1111111111111111111111111111111111111111111111111"
				     "111111111111111";
	char text[2048];

	snprintf(
		text, sizeof(text),
		"{\"version\": 3, \"tpm\": {\"srk_handle\": \"0x81005654\", \"srk_name\":"
		" \"00\", \"policy_key\": \"00\", \"counter_name\": \"00\", \"auth\": \"00\","
		" \"approvals\": [\"0200%s07%s0000000000000001%s00\","
		" \"00\", \"01ff%s0000000000000001%s\"], \"approval_notes\": [7, {\"digest\": \"zz\"},"
		" {\"digest\": \"%s\", \"label\": \"new kernel\", \"at\": \"2026\"}]}}",
		zeroes, zeroes, digest, zeroes, zeroes, digest);
	assert_int_equal(load(text), 0);
	assert_int_equal(config.approvals, 2);
	assert_int_equal(config.approval[0].pcrs, 1u << 0 | 1u << 7);
	assert_string_equal(config.approval[0].label, "new kernel");
	assert_string_equal(config.approval[0].at, "2026");
	assert_int_equal(config.approval[1].pcrs, 0);
	assert_string_equal(config.approval[1].label, "");
	config_free(&config);
}

static void the_anchor_is_for_vtpmd_alone(void **state)
{
	size_t without;

	assert_int_equal(load("{\"version\": 3, " TPM "}"), 0);
	assert_null(config.anchor);
	without = config.len;
	config_free(&config);
	assert_int_equal(
		load("{\"version\": 3, \"tpm\": {\"anchor\": {\"nv_index\": "
		     "\"0x01805654\", \"nv_name\": \"000bcc\", \"adopt\": \"" ADOPT
		     "\", \"take_store\": true}, " TPM_MEMBERS "}}"),
		0);
	assert_string_equal(config.anchor, "000bcc");
	assert_int_equal(config.anchor_adopt[0], 0xab);
	assert_int_equal(config.anchor_adopt[31], 0xcd);
	assert_true(config.anchor_take_store);
	assert_int_equal(config.len, without);
	config_free(&config);
	assert_int_equal(
		load("{\"version\": 3, \"tpm\": {\"anchor\": {\"nv_name\": "
		     "\"000bcc\", \"adopt\": \"ab\", \"take_store\": true}, " TPM_MEMBERS
		     "}}"),
		-EBADMSG);
	assert_int_equal(load("{\"version\": 3, \"tpm\": {\"anchor\": {\"nv_name\": "
			      "\"000bcc\", \"adopt\": \"" ADOPT "\"}, " TPM_MEMBERS "}}"),
			 -EBADMSG);
	assert_int_equal(
		load("{\"version\": 3, \"tpm\": {\"anchor\": {}, " TPM_MEMBERS "}}"),
		-EBADMSG);
}

static void missing_parts_have_a_sentence(void **state)
{
	assert_int_equal(load("{\"version\": 3, " TPM "}"), 0);
	assert_int_equal(config_covers(&config, "tpm", &error), 0);
	assert_int_equal(config_covers(&config, "host", &error), -ENOENT);
	assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "vtpmctl host init"));
	config_free(&config);
	assert_int_equal(load("{\"version\": 3, " KMS "}"), 0);
	assert_int_equal(config_covers(&config, "kms", &error), 0);
	assert_int_equal(config_covers(&config, "tpm", &error), -ENOENT);
	config_free(&config);
	error.cause = CAUSE_NONE;
	assert_int_equal(config_load("/nonexistent/host.json", &config, &error), -ENOENT);
	assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "vtpmctl host init"));
}

static void nonsense_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"version\": 1}",
		"{\"version\": 3, \"tpm\": {}}",
		"{\"version\": 3, \"tpm\": {\"srk_handle\": \"0x40000001\","
		" \"srk_name\": \"00\", \"policy_key\": \"00\"}}",
		"{\"version\": 3, \"tpm\": {\"srk_handle\": \"0x81000001\","
		" \"srk_name\": \"0\", \"policy_key\": \"00\"}}",
		"{\"version\": 3, \"tpm\": {\"srk_handle\": \"0x81000001\","
		" \"srk_name\": \"zz\", \"policy_key\": \"00\"}}",
		"{\"version\": 3, \"kms\": {\"address\": \"nowhere\", \"ca\": \"C\","
		" \"cert\": \"D\", \"key_sealed\": \"ff\", \"key_id\": \"1\"}}",
		"{\"version\": 3, \"kms\": {\"address\": \"a:1,\", \"ca\": \"C\","
		" \"cert\": \"D\", \"key_sealed\": \"ff\", \"key_id\": \"1\"}}",
		"{\"version\": 3, \"kms\": {\"address\": \"a:1,b\", \"ca\": \"C\","
		" \"cert\": \"D\", \"key_sealed\": \"ff\", \"key_id\": \"1\"}}",
		"{\"version\": 3, \"kms\": {\"address\": 7, \"ca\": \"C\","
		" \"cert\": \"D\", \"key_sealed\": \"ff\", \"key_id\": \"1\"}}",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(load(bad[i]), -EBADMSG);
		assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
	}
}

static void addresses(void **state)
{
	char host[256], port[256];

	assert_int_equal(tunnel_split("kms.example:5696", host, port), 0);
	assert_string_equal(host, "kms.example");
	assert_string_equal(port, "5696");
	assert_int_equal(tunnel_split("[2001:db8::1]:5696", host, port), 0);
	assert_string_equal(host, "2001:db8::1");
	assert_int_equal(tunnel_split("kms", host, port), -EINVAL);
	assert_int_equal(tunnel_split(":5696", host, port), -EINVAL);
	assert_int_equal(tunnel_split("kms:", host, port), -EINVAL);
	assert_int_equal(tunnel_split("kms:ssh", host, port), -EINVAL);
	assert_int_equal(tunnel_split("[]:1", host, port), -EINVAL);
	assert_int_equal(tunnel_split("kms:123456", host, port), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tlvs_are_the_fields),
		cmocka_unit_test(several_addresses_stay_a_list),
		cmocka_unit_test(approvals_are_told),
		cmocka_unit_test(the_anchor_is_for_vtpmd_alone),
		cmocka_unit_test(missing_parts_have_a_sentence),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests_name("vtpmd_config", tests, NULL, NULL);
}
