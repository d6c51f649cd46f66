/* SPDX-License-Identifier: Apache-2.0 */
/* What vtpmd does for all its vTPMs grows with them, and not with their square: the same is
 * done with 1,000 and with 4,000, and the steps are counted.  A step is a block of the code
 * of those files that vtpmd.mk has compiled with gcc's trace-pc for this. */
#include "tests/unit/unit.h"
#include "lib/cursor.h"
#include "lib/pool.h"
#include "lib/text.h"
#include "lib/witness.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/ask.h"
#include "tools/vtpmd/child.h"
#include "tools/vtpmd/helper.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/quote.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEW	1000u
#define MANY	4000u
#define AT_ONCE 4 /* that start without an operator */

static uint64_t steps;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	steps++;
}

/* Four times the vTPMs are four times the steps, and, where one is looked for among them, a
 * few more: of the square it would be 16 times. */
static void grows(uint64_t few, uint64_t many)
{
	print_message("# %llu steps for each of %u, %llu for each of %u\n",
		      (unsigned long long)few / FEW, FEW, (unsigned long long)many / MANY,
		      MANY);
	assert_true(few > FEW);
	assert_true(many <= 6 * few);
}

/* Nothing is shared with n, so that the order is any. */
static unsigned int shuffled(unsigned int i, unsigned int n)
{
	return (unsigned int)((uint64_t)i * 7919 % n);
}

void log_line(int level, const char *fmt, ...)
{
}

void log_about(int level, const struct log_about *about, const char *fmt, ...)
{
}

void log_limited(struct log_limit *l, int level, const struct log_about *about,
		 const char *fmt, ...)
{
}

void log_left_out(struct log_limit *l, const struct log_about *about)
{
}

/* -- a place for all of them -------------------------------------------------------- */

static unsigned int claims; /* how often one was asked for */
static bool claims_late;    /* each the first time */
static uint8_t claimed[MANY];

static uint32_t index_of(const uint8_t uuid[16])
{
	struct cursor c = cursor_reader(uuid, 16);

	return cursor_u32(&c);
}

static int place_open(struct store *s, const char *root, bool create)
{
	return 0;
}

static void place_close(struct store *s)
{
}

static int place_claim(struct store *s, struct error *e)
{
	uint8_t *times = &claimed[index_of(s->uuid)];

	claims++;
	return claims_late && !(*times)++ ? -EAGAIN : 0;
}

static void place_release(struct store *s, bool later)
{
}

/* As much of a header and of a state as vtpmd looks at. */
static int place_get(struct store *s, const char *name, size_t max, uint8_t **buf,
		     size_t *len)
{
	static const uint8_t none[32];
	bool header = !strcmp(name, "header");
	struct cursor w;

	if (!header && strcmp(name, "permall") != 0)
		return -ENOENT;
	*buf = calloc(1, 256);
	w = cursor_writer(*buf, 255);
	cursor_put(&w, header ? "XVTPMHDR" : "XVTPMBLB", 8);
	cursor_put_u16(&w, 2);
	cursor_put_u16(&w, header ? 1 : 2);
	cursor_put(&w, s->uuid, 16);
	cursor_put_u64(&w, 1);
	cursor_put_u64(&w, 7);
	if (header) {
		cursor_put_u16(&w, ENVELOPE_SLOT_KMS);
		cursor_put(&w, "\0\x14\1\0", 4);
		cursor_put(&w, none, 6); /* no endorsement keys */
		cursor_put_u16(&w, ENVELOPE_SLOT_KMS);
		cursor_put_u16(&w, 0);
		cursor_put_u32(&w, 5);
		cursor_put(&w, "share", 5);
		cursor_put(&w, none, sizeof(none));
	}
	*len = w.pos;
	return 0;
}

static int place_set(struct store *s, const char *name, const void *buf, size_t len)
{
	return 0;
}

static int place_erase(struct store *s, const char *name, bool whole)
{
	return 0;
}

