/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's TPM has of handovers, against records that somebody made and messages that come
 * early. */
#include "tests/unit/move_host.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#define FORGED 10000 /* as many records as vtpmd takes */
#define MARKED 200   /* vTPMs whose records were removed */
#define LOAD_S 20    /* of the processor, with sanitizers */

/* -- the cases ------------------------------------------------------------------ */

/* A record that was put back or made, and a message that fits it and not the mark. */
static const struct early {
	enum handover_mark mark;
	enum handover_state record;
	enum handover_kind message;
	enum handover_state is; /* as the mark says */
} early[] = {
	/* it was given back, and is run there again */
	{HANDOVER_GIVING_BACK, HANDOVER_OWNED, HANDOVER_MSG_DONE, HANDOVER_BACK},
	{HANDOVER_GIVING_BACK, HANDOVER_PREPARED, HANDOVER_MSG_RELEASED, HANDOVER_BACK},
	/* it may have been released */
	{HANDOVER_LEAVING, HANDOVER_OWNED, HANDOVER_MSG_DONE, HANDOVER_DOUBT},
	{HANDOVER_LEAVING, HANDOVER_PREPARED, HANDOVER_MSG_RELEASED, HANDOVER_DOUBT},
	{HANDOVER_LEAVING, HANDOVER_BACK, HANDOVER_MSG_GONE, HANDOVER_DOUBT},
	/* it may be all that there is, and would be erased */
	{HANDOVER_LEAVING, HANDOVER_BACK, HANDOVER_MSG_TAKEN, HANDOVER_DOUBT},
	{HANDOVER_ARRIVING, HANDOVER_BACK, HANDOVER_MSG_TAKEN, HANDOVER_UNSURE},
	/* the source has not released it */
	{HANDOVER_ARRIVING, HANDOVER_RELEASED, HANDOVER_MSG_NOTHING, HANDOVER_PREPARED},
};

static void nothing_is_heard_before_the_table_is_known(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
		const struct early *t = &early[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		place(t->record, "beta", t->mark);
		hear("beta", t->message);
		assert_string_equal(answered("state"), "");
		assert_int_equal(state_of(own), t->record);
		assert_int_equal(recorded(), t->record);
		have_tpm_answer();
		assert_string_equal(answered("state"), handover_word(t->is));
		assert_int_equal(state_of(own), t->is);
		assert_int_not_equal(recorded(), HANDOVER_HERE);
	}
}

/* Nor what an operator wants. */
static void nothing_is_done_before_the_table_is_known(void **state)
{
	place(HANDOVER_PREPARED, "beta", HANDOVER_LEAVING);
	want("back");
	assert_int_equal(state_of(own), HANDOVER_PREPARED);
	assert_false(tpm.sets);
	have_tpm_answer();
	assert_string_equal(answered("cause"), "busy");
	assert_int_equal(state_of(own), HANDOVER_DOUBT);
	want("tick");
	assert_string_equal(answered("state"), "doubt");
}

static void nothing_is_heard_when_the_tpm_does_not_answer(void **state)
{
	place(HANDOVER_OWNED, "beta", HANDOVER_GIVING_BACK);
	hear("beta", HANDOVER_MSG_DONE);
	answer_tpm(false);
	assert_string_equal(answered("cause"), "tpm-unreachable");
	assert_int_equal(state_of(own), HANDOVER_OWNED);
	assert_int_equal(recorded(), HANDOVER_OWNED);
	/* it does again */
	hear("beta", HANDOVER_MSG_DONE);
	have_tpm_answer();
	assert_string_equal(answered("state"), "back");
	assert_int_equal(state_of(own), HANDOVER_BACK);
}

/* As `vtpmctl migrate-receive` does each second when that is refused. */
static void looks_at_what_waits_do_not_have_a_broken_tpm_asked(void **state)
{
	place(HANDOVER_OWNED, "beta", HANDOVER_GIVING_BACK);
	ask(json_pack("{s:s, s:s}", "op", "move", "event", "waiting"));
	answer_tpm(false);
	assert_string_equal(answered("cause"), "tpm-unreachable");
	ask(json_pack("{s:s, s:s}", "op", "move", "event", "waiting"));
	assert_null(tpm.asks);
	assert_string_equal(answered("cause"), "tpm-unreachable");
	/* who has something to say does */
	hear("beta", HANDOVER_MSG_DONE);
	have_tpm_answer();
	assert_string_equal(answered("state"), "back");
}

