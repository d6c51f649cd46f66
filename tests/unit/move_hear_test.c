/* SPDX-License-Identifier: Apache-2.0 */
/* What another host of the pool says, as it may and as it may not. */
#include "tests/unit/move_host.h"

#include <errno.h>

/* Of an event of this host's own, that another one sends as a message. */
static const struct spoken {
	enum handover_mark mark;
	enum handover_state record;
} spoken[] = {
	{HANDOVER_NO_MARK, HANDOVER_ABSENT},   {HANDOVER_NO_MARK, HANDOVER_TAKEN},
	{HANDOVER_LEAVING, HANDOVER_RELEASED}, {HANDOVER_ARRIVING, HANDOVER_PREPARED},
	{HANDOVER_NO_MARK, HANDOVER_OWNED},    {HANDOVER_GIVING_BACK, HANDOVER_BACK},
};

static void no_host_says_what_is_not_its_to_say(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(spoken); i++) {
		const struct spoken *t = &spoken[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		place(t->record, "beta", t->mark);
		for (unsigned int kind = 0; kind <= UINT8_MAX; kind++) {
			if (kind > 0 && kind < HANDOVER_MESSAGES)
				continue;
			hear("beta", (enum handover_kind)kind);
			have_tpm_answer();
			assert_string_equal(answered("cause"), "internal");
			if (t->record == HANDOVER_ABSENT)
				assert_null(move_find(&d, own));
			else
				assert_int_equal(state_of(own), t->record);
		}
	}
}

/* Whose manager would end, with the PCRs: a frame of its channel has a limit. */
static void an_answer_that_is_too_long(void **state)
{
	const size_t n = MOVE_MESSAGE_MAX - 37;
	struct move_message msg = {.kind = HANDOVER_MSG_ACCEPT, .txid = TXID};
	size_t len = MOVE_MESSAGE_MAX;
	uint8_t *bytes = malloc(len), *body = calloc(1, n);
	char *hex = malloc(2 * len + 1);
	struct move *m;

	place(HANDOVER_TAKEN, "beta", HANDOVER_NO_MARK);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "taken");
	m = move_find(&d, own);
	m->r.h.state = HANDOVER_OFFERED;
	memcpy(msg.uuid, own, sizeof(own));
	msg.body = (struct binding_part){body, n};
	assert_int_equal(move_message_encode(&msg, bytes, &len), 0);
	hex_encode(bytes, len, hex);
	ask(json_pack("{s:s, s:s, s:[s]}", "op", "move", "peer", "beta", "messages",
		      hex));
	assert_string_equal(answered("cause"), "internal");
	assert_int_equal(state_of(own), HANDOVER_OFFERED);
	assert_int_equal(m->accept.n, 0);
	free(hex);
	free(body);
	free(bytes);
}

static void wait_for_erasure(void)
{
	usleep(20000);
	turn();
}

static void on_settled(void *ctx, const struct error *none)
{
}

/* It was called off, and its manager takes its time to end, or somebody waits for it: what is said
 * again, or wanted, meanwhile does not have it stay.  The source runs it. */