static const struct store_ops place = {
	.open = place_open,
	.close = place_close,
	.claim = place_claim,
	.release = place_release,
	.get = place_get,
	.set = place_set,
	.erase = place_erase,
};

/* -- the host's TPM ------------------------------------------------------------------ */

static struct helper *asked; /* NULL: nothing is asked of it */
static struct helper *made;  /* the last one */
static char value[80];	     /* that it is to take, or has */
static unsigned int writes;
static void note_question(struct helper *h, const char *hex);

int __wrap_helper_init(struct helper *h, struct vtpmd *d, unsigned int limit_s,
		       helper_done *done, void *ctx);
int __wrap_helper_init(struct helper *h, struct vtpmd *d, unsigned int limit_s,
		       helper_done *done, void *ctx)
{
	h->done = done;
	h->ctx = ctx;
	made = h;
	return 0;
}

int __wrap_helper_run(struct helper *h, const char *verb,
		      const char *const args[HELPER_ARGS], struct error *e);
int __wrap_helper_run(struct helper *h, const char *verb,
		      const char *const args[HELPER_ARGS], struct error *e)
{
	if (!strcmp(verb, "witness")) {
		assert_string_equal(args[4], "--ask");
		note_question(h, args[5]);
		return 0;
	}
	assert_null(asked);
	if (!strcmp(args[0], "--set")) {
		snprintf(value, sizeof(value), "%s", args[1]);
		writes++;
	}
	h->pid = 1;
	asked = h;
	return 0;
}

void __wrap_helper_end(struct helper *h);
void __wrap_helper_end(struct helper *h)
{
}

static void tpm_answers(void)
{
	struct helper *h = asked;
	json_t *said = json_pack("{s:s}", "value", value);

	assert_non_null(h);
	asked = NULL;
	h->pid = 0;
	h->done(h->ctx, said, NULL);
	json_decref(said);
}

/* -- their managers -------------------------------------------------------------------- */

static struct vtpm *booted[MANY]; /* since they were looked at */
static unsigned int boots, running;
static bool greeted; /* all that run */

static int body_start(struct body *b, struct error *e)
{
	booted[boots++] = b->ctx;
	return 0;
}

static void body_nothing(struct body *b)
{
}

static void body_free(struct body *b)
{
	free(b);
}

static const struct body_ops body_ops = {.start = body_start,
					 .lost = body_nothing,
					 .end = body_nothing,
					 .free = body_free};

bool __wrap_peer_is_greeted(const struct peer *p);
bool __wrap_peer_is_greeted(const struct peer *p)
{
	return greeted;
}

bool __wrap_peer_is_held(const struct peer *p);
bool __wrap_peer_is_held(const struct peer *p)
{
	return false;
}

void __wrap_peer_event(struct peer *p, uint16_t type);
void __wrap_peer_event(struct peer *p, uint16_t type)
{
}

/* -- a host ---------------------------------------------------------------------------- */

static struct vtpmd d;
static struct config config;
static struct vtpm *all[MANY];
static char root[64], path[2][96];

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		(void)event_base_loop(d.base, EVLOOP_NONBLOCK);
}

