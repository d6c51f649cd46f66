/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a header to a data key, with a real TPM 2.0 (libtpms) as the host's, reached
 * through a wire that the tests tap and cut, and a KMS that is a table.
 */
#include "tests/unit/unlock_host.h"
#include "include/ekwitness.h"

#include <limits.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

static void every_policy_opens_again(void **state)
{
	static const uint16_t kinds[] = {ENVELOPE_SLOT_HOST, ENVELOPE_SLOT_KMS,
					 ENVELOPE_SLOT_TPM, ENVELOPE_SLOT_HOST_GET,
					 ENVELOPE_SLOT_KMS_GET};
	uint8_t first[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		config.desc.policy = kinds[i];
		assert_int_equal(create(), 0);
		opens();
		memcpy(first, key, sizeof(first));
		assert_int_equal(create(), 0);
		assert_memory_not_equal(first, key, sizeof(first));
	}
	config.desc.policy = ENVELOPE_SLOT_RECOVERY;
	assert_int_equal(create(), -EOPNOTSUPP);
	assert_int_equal(error.cause, CAUSE_NOT_CONFIGURED);
}

/* Which of the two a vTPM asks its KMS for, the header says, and nothing beside it. */
static void the_header_says_what_the_kms_does(void **state)
{
	assert_int_equal(create(), 0);
	opens();
	assert_int_equal(kms.derives, 0);
	assert_int_equal(kms.wraps, 1);
	config.desc.policy = ENVELOPE_SLOT_HOST_GET;
	assert_int_equal(create(), 0);
	assert_int_equal(kms.derives, 1);
	config.desc.policy =
		ENVELOPE_SLOT_HOST; /* what vtpmd tells counts at create alone */
	assert_int_equal(reopen(), 0);
	assert_int_equal(desc.policy, ENVELOPE_SLOT_HOST_GET);
	assert_int_equal(kms.derives, 2);
	assert_int_equal(kms.wraps, 1);
}

/* vtpmctl, in domain 0, does not have the KMS's key unless it is told to. */
static void the_kms_key_stays_away(void **state)
{
	struct unlock here = host;

	here.keeps_key_away = true;
	header_len = sizeof(header);
	config.desc.policy = ENVELOPE_SLOT_HOST_GET;
	assert_int_equal(unlock_create(&here, key, header, &header_len), -EPERM);
	assert_non_null(strstr(error.text, "--fetch-kms-key"));
	assert_int_equal(kms.derives, 0);
	config.desc.policy = ENVELOPE_SLOT_HOST;
	error = (struct error){.cause = CAUSE_NONE};
	header_len = sizeof(header);
	assert_int_equal(unlock_create(&here, key, header, &header_len), 0);
}

/* What the relay and the bus see holds no secret, in create and in open. */
static void nothing_secret_crosses_the_wire(void **state)
{
	struct envelope_header *h = malloc(sizeof(*h));
	struct shares *s = malloc(sizeof(*s));
	struct cursor c;
	uint8_t half[32];

	assert_int_equal(create(), 0);
	opens();
	assert_true(wire.len > 1000);
	assert_true(on_wire(config.tpm.policy_key + 24, 32)); /* the tap works */
	assert_false(on_wire(config.tpm.auth, sizeof(config.tpm.auth)));
	assert_false(on_wire(key, sizeof(key)));
	assert_false(on_wire((const uint8_t *)"seals the client's key", 22));
	assert_int_equal(envelope_header_parse(header, header_len, h, &error), 0);
	c = cursor_reader(h->slots[0].data, h->slots[0].len - SLOT_WRAPPED_SIZE);
	assert_int_equal(shares_parse(slot_kind_find(ENVELOPE_SLOT_HOST), &c, s), 0);
	assert_int_equal(unlock_kms_unwrap(&host, &s->kms, half), 0);
	assert_false(on_wire(half, sizeof(half)));
	assert_string_equal((char *)kms.key_pem, client_key);
	free(s);
	free(h);
}

/* No slot is made, or takes another's place, that the KMS does not open. */
static void the_kms_has_to_give_it_back(void **state)
{
	kms.fault = 1;
	assert_int_equal(create(), -EPROTO);
	assert_int_equal(error.cause, CAUSE_KMS_REFUSED);
	assert_non_null(strstr(error.text, "does not give back"));
	kms.fault = 0;
	error = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(create(), 0);
	opens();
}

