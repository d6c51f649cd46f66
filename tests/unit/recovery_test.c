/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "lib/slot/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

static const uint8_t uuid[16] = "vtpm number one", other[16] = "vtpm number two";
static const uint8_t data_key[32] = "the key to all that the TPM has";
static struct envelope_slot slot;

static size_t public_of(EVP_PKEY *key, uint8_t out[512])
{
	uint8_t *p = out;
	int n = i2d_PUBKEY(key, &p);

	assert_true(n > 0 && n <= 512);
	return (size_t)n;
}

static int seal(const uint8_t *public, size_t len)
{
	const struct slot_context x = {
		.uuid = uuid, .recovery_key = public, .recovery_key_len = len};

	return slot_seal(&x, &slot, data_key);
}

static int unwrap(EVP_PKEY *key, const uint8_t *of, uint8_t got[32])
{
	const struct slot_context x = {.uuid = of, .recovery_private = key};

	return slot_open(&x, &slot, got);
}

static void new_slot(EVP_PKEY *key)
{
	uint8_t public[512];
	size_t len = public_of(key, public);

	memset(&slot, 0, sizeof(slot));
	slot.kind = ENVELOPE_SLOT_RECOVERY;
	slot.id = 1;
	assert_true(recovery_public_ok(public, len));
	assert_int_equal(seal(public, len), 0);
}

static void every_curve(void **state)
{
	EVP_PKEY *keys[] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-384"), EVP_EC_gen("P-521"),
			    EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
	uint8_t got[32], id[32], slot_id[32], public[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		new_slot(keys[i]);
		memset(got, 0, sizeof(got));
		assert_int_equal(unwrap(keys[i], uuid, got), 0);
		assert_memory_equal(got, data_key, sizeof(got));
		assert_null(memmem(slot.data, slot.len, data_key, sizeof(data_key)));
		assert_int_equal(recovery_slot_key(&slot, slot_id), 0);
		assert_int_equal(recovery_key_id(public, public_of(keys[i], public), id),
				 0);
		assert_memory_equal(id, slot_id, sizeof(id));
		EVP_PKEY_free(keys[i]);
	}
}

static void other_keys_vtpms_and_slots(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *wrong = EVP_EC_gen("P-256");
	uint8_t got[32];

	new_slot(key);
	assert_int_equal(unwrap(wrong, uuid, got), -ENOKEY);
	assert_int_equal(unwrap(key, other, got), -EBADMSG);
	slot.id = 2;
	assert_int_equal(unwrap(key, uuid, got), -EBADMSG);
	slot.id = 1;
	slot.kind = ENVELOPE_SLOT_HOST;
	assert_int_equal(unwrap(key, uuid, got), -EBADMSG);
	EVP_PKEY_free(key);
	EVP_PKEY_free(wrong);
}

static void altered_and_short_slots(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t got[32];
	uint16_t at, len;

	new_slot(key);
	len = slot.len;
	for (at = 0; at < len; at++) {
		slot.data[at] ^= 1;
		assert_true(unwrap(key, uuid, got) < 0);
		slot.data[at] ^= 1;
		slot.len = at;
		assert_true(unwrap(key, uuid, got) < 0);
		slot.len = len;
	}
	assert_int_equal(unwrap(key, uuid, got), 0);
	EVP_PKEY_free(key);
}

static void keys_that_cannot_be_used(void **state)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *small = EVP_EC_gen("P-224");
	uint8_t public[512];
	size_t len = public_of(rsa, public);

	memset(&slot, 0, sizeof(slot));
	slot.kind = ENVELOPE_SLOT_RECOVERY;
	assert_false(recovery_public_ok(public, len));
	assert_int_equal(seal(public, len), -EINVAL);
	len = public_of(small, public);
	assert_false(recovery_public_ok(public, len));
	assert_false(recovery_public_ok(public, 0));
	assert_false(recovery_public_ok((const uint8_t *)"nonsense", 8));
	EVP_PKEY_free(small);
	small = EVP_EC_gen("P-256");
	len = public_of(small, public);
	public[len] = 0;
	assert_true(recovery_public_ok(public, len));
	assert_false(recovery_public_ok(public, len + 1));
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_curve),
		cmocka_unit_test(other_keys_vtpms_and_slots),
		cmocka_unit_test(altered_and_short_slots),
		cmocka_unit_test(keys_that_cannot_be_used),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