/* Of a record that says another host, or none, that has nothing of the vTPM. */
static void the_other_host_is_the_marks(void **state)
{
	static const char *const names[] = {"gamma", "", "beta"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		place(HANDOVER_RELEASED, names[i], HANDOVER_LEAVING);
		hear("gamma", HANDOVER_MSG_NOTHING);
		have_tpm_answer();
		assert_string_equal(answered("state"), "");
		assert_int_equal(state_of(own), HANDOVER_RELEASED);
		hear("gamma", HANDOVER_MSG_BACK);
		assert_int_equal(state_of(own), HANDOVER_RELEASED);
		hear("beta", HANDOVER_MSG_NOTHING);
		assert_int_equal(state_of(own), HANDOVER_HERE);
	}
}

static void the_last_host_is_the_marks(void **state)
{
	static const char *const names[] = {"gamma", ""};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		place(HANDOVER_PREPARED, names[i], HANDOVER_ARRIVING);
		hear("gamma", HANDOVER_MSG_RELEASED);
		have_tpm_answer();
		assert_string_equal(answered("state"), "");
		assert_int_equal(state_of(own), HANDOVER_PREPARED);
		hear("beta", HANDOVER_MSG_RELEASED);
		assert_int_equal(state_of(own), HANDOVER_OWNED);
	}
}

/* A table with a mark that names nobody would be none: no vTPM of the host would start. */
static void a_mark_of_a_record_without_a_host(void **state)
{
	uint8_t *bytes = malloc(ANCHOR_TABLE_MAX);
	struct anchor_table after = {.count = 0};
	const struct anchor_entry *e;
	char file[96];
	ssize_t n;
	int fd;

	place(HANDOVER_OWNED, "", HANDOVER_NO_MARK);
	want("tick");
	have_tpm_answer();
	move_mark_giving(move_find(&d, own));
	have_tpm_answer();
	assert_int_equal(state_of(own), HANDOVER_OWNED);
	snprintf(file, sizeof(file), "%s/anchor", root);
	fd = open(file, O_RDONLY);
	n = read(fd, bytes, ANCHOR_TABLE_MAX);
	close(fd);
	assert_true(n > 0);
	assert_int_equal(anchor_table_decode(&after, bytes, (size_t)n), 0);
	e = anchor_table_find(&after, own);
	assert_non_null(e);
	assert_int_equal(e->mark.kind, HANDOVER_GIVING_BACK);
	anchor_table_free(&after);
	free(bytes);
}

/* Records that have the vTPM erased: put back, or made. */
static const struct eraser {
	enum handover_mark mark; /* of TXID */
	struct handover record;
	enum handover_state is;
} erasers[] = {
	{HANDOVER_LEAVING,
	 {.state = HANDOVER_AWAY, .txid = OLDER, .gone = OLDER},
	 HANDOVER_DOUBT},
	{HANDOVER_LEAVING,
	 {.state = HANDOVER_AWAY, .txid = TXID, .gone = OLDER},
	 HANDOVER_DOUBT},
	{HANDOVER_LEAVING, {.state = HANDOVER_ABSENT, .txid = OLDER}, HANDOVER_DOUBT},
	{HANDOVER_LEAVING, {.state = HANDOVER_INCOMING, .txid = OLDER}, HANDOVER_DOUBT},
	{HANDOVER_ARRIVING,
	 {.state = HANDOVER_AWAY, .txid = OLDER, .gone = OLDER},
	 HANDOVER_PREPARED},
	{HANDOVER_ARRIVING, {.state = HANDOVER_ABSENT, .txid = OLDER}, HANDOVER_PREPARED},
	{HANDOVER_ARRIVING,
	 {.state = HANDOVER_INCOMING, .txid = TXID},
	 HANDOVER_PREPARED},
	{HANDOVER_GIVING_BACK,
	 {.state = HANDOVER_AWAY, .txid = OLDER, .gone = OLDER},
	 HANDOVER_BACK},
	{HANDOVER_GIVING_BACK, {.state = HANDOVER_TAKEN, .txid = TXID}, HANDOVER_BACK},
	{HANDOVER_NO_MARK,
	 {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID},
	 HANDOVER_STRAY},
	{HANDOVER_NO_MARK,
	 {.state = HANDOVER_AWAY, .txid = OLDER, .gone = OLDER},
	 HANDOVER_STRAY},
	{HANDOVER_NO_MARK, {.state = HANDOVER_ABSENT, .txid = OLDER}, HANDOVER_STRAY},
	{HANDOVER_NO_MARK, {.state = HANDOVER_INCOMING, .txid = OLDER}, HANDOVER_STRAY},
};

