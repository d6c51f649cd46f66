/* SPDX-License-Identifier: Apache-2.0 */
/* What vtpmd keeps of a vTPM's endorsement keys, whatever a manager tells. */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char p256[] =
	"0023000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1"
	"da1b331469aa00060080004300100003001000206cffc83ed6db3e3319974fb8e26e27f6"
	"f302cf223681da3864887a7f8df873380020da0275f314c4dfe2ede4fcd7306789f24993"
	"b0fe34c2b7e2ed1c507cb08a942c";
static const char p384[] =
	"0023000c000300f20030b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c"
	"0ad9bde419cacb47ba09699646150f9fc000f3f80e120006010000430010000400100030"
	"37c92db3935b107fe2de365841aafdf3df14e3b7d3e374c12e615873d9a1b14f9920eb59"
	"c05744b5cdfb1b486134dd8a003049276d3ef86f7e96d247045c49b7ccdd8b86a9050804"
	"5a3c6adb8f851961737336c7f5d37c0f3ca3d580bb56cb7ac5ad";
static const char p256_name[] =
	"000ba24dc724fe2f88cf18be65521d51d956cd9e7585d04041b403ce5fd22258cef8";

static struct meta meta;
static uint8_t message[2048];
static size_t len;
static int kept;

/* What identity_on_peer() calls. */
int vtpm_keep_meta(struct vtpm *v)
{
	kept++;
	return 0;
}

void log_about(int level, const struct log_about *about, const char *format, ...)
{
}

void log_limited(struct log_limit *l, int level, const struct log_about *about,
		 const char *fmt, ...)
{
}

/* The Name of a key, as the header has it. */
static void name(enum envelope_ek which, const char *hex)
{
	uint8_t bytes[META_EK_MAX], out[TPM2_NAME_MAX];
	size_t n = sizeof(bytes);
	struct tpm2_public p;

	assert_int_equal(hex_decode(hex, bytes, &n), 0);
	assert_int_equal(tpm2_public_parse(bytes, n, &p), 0);
	assert_int_equal(tpm2_public_name(&p, out, &n), 0);
	meta.names[which].len = (uint16_t)n;
	memcpy(meta.names[which].bytes, out, n);
}

static int setup(void **unused)
{
	memset(&meta, 0, sizeof(meta));
	len = 0;
	kept = 0;
	name(ENVELOPE_EK_P256, p256);
	name(ENVELOPE_EK_P384, p384);
	return 0;
}

/* Adds a TPM2B_PUBLIC to the message. */
static uint8_t *tell(const char *hex)
{
	struct cursor w = cursor_writer(message + len, 2);
	uint8_t *at = message + len + 2;
	size_t n = sizeof(message) - len - 2;

	assert_int_equal(hex_decode(hex, at, &n), 0);
	cursor_put_u16(&w, (uint16_t)n);
	len += 2 + n;
	return at;
}

/* Adds the keys' witness. */
static void tell_witness(uint8_t first)
{
	memset(message + len, 0, 2 + EKWITNESS_SIZE);
	message[len + 2] = first;
	len += 2 + EKWITNESS_SIZE;
}

static int take(void)
{
	size_t n = len;

	len = 0;
	return identity_take(&meta, message, n);
}

static void those_that_the_header_names_are_kept(void **unused)
{
	uint8_t *at;

	tell(p256);
	assert_int_equal(take(), 1);
	tell(p256);
	assert_int_equal(take(), 0);
	tell(p256);
	tell(p384);
	assert_int_equal(take(), 1);
	assert_int_equal(meta.eks, 2);
	/* the other curve's point, but the same template */
	at = tell(p384);
	at[7] ^= 0x40;
	assert_int_equal(take(), -EPERM);
	assert_int_equal(meta.eks, 2);
}

static void one_that_is_wrong_changes_nothing(void **unused)
{
	uint8_t *at;

	tell(p384);
	at = tell(p256);
	at[121] ^= 1; /* off the curve */
	assert_int_equal(take(), -EINVAL);
	assert_int_equal(meta.eks, 0);
}

static void what_is_cut_short_changes_nothing(void **unused)
{
	size_t n, whole;

	tell(p256);
	tell(p384);
	whole = len;
	for (n = 0; n < whole; n++) {
		if (n == 2 + 122) /* just the first */
			continue;
		assert_int_equal(identity_take(&meta, message, n), -EINVAL);
		assert_int_equal(meta.eks, 0);
	}
}

static void two_of_one_kind_are_none(void **unused)
{
	uint8_t *at;

	tell(p256);
	at = tell(p256);
	at[7] ^= 0x40;
	assert_int_equal(take(), -EPERM);
	assert_int_equal(meta.eks, 0);
}

