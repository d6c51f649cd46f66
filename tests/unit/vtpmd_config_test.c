/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/channel.h"
#include "lib/hostconf.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KMS                                                                            \
	"\"kms\": {\"address\": \"kms.example:5696\", \"ca\": \"C\", \"cert\": \"D\"," \
	" \"key_sealed\": \"ff\", \"key_id\": \"1\"}"

static struct config_file file;
static struct config *config;
static struct error error;
static struct hostconf sample;

static int load(const char *text)
{
	char path[] = "/tmp/vtpmd-config-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	error.cause = CAUSE_NONE;
	config_forget(&file);
	rc = config_get(&file, path, &config, &error);
	unlink(path);
	return rc;
}

/* A host with a TPM, an anchor and two approvals, of which one has a note. */
static void make_host(void)
{
	memset(&sample, 0, sizeof(sample));
	sample.srk_handle = HOSTCONF_SRK_HANDLE;
	memset(sample.srk_name, 0xa1, sizeof(sample.srk_name));
	memset(sample.policy_key, 0xb2, sizeof(sample.policy_key));
	memset(sample.counter_name, 0xe5, sizeof(sample.counter_name));
	memset(sample.auth, 0xa5, sizeof(sample.auth));
	sample.pcrs = 1u << 0 | 1u << 7;
	sample.approval_count = 2;
	sample.approvals[0].pcrs = 1u << 0 | 1u << 7;
	sample.approvals[1].pcrs = 1u << 4;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(approval_digest(&sample.approvals[i],
						 sample.counter_name,
						 sample.approvals[i].digest),
				 0);
	strcpy(sample.notes[0].at, "2026-11-24T20:36:14Z");
	strcpy(sample.notes[0].label, "new-kernel");
	sample.anchor_index = 0x01805654;
	memset(sample.anchor_name, 0xd4, sizeof(sample.anchor_name));
	memset(sample.anchor_key, 0x97, 121);
	sample.anchor_key_len = 121;
	sample.anchor_adopt[0] = 0xab;
	sample.anchor_adopt[31] = 0xcd;
	sample.anchor_take_store = true;
}

static int load_host(void)
{
	char *text = hostconf_print(&sample);
	int rc;

	assert_non_null(text);
	rc = load(text);
	free(text);
	return rc;
}

/* The n-th TLV of this tag. */
static struct cursor find(uint16_t tag, int n)
{
	struct cursor c = cursor_reader(config->tlvs, config->len);
	struct channel_tlv t;

	while (channel_tlv_next(&c, &t))
		if (t.tag == tag && !n--)
			return t.value;
	return (struct cursor){.bad = true};
}

static void check_bytes(uint16_t tag, const uint8_t *bytes, size_t len)
{
	struct cursor c = find(tag, 0);

	assert_int_equal(c.len, len);
	assert_memory_equal(c.rd, bytes, len);
}

static void tlvs_are_the_fields(void **state)
{
	uint8_t bytes[APPROVAL_SIZE_MAX];
	size_t len = sizeof(bytes);
	struct cursor c;

	make_host();
	assert_int_equal(load_host(), 0);
	assert_int_equal(config->host.srk_handle, 0x81005654);
	c = find(CONFIG_SRK_HANDLE, 0);
	assert_int_equal(cursor_u32(&c), 0x81005654);
	check_bytes(CONFIG_SRK_NAME, sample.srk_name, sizeof(sample.srk_name));
	check_bytes(CONFIG_POLICY_KEY, sample.policy_key, sizeof(sample.policy_key));
	check_bytes(CONFIG_COUNTER_NAME, sample.counter_name,
		    sizeof(sample.counter_name));
	check_bytes(CONFIG_HOST_AUTH, sample.auth, sizeof(sample.auth));
	assert_int_equal(approval_encode(&sample.approvals[1], bytes, &len), 0);
	c = find(CONFIG_APPROVAL, 1);
	assert_int_equal(c.len, len);
	assert_memory_equal(c.rd, bytes, len);
	assert_true(find(CONFIG_APPROVAL, 2).bad);
	assert_true(find(CONFIG_KMS_ADDRESS, 0).bad);
	assert_int_equal(config_covers(config, "tpm", &error), 0);
	config_put(config);
}

static void several_addresses_stay_a_list(void **state)
{
	struct cursor c;

	assert_int_equal(
		load("{\"version\": 3, \"kms\": {\"address\": \"a:1,[::1]:2\", \"ca\":"
		     " \"C\", \"cert\": \"D\", \"key_sealed\": \"ff\", \"key_id\": \"1\"}}"),
		0);
	assert_string_equal(config->host.kms_address, "a:1,[::1]:2");
	assert_string_equal(config->host.kms_cert, "D");
	c = find(CONFIG_KMS_ADDRESS, 0);
	assert_memory_equal(c.rd, "a:1,[::1]:2", c.len);
	c = find(CONFIG_KMS_KEY_ID, 0);
	assert_int_equal(c.len, 1);
	c = find(CONFIG_KMS_KEY_SEALED, 0);
	assert_int_equal(c.len, 1);
	assert_int_equal(c.rd[0], 0xff);
	config_put(config);
}