static void what_is_being_erased_is_not_this_hosts(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct waiter w = {.done = on_settled};

	for (int fails = 0; fails < 2; fails++) {
		if (fails && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		place(HANDOVER_PREPARED, "beta", HANDOVER_ARRIVING);
		want("tick");
		have_tpm_answer();
		assert_string_equal(answered("state"), "prepared");
		if (fails)
			waiter_add(&v->waiters, &w);
		else
			v->state = VTPM_STOPPING;
		hear("beta", HANDOVER_MSG_ABORT);
		wait_for_erasure();
		(void)answered("state");
		hear("beta", HANDOVER_MSG_ABORT);
		hear("gamma", HANDOVER_MSG_ACTIVATED);
		want("begin");
		assert_int_equal(state_of(own), HANDOVER_ABSENT);
		assert_int_equal(recorded(), HANDOVER_ABSENT);
		assert_int_equal(move_may_start(v, &e), -EBUSY);
		if (fails) {
			waiter_cancel(&w);
			continue;
		}
		vtpm_settle(v, VTPM_GONE);
		turn();
		wait_for_erasure();
		have_tpm_answer();
		assert_null(vtpms_find_uuid(&d, own));
	}
}

/* Of a transfer that was called off, as it did not hear: also when the vTPM is in one with another
 * host since, or has gone there. */
static const struct unheard {
	enum handover_mark mark;
	struct handover record;
	enum handover_kind question;
	int answer;
} unheard[] = {
	{HANDOVER_LEAVING,
	 {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID},
	 HANDOVER_MSG_PREPARED,
	 HANDOVER_MSG_ABORT},
	{HANDOVER_LEAVING,
	 {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID},
	 HANDOVER_MSG_ACCEPT,
	 HANDOVER_MSG_ABORT},
	{HANDOVER_LEAVING,
	 {.state = HANDOVER_RELEASED, .txid = TXID},
	 HANDOVER_MSG_PREPARED,
	 HANDOVER_MSG_ABORT},
	{HANDOVER_NO_MARK,
	 {.state = HANDOVER_TAKEN, .txid = TXID},
	 HANDOVER_MSG_BACK,
	 HANDOVER_MSG_TAKEN},
	{HANDOVER_ARRIVING,
	 {.state = HANDOVER_PREPARED, .txid = TXID},
	 HANDOVER_MSG_ASK,
	 HANDOVER_MSG_NOTHING},
};

static void who_did_not_hear_of_an_end_is_told(void **state)
{
	static const uint8_t older[HANDOVER_TXID_SIZE] = OLDER, txid[] = TXID;
	enum handover_state was;

	for (size_t i = 0; i < ARRAY_SIZE(unheard); i++) {
		const struct unheard *t = &unheard[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		put_record_of(own, &t->record, "beta");
		place(HANDOVER_ABSENT, "", t->mark);
		want("tick");
		have_tpm_answer();
		(void)answered("state");
		was = state_of(own);
		hear_of(older, "gamma", t->question);
		assert_int_equal(answered_message(), t->answer);
		/* of what is between others it is told nothing */
		if (memcmp(t->record.gone, txid, sizeof(t->record.gone)) != 0) {
			hear_of(txid, "gamma", t->question);
			assert_string_equal(answered("cause"), "busy");
		}
		assert_int_equal(state_of(own), was);
		assert_string_equal(move_find(&d, own)->r.peer, "beta");
	}
}

/* Who has one forgotten says DONE once more, also when the vTPM has moved on from here, or was to. */
static void an_end_is_heard_of_who_had_it_before(void **state)
{
	static const uint8_t before[HANDOVER_TXID_SIZE] = "a move of before",
			     txid[] = TXID;
	enum handover_state was;

	for (size_t i = 0; i < ARRAY_SIZE(unheard); i++) {
		const struct unheard *t = &unheard[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		put_record_of(own, &t->record, "beta");
		place(HANDOVER_ABSENT, "", t->mark);
		want("tick");
		have_tpm_answer();
		(void)answered("state");
		was = state_of(own);
		hear_of(before, "gamma", HANDOVER_MSG_DONE);
		assert_string_equal(answered("state"), "away");
		/* which does not end what is between others */
		if (memcmp(t->record.gone, txid, sizeof(t->record.gone)) != 0) {
			hear_of(txid, "gamma", HANDOVER_MSG_DONE);
			assert_string_equal(answered("cause"), "busy");
		}
		assert_int_equal(state_of(own), was);
		assert_string_equal(move_find(&d, own)->r.peer, "beta");
	}
}

/* A host that has what it sent given back may send it again, as often as what came to nothing. */
static void what_may_be_given_back_counts(void **state)
{
	unsigned int n = 0;

	place(HANDOVER_PREPARED, "beta", HANDOVER_ARRIVING);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "prepared");
	while (!move_limit_take(&d, "beta"))
		n++;
	assert_int_equal(n, 64);
	hear("beta", HANDOVER_MSG_RELEASED);
	assert_string_equal(answered("state"), "owned");
	assert_non_null(move_limit_take(&d, "beta"));
	hear("beta", HANDOVER_MSG_DONE);
	assert_string_equal(answered("state"), "here");
	assert_null(move_limit_take(&d, "beta"));
	assert_non_null(move_limit_take(&d, "beta"));
}

/* Of one host, of several, and what they may have left here. */
static void what_comes_is_bounded_in_all(void **state)
{
	struct move_record r = {.h = {.state = HANDOVER_INCOMING}, .name = "flood"};
	struct vtpm *many, *was = d.vtpms;
	struct move *m;

	anchor_table(0);
	begin();
	for (unsigned int i = 0; i < 48; i++) {
		assert_null(move_limit_take(&d, "omega"));
		move_limit_return("omega");
		r.uuid[0] = (uint8_t)(i + 1);
		snprintf(r.peer, sizeof(r.peer), "host%u", i / 16);
		m = move_new(&d, &r);
		assert_non_null(m);
	}
	assert_non_null(strstr(move_limit_take(&d, "host0"), "16 vTPMs of one host"));
	assert_non_null(strstr(move_limit_take(&d, "omega"), "48 vTPMs of all hosts"));
	m->r.h.state = HANDOVER_ABSENT;
	assert_null(move_limit_take(&d, "omega"));
	many = calloc(3999, sizeof(*many));
	assert_non_null(many);
	for (unsigned int i = 0; i < 3999; i++)
		many[i].next = i ? &many[i - 1] : was;
	d.vtpms = &many[3997];
	assert_null(move_limit_take(&d, "omega"));
	d.vtpms = &many[3998];
	assert_non_null(strstr(move_limit_take(&d, "omega"), "4000 vTPMs"));
	d.vtpms = was;
	free(many);
}

/* For how long nothing was heard of what is to come, whether a connection of its source is there,
 * and whether a guest's memory comes over that; and whether it is given up. */
static const struct patience {
	int silent_s;
	bool carried, has_guest, given_up;
} patience[] = {
	{85, false, true, false},  {95, false, true, true},
	{85, true, false, false},  {95, true, false, true},
	{95, true, true, false},   {14000, true, true, false},
	{14500, true, true, true}, {14500, false, false, true},
};

static void what_does_not_come_is_given_up(void **state)
{
	struct control peer = {.carries = NULL};
	struct move *m;

	for (size_t i = 0; i < ARRAY_SIZE(patience); i++) {
		const struct patience *t = &patience[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		anchor_table(0);
		begin();
		want("tick");
		have_tpm_answer();
		(void)answered("state");
		m = move_find(&d, own);
		assert_non_null(m);
		m->r.h = (struct handover){.state = HANDOVER_ACCEPTED, .txid = TXID};
		v->making = true;
		v->guests.has_company = t->has_guest;
		peer = (struct control){.role = CONTROL_SERVES_PEER};
		if (t->carried)
			move_carry(m, &peer);
		m->heard_ms = stamp_ms() - t->silent_s * 1000;
		move_on_watch(0, EV_TIMEOUT, m);
		assert_int_equal(m->r.h.state,
				 t->given_up ? HANDOVER_ABSENT : HANDOVER_ACCEPTED);
		move_lay_down(&peer);
	}
}

static struct move *add_record(const char uuid[16], enum handover_state state,
			       const char *peer)
{
	struct move_record r = {.h = {.state = state, .txid = TXID}, .name = "web9"};
	struct move *m;

	if (state == HANDOVER_AWAY)
		memcpy(r.h.gone, r.h.txid, sizeof(r.h.gone));
	memcpy(r.uuid, uuid, sizeof(r.uuid));
	strcpy(r.peer, peer);
	m = move_new(&d, &r);
	assert_non_null(m);
	return m;
}

static void tick_by_name(const char *peer)
{
	ask(json_pack("{s:s, s:s, s:s, s:s*}", "op", "move", "name", "web9", "event",
		      "tick", "peer", peer));
	have_tpm_answer();
}

/* What another host offered, under the name of one that has moved away, and called off: whoever asks
 * by that name is told of its own. */
static void a_name_is_not_that_of_what_came_to_nothing(void **state)
{
	char text[128];

	anchor_table(0);
	begin();
	add_record("vTPM number two", HANDOVER_AWAY, "beta");
	add_record("vTPM number thr", HANDOVER_ABSENT, "gamma");
	tick_by_name(NULL);
	assert_string_equal(answered("peer"), "beta");
	assert_true(move_tell_where(&d, "web9", text, sizeof(text)));
	assert_non_null(strstr(text, "beta"));
	tick_by_name("beta");
	assert_string_equal(answered("state"), "away");
	tick_by_name("gamma");
	assert_string_equal(answered("state"), "absent");
	tick_by_name("delta");
	assert_string_equal(answered("state"), "");
	/* one that is here now has the name, too */
	vtpms_remove(v);
	strcpy(v->meta.name, "web9");
	vtpms_add(&d, v);
	tick_by_name("gamma");
	assert_string_equal(answered("state"), "absent");
	tick_by_name(NULL);
	assert_string_equal(answered("state"), "here");
	add_record("vTPM number fou", HANDOVER_RELEASED, "delta");
	tick_by_name("delta");
	assert_string_equal(answered("state"), "released");
}

/* How often standard error has the text. */
static unsigned int count_lines(const char *text)
{
	char line[512], file[96];
	unsigned int n = 0;
	FILE *f;

	snprintf(file, sizeof(file), "%s/log", root);
	f = fopen(file, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

/* Whatever else the other host says in between. */
static void that_two_run_is_said_once(void **state)
{
	char file[96];
	int was, to;

	place(HANDOVER_TAKEN, "beta", HANDOVER_NO_MARK);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "taken");
	snprintf(file, sizeof(file), "%s/log", root);
	to = open(file, O_CREAT | O_WRONLY | O_APPEND, 0600);
	was = dup(STDERR_FILENO);
	dup2(to, STDERR_FILENO);
	for (int i = 0; i < 8; i++) {
		hear("beta", HANDOVER_MSG_ABORT);
		hear("beta", HANDOVER_MSG_REFUSE);
	}
	dup2(was, STDERR_FILENO);
	close(was);
	close(to);
	assert_int_equal(count_lines("Both hosts run it"), 1);
	assert_true(move_find(&d, own)->contested);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(no_host_says_what_is_not_its_to_say),
		HOST_TEST(an_answer_that_is_too_long),
		HOST_TEST(what_is_being_erased_is_not_this_hosts),
		HOST_TEST(who_did_not_hear_of_an_end_is_told),
		HOST_TEST(an_end_is_heard_of_who_had_it_before),
		HOST_TEST(what_may_be_given_back_counts),
		HOST_TEST(that_two_run_is_said_once),
		HOST_TEST(a_name_is_not_that_of_what_came_to_nothing),
		HOST_TEST(what_comes_is_bounded_in_all),
		HOST_TEST(what_does_not_come_is_given_up),
	};

	return cmocka_run_group_tests_name("move_hear", tests, NULL, NULL);
}
