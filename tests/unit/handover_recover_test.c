/* SPDX-License-Identifier: Apache-2.0 */
/* The handover after a crash: a record against the mark that the host's TPM has, and against what is
 * in the folder; and what is said then. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/handover.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static const uint8_t now[HANDOVER_TXID_SIZE] = {7};

/* What the host's TPM says beside a record. */
static enum handover_state recovered(struct handover h, enum handover_mark mark,
				     bool whole)
{
	static const uint8_t marked[HANDOVER_TXID_SIZE] = {7};

	handover_recover(&h, mark, marked, whole);
	return h.state;
}

/* Its destination may have all that is left, which an ASK would have it erase. */
static void a_source_without_its_folder_asks_for_nothing(void **state)
{
	static const uint8_t id[HANDOVER_TXID_SIZE] = {7};
	struct handover h = {.state = HANDOVER_HERE};
	struct handover_todo todo;

	assert_int_equal(recovered(h, HANDOVER_LEAVING, true), HANDOVER_DOUBT);
	assert_int_equal(recovered(h, HANDOVER_LEAVING, false), HANDOVER_RELEASED);
	handover_recover(&h, HANDOVER_LEAVING, id, false);
	handover_restart(&h, &todo);
	assert_int_equal(todo.n, 1);
	assert_int_equal(todo.item[0].message, HANDOVER_MSG_RELEASED);
	assert_memory_equal(todo.txid, id, sizeof(id));
	assert_false(handover_runs(&h));
}

/* One of them may be a late answer, or of a host that does not ask. */
static void a_source_in_doubt_believes_only_an_answer(void **state)
{
	static const enum handover_kind late[] = {
		HANDOVER_MSG_ACCEPT, HANDOVER_MSG_PREPARED, HANDOVER_MSG_ACTIVATED};
	struct handover h = {.state = HANDOVER_DOUBT, .txid = {7}};
	struct handover_todo todo;

	for (size_t i = 0; i < sizeof(late) / sizeof(*late); i++) {
		const struct handover_event ev = {late[i], h.txid};

		assert_int_equal(handover_step(&h, &ev, &todo), 0);
		assert_int_equal(h.state, HANDOVER_DOUBT);
		assert_int_equal(todo.n, 1);
		assert_int_equal(todo.item[0].message, HANDOVER_MSG_ASK);
	}
}

/* The destination crashed when it had just come, and does not know that it is its own. */
static void a_source_that_is_away_says_so_again(void **state)
{
	static const uint8_t id[HANDOVER_TXID_SIZE] = {7};
	const struct handover_event tick = {.kind = HANDOVER_TICK};
	const struct handover_event done = {.kind = HANDOVER_MSG_DONE, .txid = id};
	struct handover h = {.state = HANDOVER_AWAY, .txid = {7}, .gone = {7}};
	struct handover_todo todo;

	/* not while a folder that is put back would start */
	assert_int_equal(handover_step(&h, &tick, &todo), 0);
	assert_int_equal(todo.n, 0);
	h.forgotten = true;
	assert_int_equal(handover_step(&h, &tick, &todo), 0);
	assert_int_equal(h.state, HANDOVER_AWAY);
	assert_int_equal(todo.n, 1);
	assert_int_equal(todo.item[0].message, HANDOVER_MSG_DONE);
	assert_memory_equal(todo.txid, id, sizeof(id));
	h = (struct handover){.state = HANDOVER_UNSURE, .txid = {7}};
	assert_int_equal(handover_step(&h, &done, &todo), 0);
	assert_true(handover_runs(&h));
	/* what was restored here since is this host's, and says nothing */
	h = (struct handover){.state = HANDOVER_HERE, .txid = {7}, .gone = {7}};
	assert_int_equal(handover_step(&h, &tick, &todo), 0);
	assert_int_equal(todo.n, 0);
}

/* The messages that h has upon that one, of the transfer; 0: none, or several. */
static int said_upon(struct handover *h, enum handover_kind kind)
{
	const struct handover_event ev = {kind, now};
	struct handover_todo todo;

	assert_int_equal(handover_step(h, &ev, &todo), 0);
	return todo.n == 1 && todo.item[0].act == HANDOVER_SEND
		       ? (int)todo.item[0].message
		       : 0;
}

/* An older record would have the destination erase what it has, too. */
static void a_record_erases_nothing_of_another_transfer(void **state)
{
	const struct handover older = {.state = HANDOVER_AWAY, .txid = {5}, .gone = {5}};
	const struct handover left = {.state = HANDOVER_AWAY, .txid = {7}, .gone = {7}};
	const struct handover came = {.state = HANDOVER_AWAY, .txid = {7}, .gone = {5}};
	const struct handover comes = {.state = HANDOVER_INCOMING, .txid = {7}};

	assert_int_equal(recovered(older, HANDOVER_LEAVING, true), HANDOVER_DOUBT);
	assert_int_equal(recovered(older, HANDOVER_LEAVING, false), HANDOVER_RELEASED);
	assert_int_equal(recovered(older, HANDOVER_ARRIVING, true), HANDOVER_PREPARED);
	assert_int_equal(recovered(older, HANDOVER_GIVING_BACK, true), HANDOVER_BACK);
	assert_int_equal(recovered(came, HANDOVER_LEAVING, true), HANDOVER_DOUBT);
	assert_int_equal(recovered(comes, HANDOVER_ARRIVING, true), HANDOVER_PREPARED);
	/* nor without a mark what was ever made */
	assert_int_equal(recovered(older, HANDOVER_NO_MARK, true), HANDOVER_STRAY);
	assert_int_equal(recovered(comes, HANDOVER_NO_MARK, true), HANDOVER_STRAY);
	/* what the mark is of is erased */
	assert_int_equal(recovered(left, HANDOVER_LEAVING, true), HANDOVER_AWAY);
	assert_int_equal(recovered(came, HANDOVER_ARRIVING, true), HANDOVER_AWAY);
	assert_int_equal(recovered(came, HANDOVER_GIVING_BACK, true), HANDOVER_AWAY);
	assert_int_equal(recovered(older, HANDOVER_NO_MARK, false), HANDOVER_AWAY);
	assert_int_equal(recovered(comes, HANDOVER_ARRIVING, false), HANDOVER_INCOMING);
}

