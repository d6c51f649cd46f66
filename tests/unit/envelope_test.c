/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/crypt.h"
#include "lib/slot/envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t key[32] = {1, 2, 3, 4}, other_key[32] = {1, 2, 3, 5};
static const uint8_t uuid[16] = "vtpm number one", other_uuid[16] = "vtpm number two";
/* magic to epoch, then the description of new_header() */
#define HEAD (44 + 6 + 36 + 2 + 52)

static const uint8_t plain[] = "the permanent state of a TPM";

static struct envelope_header *new_header(void)
{
	struct envelope_header *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	memcpy(h->uuid, uuid, sizeof(uuid));
	h->seq = 7;
	h->epoch = 0x0102030405060708;
	h->desc = (struct envelope_desc){
		.policy = ENVELOPE_SLOT_HOST,
		.measured = true,
		.recovery = true,
		.localities = 5,
		.pcr_banks = 3,
		.ek = {{34, {0, 0x0b, 1}}, {0}, {50, {0, 0x0c, 3}}},
	};
	h->slot_count = 2;
	h->slots[0] = (struct envelope_slot){ENVELOPE_SLOT_HOST, 0, 5, {1, 2, 3, 4, 5}};
	h->slots[1] = (struct envelope_slot){ENVELOPE_SLOT_RECOVERY, 3, 0, {0}};
	return h;
}

/* A sealed header in *buf, malloc()ed to its exact size. */
static size_t seal_header(const struct envelope_header *h, uint8_t **buf)
{
	size_t len = ENVELOPE_HEADER_MAX;

	*buf = malloc(len);
	assert_non_null(*buf);
	assert_int_equal(envelope_header_seal(h, key, *buf, &len), 0);
	*buf = realloc(*buf, len);
	return len;
}

static size_t seal_blob(uint8_t *buf, uint64_t seq)
{
	const struct envelope_blob b = {uuid, 2, seq, 0x1122334455667788};
	size_t len = 0;

	assert_int_equal(envelope_blob_seal(key, &b, plain, sizeof(plain), buf, &len), 0);
	assert_int_equal(len, sizeof(plain) + ENVELOPE_BLOB_OVERHEAD);
	return len;
}

/* Parses and verifies a copy of exactly len bytes, so that ASan sees overruns. */
static int open_header(const uint8_t *buf, size_t len, struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, buf, len);
	rc = envelope_header_parse(copy, len, h, e);
	if (!rc)
		rc = envelope_header_verify(copy, len, key, e);
	free(copy);
	free(h);
	return rc;
}

static int open_blob(const uint8_t *buf, size_t len, struct error *e)
{
	uint8_t *copy = malloc(len ? len : 1), *out = malloc(len ? len : 1);
	size_t n;
	struct envelope_blob b = {.uuid = uuid, .kind = 2};
	int rc;

	memcpy(copy, buf, len);
	rc = envelope_blob_open(key, &b, copy, len, out, &n, e);
	free(copy);
	free(out);
	return rc;
}

static void header_round_trip(void **state)
{
	struct envelope_header *h = new_header(), *back = malloc(sizeof(*back));
	struct error e = {0};
	uint8_t *buf;
	size_t len = seal_header(h, &buf);

	assert_int_equal(len, HEAD + 13 + 8 + 32);
	assert_int_equal(envelope_header_parse(buf, len, back, &e), 0);
	assert_int_equal(envelope_header_verify(buf, len, key, &e), 0);
	assert_memory_equal(h, back, sizeof(*h));
	free(buf);
	free(back);
	free(h);
}

static void largest_header_fits(void **state)
{
	struct envelope_header *h = new_header();
	struct error e = {0};
	uint8_t *buf;
	size_t len, i;

	h->desc.policy = ENVELOPE_SLOT_KMS;
	h->desc.ek[1] = (struct envelope_name){34, {0, 0x0b}};
	h->slot_count = ENVELOPE_SLOTS_MAX;
	for (i = 0; i < ENVELOPE_SLOTS_MAX; i++) {
		h->slots[i].kind = ENVELOPE_SLOT_KMS;
		h->slots[i].id = (uint16_t)i;
		h->slots[i].len = ENVELOPE_SLOT_MAX;
	}
	len = seal_header(h, &buf);
	assert_int_equal(len, ENVELOPE_HEADER_MAX);
	assert_int_equal(open_header(buf, len, &e), 0);
	free(buf);
	free(h);
}

