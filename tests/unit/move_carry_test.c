/* SPDX-License-Identifier: Apache-2.0 */
/* Who carries a move, and who is beside it. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/move_private.h"

static struct move m;
static struct control operator, other, receiver, again;
static const struct move *alone; /* nobody carries it any more */

void move_note_alone(struct move *of)
{
	alone = of;
}

static int begin_case(void **state)
{
	m = (struct move){.r.h.state = HANDOVER_OFFERED, .heard_ms = stamp_ms()};
	alone = NULL;
	operator= other = receiver = again =(struct control){.carries = NULL};
	move_note_role(&operator, false);
	move_note_role(&other, false);
	move_note_role(&receiver, true);
	move_note_role(&again, true);
	return 0;
}

static void connection_keeps_its_first_role(void **state)
{
	move_note_role(&operator, true);
	assert_int_equal(operator.role, CONTROL_OPERATES);
	move_note_role(&receiver, false);
	assert_int_equal(receiver.role, CONTROL_SERVES_PEER);
}

static void operator_is_refused_beside_one(void **state)
{
	assert_false(move_is_beside(&m, &operator));
	move_carry(&m, &operator);
	assert_true(move_is_carried(&m));
	assert_false(move_is_beside(&m, &operator));
	assert_true(move_is_beside(&m, &other));
}

static void operator_is_refused_beside_the_other_host(void **state)
{
	m.r.h.state = HANDOVER_INCOMING;
	move_carry(&m, &receiver);
	assert_true(move_is_beside(&m, &operator));
	assert_false(move_is_beside(&m, &receiver));
}

static void newer_connection_of_the_other_host_takes_over(void **state)
{
	m.r.h.state = HANDOVER_PREPARED;
	move_carry(&m, &receiver);
	m.client = &receiver;
	assert_false(move_is_beside(&m, &again));
	move_carry(&m, &again);
	assert_ptr_equal(m.carrier, &again);
	assert_null(receiver.carries);
	/* what it has to say yet, it may */
	assert_false(move_is_beside(&m, &receiver));
}

static void other_host_does_not_displace_an_operator_that_waits(void **state)
{
	m.r.h.state = HANDOVER_JUDGING;
	move_carry(&m, &operator);
	assert_false(move_is_beside(&m, &receiver));
	move_carry(&m, &receiver);
	assert_ptr_equal(m.carrier, &operator);
	m.client = &operator;
	assert_true(move_is_beside(&m, &receiver));
	/* nor at the destination, where `--continue` asks the source */
	m.r.h.state = HANDOVER_PREPARED;
	assert_true(move_is_beside(&m, &receiver));
	move_carry(&m, &receiver);
	assert_ptr_equal(m.carrier, &operator);
}

static void other_host_carries_nothing_at_the_source(void **state)
{
	m.r.h.state = HANDOVER_RELEASED;
	move_carry(&m, &receiver);
	assert_false(move_is_carried(&m));
	assert_false(move_is_beside(&m, &operator));
}

static void nobody_carries_what_is_in_no_transfer(void **state)
{
	static const enum handover_state rest[] = {HANDOVER_HERE, HANDOVER_TAKEN,
						   HANDOVER_ABSENT, HANDOVER_AWAY,
						   HANDOVER_STRAY};

	for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
		m.r.h.state = HANDOVER_OFFERED;
		move_carry(&m, &operator);
		m.r.h.state = rest[i];
		assert_false(move_is_carried(&m));
		assert_false(move_is_beside(&m, &other));
		move_carry(&m, &other);
		assert_null(other.carries);
	}
	/* one that came, and is moved on before the connection that brought it has ended */
	m.r.h.state = HANDOVER_OWNED;
	move_carry(&m, &receiver);
	m.r.h.state = HANDOVER_HERE;
	assert_false(move_is_beside(&m, &operator));
	m.r.h.state = HANDOVER_OFFERED;
	move_carry(&m, &operator);
	assert_ptr_equal(m.carrier, &operator);
	assert_null(receiver.carries);
}

/* It may hold its connection: what only an operator can decide is an operator's then. */
static void a_host_that_is_silent_keeps_nobody_away(void **state)
{
	static const enum handover_state waits[] = {HANDOVER_PREPARED, HANDOVER_OWNED,
						    HANDOVER_BACK, HANDOVER_UNSURE};

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		(void)begin_case(NULL);
		m.r.h.state = waits[i];
		move_carry(&m, &receiver);
		m.heard_ms -= (MOVE_ALONE_S - 2) * 1000;
		assert_true(move_is_beside(&m, &operator));
		m.heard_ms -= 4000;
		/* it waits for this host */
		m.client = &receiver;
		assert_true(move_is_beside(&m, &operator));
		m.client = NULL;
		assert_false(move_is_beside(&m, &operator));
		assert_false(move_is_carried(&m));
		move_carry(&m, &operator);
		m.heard_ms = stamp_ms();
		/* it does not come back beside the operator */
		m.client = &operator;
		assert_true(move_is_beside(&m, &receiver));
		assert_true(move_is_beside(&m, &other));
		move_carry(&m, &receiver);
		assert_ptr_equal(m.carrier, &operator);
	}
	/* a guest's memory is copied, or its own operator takes his time */
	m = (struct move){.r.h.state = HANDOVER_ACCEPTED, .heard_ms = 1};
	move_carry(&m, &receiver);
	assert_true(move_is_beside(&m, &operator));
	(void)begin_case(NULL);
	move_carry(&m, &operator);
	m.heard_ms = 1;
	assert_true(move_is_beside(&m, &other));
}

static void claim_ends_with_the_connection(void **state)
{
	struct move two = {.r.h.state = HANDOVER_OFFERED};

	move_carry(&m, &operator);
	assert_null(alone);
	move_lay_down(&operator);
	assert_ptr_equal(alone, &m);
	assert_false(move_is_carried(&m));
	assert_false(move_is_beside(&m, &other));
	move_lay_down(&operator);
	/* a connection carries one */
	move_carry(&m, &other);
	move_carry(&two, &other);
	assert_false(move_is_carried(&m));
	assert_ptr_equal(other.carries, &two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(connection_keeps_its_first_role, begin_case),
		cmocka_unit_test_setup(operator_is_refused_beside_one, begin_case),
		cmocka_unit_test_setup(operator_is_refused_beside_the_other_host,
				       begin_case),
		cmocka_unit_test_setup(newer_connection_of_the_other_host_takes_over,
				       begin_case),
		cmocka_unit_test_setup(
			other_host_does_not_displace_an_operator_that_waits, begin_case),
		cmocka_unit_test_setup(other_host_carries_nothing_at_the_source,
				       begin_case),
		cmocka_unit_test_setup(nobody_carries_what_is_in_no_transfer, begin_case),
		cmocka_unit_test_setup(a_host_that_is_silent_keeps_nobody_away,
				       begin_case),
		cmocka_unit_test_setup(claim_ends_with_the_connection, begin_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
