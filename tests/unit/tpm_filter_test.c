/* SPDX-License-Identifier: Apache-2.0 */
/* Each command of the allow-list in the manager's form, and everything that differs from
 * it by a byte, a length or a tag. */
#include "tests/unit/unit.h"
#include "include/channel.h"
#include "lib/cursor.h"
#include "lib/slot/shares.h"
#include "tools/vtpmd/tpm_filter.h"

#include <errno.h>
#include <string.h>

#define SRK	0x81005654u
#define RH_NULL 0x40000007u
#define HMAC	0x02000000u
#define POLICY	0x03000001u
#define SEALED	0x80ffffffu
#define KEY	0x80fffffeu
#define FOREIGN 0x02000001u /* another vTPM's */

static const uint8_t policy_key[88] = {0, 0x23, 0, 0x0b, 1, 2, 3};
static const uint8_t own_uuid[16] = "this vTPM's own", copied[16] = "it copies that.";
static const struct tpm_filter_host host = {
	SRK, policy_key, sizeof(policy_key), {own_uuid, NULL}};
static struct tpm_filter filter;
static struct tpm_filter_verdict verdict;

/* What a byte of a command may be. */
enum mark {
	FIXED = 0,
	FREE,	/* anything */
	TYPE,	/* 0 or 1 */
	RANDOM, /* up to 32 */
};

static struct {
	uint8_t bytes[1024], mark[1024];
	struct cursor w;
} cmd;

static void begin(uint16_t tag, uint32_t code)
{
	memset(&cmd, 0, sizeof(cmd));
	cmd.w = cursor_writer(cmd.bytes, sizeof(cmd.bytes));
	cursor_put_u16(&cmd.w, tag);
	cursor_put_u32(&cmd.w, 0);
	cursor_put_u32(&cmd.w, code);
}

static void u8(uint8_t v)
{
	cursor_put_u8(&cmd.w, v);
}

static void u16(uint16_t v)
{
	cursor_put_u16(&cmd.w, v);
}

static void u32(uint32_t v)
{
	cursor_put_u32(&cmd.w, v);
}

static void any(size_t n, enum mark mark)
{
	memset(cmd.mark + cmd.w.pos, mark, n);
	for (; n; n--)
		u8(0);
}

/* A TPM2B of free bytes. */
static void bytes(uint16_t n)
{
	u16(n);
	any(n, FREE);
}

static void authorized(uint32_t session, uint8_t attributes)
{
	u32(73);
	u32(session);
	bytes(32);
	u8(attributes);
	bytes(32);
}

static void sealed_public(uint32_t attributes, uint16_t unique)
{
	u16(46 + unique);
	u16(8);
	u16(0x0b);
	u32(attributes);
	bytes(32);
	u16(0x10);
	bytes(unique);
}

static void selection(void)
{
	u32(1);
	u16(0x0b);
	u8(3);
	any(3, FREE);
}

static void create(void)
{
	begin(0x8002, 0x153);
	u32(SRK);
	authorized(HMAC, 0x21);
	bytes(68);
	sealed_public(0x492, 0);
	u16(0);
	u32(0);
}

static void load(void)
{
	begin(0x8002, 0x157);
	u32(SRK);
	authorized(HMAC, 1);
	bytes(180);
	sealed_public(0x492, 32);
}

static void share_public(void)
{
	u16(80);
	u16(8);
	u16(0x0b);
	u32(0x40480);
	bytes(32);
	u16(5);
	u16(0x0b);
	bytes(32);
}

static void import(void)
{
	begin(0x8002, 0x156);
	u32(SRK);
	authorized(HMAC, 1);
	u16(0);
	share_public();
	bytes(34 + 74);
	bytes(68);
	u16(0x10);
}

static void load_share(void)
{
	begin(0x8002, 0x157);
	u32(SRK);
	authorized(HMAC, 1);
	bytes(180);
	share_public();
}

static void put_hmac(const uint8_t uuid[16])
{
	begin(0x8002, 0x155);
	u32(SEALED);
	authorized(POLICY, 0x41);
	u16(SHARES_POOL_SIZE);
	cursor_put(&cmd.w, SHARES_POOL_LABEL, strlen(SHARES_POOL_LABEL));
	any(4, FREE);
	cursor_put(&cmd.w, uuid, 16);
	any(32, FREE);
	u16(0x0b);
}

static void hmac(void)
{
	put_hmac(own_uuid);
}

static void unseal(void)
{
	begin(0x8002, 0x15e);
	u32(SEALED);
	authorized(POLICY, 0x41);
}

static void flush(void)
{
	begin(0x8001, 0x165);
	u32(SEALED);
}

static void load_external(void)
{
	begin(0x8001, 0x167);
	u16(0);
	u16(sizeof(policy_key));
	cursor_put(&cmd.w, policy_key, sizeof(policy_key));
	u32(0x40000001);
}

