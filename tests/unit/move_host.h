/* SPDX-License-Identifier: Apache-2.0 */
/* One host, for tests of its handovers: all of vtpmd but its main(), with a vTPM, web1, and a TPM that
 * answers when a case has it answer. */
#ifndef TESTS_MOVE_HOST_H
#define TESTS_MOVE_HOST_H

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

#include <event2/buffer.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define OWN_UUID "vTPM number one"
#define TXID	 "a transfer's id"
#define OLDER	 "an older transf"

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

static inline void turn(void)
{
	for (int i = 0; i < 8; i++)
		(void)event_base_loop(d.base, EVLOOP_NONBLOCK);
}

static inline void answer_tpm(bool works)
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

static inline void have_tpm_answer(void)
{
	while (tpm.asks)
		answer_tpm(true);
}

static inline void on_anchored(struct vtpmd *host)
{
	move_on_anchored(host);
	vtpm_start_queued(host);
}

static inline int make_vtpm(void)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void write_file(const char *folder, const char *name, const void *bytes,
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
static inline void put_record_of(const uint8_t uuid[16], const struct handover *h,
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

static inline void put_record(const uint8_t uuid[16], enum handover_state state,
			      const char *peer)
{
	put_record_of(uuid, &(struct handover){.state = state, .txid = TXID}, peer);
}

/* Header or state of the vTPM, of generation 1 in epoch 1; the hash of it. */
static inline void put_object(const char *name, uint16_t object, uint8_t hash[32])
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

static inline void put_mark(const uint8_t uuid[16], enum handover_mark kind,
			    const char *peer)
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
static inline void anchor_table(uint8_t newer)
{
	uint8_t *bytes = malloc(ANCHOR_TABLE_MAX);
	struct crypt_part part = {bytes, anchor_table_encode(&table, bytes)};

	bytes[9] += newer;
	write_file("", "anchor", bytes, part.n);
	assert_int_equal(crypt_sha256(&part, 1, tpm.hash), 0);
	free(bytes);
}

/* vtpmd starts. */
static inline void begin(void)
{
	move_init(&d);
	move_resume(&d);
	turn();
}

static inline void place(enum handover_state state, const char *peer,
			 enum handover_mark mark)
{
	if (state != HANDOVER_ABSENT)
		put_record(own, state, peer);
	put_mark(own, mark, mark ? "beta" : "");
	anchor_table(0);
	begin();
}

/* -- what is said to it -------------------------------------------------------- */

static inline void ask(json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);

	json_decref(request);
	control_ops.request(&client, text, strlen(text));
	free(text);
	turn();
}

/* A message without a body, of that host's. */
static inline void hear_about(const uint8_t uuid[16], const char *peer,
			      enum handover_kind kind)
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

static inline void hear(const char *peer, enum handover_kind kind)
{
	hear_about(own, peer, kind);
}

/* What its operator wants of web1. */
static inline void want(const char *event)
{
	ask(json_pack("{s:s, s:s, s:s, s:s}", "op", "move", "name", "web1", "event",
		      event, "host", "beta"));
}

/* That of the answer which came; "": none came, or it has no such text. */
static inline const char *answered(const char *key)
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
static inline int answered_message(void)
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

static inline enum handover_state state_of(const uint8_t uuid[16])
{
	const struct move *m = move_find(&d, uuid);

	assert_non_null(m);
	return m->r.h.state;
}

static inline void note_state(void *ctx, const struct move_record *r)
{
	enum handover_state *state = ctx;

	*state = r->h.state;
}

static inline void note_lost(void *ctx, const uint8_t uuid[16], int rc)
{
	fail_msg("it cannot be read: %d", rc);
}

/* As the one record says that is on the disk. */
static inline enum handover_state recorded(void)
{
	enum handover_state state = HANDOVER_HERE;

	assert_int_equal(move_record_each(root, &state, note_state, note_lost), 0);
	return state;
}

static inline bool has_folder(void)
{
	char file[128], uuid[37];

	uuid_unparse_lower(own, uuid);
	snprintf(file, sizeof(file), "%s/%s/header", root, uuid);
	return !access(file, F_OK) && vtpms_find_uuid(&d, own) == v;
}

static inline void hear_of(const uint8_t txid[HANDOVER_TXID_SIZE], const char *peer,
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

#define HOST_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
