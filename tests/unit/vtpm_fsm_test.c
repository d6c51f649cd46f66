/* SPDX-License-Identifier: Apache-2.0 */
/* A vTPM's life: what each event does in each state, that all else is refused, and that each
 * state is reached and left. */
#include "tests/unit/unit.h"
#include "tools/vtpmd/vtpm.h"

#include <string.h>

#define STATES (VTPM_ENDING + 1)
#define EVENTS (VTPM_REFUSE + 1)

/* The letters of the states, and for each event what follows in each of them. */
static const char letters[] = "SFQPABOHXRYTE";
static const struct {
	const char *name, *to;
} expected[EVENTS] = {
	/*                           SFQPABOHXRYTE */
	[VTPM_START] = {"start", "QQ.Q........."},
	[VTPM_BEGIN] = {"begin", "..A.........."},
	[VTPM_LOSE] = {"lose", "....Q........"},
	[VTPM_BOOT] = {"boot", "....B........"},
	[VTPM_ADOPT] = {"adopt", "HH..........."},
	[VTPM_ABSENT] = {"absent", ".......S....."},
	[VTPM_HELLO] = {"hello", ".....OO......"},
	[VTPM_RESUME] = {"resume", ".....RRR.R.T."},
	[VTPM_READY] = {"ready", "......R......"},
	[VTPM_GIVE_UP] = {"give up", ".....XXXXYYEE"},
	[VTPM_STOP] = {"stop", "SSSSSTTTETE.."},
	[VTPM_GONE] = {"gone", ".....PPPFPFSS"},
	[VTPM_REFUSE] = {"refuse", "..F.FFFF.F..."},
};

static int follows(size_t state, size_t event)
{
	return vtpm_next((enum vtpm_state)state, (enum vtpm_event)event);
}

static void each_event_in_each_state(void **state)
{
	for (size_t e = 0; e < EVENTS; e++) {
		assert_int_equal(strlen(expected[e].to), STATES);
		for (size_t s = 0; s < STATES; s++) {
			int to = follows(s, e);
			char letter = to < 0 ? '.' : letters[to];

			if (letter != expected[e].to[s])
				fail_msg("%s in %c: %c, not %c", expected[e].name,
					 letters[s], letter, expected[e].to[s]);
		}
	}
}

static void each_state_is_reached_and_left(void **state)
{
	bool reached[STATES] = {[VTPM_STOPPED] = true}, more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < STATES * EVENTS; i++) {
			int to = follows(i / EVENTS, i % EVENTS);

			if (to < 0 || !reached[i / EVENTS] || reached[to])
				continue;
			reached[to] = more = true;
		}
	}
	for (size_t s = 0; s < STATES; s++) {
		bool left = false;

		for (size_t e = 0; e < EVENTS; e++)
			left = left || (follows(s, e) >= 0 && follows(s, e) != (int)s);
		assert_true(reached[s] && left);
	}
}

/* An end of the body leads to a state without one, and whoever waits is answered, or waits for
 * the next start. */
static void the_end_of_a_body(void **state)
{
	for (size_t s = 0; s < STATES; s++) {
		struct vtpm v = {.state = (enum vtpm_state)s};
		int gone = follows(s, VTPM_GONE);

		assert_int_equal(gone >= 0, vtpm_is(&v, VTPM_WITH_BODY));
		if (gone < 0)
			continue;
		v.state = (enum vtpm_state)gone;
		assert_true(vtpm_is(&v, VTPM_DOWN | VTPM_IN(RESTARTING)));
	}
}

static void which_states_are_in_a_set(void **state)
{
	static const struct {
		unsigned int set;
		const char *of;
	} sets[] = {
		{VTPM_DOWN, "SF"},	   {VTPM_STARTING, "QPABOHX"},
		{VTPM_BEGUN, "ABOHXRYTE"}, {VTPM_WITH_BODY, "BOHXRYTE"},
		{VTPM_GIVEN_UP, "XYE"},	   {VTPM_OPENED, "RYTE"},
		{VTPM_UP, "RY"},	   {VTPM_SETTLED, "SFRY"},
		{VTPM_LEAVING, "TE"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		for (size_t s = 0; s < STATES; s++) {
			struct vtpm v = {.state = (enum vtpm_state)s};

			if (vtpm_is(&v, sets[i].set) != !!strchr(sets[i].of, letters[s]))
				fail_msg("%c and \"%s\"", letters[s], sets[i].of);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_event_in_each_state),
		cmocka_unit_test(each_state_is_reached_and_left),
		cmocka_unit_test(the_end_of_a_body),
		cmocka_unit_test(which_states_are_in_a_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