static void no_older_record_has_it_erased(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	for (size_t i = 0; i < ARRAY_SIZE(erasers); i++) {
		const struct eraser *t = &erasers[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		put_record_of(own, &t->record, "gamma");
		place(HANDOVER_ABSENT, "", t->mark);
		assert_true(has_folder());
		assert_int_equal(state_of(own), t->record.state);
		want("tick");
		have_tpm_answer();
		assert_string_equal(answered("state"), handover_word(t->is));
		turn();
		assert_true(has_folder());
		assert_int_equal(move_may_start(v, &e), -EBUSY);
	}
}

/* What the mark is of is erased, and who asks is answered when the TPM knows. */
static void the_record_of_the_marks_transfer_has_it_erased(void **state)
{
	const struct handover away = {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID};

	put_record_of(own, &away, "beta");
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	assert_true(has_folder());
	have_tpm_answer();
	assert_int_equal(state_of(own), HANDOVER_AWAY);
	assert_null(vtpms_find_uuid(&d, own));
	hear("beta", HANDOVER_MSG_ACTIVATED);
	assert_int_equal(answered_message(), HANDOVER_MSG_DONE);
	hear("beta", HANDOVER_MSG_PREPARED);
	assert_int_equal(answered_message(), HANDOVER_MSG_RELEASED);
}

/* A disk that does not let go of it: nobody waits for that, and it is tried again. */
static void what_could_not_be_erased_is_tried_again(void **state)
{
	const struct handover away = {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID};
	char stuck[160], uuid[37];
	struct timeval when, now;
	struct move *m;

	put_record_of(own, &away, "beta");
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	uuid_unparse_lower(own, uuid);
	snprintf(stuck, sizeof(stuck), "%s/%s/stuck", root, uuid);
	assert_int_equal(mkdir(stuck, 0700), 0);
	have_tpm_answer();
	assert_non_null(vtpms_find_uuid(&d, own));
	assert_false(has_folder());
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "away");
	/* the other host is not told that nothing of it is here */
	hear("beta", HANDOVER_MSG_ACTIVATED);
	have_tpm_answer();
	assert_int_equal(answered_message(), 0);
	m = move_find(&d, own);
	assert_true(event_pending(m->erase, EV_TIMEOUT, &when));
	evutil_gettimeofday(&now, NULL);
	assert_in_range(when.tv_sec - now.tv_sec, 1, MOVE_ERASE_AGAIN_S);
	assert_int_equal(rmdir(stuck), 0);
	event_active(m->erase, EV_TIMEOUT, 0);
	turn();
	have_tpm_answer();
	assert_null(vtpms_find_uuid(&d, own));
	assert_false(m->erase_fails);
	hear("beta", HANDOVER_MSG_ACTIVATED);
	assert_int_equal(answered_message(), HANDOVER_MSG_DONE);
}

/* vtpmd ended before the disk let go: what is left has no description, and is no vTPM. */
static void what_an_erasure_has_left_goes_at_the_next_start(void **state)
{
	static const uint8_t left[16] = "vTPM number two";
	const struct handover away = {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID};
	char folder[128], file[160], uuid[37];

	for (int whole = 0; whole < 2; whole++) {
		if (whole && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		uuid_unparse_lower(left, uuid);
		snprintf(folder, sizeof(folder), "%s/%s", root, uuid);
		assert_int_equal(mkdir(folder, 0700), 0);
		snprintf(file, sizeof(file), "%s/", uuid);
		write_file(file, "permall", "noise", 5);
		/* somebody took a description away */
		if (whole)
			write_file(file, "header", "a header", 8);
		put_record_of(left, &away, "beta");
		place(HANDOVER_ABSENT, "", HANDOVER_NO_MARK);
		want("tick");
		have_tpm_answer();
		usleep(20000);
		turn();
		assert_int_equal(access(folder, F_OK), whole ? 0 : -1);
		assert_int_equal(state_of(left), HANDOVER_AWAY);
	}
}

/* Two files for one uuid, of which one would be compared with the TPM, and the other would have the
 * vTPM erased. */
static void a_record_in_capitals_is_none(void **state)
{
	const struct handover older = {
		.state = HANDOVER_AWAY, .txid = OLDER, .gone = OLDER};
	char file[128], other[128], name[37];

	put_record_of(own, &older, "gamma");
	uuid_unparse_lower(own, name);
	snprintf(file, sizeof(file), "%s/handovers/%s", root, name);
	uuid_unparse_upper(own, name);
	snprintf(other, sizeof(other), "%s/handovers/%s", root, name);
	assert_string_not_equal(file, other);
	assert_int_equal(link(file, other), 0);
	place(HANDOVER_ABSENT, "", HANDOVER_NO_MARK);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "stray");
	usleep(20000);
	turn();
	assert_true(has_folder());
	assert_int_equal(state_of(own), HANDOVER_STRAY);
}