static void approvals_are_told(void **state)
{
	make_host();
	assert_int_equal(load_host(), 0);
	assert_int_equal(config->host.approval_count, 2);
	assert_int_equal(config->host.approvals[0].pcrs, 1u << 0 | 1u << 7);
	assert_string_equal(config->host.notes[0].label, "new-kernel");
	assert_string_equal(config->host.notes[0].at, "2026-11-24T20:36:14Z");
	assert_int_equal(config->host.approvals[1].pcrs, 1u << 4);
	assert_string_equal(config->host.notes[1].label, "");
	config_put(config);
}

static void the_anchor_is_for_vtpmd_alone(void **state)
{
	size_t with;

	make_host();
	assert_int_equal(load_host(), 0);
	with = config->len;
	assert_int_equal(config->host.anchor_index, 0x01805654);
	assert_memory_equal(config->host.anchor_name, sample.anchor_name, 34);
	assert_memory_equal(config->host.anchor_adopt, sample.anchor_adopt, 32);
	assert_true(config->host.anchor_take_store);
	config_put(config);
	sample.anchor_index = 0;
	assert_int_equal(load_host(), 0);
	assert_int_equal(config->host.anchor_index, 0);
	assert_int_equal(config->len, with);
	config_put(config);
}

static void missing_parts_have_a_sentence(void **state)
{
	make_host();
	assert_int_equal(load_host(), 0);
	assert_int_equal(config_covers(config, "tpm", &error), 0);
	assert_int_equal(config_covers(config, "host", &error), -ENOENT);
	assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "vtpmctl host init"));
	config_put(config);
	assert_int_equal(load("{\"version\": 3, " KMS "}"), 0);
	assert_int_equal(config_covers(config, "kms", &error), 0);
	assert_int_equal(config_covers(config, "tpm", &error), -ENOENT);
	config_put(config);
	error.cause = CAUSE_NONE;
	assert_int_equal(config_get(&file, "/nonexistent/host.json", &config, &error),
			 -ENOENT);
	assert_null(config);
	assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "vtpmctl host init"));
}

/* A new vTPM is of the mode that its policy says, whatever the KMS does. */
static void a_policy_is_of_one_mode(void **state)
{
	static const char head[] = "{\"version\": 3, \"kms\": {\"address\": \"a:1\", "
				   "\"ca\": \"C\", \"cert\": \"D\", \"key_sealed\": "
				   "\"ff\", \"key_id\": \"1\"";
	char text[300];

	snprintf(text, sizeof(text), "%s}}", head);
	assert_int_equal(load(text), 0);
	assert_string_equal(config_policy(config), "host");
	assert_int_equal(config_makes(config, "kms", &error), 0);
	assert_int_equal(config_makes(config, "kms-get", &error), -EINVAL);
	assert_non_null(strstr(error.text, "--kms-mode get"));
	assert_int_equal(config_covers(config, "kms-get", &error), 0);
	config_put(config);
	error.cause = CAUSE_NONE;
	snprintf(text, sizeof(text), "%s, \"mode\": \"get\"}}", head);
	assert_int_equal(load(text), 0);
	assert_string_equal(config_policy(config), "host-get");
	assert_int_equal(config_makes(config, "kms-get", &error), 0);
	assert_int_equal(config_makes(config, "kms", &error), -EINVAL);
	assert_non_null(strstr(error.text, "--policy kms-get"));
	config_put(config);
	snprintf(text, sizeof(text), "%s, \"mode\": \"give\"}}", head);
	assert_true(load(text) < 0);
	snprintf(text, sizeof(text), "%s, \"mode\": 1}}", head);
	assert_true(load(text) < 0);
}

static void nonsense_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"version\": 1}",
		"{\"version\": 3, \"tpm\": {}}",
		"{\"version\": 3}\n{",
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

static void write_host(const char *path, const char *label)
{
	char *text, fresh[64];
	int fd;

	strcpy(sample.notes[0].label, label);
	text = hostconf_print(&sample);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(rename(fresh, path), 0);
	free(text);
}

/* One copy for all who ask, until the file is another one; who has the old one keeps it. */
static void it_is_read_when_it_has_changed(void **state)
{
	char path[] = "/tmp/vtpmd-config-XXXXXX";
	struct config *one, *two, *three;

	close(mkstemp(path));
	make_host();
	config_forget(&file);
	write_host(path, "one");
	assert_int_equal(config_get(&file, path, &one, &error), 0);
	assert_int_equal(config_get(&file, path, &two, &error), 0);
	assert_ptr_equal(one, two);
	write_host(path, "two");
	assert_int_equal(config_get(&file, path, &three, &error), 0);
	assert_string_equal(three->host.notes[0].label, "two");
	assert_string_equal(one->host.notes[0].label, "one");
	config_put(one);
	assert_string_equal(two->host.notes[0].label, "one");
	config_put(two);
	config_put(three);
	/* one that cannot be used is not replaced by what was read before it */
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(config_get(&file, path, &one, &error), -EBADMSG);
	assert_null(one);
	unlink(path);
	assert_int_equal(config_get(&file, path, &one, &error), -ENOENT);
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
		cmocka_unit_test(a_policy_is_of_one_mode),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(it_is_read_when_it_has_changed),
		cmocka_unit_test(addresses),
	};

	int rc = cmocka_run_group_tests_name("vtpmd_config", tests, NULL, NULL);

	config_forget(&file);
	return rc;
}