static void host_up(void)
{
	int fd;

	strcpy(root, "/tmp/vtpmd-steps.XXXXXX");
	assert_non_null(mkdtemp(root));
	for (int i = 0; i < 2; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%c", root, "ac"[i]);
	fd = open(path[1], O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	store_add("double://", &place);
	d = (struct vtpmd){.base = event_base_new(),
			   .store = "double://x",
			   .folder = root,
			   .config = path[1],
			   .audit = path[0],
			   .anchor_every = 600,
			   .on_anchored = vtpm_start_anchored,
			   .run_dir = open(root, O_RDONLY | O_DIRECTORY)};
	config = (struct config){
		.users = 1000000,
		.host = {.has_kms = true, .anchor_index = 1, .anchor_take_store = true}};
	d.host.last = &config;
	hex_encode(config.host.anchor_adopt, sizeof(config.host.anchor_adopt), value);
	assert_int_equal(fstat(fd, &d.host.at), 0);
	close(fd);
	assert_int_equal(anchor_new(&d), 0);
	claims = writes = boots = running = 0;
	claims_late = greeted = false;
	memset(claimed, 0, sizeof(claimed));
}

/* v0, v1, ... in any order. */
static void vtpms_come(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		unsigned int number = shuffled(i, n);
		struct store s = {.ops = &place};
		struct meta m = {.policy = "kms", .memory = 8, .process = true};
		struct cursor w = cursor_writer(m.uuid, sizeof(m.uuid));
		struct body *b = calloc(1, sizeof(*b));
		struct vtpm *v;

		cursor_put_u32(&w, number);
		snprintf(m.name, sizeof(m.name), "v%u", number);
		m.wanted = true;
		memcpy(s.uuid, m.uuid, sizeof(s.uuid));
		v = vtpm_new(&d, &m, &s);
		assert_non_null(v);
		*b = (struct body){.ops = &body_ops,
				   .d = &d,
				   .owner = v->body_owner,
				   .ctx = v,
				   .domid = -1};
		v->body = b;
		all[number] = v;
		vtpms_add(&d, v);
	}
}

static void host_down(void)
{
	char command[80];

	while (d.vtpms) {
		struct vtpm *v = d.vtpms;

		vtpms_remove(v);
		vtpm_free(v);
	}
	asked = NULL;
	anchor_free(d.anchor);
	event_base_free(d.base);
	close(d.run_dir);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

/* Those that boot become ready, one by one, until nothing more happens. */
static void managers_get_ready(void)
{
	while (boots) {
		struct vtpm *v = booted[--boots];

		assert_true(vtpm_step(v, VTPM_HELLO));
		vtpm_settle(v, VTPM_READY);
		running++;
		turn();
		assert_true(boots <= AT_ONCE);
	}
}

/* -- the cases --------------------------------------------------------------------------- */

/* They come, are looked for, and go. */
static uint64_t look_for(unsigned int n)
{
	uint64_t before;
	char name[16];

	host_up();
	before = steps;
	vtpms_come(n);
	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		assert_ptr_equal(vtpms_find(&d, name), all[i]);
		assert_ptr_equal(vtpms_find_uuid(&d, all[i]->meta.uuid), all[i]);
	}
	for (struct vtpm *v = d.vtpms; v->next; v = v->next)
		assert_true(strcmp(v->meta.name, v->next->meta.name) < 0);
	assert_null(vtpms_find(&d, "v"));
	for (unsigned int i = 0; i < n; i++)
		vtpms_remove(all[shuffled(i, n)]);
	assert_null(d.vtpms);
	assert_null(d.by_name);
	assert_null(d.by_uuid);
	before = steps - before;
	for (unsigned int i = 0; i < n; i++)
		vtpm_free(all[i]);
	host_down();
	return before;
}

static void one_is_found_among_them(void **state)
{
	grows(look_for(FEW), look_for(MANY));
}

/* The host boots: all are started, the TPM is written, and AT_ONCE of them come up at a time.
 * Then vtpmd ends, and so do their managers, in any order. */
static uint64_t boot(unsigned int n)
{
	uint64_t before;

	host_up();
	before = steps;
	vtpms_come(n);
	for (struct vtpm *v = d.vtpms; v; v = v->next)
		vtpm_autostart(v);
	turn();
	tpm_answers(); /* what it has: nothing yet */
	turn();
	assert_int_equal(boots, 0);
	while (running < n) {
		if (asked)
			tpm_answers();
		turn();
		assert_true(boots || asked);
		managers_get_ready();
	}
	assert_in_range(writes, 1, 3);
	for (struct vtpm *v = d.vtpms; v; v = v->next)
		assert_true(vtpm_leave(v));
	for (unsigned int i = 0; i < n; i++) {
		all[shuffled(i, n)]->body_owner->gone(all[shuffled(i, n)], CAUSE_NONE,
						      "It ended.");
		turn();
	}
	for (struct vtpm *v = d.vtpms; v; v = v->next)
		assert_int_equal(v->state, VTPM_STOPPED);
	before = steps - before;
	host_down();
	return before;
}

static void a_host_boots_and_goes_down(void **state)
{
	grows(boot(FEW), boot(MANY));
}

/* Operators start them while the TPM is being written: each waits for that and for one more
 * write, and is asked for nothing meanwhile.  Clients wait for the TPM, too, and some give up. */
static void on_told(void *ctx, const struct error *e)
{
	++*(unsigned int *)ctx;
}

static uint64_t start_while_written(unsigned int n)
{
	static struct waiter waiters[2 * MANY];
	struct error e = {.cause = CAUSE_NONE};
	unsigned int told = 0;
	uint64_t before;

	host_up();
	vtpms_come(n);
	assert_true(anchor_want(d.anchor));
	tpm_answers();
	assert_non_null(asked); /* what was adopted is written */
	before = steps;
	for (unsigned int i = 0; i < 2 * n; i++) {
		waiters[i] = (struct waiter){.done = on_told, .ctx = &told};
		if (i == n) /* from here on they wait for the next write */
			assert_int_equal(vtpm_start(all[0], &e), 0);
		turn();
		anchor_wait(d.anchor, &waiters[i]);
	}
	for (unsigned int i = 1; i < n; i++) {
		assert_int_equal(vtpm_start(all[i], &e), 0);
		turn();
	}
	assert_int_equal(boots, 0);
	for (unsigned int i = 0; i < n; i += 2)
		waiter_cancel(&waiters[n + i]);
	tpm_answers();
	assert_int_equal(told, n);
	assert_int_equal(boots, 0);
	tpm_answers();
	assert_int_equal(told, n + n / 2);
	assert_int_equal(boots, n);
	assert_null(asked);
	before = steps - before;
	host_down();
	return before;
}

static void operators_start_them(void **state)
{
	grows(start_while_written(FEW), start_while_written(MANY));
}

/* Each claim takes a while, as in etcd, and is asked for once, and once when it is over. */
static uint64_t claim_late(unsigned int n)
{
	uint64_t before;

	host_up();
	claims_late = true;
	vtpms_come(n);
	for (struct vtpm *v = d.vtpms; v; v = v->next)
		vtpm_autostart(v);
	turn();
	tpm_answers();
	turn();
	before = steps;
	for (unsigned int i = 0; i < n; i++) {
		struct vtpm *v = all[shuffled(i, n)];

		assert_true(v->store.claiming);
		store_tell(&v->store, i % 2 ? STORE_CLAIMED : STORE_LOST);
		turn();
		if (asked)
			tpm_answers();
		turn();
		managers_get_ready();
	}
	while (asked) {
		tpm_answers();
		turn();
		managers_get_ready();
	}
	assert_int_equal(running, n);
	assert_int_equal(claims, 2 * n);
	before = steps - before;
	host_down();
	return before;
}

static void claims_come_late(void **state)
{
	claim_late(FEW);
	claim_late(MANY);
}

static void on_all_told(evutil_socket_t fd, short what, void *ctx)
{
	++*(unsigned int *)ctx;
}

/* list: all managers are asked, the first one in the list is the last to tell, and each is shown. */
static uint64_t list_all(unsigned int n)
{
	unsigned int answers = 0;
	json_t *approved;
	uint64_t before;
	struct ask a = {0};

	host_up();
	vtpms_come(n);
	for (unsigned int i = 0; i < n; i++)
		all[i]->state = VTPM_RUNNING;
	greeted = true;
	assert_int_equal(ask_init(&a, &d, on_all_told, &answers), 0);
	before = steps;
	ask_begin(&a, NULL, ASK_STATUS, 0, 60000);
	for (unsigned int i = 0; i < n; i++)
		all[i]->asked_ms = 0; /* however long this takes, none is given up */
	for (unsigned int i = 0; i < n; i++) {
		struct vtpm *v = all[n - 1 - shuffled(i, n)];

		turn();
		assert_int_equal(answers, 0);
		clock_gettime(CLOCK_MONOTONIC, &v->status.at);
		ask_check(&d);
	}
	turn();
	assert_int_equal(answers, 1);
	approved = registry_approved(&d);
	for (struct vtpm *v = d.vtpms; v; v = v->next)
		json_decref(registry_show(v, approved));
	json_decref(approved);
	before = steps - before;
	ask_end(&a);
	greeted = false;
	host_down();
	return before;
}

static void all_are_asked(void **state)
{
	grows(list_all(FEW), list_all(MANY));
}

/* -- other hosts of a pool --------------------------------------------------------------- */

#define OTHERS 3 /* hosts */

static unsigned int others, connection;
static struct {
	struct helper *h;
	char hex[2 * WITNESS_ASK_MAX + 1];
} questions[OTHERS];
static unsigned int question_count, question_total;

static void note_question(struct helper *h, const char *hex)
{
	assert_in_range(question_count, 0, OTHERS - 1);
	assert_true(strlen(hex) < sizeof(questions[0].hex));
	questions[question_count].h = h;
	strcpy(questions[question_count].hex, hex);
	question_count++;
	question_total++;
	h->pid = 1;
}

unsigned int __wrap_store_etcd_connection(void);
unsigned int __wrap_store_etcd_connection(void)
{
	return connection;
}

const char *__wrap_store_etcd_host(void);
const char *__wrap_store_etcd_host(void)
{
	return "this";
}

int __wrap_move_read_pool(struct vtpmd *v, struct move_bytes *list);
int __wrap_move_read_pool(struct vtpmd *v, struct move_bytes *list)
{
	return others ? 0 : -ENOENT;
}

int __wrap_pool_open(const uint8_t *buf, size_t len, const uint8_t *key, size_t key_len,
		     struct pool *p);
int __wrap_pool_open(const uint8_t *buf, size_t len, const uint8_t *key, size_t key_len,
		     struct pool *p)
{
	*p = (struct pool){.number = 7, .hosts = others};
	p->host = cursor_reader((const uint8_t *)"abc", others);
	return 0;
}

bool __wrap_pool_next_host(struct cursor *c, struct pool_host *h);
bool __wrap_pool_next_host(struct cursor *c, struct pool_host *h)
{
	struct binding_part name = {cursor_bytes(c, 1), 1};

	*h = (struct pool_host){.name = name, .address = name};
	return cursor_ok(c);
}

/* A host has seen all that it is asked for, as it is stored here. */
static void other_host_answers(struct helper *h, const char *hex)
{
	static struct witness_question q;
	static struct witness_answer a;
	static uint8_t bytes[WITNESS_ANSWER_MAX];
	static char said[2 * WITNESS_ANSWER_MAX + 1];
	size_t len = WITNESS_ASK_MAX;
	json_t *answer;

	assert_int_equal(hex_decode(hex, bytes, &len), 0);
	assert_int_equal(witness_question_decode(bytes, len, &q), 0);
	assert_in_range(q.n, 1, WITNESS_VTPMS_MAX);
	memset(&a, 0, sizeof(a));
	a.known = true;
	a.n = q.n;
	for (unsigned int i = 0; i < q.n; i++) {
		memcpy(a.said[i].uuid, q.uuid[i], sizeof(a.said[i].uuid));
		a.said[i].permall = 1;
	}
	len = sizeof(bytes);
	assert_int_equal(witness_answer_encode(&a, bytes, &len), 0);
	hex_encode(bytes, len, said);
	answer = json_pack("{s:s}", "answer", said);
	h->pid = 0;
	h->done(h->ctx, answer, NULL);
	json_decref(answer);
}

static void other_hosts_answer(void)
{
	turn();
	while (question_count) {
		unsigned int n = question_count;

		assert_int_equal(n, OTHERS);
		question_count = 0;
		for (unsigned int i = 0; i < n; i++)
			other_host_answers(questions[i].h, questions[i].hex);
		turn();
	}
}

/* So many vTPMs are started, and the others come along, as all hosts answer.  Returns how many
 * questions that were to each host. */
static unsigned int witness_all(unsigned int n, unsigned int starts)
{
	struct error e = {.cause = CAUSE_NONE};
	struct witness_figures f;

	connection++;
	question_total = 0;
	witness_figures(&d, &f);
	assert_int_equal(f.witnessed, 0);
	for (unsigned int i = 0; i < starts; i++) {
		struct vtpm *v = all[shuffled(i, n)];

		v->witness.due = true;
		assert_int_equal(witness_may_start(v, &e), -EAGAIN);
	}
	other_hosts_answer();
	for (unsigned int i = 0; i < starts; i++) {
		struct vtpm *v = all[shuffled(i, n)];

		assert_int_equal(v->witness.heard, OTHERS);
		assert_int_equal(witness_may_start(v, &e), 0);
		assert_false(v->witness.due);
	}
	witness_figures(&d, &f);
	assert_int_equal(f.witnessed, n);
	assert_int_equal(question_total % OTHERS, 0);
	return question_total / OTHERS;
}

static uint64_t be_witnessed(unsigned int n)
{
	unsigned int least = (n + WITNESS_VTPMS_MAX - 1) / WITNESS_VTPMS_MAX;
	uint64_t before;

	host_up();
	others = OTHERS;
	question_count = 0;
	assert_int_equal(witness_new(&d), 0);
	vtpms_come(n);
	for (unsigned int i = 0; i < n; i++)
		all[i]->moves = true; /* it waits, and is not started by that */
	before = steps;
	assert_int_equal(witness_all(n, n), least);
	assert_int_equal(witness_all(n, 1), least);
	before = steps - before;
	witness_free(&d);
	others = 0;
	host_down();
	return before;
}

/* Of more vTPMs than are in one question: in as many as are needed, and in no more. */
static void other_hosts_are_asked(void **state)
{
	grows(be_witnessed(FEW), be_witnessed(MANY));
}

/* Quotes of the host's TPM: all managers ask for one while one is made, every other one goes, and
 * the others have their turns in the order in which they came. */
static unsigned int refusals, turns;

void __wrap_peer_refuse(struct peer *p, uint16_t type, uint32_t id, int error,
			const char *why);
void __wrap_peer_refuse(struct peer *p, uint16_t type, uint32_t id, int error,
			const char *why)
{
	assert_int_equal(id, turns);
	turns += 2;
	refusals++;
}

static uint64_t quote_all(unsigned int n)
{
	static const uint8_t key[22], hash[32];
	struct error e = {.cause = CAUSE_NONE};
	uint8_t request[VTPM_QUOTE_MAX];
	struct cursor w = cursor_writer(request, sizeof(request));
	const char *why;
	uint64_t before;

	host_up();
	vtpms_come(n);
	assert_int_equal(quote_init(&d), 0);
	cursor_put_u16(&w, BINDING_NONCE_MIN);
	cursor_put(&w, hash, BINDING_NONCE_MIN);
	cursor_put_u16(&w, 0);
	cursor_put_u16(&w, sizeof(key));
	cursor_put(&w, key, sizeof(key));
	cursor_put_u16(&w, sizeof(hash));
	cursor_put(&w, hash, sizeof(hash));
	cursor_put_u16(&w, 0);
	made->pid = 1; /* it is asked for another one */
	refusals = turns = 0;
	before = steps;
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(
			quote_on_peer(all[shuffled(i, n)], i, request, w.pos, &why), 0);
	for (unsigned int i = 1; i < n; i += 2)
		quote_forget(all[shuffled(i, n)]);
	made->pid = 0;
	/* vtpmd does not know of their images, and says so in their turns */
	made->done(made->ctx, NULL, &e);
	before = steps - before;
	assert_int_equal(refusals, n / 2);
	quote_end(&d);
	host_down();
	return before;
}

static void quotes_are_made_in_turns(void **state)
{
	grows(quote_all(FEW), quote_all(MANY));
}

static void move_comes(unsigned int number, enum handover_state s)
{
	struct move_record r = {.h = {.state = s}};
	struct cursor w = cursor_writer(r.uuid, sizeof(r.uuid));

	cursor_put_u32(&w, number);
	assert_non_null(move_new(&d, &r));
	assert_non_null(move_find(&d, r.uuid));
}

/* As many vTPMs have moved away, and other hosts tell of as many that nobody has. */
static uint64_t hear_of_moves(unsigned int n)
{
	uint64_t before = steps;

	host_up();
	for (unsigned int i = 0; i < n; i++)
		move_comes(shuffled(i, n), HANDOVER_AWAY);
	for (unsigned int i = 0; i < n; i++)
		move_comes(n + i, HANDOVER_ABSENT);
	before = steps - before;
	assert_in_range(d.move_count, n, 2 * n + MOVES_IDLE);
	for (unsigned int i = 0; i < MANY; i++)
		move_comes(2 * n + i, HANDOVER_ABSENT);
	assert_in_range(d.move_count, n, 2 * n + MOVES_IDLE + 1);
	move_end(&d);
	host_down();
	return before;
}

static void moves_are_heard_of(void **state)
{
	grows(hear_of_moves(FEW), hear_of_moves(MANY));
}

/* -- children ------------------------------------------------------------------------------ */

#define FIRST_PID 300
static pid_t last_pid;
static unsigned int ends, to_end, done_children;

int __wrap_clone(int (*run)(void *), void *stack, int flags, void *ctx, ...);
int __wrap_clone(int (*run)(void *), void *stack, int flags, void *ctx, ...)
{
	return ++last_pid;
}

pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	if (pid != -1) /* system()'s */
		return __real_waitpid(pid, status, options);
	*status = 0;
	return ends < to_end ? FIRST_PID + (pid_t)shuffled(ends++, to_end) : 0;
}

