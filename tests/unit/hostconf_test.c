/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tools/vtpmctl/file.h"
#include "lib/text.h"
#include "tools/vtpmctl/hostfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void sample(struct hostconf *h)
{
	memset(h, 0, sizeof(*h));
	h->srk_handle = HOSTCONF_SRK_HANDLE;
	memset(h->srk_name, 0xa1, sizeof(h->srk_name));
	memset(h->policy_key, 0xb2, sizeof(h->policy_key));
	h->pcrs = 1u << 0 | 1u << 7;
	h->approval_count = 1;
	h->approvals[0].pcrs = h->pcrs;
	memset(h->approvals[0].value[7], 7, APPROVAL_HASH_SIZE);
	memset(h->counter_name, 0xe5, sizeof(h->counter_name));
	memset(h->auth, 0xf6, sizeof(h->auth));
	h->approvals[0].number = 3;
	assert_int_equal(approval_digest(&h->approvals[0], h->counter_name,
					 h->approvals[0].digest),
			 0);
	h->anchor_index = 0x01805654;
	memset(h->anchor_name, 0xd4, sizeof(h->anchor_name));
	h->anchor_key_len = 121;
	memset(h->anchor_key, 0x97, h->anchor_key_len);
	memset(h->anchor_adopt, 0x86, sizeof(h->anchor_adopt));
	h->anchor_take_store = true;
	h->ak_handle = 0x81015655;
	memset(h->ak_name, 0xe5, sizeof(h->ak_name));
	memset(h->ak_auth, 0xe6, sizeof(h->ak_auth));
	memset(h->ak_object, 0xe7, 200);
	h->ak_object_len = 200;
	h->has_kms = true;
	h->kms_address = strdup("kms.example:5696");
	h->kms_ca = strdup("CA\n\"quoted\"\n");
	h->kms_cert = strdup("CERT\n");
	h->kms_get = true;
	h->kms_key_id = strdup("1");
	h->kms_key_sealed_len = 100;
	h->kms_key_sealed = malloc(100);
	memset(h->kms_key_sealed, 0xc3, 100);
	h->store = (struct hostconf_store){
		strdup("etcd://a:2379,b:2379/p1"), strdup("/etc/x/ca.pem"),
		strdup("/etc/x/a.pem"), strdup("/etc/x/a.key")};
}

static void prints_and_parses(void **state)
{
	struct hostconf h, again;
	char *text;

	sample(&h);
	text = hostconf_print(&h);
	assert_non_null(text);
	assert_non_null(strstr(text, "\"srk_handle\": \"0x81005654\""));
	assert_int_equal(hostconf_parse(text, &again), 0);
	assert_int_equal(again.srk_handle, h.srk_handle);
	assert_memory_equal(again.srk_name, h.srk_name, sizeof(h.srk_name));
	assert_memory_equal(again.policy_key, h.policy_key, sizeof(h.policy_key));
	assert_int_equal(again.pcrs, h.pcrs);
	assert_int_equal(again.approval_count, 1);
	assert_memory_equal(again.approvals, h.approvals, sizeof(h.approvals));
	assert_int_equal(again.anchor_index, 0x01805654);
	assert_memory_equal(again.anchor_name, h.anchor_name, sizeof(h.anchor_name));
	assert_int_equal(again.anchor_key_len, 121);
	assert_memory_equal(again.anchor_key, h.anchor_key, 121);
	assert_memory_equal(again.anchor_adopt, h.anchor_adopt, sizeof(h.anchor_adopt));
	assert_true(again.anchor_take_store);
	assert_int_equal(again.ak_handle, h.ak_handle);
	assert_memory_equal(again.ak_name, h.ak_name, sizeof(h.ak_name));
	assert_memory_equal(again.ak_auth, h.ak_auth, sizeof(h.ak_auth));
	assert_int_equal(again.ak_object_len, 200);
	assert_memory_equal(again.ak_object, h.ak_object, 200);
	assert_memory_equal(again.counter_name, h.counter_name, sizeof(h.counter_name));
	assert_memory_equal(again.auth, h.auth, sizeof(h.auth));
	assert_true(again.has_kms);
	assert_string_equal(again.kms_ca, h.kms_ca);
	assert_string_equal(again.kms_key_id, "1");
	assert_true(again.kms_get);
	assert_int_equal(again.kms_key_sealed_len, 100);
	assert_memory_equal(again.kms_key_sealed, h.kms_key_sealed, 100);
	assert_string_equal(again.store.url, h.store.url);
	assert_string_equal(again.store.ca, h.store.ca);
	assert_string_equal(again.store.cert, h.store.cert);
	assert_string_equal(again.store.key, h.store.key);
	free(text);
	hostconf_free(&again);
	hostconf_free(&h);
}