/* The sealed client key opens whole, on this host, and not otherwise. */
static void the_key_opens_only_whole(void **state)
{
	static uint8_t mine[ROOM];
	size_t i, len = strlen(client_key) + UNLOCK_KEY_OVERHEAD, pem;

	config.kms_key_sealed = NULL;
	assert_int_equal(unlock_kms_seal_key(&host, client_key, mine, &len), 0);
	assert_null(memmem(mine, len, client_key, strlen(client_key)));
	config.kms_key_sealed = mine;
	config.kms_key_sealed_len = len;
	config.desc.policy = ENVELOPE_SLOT_KMS;
	assert_int_equal(create(), 0);
	opens();
	assert_string_equal((char *)kms.key_pem, client_key);
	pem = len - strlen(client_key) - 12 - 2 - 16; /* behind the TPM's object */
	for (i = pem; i < len; i++) {
		mine[i] ^= 0x80;
		refused(CAUSE_NOT_CONFIGURED);
		mine[i] ^= 0x80;
		config.kms_key_sealed_len = i;
		refused(CAUSE_NOT_CONFIGURED);
		config.kms_key_sealed_len = len;
	}
	opens();
	/* behind the object of another key */
	memcpy(mine, sealed, pem);
	refused(CAUSE_NOT_CONFIGURED);
	len = 10;
	error = (struct error){.cause = CAUSE_NONE};
	assert_true(unlock_kms_seal_key(&host, client_key, mine, &len) < 0);
}

/* The TPM's half is shut with the KMS's: the one does not open without the other. */
static void both_are_needed(void **state)
{
	assert_int_equal(create(), 0);
	kms.refuse = CAUSE_KMS_KEY;
	refused(CAUSE_KMS_KEY);
	kms.refuse = CAUSE_NONE;
	opens();
	config.kms_address = NULL;
	refused(CAUSE_NOT_CONFIGURED);
	config.kms_address = (char *)"kms.example:5696";
	config.tpm.approvals = 0;
	refused(CAUSE_NOT_CONFIGURED);
}

/* That the TPM's object does not open then is not the TPM's fault. */
static void a_kms_with_another_secret(void **state)
{
	assert_int_equal(create(), 0);
	kms.wrong = 1;
	refused(CAUSE_KMS_REFUSED);
	assert_non_null(strstr(error.text, "another secret"));
	kms.wrong = 0;
	opens();
}

static void another_boot_state(void **state)
{
	uint8_t pcr7[64] = {0}, extended[32];
	const struct crypt_part part = {pcr7, sizeof(pcr7)};

	assert_int_equal(create(), 0);
	/* PCR 7 as TPM2_PCR_Extend leaves it: H(zeroes | zeroes) */
	extend(7);
	refused(CAUSE_PCRS_CHANGED);
	assert_non_null(strstr(error.text, "7"));
	assert_null(strstr(error.text, "PCR 4"));
	assert_int_equal(crypt_sha256(&part, 1, extended), 0);
	approve(1, extended);
	opens();
	config.tpm.approvals = 1;
	refused(CAUSE_PCRS_CHANGED);
	/* a restart brings the first state back */
	assert_int_equal(engine_power_cycle(), 0);
	power_on_host();
	opens();
}

/* The counter is incremented: what was approved before is void, what is approved then is
 * not. */
static void revoked_approvals(void **state)
{
	assert_int_equal(create(), 0);
	opens();
	revocations = revoke();
	refused(CAUSE_PCRS_CHANGED);
	assert_non_null(strstr(error.text, "revoked"));
	approve(0, NULL);
	opens();
	/* an approval that was signed for a later number */
	revocations++;
	approve(0, NULL);
	refused(CAUSE_PCRS_CHANGED);
	assert_int_equal(revoke(), revocations);
	opens();
	config.tpm.auth[0] ^= 1;
	refused(CAUSE_TPM_REFUSED);
	config.tpm.auth[0] ^= 1;
	config.tpm.counter_name[7] ^= 1;
	refused(CAUSE_TPM_REFUSED);
}

/* Of one purpose for another, and of the host with another storage key. */
static void approvals_of_others(void **state)
{
	uint8_t *one = approvals[0], kept[APPROVAL_SIZE_MAX], name[34];
	size_t at, len = config.tpm.approval_len[0];

	assert_int_equal(create(), 0);
	memcpy(kept, one, sizeof(kept));
	at = len - 3 * 72;
	memcpy(one + at, kept + at + 72, 72); /* the KMS key's for S_tpm */
	refused(CAUSE_TPM_REFUSED);
	memcpy(one, kept, len);
	memcpy(one + at + 72, kept + at, 72); /* the reverse */
	refused(CAUSE_TPM_REFUSED);
	memcpy(one, kept, len);
	memcpy(one + at + 144, kept + at, 72); /* the anchor's does not matter here */
	opens();
	memcpy(one, kept, len);
	memcpy(name, config.tpm.srk_name, sizeof(name));
	config.tpm.srk_name[5] ^= 1;
	approve(0, NULL);
	memcpy(config.tpm.srk_name, name, sizeof(name));
	refused(CAUSE_TPM_REFUSED);
	approve(0, NULL);
	opens();
}

