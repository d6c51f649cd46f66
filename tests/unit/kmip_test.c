/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMIP client's messages against traffic of a real server, byte for byte.
 * kmip-vectors/: requests and responses of PyKMIP 0.10 with an AES-256 key; GCM
 * with IV 00..0b, AAD "guest-uuid|gen=7", 16-byte tag, plaintext 20..3f.
 */
#include "tests/unit/unit.h"
#include "lib/kmip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t iv[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t plain[32] = {32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
				  43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53,
				  54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
static const uint8_t cipher[32] = {0xd4, 0xe1, 0x6d, 0x96, 0xf8, 0xe5, 0x2a, 0xd9,
				   0x74, 0xb1, 0x18, 0xb9, 0xe2, 0x15, 0x7a, 0x10,
				   0xe4, 0xee, 0x4d, 0xc6, 0xa0, 0xf5, 0x84, 0xc2,
				   0x43, 0x99, 0x18, 0xa7, 0x73, 0x5b, 0xb9, 0x37};
static const uint8_t tag[16] = {0x3f, 0x54, 0x8f, 0x32, 0x80, 0x2f, 0x56, 0xc6,
				0x15, 0x46, 0x10, 0x07, 0xca, 0xef, 0x29, 0xb4};
static const char aad[] = "guest-uuid|gen=7";

static size_t vector(const char *name, const char *part, uint8_t *buf, size_t room)
{
	char path[200];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "tests/unit/kmip-vectors/%s.%s.bin", name, part);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(buf, 1, room, f);
	assert_true(len && len < room);
	fclose(f);
	return len;
}

static void encodes(const char *name, const struct kmip_request *rq)
{
	uint8_t want[KMIP_REQUEST_MAX], got[KMIP_REQUEST_MAX];
	size_t want_len = vector(name, "req", want, sizeof(want));
	size_t len = sizeof(got), room;

	assert_int_equal(kmip_encode(rq, got, &len), 0);
	assert_int_equal(len, want_len);
	assert_memory_equal(got, want, len);
	for (room = 0; room < want_len; room++) {
		uint8_t *exact = malloc(room ? room : 1);

		len = room;
		assert_int_equal(kmip_encode(rq, exact, &len), -ENOSPC);
		free(exact);
	}
}

static struct kmip_request encrypt_request(void)
{
	return (struct kmip_request){
		.operation = KMIP_ENCRYPT,
		.key_id = "1",
		.data = plain,
		.data_len = sizeof(plain),
		.iv = iv,
		.iv_len = sizeof(iv),
		.aad = (const uint8_t *)aad,
		.aad_len = strlen(aad),
	};
}

static struct kmip_request decrypt_request(void)
{
	struct kmip_request rq = encrypt_request();

	rq.operation = KMIP_DECRYPT;
	rq.data = cipher;
	rq.tag = tag;
	return rq;
}

/* The capture's wrong tag, which is the request's last 16 bytes. */
static void wrong_tag(uint8_t out[KMIP_TAG_SIZE])
{
	uint8_t seen[KMIP_REQUEST_MAX];
	size_t len = vector("14-decrypt-gcm-badtag", "req", seen, sizeof(seen));

	memcpy(out, seen + len - KMIP_TAG_SIZE, KMIP_TAG_SIZE);
	assert_memory_not_equal(out, tag, KMIP_TAG_SIZE);
}

/* All captured requests of the shape that the client has: GCM, a 12-byte IV of its own,
 * a 16-byte tag, KMIP 1.4.  The others (CBC, CTR, an IV of the server's, short tags,
 * KMIP 2.0) it never sends; their encoding is ttlv_test.c's affair. */