static void an_operator_takes_what_is_stray(void **state)
{
	const struct handover older = {
		.state = HANDOVER_AWAY, .txid = OLDER, .gone = OLDER};
	struct error e = {.cause = CAUSE_NONE};

	put_record_of(own, &older, "gamma");
	place(HANDOVER_ABSENT, "", HANDOVER_NO_MARK);
	have_tpm_answer();
	assert_int_equal(move_may_start(v, &e), -EBUSY);
	assert_non_null(strstr(e.text, "find out who wrote the record"));
	assert_int_equal(move_may_change(v, &e), 0);
	/* no other host is told anything */
	hear("gamma", HANDOVER_MSG_PREPARED);
	assert_int_equal(answered_message(), 0);
	want("take");
	have_tpm_answer();
	assert_string_equal(answered("state"), "taken");
	assert_int_equal(recorded(), HANDOVER_TAKEN);
	assert_int_equal(move_may_start(v, &e), 0);
}

static void remove_object(const char *name)
{
	char file[128], uuid[37];

	uuid_unparse_lower(own, uuid);
	snprintf(file, sizeof(file), "%s/%s/%s", root, uuid, name);
	assert_int_equal(unlink(file), 0);
}

/* Its folder is there, and its state is not: what the destination has is all that is left. */
static void a_source_without_the_state_takes_nothing_back(void **state)
{
	static const char *const lost[] = {"permall", "header"};

	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		put_mark(own, HANDOVER_LEAVING, "beta");
		remove_object(lost[i]);
		anchor_table(0);
		begin();
		want("tick");
		have_tpm_answer();
		assert_int_equal(answered_message(), HANDOVER_MSG_RELEASED);
		assert_int_equal(state_of(own), HANDOVER_RELEASED);
		want("take");
		assert_string_equal(answered("cause"), "busy");
		hear("beta", HANDOVER_MSG_BACK);
		have_tpm_answer();
		assert_string_equal(answered("state"), "away");
		hear("beta", HANDOVER_MSG_BACK);
		have_tpm_answer();
		assert_int_equal(answered_message(), HANDOVER_MSG_GONE);
	}
}

/* To which the vTPM had moved before: what waits for the other one stays, and so does who waits. */
static void a_former_host_is_told_of_its_own_transfer(void **state)
{
	const struct handover now = {
		.state = HANDOVER_RELEASED, .txid = TXID, .gone = OLDER};
	static const uint8_t older[HANDOVER_TXID_SIZE] = OLDER, txid[] = TXID;
	struct control *waits = (struct control *)&table; /* no one is answered */
	struct move *m;

	put_record_of(own, &now, "beta");
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	hear_of(older, "gamma", HANDOVER_MSG_ACTIVATED);
	have_tpm_answer();
	assert_int_equal(answered_message(), HANDOVER_MSG_DONE);
	m = move_find(&d, own);
	assert_int_equal(json_array_size(m->outbox), 1);
	m->client = waits;
	hear_of(older, "gamma", HANDOVER_MSG_BACK);
	assert_int_equal(answered_message(), HANDOVER_MSG_GONE);
	hear_of(txid, "gamma", HANDOVER_MSG_NOTHING);
	assert_string_equal(answered("cause"), "busy");
	assert_ptr_equal(m->client, waits);
	m->client = NULL;
	assert_int_equal(state_of(own), HANDOVER_RELEASED);
	assert_int_equal(json_array_size(m->outbox), 1);
	hear("beta", HANDOVER_MSG_PREPARED);
	assert_int_equal(answered_message(), HANDOVER_MSG_RELEASED);
}