/* Who takes it has the mark taken away before, so that this record is made: what the source has
 * been told counts. */
static void a_host_that_gives_back_does_not_take(void **state)
{
	const struct handover taken = {.state = HANDOVER_TAKEN, .txid = {7}};

	assert_int_equal(recovered(taken, HANDOVER_GIVING_BACK, true), HANDOVER_BACK);
	assert_int_equal(recovered(taken, HANDOVER_ARRIVING, true), HANDOVER_UNSURE);
	assert_int_equal(recovered(taken, HANDOVER_LEAVING, true), HANDOVER_DOUBT);
}

/* The vTPM has gone from its source to a third host, and somebody puts a record there: a host that
 * is only prepared for an earlier move, which came to nothing, does not run it. */
static void what_the_tpm_does_not_know_was_not_released(void **state)
{
	static const enum handover_state states[] = {HANDOVER_RELEASED, HANDOVER_PREPARED,
						     HANDOVER_OWNED, HANDOVER_BACK,
						     HANDOVER_TAKEN};

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		struct handover h = {.state = states[i], .txid = {7}};

		handover_recover_unknown(&h, true);
		assert_int_equal(h.state, HANDOVER_STRAY);
		assert_int_equal(said_upon(&h, HANDOVER_MSG_PREPARED), 0);
		assert_int_equal(said_upon(&h, HANDOVER_MSG_BACK), 0);
		h = (struct handover){.state = states[i], .txid = {7}, .gone = {5}};
		handover_recover_unknown(&h, false);
		assert_int_equal(h.state, HANDOVER_AWAY);
		h = (struct handover){.state = states[i], .txid = {7}};
		handover_recover_unknown(&h, false);
		assert_int_equal(h.state, HANDOVER_ABSENT);
		h.forgotten = true;
		assert_int_equal(said_upon(&h, HANDOVER_MSG_PREPARED), 0);
		assert_int_equal(said_upon(&h, HANDOVER_MSG_BACK), 0);
	}
}

static void a_source_that_has_nothing_left_has_nothing_erased(void **state)
{
	const struct handover_event take = {.kind = HANDOVER_TAKE};
	struct handover h = {.state = HANDOVER_RELEASED, .txid = {7}, .missing = true};
	struct handover_todo todo;

	assert_int_equal(handover_step(&h, &take, &todo), -EPERM);
	(void)said_upon(&h, HANDOVER_MSG_BACK);
	assert_int_equal(h.state, HANDOVER_AWAY);
	/* until the TPM has forgotten it, a folder that is put back would start */
	assert_int_equal(said_upon(&h, HANDOVER_MSG_BACK), 0);
	h.forgotten = true;
	h.missing = false;
	assert_int_equal(said_upon(&h, HANDOVER_MSG_BACK), HANDOVER_MSG_GONE);
	h = (struct handover){.state = HANDOVER_HERE, .txid = {7}, .missing = true};
	assert_int_equal(said_upon(&h, HANDOVER_MSG_BACK), 0);
	assert_int_equal(said_upon(&h, HANDOVER_MSG_PREPARED), 0);
	h = (struct handover){.state = HANDOVER_OWNED, .txid = {7}, .missing = true};
	assert_int_equal(said_upon(&h, HANDOVER_MSG_RELEASED), 0);
}

/* A record of a transfer that is over, put back where the vTPM is. */
static void a_message_erases_nothing_that_is_in_no_transfer(void **state)
{
	static const enum handover_state states[] = {HANDOVER_PREPARED, HANDOVER_BACK};
	static const enum handover_kind kinds[] = {HANDOVER_MSG_ABORT,
						   HANDOVER_MSG_TAKEN};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct handover h = {.state = states[i], .txid = {7}, .unmarked = true};

		assert_int_equal(said_upon(&h, kinds[i]), 0);
		assert_int_equal(h.state, HANDOVER_STRAY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_without_its_folder_asks_for_nothing),
		cmocka_unit_test(a_source_in_doubt_believes_only_an_answer),
		cmocka_unit_test(a_source_that_is_away_says_so_again),
		cmocka_unit_test(a_record_erases_nothing_of_another_transfer),
		cmocka_unit_test(a_host_that_gives_back_does_not_take),
		cmocka_unit_test(what_the_tpm_does_not_know_was_not_released),
		cmocka_unit_test(a_source_that_has_nothing_left_has_nothing_erased),
		cmocka_unit_test(a_message_erases_nothing_that_is_in_no_transfer),
	};

	return cmocka_run_group_tests_name("handover_recover", tests, NULL, NULL);
}