/* An approval that somebody else signed, and one whose values were changed. */
static void forged_approvals(void **state)
{
	assert_int_equal(create(), 0);
	extend(7);
	approvals[0][config.tpm.approval_len[0] - 1] ^= 1;
	assert_true(reopen() < 0);
	approvals[0][config.tpm.approval_len[0] - 1] ^= 1;
	config.tpm.approval_len[0]--;
	assert_true(reopen() < 0);
}

static void another_tpm(void **state)
{
	uint8_t name[34];

	assert_int_equal(create(), 0);
	new_host();
	refused(CAUSE_TPM_REPLACED); /* no key at the handle */
	make_srk(name);
	refused(CAUSE_TPM_REPLACED); /* another key at the handle */
	memcpy(config.tpm.srk_name, name, sizeof(name));
	refused(CAUSE_TPM_REPLACED); /* a host that was set up again */
}

static void other_vtpms_and_damaged_headers(void **state)
{
	size_t at;

	assert_int_equal(create(), 0);
	config.uuid[0]++;
	refused(CAUSE_WRONG_VTPM);
	config.uuid[0]--;
	for (at = 0; at < header_len; at += header_len / 40 + 1) {
		header[at] ^= 1;
		assert_true(reopen() < 0);
		assert_int_not_equal(error.cause, CAUSE_NONE);
		header[at] ^= 1;
	}
	opens();
}

static int open_offline(EVP_PKEY *offline, const struct envelope_header *h)
{
	const struct slot_context x = {.uuid = h->uuid, .recovery_private = offline};

	return slot_open(&x, &h->slots[1], again);
}

/* The slot of an offline key: beside the host's, added when it is configured later,
 * and enough when TPM and KMS are gone. */
static void recovery(void **state)
{
	EVP_PKEY *offline = EVP_EC_gen("P-256"), *newer = EVP_EC_gen("P-256");
	uint8_t public[RECOVERY_PUBLIC_MAX], second[RECOVERY_PUBLIC_MAX], *p = public;
	struct envelope_header *h = malloc(sizeof(*h));
	size_t len = (size_t)i2d_PUBKEY(offline, &p), room = sizeof(header);
	static uint8_t out[ROOM];
	uint64_t seq = 0;

	assert_int_equal(create(), 0);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 0); /* none is configured */
	config.recovery_key = public;
	config.recovery_key_len = len;
	room = sizeof(out);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 1);
	assert_int_equal(seq, 2);
	memcpy(header, out, room);
	header_len = room;
	room = sizeof(out);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 0); /* it is there */
	opens();
	kms.refuse = CAUSE_KMS_KEY;
	new_host();
	assert_true(reopen() < 0);
	assert_int_equal(envelope_header_parse(header, header_len, h, &error), 0);
	assert_int_equal(h->slot_count, 2);
	assert_int_equal(open_offline(offline, h), 0);
	assert_memory_equal(again, key, sizeof(key));
	assert_int_equal(envelope_header_verify(header, header_len, again, &error), 0);

	/* another recovery key takes the place of the old one */
	p = second;
	config.recovery_key = second;
	config.recovery_key_len = (size_t)i2d_PUBKEY(newer, &p);
	room = sizeof(out);
	assert_int_equal(unlock_amend(&host, header, header_len, key, out, &room, &seq),
			 1);
	assert_int_equal(envelope_header_parse(out, room, h, &error), 0);
	assert_int_equal(h->slot_count, 2);
	assert_int_equal(open_offline(offline, h), -ENOKEY);
	assert_int_equal(open_offline(newer, h), 0);

	config.recovery_key_len--;
	room = sizeof(out);
	assert_true(unlock_amend(&host, header, header_len, key, out, &room, &seq) < 0);
	free(h);
	EVP_PKEY_free(offline);
	EVP_PKEY_free(newer);
}