static void the_accessor_and_the_json_say_the_same(void **unused)
{
	json_t *shown;
	const json_t *one;
	struct tpm2_public p;

	memset(meta.names, 0, sizeof(meta.names));
	assert_int_equal(identity_key(&meta, 0, &p), -ENOENT);
	shown = identity_show(&meta);
	assert_true(json_is_null(shown));
	json_decref(shown);
	/* the Name alone */
	name(ENVELOPE_EK_P256, p256);
	shown = identity_show(&meta);
	one = json_array_get(shown, 0);
	assert_string_equal(json_string_value(json_object_get(one, "name")), p256_name);
	assert_true(json_is_null(json_object_get(one, "public")));
	json_decref(shown);
	tell(p256);
	assert_int_equal(take(), 1);
	shown = identity_show(&meta);
	one = json_array_get(shown, 0);
	assert_string_equal(json_string_value(json_object_get(one, "alg")), "ecc-p256");
	assert_string_equal(json_string_value(json_object_get(one, "name")), p256_name);
	assert_string_equal(json_string_value(json_object_get(one, "public")), p256);
	json_decref(shown);
	assert_int_equal(identity_key(&meta, 0, &p), 0);
	assert_int_equal(p.whole.n, 122);
	assert_int_equal(identity_key(&meta, 1, &p), -ENOENT);
}

/* What is in vtpm.json but not in the header is forgotten. */
static void others_are_forgotten(void **unused)
{
	tell(p256);
	tell(p384);
	assert_int_equal(take(), 1);
	identity_settle(&meta);
	assert_int_equal(meta.eks, 2);
	meta.names[ENVELOPE_EK_P256].bytes[9] ^= 1;
	identity_settle(&meta);
	assert_int_equal(meta.eks, 1);
	assert_int_equal(meta.ek[0].len, 170);
	meta.names[ENVELOPE_EK_P384].len = 0;
	identity_settle(&meta);
	assert_int_equal(meta.eks, 0);
	tell(p384);
	assert_int_equal(take(), -EPERM);
}

/* A folder with a header that has the Names of meta. */
static void put_header(struct store *s, const char *root)
{
	static const uint8_t uuid[16] = "vtpm number one", key[32];
	static struct envelope_header h;
	static uint8_t buf[ENVELOPE_HEADER_MAX];
	size_t n = sizeof(buf);

	h = (struct envelope_header){.seq = 1, .slot_count = 1};
	h.desc = (struct envelope_desc){.policy = ENVELOPE_SLOT_TPM, .localities = 1};
	h.slots[0].kind = ENVELOPE_SLOT_TPM;
	memcpy(h.uuid, uuid, sizeof(uuid));
	memcpy(h.desc.ek, meta.names, sizeof(h.desc.ek));
	assert_int_equal(envelope_header_seal(&h, key, buf, &n), 0);
	assert_int_equal(store_open(s, root, uuid, true), 0);
	assert_int_equal(store_put(s, CHANNEL_OBJECT_HEADER, 1, buf, n), 0);
}