static void requests_are_byte_for_byte(void **state)
{
	static const uint8_t no_iv[12];
	struct kmip_request rq = encrypt_request();
	uint8_t wrong[KMIP_TAG_SIZE], keys[32];

	encodes("12-encrypt-gcm", &rq);
	rq = decrypt_request();
	encodes("13-decrypt-gcm", &rq);
	encodes("30-decrypt-deactivated-err", &rq);
	wrong_tag(wrong);
	rq.tag = wrong;
	encodes("14-decrypt-gcm-badtag", &rq);
	rq.tag = tag;
	rq.aad = (const uint8_t *)"guest-uuid|gen=7x";
	rq.aad_len = 17;
	encodes("15-decrypt-gcm-badaad", &rq);
	memset(keys, 'k', sizeof(keys));
	rq = encrypt_request();
	rq.key_id = "2";
	rq.data = keys;
	rq.iv = no_iv;
	rq.aad = (const uint8_t *)"aad";
	rq.aad_len = 3;
	encodes("40-hostB-encrypt-noperm", &rq);
	rq = (struct kmip_request){.operation = KMIP_GET_ATTRIBUTES, .key_id = "1"};
	encodes("70-attributes-aes256", &rq);
	rq.key_id = "4242";
	encodes("75-attributes-unknown-err", &rq);
	rq.operation = KMIP_GET;
	encodes("83-get-unknown-err", &rq);
	rq.key_id = "1";
	encodes("80-get-aes256", &rq);
}

static void parses(const char *name, struct kmip_response *rsp, uint8_t *buf, size_t room)
{
	size_t len = vector(name, "rsp", buf, room);

	assert_int_equal(kmip_parse(buf, len, rsp), 0);
}

static void successes_are_parsed(void **state)
{
	struct kmip_response r;
	uint8_t buf[1024];

	parses("12-encrypt-gcm", &r, buf, sizeof(buf));
	assert_int_equal(r.operation, KMIP_ENCRYPT);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.key_id_len, 1);
	assert_memory_equal(r.key_id, "1", 1);
	assert_int_equal(r.data_len, sizeof(cipher));
	assert_memory_equal(r.data, cipher, sizeof(cipher));
	assert_int_equal(r.tag_len, sizeof(tag));
	assert_memory_equal(r.tag, tag, sizeof(tag));
	assert_string_equal(r.message, "");

	parses("13-decrypt-gcm", &r, buf, sizeof(buf));
	assert_int_equal(r.operation, KMIP_DECRYPT);
	assert_int_equal(r.data_len, sizeof(plain));
	assert_memory_equal(r.data, plain, sizeof(plain));
	assert_null(r.tag);

	/* what is cut short is seen, so that kms.c can refuse it */
	parses("19-encrypt-gcm-tag4", &r, buf, sizeof(buf));
	assert_int_equal(r.tag_len, 4);
	parses("20-decrypt-gcm-tag4", &r, buf, sizeof(buf));
	assert_int_equal(r.data_len, sizeof(plain));
	parses("17-encrypt-gcm-autoiv", &r, buf, sizeof(buf));
	assert_int_equal(r.tag_len, sizeof(tag));
	parses("08-encrypt-cbc", &r, buf, sizeof(buf));
	assert_null(r.tag);
}

static void attributes_are_parsed(void **state)
{
	static const struct {
		const char *name, *what, *state;
		uint32_t object_type, length, usage_mask;
	} keys[] = {
		{"70-attributes-aes256", "an AES key of 256 bits", "Active", 2, 256, 12},
		{"71-attributes-preactive", "an AES key of 256 bits", "Pre-Active", 2,
		 256, 12},
		{"72-attributes-aes128", "an AES key of 128 bits", "Active", 2, 128, 12},
		{"73-attributes-rsa-public", "a public key (RSA, 2048 bits)", "Active", 3,
		 2048, 4},
		{"74-attributes-rsa-private", "a private key (RSA, 2048 bits)", "Active",
		 4, 2048, 8},
	};
	struct kmip_response r;
	uint8_t buf[1024];
	char what[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		parses(keys[i].name, &r, buf, sizeof(buf));
		assert_int_equal(r.operation, KMIP_GET_ATTRIBUTES);
		assert_int_equal(r.status, 0);
		assert_int_equal(r.attributes.object_type, keys[i].object_type);
		assert_int_equal(r.attributes.length, keys[i].length);
		assert_int_equal(r.attributes.usage_mask, keys[i].usage_mask);
		kmip_describe(&r.attributes, what, sizeof(what));
		assert_string_equal(what, keys[i].what);
		assert_string_equal(kmip_state(r.attributes.state), keys[i].state);
	}
}

