/* SPDX-License-Identifier: Apache-2.0 */
/* A host's name that another machine has got, in the midst of a move or after it. */
#include "tests/unit/move_host.h"
#include "tests/unit/signer.h"
#include "lib/pool.h"

static struct signer policy;

static void put_part(struct cursor *w, const void *p, size_t n)
{
	cursor_put_u16(w, (uint16_t)n);
	cursor_put(w, p, n);
}

/* The list of hosts, in which beta has that attestation key. */
static void sign_list(uint8_t ak)
{
	uint8_t list[1024], name[34] = {0, 0x0b, ak}, signature[TPM2_ECDSA_P256];
	struct cursor w = cursor_writer(list, sizeof(list));
	static uint64_t number;

	put_part(&w, POOL_LABEL, strlen(POOL_LABEL));
	cursor_put_u64(&w, ++number);
	cursor_put_u8(&w, 0);
	cursor_put_u8(&w, 1);
	put_part(&w, "beta", 4);
	put_part(&w, "host:7771", 9);
	put_part(&w, name, sizeof(name));
	put_part(&w, name, sizeof(name));
	cursor_put_u8(&w, 1);
	cursor_put_u8(&w, 1);
	cursor_put_u8(&w, 7);
	cursor_put(&w, list, 32);
	sign(&policy, list, w.pos, signature);
	cursor_put(&w, signature, sizeof(signature));
	assert_true(cursor_ok(&w));
	write_file("", "pool", list, w.pos);
}

static void put_record_with_key(enum handover_state state, uint8_t ak)
{
	struct move_record r = {
		.h = {.state = state, .txid = TXID}, .name = "web1", .peer = "beta"};

	if (state == HANDOVER_AWAY)
		memcpy(r.h.gone, r.h.txid, sizeof(r.h.gone));
	memcpy(r.uuid, own, sizeof(own));
	if (ak)
		r.ak = (struct move_ak){34, {0, 0x0b, ak}};
	assert_int_equal(move_record_write(root, &r, NULL, NULL), 0);
}

static int setup_signed(void **state)
{
	if (!policy.key)
		make_signer(&policy, TPMA_OBJECT_SIGN_ENCRYPT);
	if (setup(state) || policy.public_len != sizeof(config.host.policy_key))
		return -1;
	memcpy(config.host.policy_key, policy.public, policy.public_len);
	return 0;
}

/* What a machine that knows nothing of the move would say, and what would follow. */
static const struct stranger {
	enum handover_mark mark;
	enum handover_state record;
	enum handover_kind says;
	enum handover_state would_be;
} strangers[] = {
	/* which that host may run */
	{HANDOVER_LEAVING, HANDOVER_RELEASED, HANDOVER_MSG_NOTHING, HANDOVER_HERE},
	/* which is all that is left of it */
	{HANDOVER_ARRIVING, HANDOVER_PREPARED, HANDOVER_MSG_ABORT, HANDOVER_ABSENT},
	{HANDOVER_ARRIVING, HANDOVER_PREPARED, HANDOVER_MSG_RELEASED, HANDOVER_OWNED},
	{HANDOVER_GIVING_BACK, HANDOVER_BACK, HANDOVER_MSG_GONE, HANDOVER_HERE},
};

static void another_machine_is_not_heard(void **state)
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(strangers); i++) {
		const struct stranger *t = &strangers[i / 2];
		bool same = i % 2;

		if (i && (teardown(NULL) || setup_signed(NULL)))
			fail_msg("no host");
		sign_list(same ? 7 : 9);
		put_record_with_key(t->record, 7);
		place(HANDOVER_ABSENT, "", t->mark);
		want("tick");
		have_tpm_answer();
		if (same) {
			assert_string_equal(answered("state"), handover_word(t->record));
			hear("beta", t->says);
			have_tpm_answer();
			assert_int_equal(state_of(own), t->would_be);
			continue;
		}
		assert_non_null(strstr(answered("why"), "another machine"));
		hear("beta", t->says);
		have_tpm_answer();
		assert_non_null(strstr(answered("error"), "another machine"));
		assert_int_equal(state_of(own), t->record);
		/* nor what it wants of it */
		ask(json_pack("{s:s, s:s, s:s, s:s}", "op", "move", "name", "web1",
			      "event", "back", "peer", "beta"));
		assert_non_null(strstr(answered("error"), "another machine"));
		assert_int_equal(state_of(own), t->record);
		/* the first one is in the list again */
		sign_list(7);
		hear("beta", t->says);
		have_tpm_answer();
		assert_int_equal(state_of(own), t->would_be);
	}
}

