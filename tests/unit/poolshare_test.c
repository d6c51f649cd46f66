/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key slot of a pool: one that the TPMs of several hosts open, each a real TPM 2.0 (libtpms)
 * that has the pool's key as an object of its own, behind vtpmd's filter.
 */
#include "tests/unit/unlock_host.h"
#include "lib/tpm2/duplicate.h"
#include "stubdom/manager/poolshare.h"

static const uint8_t pool_keys[3][32] = {"", "the pool's first key",
					 "the pool's second key"};
static uint8_t wrapped[2][TPM2_DUPLICATE_MAX];

/* Wraps a pool key for the TPM that is there, as `vtpmctl pool publish` does. */
static size_t wrap(uint32_t version, uint8_t out[TPM2_DUPLICATE_MAX])
{
	struct cursor w = cursor_writer(out, TPM2_DUPLICATE_MAX);
	uint8_t digest[CRYPT_HASH_SIZE];
	struct tpm2_template t;
	struct tpm2_point srk;

	assert_int_equal(
		tpm2_storage_point((struct tpm2_bytes){srk_public, srk_public_len}, &srk),
		0);
	assert_int_equal(poolshare_template(policy_public, sizeof(policy_public),
					    config.tpm.srk_name, digest, &t),
			 0);
	assert_int_equal(tpm2_duplicate_make(&srk, &t, pool_keys[version], &w), 0);
	assert_true(cursor_ok(&w));
	return w.pos;
}

static void give(unsigned int n, uint32_t version)
{
	config.pool_key[n].version = version;
	config.pool_key[n].object =
		(struct tpm2_bytes){wrapped[n], wrap(version, wrapped[n])};
	config.pool_keys = n + 1;
}

/* Another host of the pool, with a TPM of its own, and the keys first to last. */
static int other_host(uint32_t first, uint32_t last)
{
	uint32_t v;

	(void)!setup(NULL);
	config.in_pool = true;
	for (v = first; v <= last; v++)
		give(v - first, v);
	return 0;
}

static int pool_host(void **state)
{
	return other_host(1, 1);
}

static void is_version(uint32_t version)
{
	assert_int_equal(shares_pool_version(header, header_len), version);
	assert_int_equal(header[9], version ? ENVELOPE_VERSION_POOL : ENVELOPE_VERSION);
}

static void opens_in_pool(void)
{
	int rc = reopen();

	if (rc)
		print_error("%s: %s\n", error_word(error.cause), error.text);
	assert_int_equal(rc, 0);
	assert_memory_equal(again, key, sizeof(key));
}

static void each_host_opens_it(void **state)
{
	assert_int_equal(create(), 0);
	is_version(1);
	opens_in_pool();
	assert_int_equal(desc.policy, ENVELOPE_SLOT_POOL);
	other_host(1, 1);
	opens_in_pool();
	other_host(1, 1);
	config.in_pool = false; /* it left the pool, and has what it had */
	opens_in_pool();
	other_host(1, 0);
	refused(CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "pool publish"));
}

static void with_a_kms_that_gives_its_key(void **state)
{
	config.desc.policy = ENVELOPE_SLOT_HOST_GET;
	assert_int_equal(create(), 0);
	is_version(1);
	other_host(1, 1);
	opens_in_pool();
	assert_int_equal(desc.policy, ENVELOPE_SLOT_POOL_GET);
	assert_int_equal(kms.derives, 1);
}

static void the_kms_is_needed(void **state)
{
	assert_int_equal(create(), 0);
	kms.refuse = CAUSE_KMS_KEY;
	refused(CAUSE_KMS_KEY);
	kms.refuse = CAUSE_NONE;
	kms.wrong = 1;
	refused(CAUSE_HEADER_CORRUPT);
	kms.wrong = 0;
	opens_in_pool();
}

static void so_is_an_approved_boot_state(void **state)
{
	assert_int_equal(create(), 0);
	other_host(1, 1);
	extend(7);
	refused(CAUSE_PCRS_CHANGED);
	assert_non_null(strstr(error.text, "PCR 7"));
	other_host(1, 1);
	(void)revoke();
	refused(CAUSE_PCRS_CHANGED);
}