/* Of a host that offers what has moved to another one, and is refused. */
static void who_is_refused_is_told_nothing_else(void **state)
{
	const struct handover away = {.state = HANDOVER_AWAY, .txid = TXID, .gone = TXID};
	static const uint8_t other[HANDOVER_TXID_SIZE] = "another one";

	put_record_of(own, &away, "beta");
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	want("tick");
	have_tpm_answer();
	hear_of(other, "gamma", HANDOVER_MSG_OFFER);
	assert_string_equal(answered("state"), "away");
	assert_string_equal(move_find(&d, own)->r.peer, "beta");
	assert_string_equal(move_find(&d, own)->r.name, "web1");
}

static void name_of(uint8_t uuid[16], uint8_t kind, unsigned int n)
{
	memset(uuid, 0, 16);
	uuid[0] = kind;
	uuid[1] = (uint8_t)(n >> 8);
	uuid[2] = (uint8_t)n;
}

/* Of which the host's TPM knows nothing: other states are none of this host's then. */
static void forge_records(void)
{
	uint8_t uuid[16];

	for (unsigned int i = 0; i < FORGED; i++) {
		name_of(uuid, 0xff, i);
		put_record(uuid, HANDOVER_AWAY, "beta");
	}
	for (unsigned int i = 0; i < MARKED; i++) {
		name_of(uuid, 1, i);
		put_mark(uuid, HANDOVER_LEAVING, "beta");
	}
}

/* All that the TPM knows is known beside them, and vtpmd answers. */
static void as_many_records_as_it_takes(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	clock_t since = clock();
	uint8_t uuid[16];

	forge_records();
	place(HANDOVER_ABSENT, "", HANDOVER_LEAVING);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "doubt");
	for (unsigned int i = 0; i < MARKED; i++) {
		name_of(uuid, 1, i);
		assert_int_equal(state_of(uuid), HANDOVER_RELEASED);
	}
	assert_int_equal(move_may_start(v, &e), -EBUSY);
	assert_non_null(strstr(e.text, "was about to move to beta"));
	/* its answer is believed, and none about a vTPM of which there is no record */
	hear("beta", HANDOVER_MSG_NOTHING);
	assert_string_equal(answered("state"), "here");
	name_of(uuid, 2, 0);
	hear_about(uuid, "beta", HANDOVER_MSG_NOTHING);
	assert_non_null(strstr(answered("error"), "no room for the record"));
	assert_true((clock() - since) / CLOCKS_PER_SEC < LOAD_S);
}

/* Also to its operator it does not say that there is no such vTPM. */
static void a_move_that_has_no_room(void **state)
{
	forge_records();
	place(HANDOVER_ABSENT, "", HANDOVER_NO_MARK);
	want("begin");
	have_tpm_answer();
	assert_non_null(strstr(answered("error"), "no room for the record"));
}

/* Of a vtpmd that is newer: what it says of marks is not known, and nothing starts. */
static void a_table_of_a_newer_version(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	put_mark(own, HANDOVER_LEAVING, "beta");
	anchor_table(1);
	begin();
	(void)!vtpm_start(v, &e);
	turn();
	have_tpm_answer();
	assert_int_equal(v->state, VTPM_FAILED);
	assert_int_equal(v->meta.error.cause, CAUSE_VERSION);
	assert_non_null(strstr(v->meta.error.text, "newer"));
	hear("beta", HANDOVER_MSG_RELEASED);
	have_tpm_answer();
	assert_string_equal(answered("cause"), "version");
	assert_null(move_find(&d, own));
}

static bool has_record(void)
{
	char file[128], name[37];

	uuid_unparse_lower(own, name);
	snprintf(file, sizeof(file), "%s/handovers/%s", root, name);
	return !access(file, F_OK);
}