static void policy_authorize(void)
{
	begin(0x8001, 0x16a);
	u32(POLICY);
	bytes(32);
	bytes(32);
	bytes(34);
	u16(0x8022);
	u32(0x40000001);
	bytes(32);
}

static void policy_nv(void)
{
	begin(0x8002, 0x149);
	u32(CHANNEL_COUNTER_INDEX);
	u32(CHANNEL_COUNTER_INDEX);
	u32(POLICY);
	authorized(HMAC, 1);
	bytes(8);
	u16(0);
	u16(0);
}

static void policy_auth_value(void)
{
	begin(0x8001, 0x16b);
	u32(POLICY);
}

static void read_public(void)
{
	begin(0x8001, 0x173);
	u32(SRK);
}

static void start(void)
{
	begin(0x8001, 0x176);
	u32(SRK);
	u32(RH_NULL);
	bytes(32);
	bytes(68);
	any(1, TYPE);
	u16(6);
	u16(128);
	u16(0x43);
	u16(0x0b);
}

static void verify_signature(void)
{
	begin(0x8001, 0x177);
	u32(KEY);
	bytes(32);
	u16(0x18);
	u16(0x0b);
	bytes(32);
	bytes(31);
}

static void get_random(void)
{
	begin(0x8001, 0x17b);
	u8(0);
	any(1, RANDOM);
}

static void pcr_read(void)
{
	begin(0x8001, 0x17e);
	selection();
}

static void policy_pcr(void)
{
	begin(0x8001, 0x17f);
	u32(POLICY);
	u16(0);
	selection();
}

static void policy_get_digest(void)
{
	begin(0x8001, 0x189);
	u32(POLICY);
}

static void (*const all[])(void) = {
	create,
	load,
	unseal,
	flush,
	load_external,
	policy_authorize,
	policy_nv,
	policy_auth_value,
	read_public,
	start,
	verify_signature,
	get_random,
	pcr_read,
	policy_pcr,
	policy_get_digest,
	import,
	load_share,
	hmac,
};

/* With its size field as it has to be. */
static int check_len(size_t len)
{
	struct cursor size = cursor_writer(cmd.bytes + 2, 4);

	cursor_put_u32(&size, (uint32_t)len);
	return tpm_filter_check(&filter, &host, cmd.bytes, len, &verdict);
}

static int check(void)
{
	return check_len(cmd.w.pos);
}

static void refused(void)
{
	assert_int_equal(check(), -EPERM);
	assert_non_null(verdict.why);
	assert_int_equal(verdict.gives, 0);
	assert_int_equal(verdict.flushes, 0);
}

/* The manager has one of each. */
static int setup(void **state)
{
	filter = (struct tpm_filter){{{HMAC, TPM_FILTER_HMAC},
				      {POLICY, TPM_FILTER_POLICY},
				      {SEALED, TPM_FILTER_SEALED}}};
	return 0;
}

/* What makes a handle needs room for it; the policy key is there else. */
static void for_command(size_t i)
{
	setup(NULL);
	if (all[i] == verify_signature)
		filter.own[3].kind = TPM_FILTER_KEY, filter.own[3].handle = KEY;
	if (all[i] == hmac)
		filter.own[2].kind = TPM_FILTER_SHARE;
	all[i]();
}

static void allows_what_sealing_needs(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for_command(i);
		assert_int_equal(check(), 0);
		assert_non_null(verdict.name);
	}
}

/* Of the pool's key a manager gets what is its own vTPM's, and no other's; and of an object
 * nothing but what its kind is for. */
static void no_share_of_another_vtpm(void **state)
{
	struct tpm_filter_host copies = host;

	filter.own[2].kind = TPM_FILTER_SHARE;
	put_hmac(copied);
	refused();
	assert_string_equal(verdict.why, "it asks for the key share of another vTPM");
	copies.uuid[1] = copied;
	assert_int_equal(
		tpm_filter_check(&filter, &copies, cmd.bytes, cmd.w.pos, &verdict), 0);
	unseal();
	refused();
	filter.own[2].kind = TPM_FILTER_SEALED;
	hmac();
	refused();
	load_share();
	assert_int_equal(check(), 0);
	assert_int_equal(verdict.gives, TPM_FILTER_SHARE);
	load();
	assert_int_equal(check(), 0);
	assert_int_equal(verdict.gives, TPM_FILTER_SEALED);
}

static bool may_be(enum mark mark, unsigned int value)
{
	switch (mark) {
	case FREE:
		return true;
	case TYPE:
		return value <= 1;
	case RANDOM:
		return value <= 32;
	case FIXED:
		break;
	}
	return false;
}