static void keys_are_parsed(void **state)
{
	struct kmip_response r;
	uint8_t buf[2048];

	parses("80-get-aes256", &r, buf, sizeof(buf));
	assert_int_equal(r.operation, KMIP_GET);
	assert_int_equal(r.attributes.object_type, KMIP_OBJECT_SYMMETRIC_KEY);
	assert_int_equal(r.format, KMIP_FORMAT_RAW);
	assert_int_equal(r.attributes.length, 256);
	assert_int_equal(r.data_len, 32);
	assert_false(r.is_wrapped);
	parses("81-get-aes128", &r, buf, sizeof(buf));
	assert_int_equal(r.attributes.length, 128);
	assert_int_equal(r.data_len, 16);
	/* what is no symmetric key is not looked into */
	parses("82-get-rsa-private", &r, buf, sizeof(buf));
	assert_int_equal(r.attributes.object_type, 4);
	assert_null(r.data);
}

/* Numbers that no table has, and none at all. */
static void strange_attributes_are_described(void **state)
{
	struct kmip_attributes a = {
		.object_type = 99, .algorithm = 0x80000001u, .length = UINT32_MAX};
	char what[100];

	kmip_describe(&a, what, sizeof(what));
	assert_string_equal(what, "an object of another type (another algorithm, "
				  "4294967295 bits)");
	a = (struct kmip_attributes){.object_type = 0};
	kmip_describe(&a, what, sizeof(what));
	assert_string_equal(what,
			    "an object of which the KMS tells no algorithm and length");
	assert_string_equal(kmip_state(0x80000000u),
			    "in a state that the KMS does not tell");
}

static void failures_have_their_cause(void **state)
{
	static const struct {
		const char *name;
		uint32_t operation, reason;
		enum cause cause;
		const char *words;
	} failures[] = {
		{"04-encrypt-preactive-err", KMIP_ENCRYPT, 0x0c, CAUSE_KMS_KEY,
		 "must be in the Active state"},
		{"14-decrypt-gcm-badtag", KMIP_DECRYPT, 0x100, CAUSE_KMS_REFUSED,
		 "Operation failed"},
		{"15-decrypt-gcm-badaad", KMIP_DECRYPT, 0x100, CAUSE_KMS_REFUSED,
		 "Operation failed"},
		{"16-decrypt-gcm-notag", KMIP_DECRYPT, 0x07, CAUSE_KMS_REFUSED,
		 "tag must be provided"},
		{"18-encrypt-gcm-notaglen", KMIP_ENCRYPT, 0x07, CAUSE_KMS_REFUSED,
		 "tag length"},
		{"20b-decrypt-gcm-tag1", KMIP_DECRYPT, 0x100, CAUSE_KMS_REFUSED,
		 "Operation failed"},
		{"21-encrypt-ccm", KMIP_ENCRYPT, 0x07, CAUSE_KMS_REFUSED, "GCM"},
		{"22-encrypt-xts", KMIP_ENCRYPT, 0x07, CAUSE_KMS_REFUSED, "XTS"},
		{"26-encrypt-unknown-err", KMIP_ENCRYPT, 0x01, CAUSE_KMS_KEY,
		 "Could not locate object: 4242"},
		{"29-encrypt-deactivated-err", KMIP_ENCRYPT, 0x0c, CAUSE_KMS_KEY,
		 "must be in the Active state"},
		{"30-decrypt-deactivated-err", KMIP_DECRYPT, 0x0c, CAUSE_KMS_KEY,
		 "must be in the Active state"},
		{"40-hostB-encrypt-noperm", KMIP_ENCRYPT, 0x0c, CAUSE_KMS_DENIED,
		 "Could not locate object: 2"},
		{"75-attributes-unknown-err", KMIP_GET_ATTRIBUTES, 0x01, CAUSE_KMS_KEY,
		 "Could not locate object: 4242"},
		{"76-hostB-attributes-noperm", KMIP_GET_ATTRIBUTES, 0x0c,
		 CAUSE_KMS_DENIED, "Could not locate object: 1"},
		{"83-get-unknown-err", KMIP_GET, 0x01, CAUSE_KMS_KEY,
		 "Could not locate object: 4242"},
		{"84-hostB-get-noperm", KMIP_GET, 0x0c, CAUSE_KMS_DENIED,
		 "Could not locate object: 1"},
		{"50-cert-nocn", 0, 0x03, CAUSE_KMS_DENIED, "client authentication"},
		{"50-cert-noeku", 0, 0x03, CAUSE_KMS_DENIED, "client certificate"},
	};
	struct kmip_response r;
	uint8_t buf[1024];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(failures); i++) {
		parses(failures[i].name, &r, buf, sizeof(buf));
		assert_int_equal(r.status, 1);
		assert_int_equal(r.operation, failures[i].operation);
		assert_int_equal(r.reason, failures[i].reason);
		assert_int_equal(kmip_cause(&r), failures[i].cause);
		assert_non_null(strstr(r.message, failures[i].words));
	}
}