static bool is_audited(const char *text)
{
	char line[4096] = "";
	int fd = open(path[1], O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && strstr(line, text);
}

/* A crash behind the next record leaves no word of this state but the audit log's. */
static void a_state_is_audited_before_the_next_record(void **state)
{
	char file[128], away[128];

	snprintf(file, sizeof(file), "%s/handovers", root);
	snprintf(away, sizeof(away), "%s/elsewhere", root);
	place(HANDOVER_RELEASED, "beta", HANDOVER_LEAVING);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "released");
	hear("beta", HANDOVER_MSG_ACTIVATED);
	assert_string_equal(answered("state"), "confirmed");
	assert_false(is_audited("to beta, transfer"));
	/* no record is written any more, as if vtpmd were killed at the next one */
	assert_int_equal(rename(file, away), 0);
	write_file("", "handovers", "", 0);
	want("finish");
	assert_string_equal(answered("state"), "confirmed");
	assert_true(is_audited("to beta, transfer"));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rename(away, file), 0);
}

/* Within seconds of a step vtpmd is killed: no older record stays beside the one that counts. */
static void a_record_with_two_sides_is_found(void **state)
{
	struct move_record r = {.h = {.state = HANDOVER_HERE, .txid = TXID}};
	struct twin_own room = {.side = 0};
	char file[128], name[37];
	struct stat st;

	memcpy(r.uuid, own, sizeof(r.uuid));
	strcpy(r.name, "web1");
	strcpy(r.peer, "beta");
	assert_int_equal(move_record_make_room(root, &r, &room), 1);
	r.h.state = HANDOVER_RELEASED;
	assert_int_equal(move_record_write(root, &r, &room, NULL), 0);
	uuid_unparse_lower(own, name);
	snprintf(file, sizeof(file), "%s/handovers/%s", root, name);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size > MOVE_RECORD_MAX);
	put_mark(own, HANDOVER_LEAVING, "beta");
	anchor_table(0);
	begin();
	assert_int_equal(recorded(), HANDOVER_RELEASED);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size <= MOVE_RECORD_MAX);
}

/* Both hosts know that the move is over: the record goes when the TPM has no mark of it. */
static void a_record_of_what_is_over(void **state)
{
	place(HANDOVER_OWNED, "beta", HANDOVER_ARRIVING);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "unsure");
	hear("beta", HANDOVER_MSG_DONE);
	assert_string_equal(answered("state"), "here");
	assert_true(has_record());
	assert_int_equal(recorded(), HANDOVER_HERE);
	sleep(4);
	turn();
	assert_true(has_record());
	assert_non_null(tpm.asks);
	have_tpm_answer();
	assert_false(has_record());
	assert_true(move_is_spare(move_find(&d, own), false));
}

/* One that an earlier vtpmd has left; and of what the TPM has a mark of. */
static void a_record_of_what_is_over_is_found(void **state)
{
	place(HANDOVER_HERE, "beta", HANDOVER_NO_MARK);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "here");
	assert_false(has_record());
	if (teardown(NULL) || setup(NULL))
		fail_msg("no host");
	place(HANDOVER_HERE, "beta", HANDOVER_ARRIVING);
	want("tick");
	have_tpm_answer();
	assert_string_equal(answered("state"), "unsure");
	assert_true(has_record());
}

/* While the disk is full a message that asks for another record means nothing. */
static const struct unwritten {
	enum handover_mark mark;
	enum handover_state record;
	enum handover_kind message;
	enum handover_state with; /* with room */
} unwritten[] = {
	{HANDOVER_LEAVING, HANDOVER_RELEASED, HANDOVER_MSG_NOTHING, HANDOVER_HERE},
	{HANDOVER_LEAVING, HANDOVER_RELEASED, HANDOVER_MSG_BACK, HANDOVER_HERE},
	{HANDOVER_ARRIVING, HANDOVER_PREPARED, HANDOVER_MSG_RELEASED, HANDOVER_OWNED},
	{HANDOVER_ARRIVING, HANDOVER_PREPARED, HANDOVER_MSG_ABORT, HANDOVER_ABSENT},
	{HANDOVER_GIVING_BACK, HANDOVER_BACK, HANDOVER_MSG_TAKEN, HANDOVER_ABSENT},
	{HANDOVER_GIVING_BACK, HANDOVER_BACK, HANDOVER_MSG_GONE, HANDOVER_HERE},
	{HANDOVER_NO_MARK, HANDOVER_OWNED, HANDOVER_MSG_DONE, HANDOVER_HERE},
};