/* Every value of every byte, the header's apart: only those that may be. */
static void every_byte(void **state)
{
	unsigned int value;
	uint8_t was;
	size_t i, at;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for_command(i);
		for (at = 10; at < cmd.w.pos; at++) {
			was = cmd.bytes[at];
			for (value = 0; value < 256; value++) {
				bool good = value == was || may_be(cmd.mark[at], value);

				/* FlushContext takes all that is its own */
				if (all[i] == flush && value != was)
					good = false;
				cmd.bytes[at] = (uint8_t)value;
				if ((check() == 0) != good)
					fail_msg("%s: byte %zu as 0x%x", verdict.name, at,
						 value);
			}
			cmd.bytes[at] = was;
		}
	}
}

static void every_length(void **state)
{
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for_command(i);
		for (n = 0; n < cmd.w.pos; n++)
			assert_int_equal(check_len(n), -EPERM);
		assert_int_equal(check_len(cmd.w.pos + 1), -EPERM);
		assert_int_equal(check(), 0);
		cmd.bytes[5]++; /* a size that is not the length */
		assert_int_equal(
			tpm_filter_check(&filter, &host, cmd.bytes, cmd.w.pos, &verdict),
			-EPERM);
	}
	memset(&cmd, 0, sizeof(cmd));
	assert_int_equal(tpm_filter_check(&filter, &host, cmd.bytes, 0, &verdict),
			 -EPERM);
}

static void every_tag(void **state)
{
	unsigned int tag;
	uint16_t was;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for_command(i);
		was = (uint16_t)(cmd.bytes[0] << 8 | cmd.bytes[1]);
		for (tag = 0; tag < 0x10000; tag++) {
			cmd.bytes[0] = (uint8_t)(tag >> 8);
			cmd.bytes[1] = (uint8_t)tag;
			assert_int_equal(check() == 0, tag == was);
		}
	}
}

/* Every other code there is, and some that there are not, in each of the forms. */
static void every_code(void **state)
{
	struct cursor w;
	uint32_t code, was;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for_command(i);
		was = (uint32_t)(cmd.bytes[8] << 8 | cmd.bytes[9]);
		for (code = 0; code < 0x400; code++) {
			w = cursor_writer(cmd.bytes + 6, 4);
			cursor_put_u32(&w, code);
			if (code == was)
				continue;
			/* one form: a policy session's handle */
			if ((was == 0x16b || was == 0x189) &&
			    (code == 0x16b || code == 0x189 || code == 0x165))
				continue;
			if (!check())
				fail_msg("0x%x in the form of 0x%x", code, was);
		}
		for (code = 8; code < 32; code++) {
			w = cursor_writer(cmd.bytes + 6, 4);
			cursor_put_u32(&w, was ^ 1u << code);
			refused();
		}
	}
}

static void names_the_refused(void **state)
{
	begin(0x8002, 0x126);
	u32(0x4000000c);
	refused();
	assert_string_equal(verdict.name, "TPM2_Clear");
	assert_int_equal(verdict.code, 0x126);
	begin(0x8002, 0x3ff);
	refused();
	assert_null(verdict.name);
}

/* An object that counts wrong tries, or that a password opens, or a key. */
static void only_the_sealing_template(void **state)
{
	static const uint32_t bad[] = {
		0x092,	   /* no noDA */
		0x4d2,	   /* userWithAuth */
		0x412,	   /* no adminWithPolicy */
		0x4b2,	   /* sensitiveDataOrigin */
		0x030472,  /* a storage key */
		0x00040472 /* a key that signs */
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(0x8002, 0x153);
		u32(SRK);
		authorized(HMAC, 0x21);
		bytes(68);
		sealed_public(bad[i], 0);
		u16(0);
		u32(0);
		refused();
		begin(0x8002, 0x157);
		u32(SRK);
		authorized(HMAC, 1);
		bytes(180);
		sealed_public(bad[i], 32);
		refused();
	}
}

static void no_passwords_and_no_second_session(void **state)
{
	begin(0x8002, 0x15e);
	u32(SEALED);
	u32(9);
	u32(0x40000009);
	cursor_put(&cmd.w, "\0\0\0\0\0", 5);
	refused();
	begin(0x8002, 0x15e);
	u32(SEALED);
	u32(146);
	u32(POLICY);
	bytes(32);
	u8(0x41);
	bytes(32);
	u32(HMAC);
	bytes(32);
	u8(0x41);
	bytes(32);
	refused();
	/* each kind of session where the other belongs */
	begin(0x8002, 0x15e);
	u32(SEALED);
	authorized(HMAC, 0x41);
	refused();
	begin(0x8001, 0x189);
	u32(HMAC);
	refused();
}