static void header_seal_refuses_bad_input(void **state)
{
	struct envelope_header *h = new_header();
	uint8_t out[256];
	size_t len, need = HEAD + 13 + 8 + 32, room;

	for (room = 0; room < need; room++) {
		len = room;
		assert_int_equal(envelope_header_seal(h, key, out, &len), -ENOSPC);
	}
	len = need;
	assert_int_equal(envelope_header_seal(h, key, out, &len), 0);
	len = sizeof(out);
	h->slot_count = 0;
	assert_int_equal(envelope_header_seal(h, key, out, &len), -EINVAL);
	h->slot_count = ENVELOPE_SLOTS_MAX + 1;
	assert_int_equal(envelope_header_seal(h, key, out, &len), -EINVAL);
	h->slot_count = 1;
	h->slots[0].len = ENVELOPE_SLOT_MAX + 1;
	assert_int_equal(envelope_header_seal(h, key, out, &len), -EINVAL);
	h->slots[0].len = 5;
	h->slots[0].kind = ENVELOPE_SLOT_TPM; /* the policy is host */
	assert_int_equal(envelope_header_seal(h, key, out, &len), -EINVAL);
	free(h);
}

static void header_flips_are_detected(void **state)
{
	struct envelope_header *h = new_header();
	uint8_t *buf;
	size_t len = seal_header(h, &buf), i, bit;

	for (i = 0; i < len; i++)
		for (bit = 0; bit < 8; bit++) {
			struct error e = {0};

			buf[i] ^= 1 << bit;
			assert_int_not_equal(open_header(buf, len, &e), 0);
			assert_true(e.cause == CAUSE_HEADER_CORRUPT ||
				    e.cause == CAUSE_VERSION);
			buf[i] ^= 1 << bit;
		}
	free(buf);
	free(h);
}

static void header_truncations_are_detected(void **state)
{
	struct envelope_header *h = new_header();
	uint8_t *buf;
	size_t len = seal_header(h, &buf), i;

	for (i = 0; i < len; i++) {
		struct error e = {0};

		assert_int_equal(open_header(buf, i, &e), -EBADMSG);
		assert_int_equal(e.cause, CAUSE_HEADER_CORRUPT);
	}
	free(buf);
	free(h);
}

static void header_of_the_future(void **state)
{
	struct envelope_header *h = new_header();
	struct error e = {0};
	uint8_t *buf;
	size_t len = seal_header(h, &buf);

	buf[9] = ENVELOPE_VERSION_POOL + 1;
	assert_int_equal(open_header(buf, len, &e), -EPROTONOSUPPORT);
	assert_int_equal(e.cause, CAUSE_VERSION);
	assert_non_null(strstr(e.text, "version 4"));
	/* nor what had no description */
	buf[9] = 1;
	assert_int_equal(open_header(buf, len, &e), -EPROTONOSUPPORT);
	free(buf);
	free(h);
}

/* Offsets: slot count 10; from HEAD on, first slot's kind 0, id 2, length 4; second's
 * kind 13, id 15. */
static void header_slots_out_of_range(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{11, 0},
		{11, 9},
		{11, 3},
		{11, 1},
		{10, 255},
		{HEAD + 1, 0},
		{HEAD + 7, 6},
		{HEAD + 6, 0x10},
		{HEAD + 5, 1},
		{HEAD + 4, 0xff},
		{HEAD + 16, 0},
		/* kinds that the policy does not name */
		{HEAD + 1, ENVELOPE_SLOT_TPM},
		{HEAD + 1, ENVELOPE_SLOT_KMS},
		{HEAD + 14, ENVELOPE_SLOT_TPM},
		/* the description: policy, flags, version, localities, banks, Names */
		{45, 0},
		{45, ENVELOPE_SLOT_TPM},
		{45, ENVELOPE_SLOT_RECOVERY},
		{45, ENVELOPE_SLOT_OLD_KEY},
		{46, 1}, /* no recovery slot belongs to it */
		{46, 7},
		{47, 21},
		{48, 0},
		{48, 32},
		{49, 16},
		{50, 1},
		{51, 33},
		{51, 255},
		{53, 0x0c},
		{87, 34}};
	struct envelope_header *h = new_header();
	uint8_t *buf;
	size_t len = seal_header(h, &buf), i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error e = {0};
		uint8_t was = buf[cases[i].at];

		buf[cases[i].at] = cases[i].value;
		assert_int_equal(envelope_header_parse(buf, len, h, &e), -EBADMSG);
		assert_int_equal(e.cause, CAUSE_HEADER_CORRUPT);
		assert_true(h->slot_count <= ENVELOPE_SLOTS_MAX);
		buf[cases[i].at] = was;
	}
	free(buf);
	free(h);
}

