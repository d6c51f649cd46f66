/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's TPM has of handovers, against records that somebody made and messages that come
 * early: all of vtpmd but its main(), and a TPM that answers when a case has it answer. */
#include "tests/unit/unit.h"
#include "lib/crypt.h"
#include "lib/cursor.h"
#include "lib/move.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/helper.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define OWN_UUID "vTPM number one"
#define TXID	 "a transfer's id"
#define OLDER	 "an older transf"
#define FORGED	 10000 /* as many records as vtpmd takes */
#define MARKED	 200   /* vTPMs whose records were removed */
#define LOAD_S	 20    /* of the processor, with sanitizers */

static const uint8_t own[16] = OWN_UUID;

/* -- the host's TPM ---------------------------------------------------------- */

static struct {
	uint8_t hash[ANCHOR_HASH_SIZE]; /* what it has */
	uint8_t next[ANCHOR_HASH_SIZE]; /* what it is asked to take, if sets */
	bool sets;
	struct helper *asks; /* NULL: nobody waits for its answer */
} tpm;

int helper_init(struct helper *h, struct vtpmd *owner, unsigned int limit_s,
		helper_done *done, void *ctx)
{
	*h = (struct helper){.d = owner, .done = done, .ctx = ctx};
	return 0;
}

int helper_run(struct helper *h, const char *verb, const char *const args[HELPER_ARGS],
	       struct error *e)
{
	size_t len = sizeof(tpm.next);

	assert_string_equal(verb, "anchor");
	assert_null(tpm.asks);
	tpm.sets = !strcmp(args[0], "--set");
	if (tpm.sets)
		assert_int_equal(hex_decode(args[1], tpm.next, &len), 0);
	h->pid = 1;
	tpm.asks = h;
	return 0;
}

void helper_end(struct helper *h)
{
}

/* -- one host ---------------------------------------------------------------- */

static struct vtpmd d;
static struct config config;
static struct vtpm *v;
static struct control client;
static struct bufferevent *pair[2];
static struct anchor_table table;
static char root[64], path[2][96];

static void turn(void)
{
	for (int i = 0; i < 8; i++)
		(void)event_base_loop(d.base, EVLOOP_NONBLOCK);
}

static void answer_tpm(bool works)
{
	struct error e = {.cause = CAUSE_NONE};
	char hex[2 * ANCHOR_HASH_SIZE + 1];
	struct helper *h = tpm.asks;
	json_t *said = NULL;

	assert_non_null(h);
	tpm.asks = NULL;
	h->pid = 0;
	if (works && tpm.sets)
		memcpy(tpm.hash, tpm.next, sizeof(tpm.hash));
	hex_encode(tpm.hash, sizeof(tpm.hash), hex);
	if (works)
		said = json_pack("{s:s}", "value", hex);
	else
		error_set(&e, -EIO, CAUSE_TPM_UNREACHABLE, "It does not answer.");
	h->done(h->ctx, said, works ? NULL : &e);
	json_decref(said);
	turn();
}

static void have_tpm_answer(void)
{
	while (tpm.asks)
		answer_tpm(true);
}

static void on_anchored(struct vtpmd *host)
{
	move_on_anchored(host);
	vtpm_start_queued(host);
}

static int make_vtpm(void)
{
	struct meta m = {.name = "web1", .policy = "kms", .memory = 8};
	struct store s = {.ops = NULL};

	memcpy(m.uuid, own, sizeof(m.uuid));
	if (store_open(&s, root, own, true))
		return -1;
	v = vtpm_new(&d, &m, &s);
	if (v)
		vtpms_add(&d, v);
	return v ? 0 : -1;
}

static int setup(void **state)
{
	int fd;

	strcpy(root, "/tmp/move-mark-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	for (int i = 0; i < 2; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s", root,
			 i ? "audit.log" : "host.json");
	fd = open(path[0], O_CREAT | O_RDWR, 0600);
	d = (struct vtpmd){.base = event_base_new(),
			   .store = root,
			   .folder = root,
			   .config = path[0],
			   .audit = path[1],
			   .tpm = "unix:/no/such",
			   .anchor_every = 600,
			   .on_anchored = on_anchored,
			   .run_dir = open(root, O_RDONLY | O_DIRECTORY)};
	config = (struct config){.users = 1000,
				 .host = {.has_kms = true, .anchor_index = 1}};
	d.host.last = &config;
	memset(&tpm, 0, sizeof(tpm));
	memset(&table, 0, sizeof(table));
	if (fd < 0 || fstat(fd, &d.host.at) || anchor_new(&d) || make_vtpm() ||
	    bufferevent_pair_new(d.base, BEV_OPT_CLOSE_ON_FREE, pair))
		return -1;
	close(fd);
	bufferevent_enable(pair[1], EV_READ);
	client = (struct control){.d = &d, .stream = pair[0], .what = NO_OP};
	return 0;
}