/* Who could have it run here takes the list away, or the file that has whose list it is. */
static void nobody_is_heard_without_a_list(void **state)
{
	for (int i = 0; i < 3; i++) {
		char file[96];

		if (i && (teardown(NULL) || setup_signed(NULL)))
			fail_msg("no host");
		sign_list(7);
		put_record_with_key(HANDOVER_RELEASED, 7);
		place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
		want("tick");
		have_tpm_answer();
		assert_string_equal(answered("state"), "released");
		snprintf(file, sizeof(file), "%s/%s", root,
			 i == 2 ? "host.json" : "pool");
		if (i == 0)
			assert_int_equal(unlink(file), 0);
		else
			write_file("", i == 2 ? "host.json" : "pool", "none of it", 10);
		hear("beta", HANDOVER_MSG_NOTHING);
		have_tpm_answer();
		assert_non_null(strstr(answered("error"), "is not known"));
		assert_int_equal(state_of(own), HANDOVER_RELEASED);
		/* that is no other machine, of which nobody asks whether it is there */
		assert_false(move_is_replaced(move_find(&d, own)));
		if (i == 2)
			continue;
		sign_list(7);
		hear("beta", HANDOVER_MSG_NOTHING);
		have_tpm_answer();
		assert_int_equal(state_of(own), HANDOVER_HERE);
	}
}

/* Of an older release, or of what the host's TPM alone knows: as it was. */
static void a_record_without_a_key(void **state)
{
	sign_list(9);
	put_record_with_key(HANDOVER_RELEASED, 0);
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "released");
	hear("beta", HANDOVER_MSG_NOTHING);
	have_tpm_answer();
	assert_int_equal(state_of(own), HANDOVER_HERE);
}

/* An operator knows that the first one is lost. */
static void an_operator_takes_it(void **state)
{
	sign_list(9);
	put_record_with_key(HANDOVER_RELEASED, 7);
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	want("take");
	have_tpm_answer();
	assert_string_equal(answered("state"), "taken");
	want("tick");
	assert_string_equal(answered("why"), "");
	/* nor does that machine end this */
	hear("beta", HANDOVER_MSG_GONE);
	assert_non_null(strstr(answered("error"), "another machine"));
	assert_int_equal(state_of(own), HANDOVER_TAKEN);
}

/* That is over: the new machine's moves are its own. */
static void what_is_over_is_no_move_with_the_first_one(void **state)
{
	static const uint8_t new[HANDOVER_TXID_SIZE] = OLDER;

	sign_list(9);
	put_record_with_key(HANDOVER_AWAY, 7);
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	have_tpm_answer();
	assert_int_equal(state_of(own), HANDOVER_AWAY);
	hear_of(new, "beta", HANDOVER_MSG_PREPARED);
	have_tpm_answer();
	assert_string_equal(answered("state"), "away");
}

static void a_move_keeps_the_key_of_its_beginning(void **state)
{
	struct move_record r = {.h = {.state = HANDOVER_OWNED}, .peer = "beta"};
	struct move *m;

	anchor_table(0);
	begin();
	memcpy(r.uuid, "vTPM number two", 16);
	m = move_new(&d, &r);
	assert_non_null(m);
	/* there is no list */
	move_note_other(m);
	assert_int_equal(m->r.ak.n, 0);
	assert_false(move_is_replaced(m));
	sign_list(7);
	move_note_other(m);
	assert_int_equal(m->r.ak.n, 34);
	assert_int_equal(m->r.ak.bytes[2], 7);
	assert_false(move_is_replaced(m));
	sign_list(9);
	assert_true(move_is_replaced(m));
	m->r.h.state = HANDOVER_HERE;
	assert_false(move_is_replaced(m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SIGNED_TEST(t) cmocka_unit_test_setup_teardown(t, setup_signed, teardown)
		SIGNED_TEST(another_machine_is_not_heard),
		SIGNED_TEST(nobody_is_heard_without_a_list),
		SIGNED_TEST(a_record_without_a_key),
		SIGNED_TEST(an_operator_takes_it),
		SIGNED_TEST(what_is_over_is_no_move_with_the_first_one),
		SIGNED_TEST(a_move_keeps_the_key_of_its_beginning),
	};
	int rc = cmocka_run_group_tests_name("move_other", tests, NULL, NULL);

	EVP_PKEY_free(policy.key);
	return rc;
}