static void other_versions_and_messages_are_refused(void **state)
{
	struct kmip_response r;
	uint8_t buf[1024];
	size_t len = vector("62-kmip20-encrypt-gcm", "rsp", buf, sizeof(buf));

	assert_int_equal(kmip_parse(buf, len, &r), -EBADMSG);
	len = vector("12-encrypt-gcm", "req", buf, sizeof(buf)); /* a request */
	assert_int_equal(kmip_parse(buf, len, &r), -EBADMSG);
}

/* Whatever one byte is changed to, or where the message ends: it is parsed within
 * its bounds, and what was parsed points into it. */
static void damage(const char *name)
{
	uint8_t in[1024], *copy;
	size_t len = vector(name, "rsp", in, sizeof(in)), at;
	struct kmip_response r;
	unsigned int bit;

	for (at = 0; at < len; at++) {
		copy = malloc(at ? at : 1);
		memcpy(copy, in, at);
		assert_int_equal(kmip_parse(copy, at, &r), -EBADMSG);
		free(copy);
		copy = malloc(len);
		for (bit = 0; bit < 8; bit++) {
			memcpy(copy, in, len);
			copy[at] ^= (uint8_t)(1u << bit);
			if (!kmip_parse(copy, len, &r) && r.data)
				assert_true(r.data >= copy &&
					    r.data + r.data_len <= copy + len);
		}
		free(copy);
	}
}

static void damaged_messages_stay_in_bounds(void **state)
{
	damage("12-encrypt-gcm");
	damage("70-attributes-aes256");
	damage("80-get-aes256");
}

/* The server's words go to a console: no escape codes, no newlines, and bounded. */
static void words_are_made_printable(void **state)
{
	uint8_t buf[1024];
	size_t len = vector("26-encrypt-unknown-err", "rsp", buf, sizeof(buf)), i;
	uint8_t *at = memmem(buf, len, "Could", 5);
	struct kmip_response r;

	assert_non_null(at);
	memcpy(at, "\x1b[2J\n", 5);
	assert_int_equal(kmip_parse(buf, len, &r), 0);
	assert_int_equal(strncmp(r.message, "?[2J?", 5), 0);
	for (i = 0; r.message[i]; i++)
		assert_true(r.message[i] >= ' ' && r.message[i] <= '~');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_byte_for_byte),
		cmocka_unit_test(successes_are_parsed),
		cmocka_unit_test(attributes_are_parsed),
		cmocka_unit_test(keys_are_parsed),
		cmocka_unit_test(strange_attributes_are_described),
		cmocka_unit_test(failures_have_their_cause),
		cmocka_unit_test(other_versions_and_messages_are_refused),
		cmocka_unit_test(damaged_messages_stay_in_bounds),
		cmocka_unit_test(words_are_made_printable),
	};

	return cmocka_run_group_tests_name("kmip", tests, NULL, NULL);
}