static int teardown(void **state)
{
	char command[80];

	waiter_cancel(&client.waiter);
	move_forget(&client);
	json_decref(client.held);
	bufferevent_free(pair[0]);
	bufferevent_free(pair[1]);
	/* a case may have had it erased */
	v = vtpms_find_uuid(&d, own);
	if (v) {
		vtpms_remove(v);
		vtpm_free(v);
	}
	anchor_free(d.anchor);
	move_end(&d);
	anchor_table_free(&table);
	close(d.run_dir);
	event_base_free(d.base);
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

/* -- what is in its store, and in its TPM ------------------------------------- */

static void write_file(const char *folder, const char *name, const void *bytes,
		       size_t len)
{
	char file[256];
	int fd;

	snprintf(file, sizeof(file), "%s/%s%s", root, folder, name);
	fd = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* As who writes to the store makes it: not durably. */
static void put_record_of(const uint8_t uuid[16], const struct handover *h,
			  const char *peer)
{
	struct move_record r = {.h = *h, .name = "web1"};
	uint8_t bytes[MOVE_RECORD_MAX];
	size_t len = sizeof(bytes);
	char folder[96], name[37];

	memcpy(r.uuid, uuid, sizeof(r.uuid));
	strcpy(r.peer, peer);
	uuid_unparse_lower(uuid, name);
	snprintf(folder, sizeof(folder), "%s/handovers", root);
	(void)mkdir(folder, 0700);
	assert_int_equal(move_record_encode(&r, bytes, &len), 0);
	write_file("handovers/", name, bytes, len);
}

static void put_record(const uint8_t uuid[16], enum handover_state state,
		       const char *peer)
{
	put_record_of(uuid, &(struct handover){.state = state, .txid = TXID}, peer);
}

/* Header or state of the vTPM, of generation 1 in epoch 1; the hash of it. */
static void put_object(const char *name, uint16_t object, uint8_t hash[32])
{
	uint8_t buf[100] = {0};
	struct cursor w = cursor_writer(buf, sizeof(buf));
	struct crypt_part part = {buf, sizeof(buf)};
	char folder[40] = "", uuid[37];

	cursor_put(&w, object == CHANNEL_OBJECT_HEADER ? "XVTPMHDR" : "XVTPMBLB", 8);
	cursor_put_u16(&w, 2);
	cursor_put_u16(&w, object == CHANNEL_OBJECT_HEADER ? 1 : 2);
	cursor_put(&w, own, sizeof(own));
	cursor_put_u64(&w, 1);
	cursor_put_u64(&w, 1);
	uuid_unparse_lower(own, uuid);
	snprintf(folder, sizeof(folder), "%s/", uuid);
	write_file(folder, name, buf, sizeof(buf));
	assert_int_equal(crypt_sha256(&part, 1, hash), 0);
}

static void put_mark(const uint8_t uuid[16], enum handover_mark kind, const char *peer)
{
	struct anchor_entry e = {.header = {1}, .epoch = 1, .mark = {.kind = kind}};
	uint8_t state[32];

	memcpy(e.uuid, uuid, sizeof(e.uuid));
	if (!memcmp(uuid, own, sizeof(own))) {
		put_object("header", CHANNEL_OBJECT_HEADER, e.header);
		put_object("permall", CHANNEL_OBJECT_PERMALL, state);
	}
	if (kind)
		memcpy(e.mark.txid, TXID, sizeof(e.mark.txid));
	strcpy(e.mark.peer, peer);
	assert_int_equal(anchor_table_set(&table, &e), 0);
}

/* The table is the one that the TPM has; newer: of so many versions behind this vtpmd's. */
static void anchor_table(uint8_t newer)
{
	uint8_t *bytes = malloc(ANCHOR_TABLE_MAX);
	struct crypt_part part = {bytes, anchor_table_encode(&table, bytes)};

	bytes[9] += newer;
	write_file("", "anchor", bytes, part.n);
	assert_int_equal(crypt_sha256(&part, 1, tpm.hash), 0);
	free(bytes);
}

/* vtpmd starts. */
static void begin(void)
{
	move_init(&d);
	move_resume(&d);
	turn();
}

static void place(enum handover_state state, const char *peer, enum handover_mark mark)
{
	if (state != HANDOVER_ABSENT)
		put_record(own, state, peer);
	put_mark(own, mark, mark ? "beta" : "");
	anchor_table(0);
	begin();
}

/* -- what is said to it -------------------------------------------------------- */

static void ask(json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);

	json_decref(request);
	control_ops.request(&client, text, strlen(text));
	free(text);
	turn();
}

/* A message without a body, of that host's. */
static void hear_about(const uint8_t uuid[16], const char *peer, enum handover_kind kind)
{
	struct move_message msg = {.kind = (uint8_t)kind, .txid = TXID};
	uint8_t bytes[64];
	char hex[2 * sizeof(bytes) + 1];
	size_t len = sizeof(bytes);

	memcpy(msg.uuid, uuid, sizeof(msg.uuid));
	assert_int_equal(move_message_encode(&msg, bytes, &len), 0);
	hex_encode(bytes, len, hex);
	ask(json_pack("{s:s, s:s, s:[s]}", "op", "move", "peer", peer, "messages", hex));
}

static void hear(const char *peer, enum handover_kind kind)
{
	hear_about(own, peer, kind);
}

/* What its operator wants of web1. */
static void want(const char *event)
{
	ask(json_pack("{s:s, s:s, s:s, s:s}", "op", "move", "name", "web1", "event",
		      event, "host", "beta"));
}

/* That of the answer which came; "": none came, or it has no such text. */
static const char *answered(const char *key)
{
	static char text[512];
	struct evbuffer *in = bufferevent_get_input(pair[1]);
	char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF);
	json_t *o = line ? json_loads(line, 0, NULL) : NULL;
	const char *found = json_string_value(json_object_get(o, key));

	snprintf(text, sizeof(text), "%s", found ? found : "");
	json_decref(o);
	free(line);
	return text;
}