static void header_under_another_key(void **state)
{
	struct envelope_header *h = new_header();
	struct error e = {0};
	uint8_t *buf;
	size_t len = seal_header(h, &buf);

	assert_int_equal(envelope_header_verify(buf, len, other_key, &e), -EBADMSG);
	assert_int_equal(e.cause, CAUSE_HEADER_CORRUPT);
	free(buf);
	free(h);
}

static void blob_round_trip(void **state)
{
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD], out[sizeof(buf)];
	struct error e = {0};
	size_t len = seal_blob(buf, 41), n;
	struct envelope_blob b = {.uuid = uuid, .kind = 2};

	assert_int_equal(envelope_blob_open(key, &b, buf, len, out, &n, &e), 0);
	assert_int_equal(b.seq, 41);
	assert_int_equal(b.epoch, 0x1122334455667788);
	assert_int_equal(n, sizeof(plain));
	assert_memory_equal(out, plain, n);
	assert_null(memmem(buf, len, plain, 8));
}

static void empty_blob_round_trip(void **state)
{
	uint8_t buf[ENVELOPE_BLOB_OVERHEAD], out[1];
	struct error e = {0};
	size_t len, n;
	struct envelope_blob b = {.uuid = uuid, .kind = 2};

	assert_int_equal(envelope_blob_seal(key, &b, NULL, 0, buf, &len), 0);
	assert_int_equal(envelope_blob_open(key, &b, buf, len, out, &n, &e), 0);
	assert_int_equal(n, 0);
	buf[len - 1] ^= 1;
	assert_int_equal(envelope_blob_open(key, &b, buf, len, out, &n, &e), -EBADMSG);
}

static void blob_flips_are_detected(void **state)
{
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD];
	size_t len = seal_blob(buf, 1), i, bit;

	for (i = 0; i < len; i++)
		for (bit = 0; bit < 8; bit++) {
			struct error e = {0};

			buf[i] ^= 1 << bit;
			assert_int_not_equal(open_blob(buf, len, &e), 0);
			assert_int_not_equal(e.cause, CAUSE_NONE);
			buf[i] ^= 1 << bit;
		}
}

static void blob_truncations_are_detected(void **state)
{
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD + 1] = {0};
	size_t len = seal_blob(buf, 1), i;

	for (i = 0; i < sizeof(buf); i++) {
		struct error e = {0};

		if (i == len)
			continue;
		assert_int_equal(open_blob(buf, i, &e), -EBADMSG);
		assert_int_equal(e.cause, CAUSE_BLOB_CORRUPT);
	}
}

static void blob_of_another_vtpm(void **state)
{
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD], out[sizeof(buf)];
	struct error e = {0};
	size_t len = seal_blob(buf, 1), n;
	struct envelope_blob b = {.uuid = uuid, .kind = 2};
	struct envelope_blob foreign = {.uuid = other_uuid, .kind = 2};

	assert_int_equal(envelope_blob_open(key, &foreign, buf, len, out, &n, &e),
			 -EXDEV);
	assert_int_equal(e.cause, CAUSE_WRONG_VTPM);
	/* the same uuid, but the data key of another header */
	e.cause = CAUSE_NONE;
	assert_int_equal(envelope_blob_open(other_key, &b, buf, len, out, &n, &e),
			 -EBADMSG);
	assert_int_equal(e.cause, CAUSE_BLOB_CORRUPT);
}