/* Neither what one host has, nor a part of it, is of use on another one. */
static void what_is_for_another_tpm(void **state)
{
	uint8_t theirs[TPM2_DUPLICATE_MAX];
	size_t i, len = config.pool_key[0].object.n;

	assert_int_equal(create(), 0);
	memcpy(theirs, config.pool_key[0].object.p, len);
	other_host(1, 1);
	config.pool_key[0].object = (struct tpm2_bytes){theirs, len};
	refused(CAUSE_TPM_REFUSED);
	assert_non_null(strstr(error.text, "another TPM"));
	config.pool_key[0].object = (struct tpm2_bytes){wrapped[0], len};
	opens_in_pool();
	wire.filtered = true;
	for (i = 0; i < len; i += 9) {
		wrapped[0][i] ^= 4;
		assert_true(reopen() < 0);
		memset(&filter, 0, sizeof(filter));
		wrapped[0][i] ^= 4;
	}
	opens_in_pool();
}

/* The object's policy is this host's: what is signed for another one does not satisfy it. */
static void a_policy_of_another_host(void **state)
{
	uint8_t own[TPM2_NAME_SIZE];

	assert_int_equal(create(), 0);
	memcpy(own, config.tpm.srk_name, sizeof(own));
	memset(config.tpm.srk_name + 2, 1, 32);
	(void)wrap(1, wrapped[0]);
	memcpy(config.tpm.srk_name, own, sizeof(own));
	refused(CAUSE_TPM_REFUSED);
}

/* A member has left: those that stay have a second key, and make the slot anew. */
static void a_member_leaves(void **state)
{
	uint8_t old[ROOM];
	size_t old_len;

	assert_int_equal(create(), 0);
	old_len = header_len;
	memcpy(old, header, old_len);
	opens_in_pool();
	config.desc = desc;
	assert_false(unlock_is_old(&config, header, header_len));
	other_host(1, 2);
	opens_in_pool();
	config.desc = desc;
	assert_true(unlock_is_old(&config, header, header_len));
	header_len = sizeof(header);
	assert_int_equal(unlock_seal(&host, key, 2, header, &header_len), 0);
	is_version(2);
	assert_false(unlock_is_old(&config, header, header_len));
	opens_in_pool();
	other_host(2, 2); /* one that came afterwards */
	opens_in_pool();
	other_host(1, 1); /* the one that left */
	refused(CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "version 2 of its pool's key"));
	memcpy(header, old, old_len);
	header_len = old_len;
	opens_in_pool(); /* what it could open before, it still can */
	other_host(2, 2);
	refused(CAUSE_NOT_CONFIGURED);
	assert_non_null(strstr(error.text, "version 1 of its pool's key"));
}

/* Into the pool, and out of it, with the data key that it has. */
static void a_slot_of_its_place(void **state)
{
	config.in_pool = false;
	assert_int_equal(create(), 0);
	is_version(0);
	assert_false(unlock_is_old(&config, header, header_len));
	config.in_pool = true;
	assert_int_equal(reopen(), 0);
	config.desc = desc;
	assert_true(unlock_is_old(&config, header, header_len));
	header_len = sizeof(header);
	assert_int_equal(unlock_seal(&host, key, 2, header, &header_len), 0);
	is_version(1);
	opens_in_pool();
	config.in_pool = false;
	config.desc = desc;
	assert_true(unlock_is_old(&config, header, header_len));
	header_len = sizeof(header);
	assert_int_equal(unlock_seal(&host, key, 3, header, &header_len), 0);
	is_version(0);
	opens_in_pool();
	assert_int_equal(desc.policy, ENVELOPE_SLOT_HOST);
	config.desc.policy = ENVELOPE_SLOT_KMS;
	config.in_pool = true;
	assert_int_equal(create(), 0);
	opens_in_pool();
	assert_int_equal(desc.policy, ENVELOPE_SLOT_KMS);
}