/* Somebody between the vTPM and the TPM changes what they say. */
static void altered_responses(void **state)
{
	unsigned int n, all;

	assert_int_equal(create(), 0);
	opens();
	all = wire.count;
	assert_true(all > 5);
	for (n = 1; n <= all; n++) {
		wire.flip = n;
		/* of a response without a session the last byte may say nothing */
		if (reopen())
			assert_true(
				error.cause ==
					CAUSE_TPM_REFUSED || /* codes are not authenticated: also BAD_AUTH */
				error.cause == CAUSE_KMS_REFUSED ||
				error.cause == CAUSE_TPM_REPLACED ||
				error.cause == CAUSE_PCRS_CHANGED);
		else
			assert_memory_equal(again, key, sizeof(key));
	}
	wire.flip = 0;
	opens();
}

/* tpm2_busy_pause() sleeps here. */
static uint64_t slept_ms;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	slept_ms += (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000;
	return 0;
}

static void a_tpm_that_is_busy_or_gone(void **state)
{
	static const uint32_t codes[] = {0x902, 0x903, 0x908, 0x90a, 0x920, 0x922, 0x923};
	/* LOCKOUT, PCR_CHANGED */
	static const uint32_t warnings[] = {0x921, 0x128};
	size_t i;

	assert_int_equal(create(), 0);
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		wire.busy = codes[i];
		wire.times = 3;
		slept_ms = 0;
		opens();
		assert_int_equal(slept_ms, 20 + 20 + 40);
		wire.times = UINT_MAX; /* for ever */
		slept_ms = 0;
		refused(CAUSE_TPM_BUSY);
		assert_in_range(slept_ms, 20000, 21000);
		assert_in_range(wire.count, 20, 40);
		wire.times = 0;
		opens();
	}
	wire.fail = -EBUSY;
	refused(CAUSE_TPM_BUSY);
	wire.fail = -EPERM;
	refused(CAUSE_TPM_REFUSED);
	wire.fail = 0;
	/* not waited for, and no refusals either */
	for (i = 0; i < ARRAY_SIZE(warnings); i++) {
		wire.busy = warnings[i];
		wire.times = 1;
		refused(CAUSE_TPM_BUSY);
	}
	wire.busy = 0x101;
	wire.times = 1;
	refused(CAUSE_TPM_REFUSED);
	wire.times = 0;
	wire.fail = -ENODEV;
	refused(CAUSE_TPM_UNREACHABLE);
	wire.fail = 0;
	opens();
}

static void a_lease_is_one_of_the_items(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	uint8_t tlvs[64];
	struct cursor w = cursor_writer(tlvs, sizeof(tlvs));

	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	assert_false(c.leased);
	unlock_config_free(&c);
	channel_tlv_put_u8(&w, CONFIG_LEASED, 1);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	assert_true(c.leased);
	unlock_config_free(&c);
}

/* Empty, or a whole Name: of an older vtpmd there is none. */
static void the_witness_of_the_endorsement_keys(void **state)
{
	static const uint8_t witness[EKWITNESS_SIZE + 1] = {0, 11, 1};
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	uint8_t tlvs[96];

	for (size_t n = 0; n <= sizeof(witness); n++) {
		struct cursor w = cursor_writer(tlvs, sizeof(tlvs));
		bool good = !n || n == EKWITNESS_SIZE;

		channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
		assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
		assert_false(c.keeps_witness);
		unlock_config_free(&c);
		channel_tlv_put(&w, CONFIG_EK_WITNESS, witness, n);
		assert_int_equal(!unlock_config_parse(tlvs, w.pos, &c, &e), good);
		if (!good)
			continue;
		assert_true(c.keeps_witness);
		assert_int_equal(c.ek_witness.n, n);
		if (n)
			assert_memory_equal(c.ek_witness.p, witness, n);
		unlock_config_free(&c);
	}
}

/* Two who hold a session each, and wait for one more: the TPM has three. */
static void nobody_waits_with_a_session_in_hand(void **state)
{
	assert_int_equal(create(), 0);
	assert_int_equal(wire.held, 0);
	wire.rival = true;
	slept_ms = 0;
	opens();
	assert_true(wire.refused);
	assert_false(wire.rival);
	assert_int_equal(wire.held, 0);
	assert_in_range(slept_ms, 1, 2000);
}