static void only_a_start_can_tell(void **unused)
{
	char root[] = "/tmp/vtpmd-identity-XXXXXX", command[64];
	struct vtpm v = {.state = VTPM_RUNNING};
	const char *why = "?";
	uint32_t known = 9;

	assert_non_null(mkdtemp(root));
	put_header(&v.store, root);
	tell(p256);
	assert_int_equal(identity_on_peer(&v, message, len, &known, &why), -EBUSY);
	v.state = VTPM_OPENING;
	assert_int_equal(identity_on_peer(&v, message, len, &known, &why), 0);
	assert_int_equal(known, 1);
	assert_int_equal(kept, 1);
	assert_int_equal(identity_on_peer(&v, message, len, &known, &why), 0);
	assert_int_equal(kept, 1);
	message[2 + 7] ^= 0x40;
	assert_int_equal(identity_on_peer(&v, message, len, &known, &why), -EPERM);
	assert_non_null(strstr(why, "other endorsement keys"));
	assert_string_equal(v.meta.policy, "tpm");
	store_close(&v.store);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

/* A folder with the description of a vTPM. */
static void open_folder(struct store *s, char *root)
{
	static const uint8_t uuid[16] = "vtpm number one";

	assert_non_null(mkdtemp(root));
	*s = (struct store){.ops = &store_folder, .lease = -1};
	s->dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	strcpy(meta.name, "web1");
	strcpy(meta.policy, "tpm");
	memcpy(meta.uuid, uuid, sizeof(uuid));
	memcpy(s->uuid, uuid, sizeof(uuid));
	meta.memory = 8;
}

static void close_folder(struct store *s, const char *root)
{
	char command[64];

	close(s->dir);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

static void vtpm_json_holds_them(void **unused)
{
	char root[] = "/tmp/vtpmd-identity-XXXXXX";
	struct store s;
	struct meta again;

	open_folder(&s, root);
	tell(p256);
	tell(p384);
	assert_int_equal(take(), 1);
	assert_int_equal(meta_write(&s, &meta), 0);
	assert_int_equal(meta_read(&s, &again), 0);
	assert_int_equal(again.eks, 2);
	assert_false(again.has_witness);
	assert_memory_equal(again.ek, meta.ek, sizeof(meta.ek));
	meta.has_witness = true;
	memset(meta.ek_witness, 0xa5, sizeof(meta.ek_witness));
	assert_int_equal(meta_write(&s, &meta), 0);
	assert_int_equal(meta_read(&s, &again), 0);
	assert_true(again.has_witness);
	assert_memory_equal(again.ek_witness, meta.ek_witness, sizeof(meta.ek_witness));
	close_folder(&s, root);
}

/* What somebody wrote there costs the making of the keys, and a backup brings none. */
static void another_witness_in_vtpm_json_is_none(void **unused)
{
	static const char *const others[] = {
		"\"\"",
		"\"00\"",
		"\"zz\"",
		"7",
		"null",
		"[]",
		"\"000b0000000000000000000000000000000000000000000000000000000000000000a5a5\""};
	char root[] = "/tmp/vtpmd-identity-XXXXXX", text[1024];
	struct store s;
	struct meta again;
	json_t *json;

	open_folder(&s, root);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		snprintf(text, sizeof(text),
			 "{\"name\": \"web1\", \"placement\": \"process\", \"memory\": 8,"
			 "\"uuid\": \"7674706d-206e-756d-6265-72206f6e6500\","
			 "\"state\": \"ready\", \"created\": \"\", \"ek_witness\": %s}",
			 others[i]);
		assert_int_equal(store_describe(&s, text, strlen(text)), 0);
		assert_int_equal(meta_read(&s, &again), 0);
		assert_false(again.has_witness);
	}
	text[strlen(text) - 6] = 0;
	strcat(text, "\"}");
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_int_equal(store_describe(&s, text, strlen(text)), 0);
	assert_int_equal(meta_read(&s, &again), 0);
	assert_true(again.has_witness);
	assert_int_equal(meta_parse(json, &again), 0);
	assert_false(again.has_witness);
	json_decref(json);
	close_folder(&s, root);
}

/* The witness that the next manager gets; false: an empty one. */
static bool configured(uint8_t witness[EKWITNESS_SIZE])
{
	uint8_t out[64];
	struct cursor w = cursor_writer(out, sizeof(out)), c;
	size_t n;

	identity_put_config(&meta, &w);
	assert_true(cursor_ok(&w));
	c = cursor_reader(out, w.pos);
	assert_int_equal(cursor_u16(&c), CONFIG_EK_WITNESS);
	n = cursor_u32(&c);
	assert_true(!n || n == EKWITNESS_SIZE);
	cursor_copy(&c, witness, n);
	assert_true(cursor_done(&c));
	return n;
}

/* Who asks for a witness has all keys, and shows them. */
static void a_manager_gets_it_when_all_keys_are_known(void **unused)
{
	static const struct meta_ek rsa = {.len = 1};
	uint8_t witness[EKWITNESS_SIZE];

	assert_false(configured(witness));
	tell(p256);
	tell(p384);
	assert_int_equal(take(), 1);
	meta.has_witness = true;
	meta.ek_witness[3] = 7;
	assert_false(configured(witness));
	meta.ek[meta.eks++] = rsa;
	assert_true(configured(witness));
	assert_memory_equal(witness, meta.ek_witness, sizeof(witness));
	meta.has_witness = false;
	assert_false(configured(witness));
}

/* A manager that starts tells it; another host, or a message in another form, does not. */
static void only_a_manager_tells_it(void **unused)
{
	char root[] = "/tmp/vtpmd-identity-XXXXXX", command[64];
	struct vtpm v = {.state = VTPM_OPENING};
	const char *why = "?";
	uint32_t known;
	size_t whole, n;

	assert_non_null(mkdtemp(root));
	put_header(&v.store, root);
	tell(p256);
	tell_witness(1);
	whole = len;
	assert_int_equal(identity_take(&meta, message, whole), -EINVAL);
	for (n = 2 + 122 + 1; n < whole; n++) {
		assert_int_equal(identity_on_peer(&v, message, n, &known, &why), -EINVAL);
		assert_false(v.meta.has_witness);
		assert_int_equal(v.meta.eks, 0);
	}
	message[whole] = 0;
	assert_int_equal(identity_on_peer(&v, message, whole + 1, &known, &why), -EINVAL);
	assert_false(v.meta.has_witness);
	assert_int_equal(identity_on_peer(&v, message, whole, &known, &why), 0);
	assert_int_equal(known, 1);
	assert_true(v.meta.has_witness);
	assert_int_equal(v.meta.ek_witness[0], 1);
	assert_int_equal(kept, 1);
	assert_int_equal(identity_on_peer(&v, message, whole, &known, &why), 0);
	assert_int_equal(kept, 1);
	message[2 + 122 + 2] = 2;
	assert_int_equal(identity_on_peer(&v, message, whole, &known, &why), 0);
	assert_int_equal(v.meta.ek_witness[0], 2);
	assert_int_equal(kept, 2);
	store_close(&v.store);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(those_that_the_header_names_are_kept),
		T(one_that_is_wrong_changes_nothing),
		T(what_is_cut_short_changes_nothing),
		T(two_of_one_kind_are_none),
		T(the_accessor_and_the_json_say_the_same),
		T(others_are_forgotten),
		T(only_a_start_can_tell),
		T(vtpm_json_holds_them),
		T(another_witness_in_vtpm_json_is_none),
		T(a_manager_gets_it_when_all_keys_are_known),
		T(only_a_manager_tells_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