static void a_disk_that_is_full(void **state)
{
	struct rlimit was, none;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	for (size_t i = 0; i < ARRAY_SIZE(unwritten); i++) {
		const struct unwritten *t = &unwritten[i];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		place(t->record, "beta", t->mark);
		want("tick");
		have_tpm_answer();
		assert_string_equal(answered("state"), handover_word(t->record));
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
		hear("beta", t->message);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
		assert_non_null(strstr(answered("why"), "could not be written here"));
		assert_int_equal(state_of(own), t->record);
		assert_int_equal(recorded(), t->record);
		hear("beta", t->message);
		if (t->with == HANDOVER_ABSENT)
			assert_true(handover_is_empty(&move_find(&d, own)->r.h));
		else
			assert_int_equal(state_of(own), t->with);
	}
}

static void hide_records(bool one)
{
	char file[128];
	int n = snprintf(file, sizeof(file), "%s/handovers", root);

	if (one) {
		(void)mkdir(file, 0700);
		file[n++] = '/';
		uuid_unparse_lower(own, file + n);
	}
	assert_int_equal(mkfifo(file, 0600), 0);
}

/* Records that cannot be read: what the TPM knows to be here alone starts, and none moves. */
static void records_that_cannot_be_read(void **state)
{
	static const enum handover_mark marks[] = {HANDOVER_NO_MARK, HANDOVER_LEAVING,
						   HANDOVER_ARRIVING,
						   HANDOVER_GIVING_BACK};
	struct error e;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(marks); i++) {
		enum handover_mark mark = marks[i / 2];

		if (i && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		hide_records(i % 2);
		place(HANDOVER_ABSENT, "", mark);
		want("begin");
		have_tpm_answer();
		assert_non_null(strstr(answered("error"), "moved away is not known"));
		hear("beta", HANDOVER_MSG_RELEASED);
		assert_non_null(strstr(answered("error"), "moved away is not known"));
		e = (struct error){.cause = CAUSE_NONE};
		assert_int_equal(move_may_start(v, &e), mark ? -EBUSY : 0);
		assert_true(move_may_restore(&d, own, true, &e) < 0);
		assert_int_equal(e.cause, mark ? CAUSE_LEASE : CAUSE_STORE);
	}
}

/* Without an anchor they alone say what has moved away. */
static void nor_without_an_anchor(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	for (int one = 0; one < 2; one++) {
		if (one && (teardown(NULL) || setup(NULL)))
			fail_msg("no host");
		config.host.anchor_index = 0;
		hide_records(one);
		begin();
		(void)!vtpm_start(v, &e);
		turn();
		assert_int_equal(v->state, VTPM_FAILED);
		assert_int_equal(v->meta.error.cause, CAUSE_STORE);
		assert_non_null(strstr(v->meta.error.text, "moved away is not known"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(nothing_is_heard_before_the_table_is_known),
		HOST_TEST(nothing_is_done_before_the_table_is_known),
		HOST_TEST(nothing_is_heard_when_the_tpm_does_not_answer),
		HOST_TEST(looks_at_what_waits_do_not_have_a_broken_tpm_asked),
		HOST_TEST(the_other_host_is_the_marks),
		HOST_TEST(the_last_host_is_the_marks),
		HOST_TEST(a_mark_of_a_record_without_a_host),
		HOST_TEST(no_older_record_has_it_erased),
		HOST_TEST(the_record_of_the_marks_transfer_has_it_erased),
		HOST_TEST(what_could_not_be_erased_is_tried_again),
		HOST_TEST(what_an_erasure_has_left_goes_at_the_next_start),
		HOST_TEST(a_record_in_capitals_is_none),
		HOST_TEST(an_operator_takes_what_is_stray),
		HOST_TEST(a_source_without_the_state_takes_nothing_back),
		HOST_TEST(a_former_host_is_told_of_its_own_transfer),
		HOST_TEST(who_is_refused_is_told_nothing_else),
		HOST_TEST(as_many_records_as_it_takes),
		HOST_TEST(a_move_that_has_no_room),
		HOST_TEST(a_table_of_a_newer_version),
		HOST_TEST(a_record_of_what_is_over),
		HOST_TEST(a_record_of_what_is_over_is_found),
		HOST_TEST(a_record_with_two_sides_is_found),
		HOST_TEST(a_state_is_audited_before_the_next_record),
		HOST_TEST(a_disk_that_is_full),
		HOST_TEST(records_that_cannot_be_read),
		HOST_TEST(nor_without_an_anchor),
	};

	return cmocka_run_group_tests_name("move_mark", tests, NULL, NULL);
}