static void blob_of_another_kind(void **state)
{
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD], out[sizeof(buf)];
	struct error e = {0};
	size_t len = seal_blob(buf, 1), n;
	struct envelope_blob b = {.uuid = uuid, .kind = 3};

	assert_int_equal(envelope_blob_open(key, &b, buf, len, out, &n, &e), -EBADMSG);
	assert_int_equal(e.cause, CAUSE_BLOB_CORRUPT);
	/* relabelled, it fails all the same: kind is in the key and in the AAD */
	buf[11] = 3;
	e.cause = CAUSE_NONE;
	assert_int_equal(envelope_blob_open(key, &b, buf, len, out, &n, &e), -EBADMSG);
}

static void blob_of_the_future(void **state)
{
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD];
	struct error e = {0};
	size_t len = seal_blob(buf, 1);

	buf[8] = 1;
	assert_int_equal(open_blob(buf, len, &e), -EPROTONOSUPPORT);
	assert_int_equal(e.cause, CAUSE_VERSION);
}

#define REPEATS 256

static void salts_never_repeat(void **state)
{
	static uint8_t salts[REPEATS][32];
	uint8_t buf[sizeof(plain) + ENVELOPE_BLOB_OVERHEAD];
	size_t i, j;

	for (i = 0; i < REPEATS; i++) {
		seal_blob(buf, 1);
		memcpy(salts[i], buf + 44, 32);
		for (j = 0; j < i; j++)
			assert_memory_not_equal(salts[i], salts[j], 32);
	}
}

/* RFC 5869, A.1 and A.3, first 32 bytes of OKM. */
static void hkdf_known_answers(void **state)
{
	static const uint8_t okm1[32] =
		"\x3c\xb2\x5f\x25\xfa\xac\xd5\x7a\x90\x43\x4f\x64\xd0\x36\x2f\x2a"
		"\x2d\x2d\x0a\x90\xcf\x1a\x5a\x4c\x5d\xb0\x2d\x56\xec\xc4\xc5\xbf";
	static const uint8_t okm3[32] =
		"\x8d\xa4\xe7\x75\xa5\x63\xc1\x8f\x71\x5f\x80\x2a\x06\x3c\x5a\x31"
		"\xb8\xa1\x1f\x5c\x5e\xe1\x87\x9e\xc3\x45\x4e\x5f\x3c\x73\x8d\x2d";
	static const uint8_t salt[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	static const uint8_t info[] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf4,
				       0xf5, 0xf6, 0xf7, 0xf8, 0xf9};
	uint8_t ikm[22], out[32];

	memset(ikm, 0x0b, sizeof(ikm));
	assert_int_equal(crypt_hkdf(ikm, 22, salt, sizeof(salt), info, sizeof(info), out),
			 0);
	assert_memory_equal(out, okm1, 32);
	assert_int_equal(crypt_hkdf(ikm, 22, NULL, 0, NULL, 0, out), 0);
	assert_memory_equal(out, okm3, 32);
}

static void gcm_wipes_what_does_not_verify(void **state)
{
	static const uint8_t iv[12];
	uint8_t buf[32] = "a secret", tag[16];

	assert_int_equal(crypt_gcm_seal(key, iv, uuid, 16, buf, sizeof(buf), buf, tag),
			 0);
	tag[0] ^= 1;
	assert_int_equal(crypt_gcm_open(key, iv, uuid, 16, buf, sizeof(buf), buf, tag),
			 -EBADMSG);
	assert_int_equal(buf[0] | buf[1] | buf[31], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_round_trip),
		cmocka_unit_test(largest_header_fits),
		cmocka_unit_test(header_seal_refuses_bad_input),
		cmocka_unit_test(header_flips_are_detected),
		cmocka_unit_test(header_truncations_are_detected),
		cmocka_unit_test(header_of_the_future),
		cmocka_unit_test(header_slots_out_of_range),
		cmocka_unit_test(header_under_another_key),
		cmocka_unit_test(blob_round_trip),
		cmocka_unit_test(empty_blob_round_trip),
		cmocka_unit_test(blob_flips_are_detected),
		cmocka_unit_test(blob_truncations_are_detected),
		cmocka_unit_test(blob_of_another_vtpm),
		cmocka_unit_test(blob_of_another_kind),
		cmocka_unit_test(blob_of_the_future),
		cmocka_unit_test(salts_never_repeat),
		cmocka_unit_test(hkdf_known_answers),
		cmocka_unit_test(gcm_wipes_what_does_not_verify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