/* Of a newer vtpmd: a manager that skips what makes another TPM of it, makes another. */
static void an_unknown_item_is_not_skipped(void **state)
{
	static const uint16_t tags[] = {0, 31, 4711, 0x7fff};
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	uint8_t tlvs[64];
	struct cursor w;
	size_t i, known;

	w = cursor_writer(tlvs, sizeof(tlvs));
	channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
	known = w.pos;
	channel_tlv_put_u8(&w, CONFIG_MAY_BE_SKIPPED | 31, 1);
	assert_int_equal(unlock_config_parse(tlvs, w.pos, &c, &e), 0);
	unlock_config_free(&c);
	for (i = 0; i < ARRAY_SIZE(tags); i++) {
		w = cursor_writer(tlvs + known, sizeof(tlvs) - known);
		channel_tlv_put(&w, tags[i], NULL, 0);
		e = (struct error){.cause = CAUSE_NONE};
		assert_int_equal(unlock_config_parse(tlvs, known + w.pos, &c, &e),
				 tags[i] ? -EPROTO : -EBADMSG);
		assert_int_equal(e.cause, tags[i] ? CAUSE_VERSION : CAUSE_CHANNEL);
		channel_tlv_put_u8(&w, CONFIG_CREATE, 1);
		assert_int_not_equal(unlock_config_parse(tlvs, known + w.pos, &c, &e), 0);
	}
}

/* What another host says of the endorsement keys of a vTPM that comes from there. */
static void names_of_endorsement_keys(void **state)
{
	/* which, of how many bytes, and what they begin with */
	static const struct {
		uint8_t which, hash;
		size_t len;
		bool good;
	} names[] = {
		{ENVELOPE_EK_P256, 0x0b, 34, true},  {ENVELOPE_EK_P384, 0x0c, 50, true},
		{ENVELOPE_EK_P256, 0x0b, 33, false}, {ENVELOPE_EK_P256, 0x0c, 34, false},
		{ENVELOPE_EK_P384, 0x0c, 51, false}, {ENVELOPE_EKS, 0x0b, 34, false},
		{ENVELOPE_EK_P256, 0x0b, 0, false},
	};
	uint8_t tlvs[128], value[64];
	struct error e = {.cause = CAUSE_NONE};
	struct unlock_config c;
	struct cursor w;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		memset(value, 7, sizeof(value));
		value[0] = names[i].which;
		value[1] = 0;
		value[2] = names[i].hash;
		w = cursor_writer(tlvs, sizeof(tlvs));
		channel_tlv_put(&w, CONFIG_UUID, "0123456789abcdef", 16);
		channel_tlv_put(&w, CONFIG_EK_NAME, value, 1 + names[i].len);
		assert_int_equal(!unlock_config_parse(tlvs, w.pos, &c, &e),
				 names[i].good);
		if (!names[i].good)
			continue;
		assert_int_equal(c.desc.ek[names[i].which].len, names[i].len);
		assert_memory_equal(c.desc.ek[names[i].which].bytes, value + 1,
				    names[i].len);
		unlock_config_free(&c);
	}
}

#define UNLOCK_TEST(t) cmocka_unit_test_setup(t, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNLOCK_TEST(every_policy_opens_again),
		cmocka_unit_test(an_unknown_item_is_not_skipped),
		cmocka_unit_test(a_lease_is_one_of_the_items),
		cmocka_unit_test(names_of_endorsement_keys),
		cmocka_unit_test(the_witness_of_the_endorsement_keys),
		UNLOCK_TEST(the_header_says_what_the_kms_does),
		UNLOCK_TEST(the_kms_key_stays_away),
		UNLOCK_TEST(nothing_secret_crosses_the_wire),
		UNLOCK_TEST(the_kms_has_to_give_it_back),
		UNLOCK_TEST(a_kms_with_another_secret),
		UNLOCK_TEST(the_key_opens_only_whole),
		UNLOCK_TEST(both_are_needed),
		UNLOCK_TEST(another_boot_state),
		UNLOCK_TEST(revoked_approvals),
		UNLOCK_TEST(approvals_of_others),
		UNLOCK_TEST(forged_approvals),
		UNLOCK_TEST(another_tpm),
		UNLOCK_TEST(other_vtpms_and_damaged_headers),
		UNLOCK_TEST(recovery),
		UNLOCK_TEST(altered_responses),
		UNLOCK_TEST(a_tpm_that_is_busy_or_gone),
		UNLOCK_TEST(nobody_waits_with_a_session_in_hand),
	};
	int failed;

	if (policykey_make(&policy, &error) || policykey_public(policy, policy_public))
		return 1;
	failed = cmocka_run_group_tests_name("unlock", tests, NULL, NULL);
	(void)!engine_close();
	EVP_PKEY_free(policy);
	free(nv);
	return failed;
}