static void on_child(void *ctx, int status)
{
	done_children++;
}

static uint64_t run_children(unsigned int n)
{
	char *argv[] = {"/no/such", NULL};
	struct child_start s = {.argv = argv, .out = -1, .done = on_child};
	struct event_base *base = event_base_new();
	uint64_t before;
	pid_t pid;

	assert_int_equal(child_init(base), 0);
	last_pid = FIRST_PID - 1;
	ends = done_children = 0;
	to_end = n;
	before = steps;
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(child_spawn(&s, &pid), 0);
	for (unsigned int i = 0; i < n; i += 2)
		child_forget(FIRST_PID + (pid_t)i);
	assert_int_equal(raise(SIGCHLD), 0);
	while (ends < n)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(done_children, n / 2);
	before = steps - before;
	child_end();
	event_base_free(base);
	return before;
}

static void their_managers_end_together(void **state)
{
	grows(run_children(FEW), run_children(MANY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_found_among_them),
		cmocka_unit_test(a_host_boots_and_goes_down),
		cmocka_unit_test(operators_start_them),
		cmocka_unit_test(claims_come_late),
		cmocka_unit_test(all_are_asked),
		cmocka_unit_test(other_hosts_are_asked),
		cmocka_unit_test(quotes_are_made_in_turns),
		cmocka_unit_test(moves_are_heard_of),
		cmocka_unit_test(their_managers_end_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