/* The kind of the first message that the answer has; 0: none. */
static int answered_message(void)
{
	struct evbuffer *in = bufferevent_get_input(pair[1]);
	char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF);
	json_t *o = line ? json_loads(line, 0, NULL) : NULL;
	const char *hex =
		json_string_value(json_array_get(json_object_get(o, "messages"), 0));
	unsigned int kind = 0;

	if (hex)
		assert_int_equal(sscanf(hex, "%2x", &kind), 1);
	json_decref(o);
	free(line);
	return (int)kind;
}

static enum handover_state state_of(const uint8_t uuid[16])
{
	const struct move *m = move_find(&d, uuid);

	assert_non_null(m);
	return m->r.h.state;
}

static void note_state(void *ctx, const struct move_record *r)
{
	enum handover_state *state = ctx;

	*state = r->h.state;
}

static void note_lost(void *ctx, const uint8_t uuid[16], int rc)
{
	fail_msg("it cannot be read: %d", rc);
}

/* As the one record says that is on the disk. */
static enum handover_state recorded(void)
{
	enum handover_state state = HANDOVER_HERE;

	assert_int_equal(move_record_each(root, &state, note_state, note_lost), 0);
	return state;
}

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

static bool has_folder(void)
{
	char file[128], uuid[37];

	uuid_unparse_lower(own, uuid);
	snprintf(file, sizeof(file), "%s/%s/header", root, uuid);
	return !access(file, F_OK) && vtpms_find_uuid(&d, own) == v;
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

static void hear_of(const uint8_t txid[HANDOVER_TXID_SIZE], const char *peer,
		    enum handover_kind kind)
{
	struct move_message msg = {.kind = (uint8_t)kind};
	uint8_t bytes[64];
	char hex[2 * sizeof(bytes) + 1];
	size_t len = sizeof(bytes);

	memcpy(msg.txid, txid, sizeof(msg.txid));
	memcpy(msg.uuid, own, sizeof(msg.uuid));
	assert_int_equal(move_message_encode(&msg, bytes, &len), 0);
	hex_encode(bytes, len, hex);
	ask(json_pack("{s:s, s:s, s:[s]}", "op", "move", "peer", peer, "messages", hex));
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
	sleep(2);
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

#define MARK_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MARK_TEST(nothing_is_heard_before_the_table_is_known),
		MARK_TEST(nothing_is_done_before_the_table_is_known),
		MARK_TEST(nothing_is_heard_when_the_tpm_does_not_answer),
		MARK_TEST(the_other_host_is_the_marks),
		MARK_TEST(the_last_host_is_the_marks),
		MARK_TEST(a_mark_of_a_record_without_a_host),
		MARK_TEST(no_older_record_has_it_erased),
		MARK_TEST(the_record_of_the_marks_transfer_has_it_erased),
		MARK_TEST(an_operator_takes_what_is_stray),
		MARK_TEST(a_source_without_the_state_takes_nothing_back),
		MARK_TEST(a_former_host_is_told_of_its_own_transfer),
		MARK_TEST(who_is_refused_is_told_nothing_else),
		MARK_TEST(as_many_records_as_it_takes),
		MARK_TEST(a_move_that_has_no_room),
		MARK_TEST(a_table_of_a_newer_version),
		MARK_TEST(a_record_of_what_is_over),
		MARK_TEST(a_record_of_what_is_over_is_found),
		MARK_TEST(a_disk_that_is_full),
		MARK_TEST(records_that_cannot_be_read),
		MARK_TEST(nor_without_an_anchor),
	};

	return cmocka_run_group_tests_name("move_mark", tests, NULL, NULL);
}