static void sessions_are_bound_to_nothing(void **state)
{
	static const uint32_t bad[] = {0x4000000a, 0x4000000b, 0x4000000c, 0x40000001,
				       SRK,	   SEALED,     0,	   0x01500040};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		start();
		cmd.w = cursor_writer(cmd.bytes + 14, 4);
		u32(bad[i]);
		cmd.w.pos = 10 + 8 + 34 + 70 + 9;
		refused();
		assert_string_equal(verdict.why,
				    "its session is bound to an entity of the TPM");
	}
}

/* Handles that the TPM did not give to this manager. */
static void nothing_of_others(void **state)
{
	static const uint32_t bad[] = {FOREIGN,	   0x03000000, 0x80000000, 0,
				       0x81000001, SRK,	       RH_NULL,	   0x40000009};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(0x8001, 0x165);
		u32(bad[i]);
		refused();
		begin(0x8002, 0x15e);
		u32(bad[i]);
		authorized(POLICY, 0x41);
		refused();
		begin(0x8002, 0x15e);
		u32(SEALED);
		authorized(bad[i], 0x41);
		refused();
	}
}

static void without_a_storage_key_nothing_fits(void **state)
{
	static const struct tpm_filter_host none;

	create();
	(void)check();
	assert_int_equal(tpm_filter_check(&filter, &none, cmd.bytes, cmd.w.pos, &verdict),
			 -EPERM);
	begin(0x8001, 0x173);
	u32(0);
	(void)check();
	assert_int_equal(tpm_filter_check(&filter, &none, cmd.bytes, cmd.w.pos, &verdict),
			 -EPERM);
	load_external();
	(void)check();
	assert_int_equal(tpm_filter_check(&filter, &none, cmd.bytes, cmd.w.pos, &verdict),
			 -EPERM);
}

/* Its response: success, a handle and something. */
static void answer(uint32_t code, uint32_t handle, size_t len)
{
	uint8_t rsp[64] = {0};
	struct cursor w = cursor_writer(rsp, sizeof(rsp));

	cursor_put_u16(&w, 0x8001);
	cursor_put_u32(&w, (uint32_t)len);
	cursor_put_u32(&w, code);
	cursor_put_u32(&w, handle);
	tpm_filter_answered(&filter, &verdict, rsp, len);
}

static void handles_come_and_go(void **state)
{
	memset(&filter, 0, sizeof(filter));
	create();
	refused(); /* it has no session */
	start();
	assert_int_equal(check(), 0);
	answer(0x903, HMAC, 30);
	answer(0, HMAC, 12);	   /* cut short */
	answer(0, 0x80000000, 30); /* no session */
	answer(0, POLICY, 30);	   /* not of the type that was asked for */
	create();
	refused();
	start();
	assert_int_equal(check(), 0);
	answer(0, HMAC, 30);
	create();
	assert_int_equal(check(), 0);
	answer(0, SEALED, 30); /* what it gives is no handle */
	flush();
	refused();
	load();
	assert_int_equal(check(), 0);
	answer(0, SEALED, 30);
	flush();
	assert_int_equal(check(), 0);
	answer(0x18b, 0, 10); /* it failed: it is there still */
	assert_int_equal(check(), 0);
	answer(0, 0, 10);
	refused();
	load_external();
	assert_int_equal(check(), 0);
	answer(0, KEY, 30);
	verify_signature();
	assert_int_equal(check(), 0);
	/* the policy key is nothing to unseal */
	begin(0x8002, 0x15e);
	u32(KEY);
	authorized(POLICY, 0x41);
	refused();
}

static void only_so_many(void **state)
{
	size_t i;

	memset(&filter, 0, sizeof(filter));
	for (i = 0; i < TPM_FILTER_HANDLES; i++) {
		start();
		assert_int_equal(check(), 0);
		answer(0, HMAC + (uint32_t)i, 30);
	}
	start();
	refused();
	load();
	refused();
	load_external();
	refused();
	begin(0x8001, 0x165);
	u32(HMAC + 1);
	assert_int_equal(check(), 0);
	answer(0, 0, 10);
	load();
	assert_int_equal(check(), 0);
}

#define FILTER_TEST(t) cmocka_unit_test_setup(t, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILTER_TEST(allows_what_sealing_needs),
		FILTER_TEST(no_share_of_another_vtpm),
		FILTER_TEST(every_byte),
		FILTER_TEST(every_length),
		FILTER_TEST(every_tag),
		FILTER_TEST(every_code),
		FILTER_TEST(names_the_refused),
		FILTER_TEST(only_the_sealing_template),
		FILTER_TEST(no_passwords_and_no_second_session),
		FILTER_TEST(sessions_are_bound_to_nothing),
		FILTER_TEST(nothing_of_others),
		FILTER_TEST(without_a_storage_key_nothing_fits),
		FILTER_TEST(handles_come_and_go),
		FILTER_TEST(only_so_many),
	};

	return cmocka_run_group_tests_name("tpm_filter", tests, NULL, NULL);
}