static void approvals_have_numbers_and_labels(void **state)
{
	struct approval other;
	struct hostconf h, again;
	char *text;
	size_t i;

	sample(&h);
	other = h.approvals[0];
	memset(other.value[7], 8, APPROVAL_HASH_SIZE);
	assert_int_equal(approval_digest(&other, h.counter_name, other.digest), 0);
	assert_int_equal(hostconf_approve(&h, &other, "new-kernel"), 0);
	text = hostconf_print(&h);
	assert_int_equal(hostconf_parse(text, &again), 0);
	free(text);
	assert_int_equal(again.approval_count, 2);
	assert_string_equal(again.notes[0].label, "");
	assert_string_equal(again.notes[1].label, "new-kernel");
	assert_int_equal(strlen(again.notes[1].at), 20);
	assert_int_equal(hostconf_find_approval(&again, "new-kernel", &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(hostconf_find_approval(&again, "1", &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(hostconf_find_approval(&again, "3", &i), -ENOENT);
	assert_int_equal(hostconf_find_approval(&again, "0", &i), -ENOENT);
	assert_int_equal(hostconf_find_approval(&again, "", &i), -ENOENT);
	assert_int_equal(hostconf_find_approval(&again, "1x", &i), -ENOENT);
	hostconf_revoke(&again, 0);
	assert_int_equal(again.approval_count, 1);
	assert_memory_equal(again.approvals[0].digest, other.digest,
			    sizeof(other.digest));
	assert_string_equal(again.notes[0].label, "new-kernel");
	hostconf_free(&again);
	hostconf_free(&h);
}

static void there_is_room_for_so_many(void **state)
{
	struct approval a;
	struct hostconf h;

	sample(&h);
	a = h.approvals[0];
	while (h.approval_count < HOSTCONF_APPROVALS_MAX)
		assert_int_equal(hostconf_approve(&h, &a, NULL), 0);
	assert_int_equal(hostconf_approve(&h, &a, NULL), -ENOSPC);
	hostconf_revoke(&h, HOSTCONF_APPROVALS_MAX - 1);
	assert_int_equal(hostconf_approve(&h, &a, "last"), 0);
	hostconf_free(&h);
}

static void labels_are_words(void **state)
{
	assert_true(hostconf_label_ok("6.1.0-40"));
	assert_true(hostconf_label_ok("new-kernel"));
	assert_false(hostconf_label_ok(""));
	assert_false(hostconf_label_ok("17"));
	assert_false(hostconf_label_ok("two words"));
	assert_false(hostconf_label_ok("\n"));
	assert_true(hostconf_label_ok("a23456789012345678901234567890123456789x"));
	assert_false(hostconf_label_ok("a23456789012345678901234567890123456789xy"));
}

static void goes_without_kms(void **state)
{
	struct hostconf h, again;
	char *text;

	sample(&h);
	h.has_kms = false;
	text = hostconf_print(&h);
	assert_null(strstr(text, "kms"));
	assert_int_equal(hostconf_parse(text, &again), 0);
	assert_false(again.has_kms);
	free(text);
	hostconf_free(&again);
	hostconf_free(&h);
}

static void goes_without_an_anchor(void **state)
{
	struct hostconf h, again;
	char *text;

	sample(&h);
	h.anchor_index = 0;
	text = hostconf_print(&h);
	assert_null(strstr(text, "anchor"));
	assert_int_equal(hostconf_parse(text, &again), 0);
	assert_int_equal(again.anchor_index, 0);
	free(text);
	hostconf_free(&again);
	hostconf_free(&h);
}

static void goes_without_a_pool(void **state)
{
	struct hostconf h, again;
	char *text;

	sample(&h);
	hostconf_drop_store(&h);
	text = hostconf_print(&h);
	assert_null(strstr(text, "\"store\""));
	assert_int_equal(hostconf_parse(text, &again), 0);
	assert_null(again.store.url);
	free(text);
	hostconf_free(&again);
	hostconf_free(&h);
}

/* One member of the sample replaced must make it refused. */
static void damaged(const char *from, const char *to)
{
	char *text, *at, *changed;
	struct hostconf h;

	sample(&h);
	text = hostconf_print(&h);
	hostconf_free(&h);
	at = strstr(text, from);
	assert_non_null(at);
	changed = calloc(1, strlen(text) + strlen(to) + 1);
	sprintf(changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	if (!hostconf_parse(changed, &h))
		fail_msg("%s for %s was taken", to, from);
	free(changed);
	free(text);
}

static void damaged_members_are_refused(void **state)
{
	damaged("\"take_store\": true", "\"take_store\": 1");
	damaged("\"version\": 3", "\"version\": 2");
	damaged("\"version\": 3", "\"version\": 4");
	damaged("\"version\": 3", "\"version\": \"3\"");
	damaged("0x81005654", "0x40000001");
	damaged("0x81005654", "0x81005654 ");
	damaged("0x81005654", "0x8100565400");
	damaged("a1a1", "a1");
	damaged("a1a1", "a1a1a1");
	damaged("a1a1", "a1g1");
	damaged("b2b2", "b2b");
	damaged("e6e6", "e6");
	damaged("e7e7", "e7e");
	damaged("0x81015655", "0x01015655");
	damaged("0x01805654", "0x81805654");
	damaged("0x01805654", "");
	damaged("d4d4", "d4");
	damaged("d4d4", "d4d4d4");
	damaged("nv_name", "name");
	damaged("\"approvals\": [", "\"approvals\": [7, ");
	damaged("\"approvals\": [", "\"approvals\": [\"00\", ");
	damaged("\"pcrs\": [", "\"pcrs\": [24, ");
	damaged("\"pcrs\": [", "\"pcrs\": [-1, ");
	damaged("\"pcrs\": [", "\"pcrs\": [0.5, ");
	damaged("kms.example:5696", "");
	damaged("\"key_id\": \"1\"", "\"key_id\": 1");
	damaged("c3c3", "c3c");
	damaged("\"kms\": {", "\"kms\": null, \"x\": {");
	damaged("\"tpm\": {", "\"tpm\": 5, \"x\": {");
	damaged("\"version\": 3", "\"version\": 3, \"version\": 3");
	damaged("e5e5", "e5");
	damaged("f6f6", "f6");
	damaged("f6f6", "f6f6f6");
	damaged("\"auth\"", "\"other\"");
	damaged("8686", "86");
	damaged("\"adopt\"", "\"other\"");
	damaged("\"key\"", "\"other\"");
	damaged("9797", "979");
	damaged("\"url\"", "\"other\"");
	damaged("\"/etc/x/ca.pem\"", "\"ca.pem\"");
	damaged("\"/etc/x/a.pem\"", "\"\"");
	damaged("\"/etc/x/a.key\"", "5");
	damaged("\"store\": {", "\"store\": 5, \"x\": {");
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = {"", "{", "{}", "[]", "null", "{\"version\":2}"};
	struct hostconf h;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_not_equal(hostconf_parse(bad[i], &h), 0);
}

static void names_the_next_step(void **state)
{
	struct error e = {0};
	struct hostconf h;

	assert_int_equal(hostfile_load("/nonexistent/host.json", &h, &e), -ENOENT);
	assert_int_equal(e.cause, CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(e.text, "vtpmctl host init"));
}

static void files_are_whole_and_private(void **state)
{
	char folder[] = "/tmp/vtpmctl.XXXXXX", path[64], *text;
	struct error e = {0};
	struct stat st;
	size_t len;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	umask(0);
	assert_int_equal(file_write(path, 0600, false, "one", 3, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* never over an existing one, unless told so */
	assert_int_equal(file_write(path, 0600, false, "two", 3, &e), -EEXIST);
	assert_int_equal(file_read(path, &text, &len, NULL), 0);
	assert_string_equal(text, "one");
	free(text);
	umask(077);
	assert_int_equal(file_write(path, 0644, true, "two", 3, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	unlink(path);
	assert_int_equal(file_read(path, &text, &len, NULL), -ENOENT);
	/* nothing temporary is left, or this fails */
	assert_int_equal(rmdir(folder), 0);
}

static void reading_is_bounded(void **state)
{
	struct error e = {0};
	char *text, path[] = "/tmp/hostconf-test.XXXXXX";
	int fd = mkstemp(path);
	size_t len;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_READ_MAX + 1), 0);
	assert_int_equal(file_read(path, &text, &len, &e), -EFBIG);
	assert_int_equal(ftruncate(fd, FILE_READ_MAX), 0);
	assert_int_equal(file_read(path, &text, &len, &e), 0);
	free(text);
	close(fd);
	unlink(path);
	/* a device, a pipe: nothing is waited for */
	assert_int_equal(file_read("/dev/zero", &text, &len, &e), -EINVAL);
	assert_int_equal(file_read("/tmp", &text, &len, NULL), -EINVAL);
}

static void host_json_is_roots_alone(void **state)
{
	char folder[] = "/tmp/vtpmctl.XXXXXX", path[64];
	struct error e = {0};
	struct hostconf h;
	struct stat st;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/host.json", folder);
	sample(&h);
	umask(0);
	assert_int_equal(hostfile_write(path, &h, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	hostconf_free(&h);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_and_parses),
		cmocka_unit_test(approvals_have_numbers_and_labels),
		cmocka_unit_test(there_is_room_for_so_many),
		cmocka_unit_test(labels_are_words),
		cmocka_unit_test(goes_without_kms),
		cmocka_unit_test(goes_without_an_anchor),
		cmocka_unit_test(goes_without_a_pool),
		cmocka_unit_test(damaged_members_are_refused),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(names_the_next_step),
		cmocka_unit_test(files_are_whole_and_private),
		cmocka_unit_test(reading_is_bounded),
		cmocka_unit_test(host_json_is_roots_alone),
	};

	return cmocka_run_group_tests_name("vtpmctl_hostconf", tests, NULL, NULL);
}