/* Neither the pool's key nor what the TPM makes of it is seen by who relays the commands. */
static void nothing_of_it_crosses_the_wire(void **state)
{
	struct envelope_header *h = malloc(sizeof(*h));
	struct shares *s = malloc(sizeof(*s));
	uint8_t data[SHARES_POOL_SIZE], share[32];
	const struct crypt_part part = {data, sizeof(data)};
	struct cursor c;

	assert_int_equal(create(), 0);
	opens_in_pool();
	assert_int_equal(envelope_header_parse(header, header_len, h, &error), 0);
	c = cursor_reader(h->slots[0].data, h->slots[0].len - SLOT_WRAPPED_SIZE);
	assert_int_equal(shares_parse(slot_kind_find(ENVELOPE_SLOT_POOL), &c, s), 0);
	shares_pool_data(1, config.uuid, s->nonce, data);
	assert_true(on_wire(data, sizeof(data))); /* the tap works */
	assert_int_equal(crypt_hmac(pool_keys[1], 32, &part, 1, share), 0);
	assert_false(on_wire(share, sizeof(share)));
	assert_false(on_wire(share, 16));
	assert_false(on_wire(pool_keys[1], 16));
	assert_false(on_wire(key, sizeof(key)));
	free(s);
	free(h);
}

/* A header of a pool is none to who knows version 2 alone, by its version. */
static void versions_go_with_policies(void **state)
{
	assert_int_equal(create(), 0);
	header[9] = ENVELOPE_VERSION;
	refused(CAUSE_HEADER_CORRUPT);
	header[9] = ENVELOPE_VERSION_POOL + 1;
	refused(CAUSE_VERSION);
	config.in_pool = false;
	assert_int_equal(create(), 0);
	header[9] = ENVELOPE_VERSION_POOL;
	refused(CAUSE_HEADER_CORRUPT);
}

static void keys_of_the_configuration(void **state)
{
	uint8_t tlvs[1024], value[5 + 8] = {0, 0, 0, 7, 'o'};
	struct error e = {.cause = CAUSE_NONE};
	struct cursor w = cursor_writer(tlvs, sizeof(tlvs));
	struct unlock_config c;
	int i;

	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	channel_tlv_put_u8(&w, CONFIG_IN_POOL, 1);
	for (i = 0; i < UNLOCK_POOL_KEYS_MAX; i++)
		channel_tlv_put(&w, CONFIG_POOL_KEY, value, sizeof(value));
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	assert_true(c.in_pool && c.pool_keys == UNLOCK_POOL_KEYS_MAX);
	assert_int_equal(c.pool_key[0].version, 7);
	assert_int_equal(c.pool_key[0].object.n, 9);
	unlock_config_free(&c);
	channel_tlv_put(&w, CONFIG_POOL_KEY, value, sizeof(value));
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), -EBADMSG);
	w = cursor_writer(tlvs, sizeof(tlvs));
	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	channel_tlv_put(&w, CONFIG_POOL_KEY, value, 4);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), -EBADMSG);
}

#define POOL_TEST(t) cmocka_unit_test_setup(t, pool_host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(each_host_opens_it),
		POOL_TEST(with_a_kms_that_gives_its_key),
		POOL_TEST(the_kms_is_needed),
		POOL_TEST(so_is_an_approved_boot_state),
		POOL_TEST(what_is_for_another_tpm),
		POOL_TEST(a_policy_of_another_host),
		POOL_TEST(a_member_leaves),
		POOL_TEST(a_slot_of_its_place),
		POOL_TEST(nothing_of_it_crosses_the_wire),
		POOL_TEST(versions_go_with_policies),
		cmocka_unit_test(keys_of_the_configuration),
	};
	int failed;

	if (policykey_make(&policy, &error) || policykey_public(policy, policy_public))
		return 1;
	failed = cmocka_run_group_tests_name("poolshare", tests, NULL, NULL);
	(void)!engine_close();
	EVP_PKEY_free(policy);
	free(nv);
	return failed;
}
