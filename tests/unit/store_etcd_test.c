/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a pool against an etcd in memory, of which each answer may get lost: the
 * transaction done or not, refused, or done late; the claim taken; the lease ended. */
#include "tests/unit/etcd_fake.h"
#include "lib/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- the store --------------------------------------------------------------------- */

static const uint8_t uuid[16] = "vtpm number one";
static struct store s;
static int lost, claimed, slow, foreign, accepted;
static struct event *server;
static char owner_key[PROTO_KEY_MAX], gen_key[PROTO_KEY_MAX];

static void on_event(void *ctx, enum store_event what)
{
	lost += what == STORE_LOST;
	claimed += what == STORE_CLAIMED;
	slow += what == STORE_SLOW;
}

static void on_foreign(void *ctx, const uint8_t of[16], bool there)
{
	foreign++;
}

static void on_accepted(void *ctx)
{
	accepted++;
}

static int may_rc; /* of the option may() */

static int on_may(void *ctx, struct error *e)
{
	return may_rc ? error_set(e, may_rc, CAUSE_PEER, "not in the list") : 0;
}

static uint64_t steps; /* blocks of code: store_etcd_UNIT_STEPS */

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	steps++;
}

/* And as many turns, however slow the machine is. */
static void turn_for(int ms)
{
	int64_t end = session_now_ms() + ms;

	for (int turns = 0; session_now_ms() < end || turns < ms; turns++) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
}

static int begin(void **state)
{
	static const struct timeval often = {.tv_usec = 1000};
	char path[] = "/tmp/store-etcd.XXXXXX";
	struct store_etcd_options o = {.url = "etcd://one:1/p1",
				       .cert = path,
				       .on_foreign = on_foreign,
				       .may = on_may,
				       .on_accepted = on_accepted};
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	close(mkstemp(path));
	write_certificate(path);
	base = event_base_new();
	o.base = base;
	revision = 1;
	event_writer = cursor_writer(events, sizeof(events));
	server = event_new(base, -1, EV_PERSIST, on_serve, NULL);
	event_add(server, &often);
	rc = store_etcd_begin(&o, &e);
	unlink(path);
	return rc;
}

static int finish(void **state)
{
	store_etcd_end();
	event_free(server);
	event_base_free(base);
	return 0;
}

/* One that is made and claimed, with a state of generation 1. */
static int make(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	events_first = *state != NULL;
	lost = claimed = slow = foreign = 0;
	store_pool.slow_ms = STORE_ETCD_SLOW_S * 1000;
	store_pool.claim_ms = STORE_ETCD_CLAIM_S * 1000;
	txns = 0;
	outcome_at = 8;
	assert_int_equal(store_open(&s, "etcd://one:1/p1", uuid, true), 0);
	s.on_event = on_event;
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	assert_int_equal(store_set(&s, "vtpm.json", "{}", 2), 0);
	turn_for(30);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), 0);
	assert_true(store_is_settled(&s));
	strcpy(owner_key, "/xen-vtpm/1/p1/v/7674706d-206e-756d-6265-72206f6e6500/owner");
	strcpy(gen_key, "/xen-vtpm/1/p1/v/7674706d-206e-756d-6265-72206f6e6500/gen");
	assert_non_null(find_pair(owner_key));
	return 0;
}

static int unmake(void **state)
{
	outcome_at = 8;
	store_close(&s);
	for (size_t i = 0; i < KEYS; i++)
		if (pairs[i].mod) {
			revision++;
			drop_pair(&pairs[i]);
		}
	turn_for(700);
	assert_int_equal(store_open(&s, "etcd://one:1/p1", uuid, false), -ENOENT);
	return 0;
}

static int put_rc, put_ends;
static struct store_put *again;

static void on_put(void *ctx, int rc)
{
	put_rc = rc;
	put_ends++;
}

static void put(uint64_t seq, enum outcome a, enum outcome b, enum outcome c)
{
	uint8_t buf[100];
	struct cursor w = cursor_writer(buf, sizeof(buf));

	outcomes[5] = a;
	outcomes[6] = b;
	outcomes[7] = c;
	outcome_at = 5;
	txns = 0;
	put_ends = 0;
	put_rc = 1;
	cursor_put(&w, "XVTPMBLB", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, 2);
	cursor_put(&w, uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 5);
	cursor_put(&w, "sealed", 6);
	assert_int_equal(store_put_new(&s, CHANNEL_OBJECT_PERMALL, seq, buf, w.pos,
				       on_put, NULL, &again),
			 0);
	assert_int_equal(store_put_run(again), 0);
	turn_for(30);
	for (int i = 0; i < 150 && c == DONE && !put_ends; i++)
		turn_for(10);
}

static uint64_t stored(void)
{
	const struct pair *p = find_pair(
		"/xen-vtpm/1/p1/v/7674706d-206e-756d-6265-72206f6e6500/permall");
	uint64_t seq = 0;

	if (p)
		assert_int_equal(
			store_object_seq(CHANNEL_OBJECT_PERMALL, p->value, p->len, &seq),
			0);
	return seq;
}

/* Another host has it: the lease ended while this one heard nothing. */
static void take_it(bool tell)
{
	revision++;
	drop_pair(find_pair(owner_key));
	revision++;
	set_pair(owner_key, (const uint8_t *)"two", 3, 0);
	set_pair(gen_key, (const uint8_t *)"another gen", 11, 0);
	if (!tell) {
		event_writer = cursor_writer(events, sizeof(events));
		event_count = 0;
	}
}

/* -- the cases ------------------------------------------------------------------------ */

static void a_put_is_done(void **state)
{
	put(1, DONE, DONE, DONE);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 1);
	store_put_free(again);
	put(2, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 2);
	store_put_free(again);
	assert_int_equal(lost, 0);
	assert_int_equal(foreign, 0);
}

static void a_put_whose_answer_is_lost(void **state)
{
	put(1, LOST_ANSWER, DONE, DONE);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, 0);
	assert_int_equal(txns, 2);
	assert_int_equal(stored(), 1);
	assert_int_equal(lost, 0);
	store_put_free(again);
	put(2, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	store_put_free(again);
}

static void a_put_that_is_lost(void **state)
{
	put(1, LOST, LOST, DONE);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, 0);
	assert_int_equal(txns, 3);
	assert_int_equal(stored(), 1);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

/* It must not come into the place of what came behind it. */
static void a_put_that_comes_late(void **state)
{
	put(1, LATE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	store_put_free(again);
	put(2, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	do_late();
	turn_for(20);
	assert_int_equal(stored(), 2);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

/* Before the repeated one: that finds it done. */
static void a_put_that_comes_late_in_time(void **state)
{
	put(1, LATE, LOST, LOST);
	do_late();
	turn_for(1700);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 1);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

static void etcd_is_full(void **state)
{
	put(1, FULL, DONE, DONE);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, -ENOSPC);
	assert_int_equal(stored(), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(store_put_run(again), 0);
	turn_for(30);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 1);
	store_put_free(again);
}

/* Nobody heard that it was done, and then there was no room: it is not lost for that. */
static void etcd_is_full_behind_a_lost_answer(void **state)
{
	put(1, LOST_ANSWER, FULL, DONE);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, -ENOSPC);
	assert_int_equal(store_put_run(again), 0);
	turn_for(100);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 1);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

static void etcd_denies_it(void **state)
{
	put(1, DENIED, DONE, DONE);
	assert_int_equal(put_rc, -EIO);
	assert_int_equal(stored(), 0);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

static void another_host_has_it(void **state)
{
	take_it(false);
	put(1, DONE, DONE, DONE);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, -ESTALE);
	assert_int_equal(stored(), 0);
	assert_int_equal(lost, 1);
	store_put_free(again);
}

static void another_host_has_it_behind_a_lost_answer(void **state)
{
	put(1, LOST, LOST, LOST);
	take_it(false);
	turn_for(1700);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, -ESTALE);
	assert_int_equal(stored(), 0);
	assert_int_equal(lost, 1);
	store_put_free(again);
}

static void the_watch_tells_that_another_has_it(void **state)
{
	uint32_t ms;

	take_it(true);
	turn_for(30);
	assert_int_equal(lost, 1);
	assert_int_equal(store_set(&s, "vtpm.json", "{ }", 3), -ESTALE);
	assert_int_equal(store_lease_ms(&s, &ms), -ESTALE);
}

/* Two thirds of the TTL, from when the last renewal was sent. */
static void for_how_long_it_is_this_hosts(void **state)
{
	uint32_t ms = 0, later = 0;

	assert_true(store_is_leased(&s));
	assert_int_equal(store_lease_ms(&s, &ms), 0);
	assert_in_range(ms, 1, SESSION_TTL_S * 1000 * 2 / 3);
	turn_for(50);
	assert_int_equal(store_lease_ms(&s, &later), 0);
	assert_in_range(later, ms - 1000, ms - 50);
}

/* The lease ended, and nobody took it: it goes on with another lease. */
static void the_lease_ends(void **state)
{
	uint32_t ms = 0;

	revision++;
	drop_pair(find_pair(owner_key));
	outcome_at = 0;
	outcomes[0] = LOST;
	outcomes[1] = DONE;
	turn_for(50);
	/* another host could claim it before this one has again */
	assert_null(find_pair(owner_key));
	assert_int_equal(store_lease_ms(&s, &ms), 0);
	assert_int_equal(ms, 0);
	turn_for(600);
	assert_non_null(find_pair(owner_key));
	assert_int_equal(lost, 0);
	assert_int_equal(store_lease_ms(&s, &ms), 0);
	assert_true(ms > 0);
	put(1, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	store_put_free(again);
}

/* etcd had no majority for so long that the lease ended with a put under way, which is there or
 * not.  Nobody took the vTPM: it goes on. */
static void go_on_without_owner(bool tells)
{
	revision++;
	drop_pair(find_pair(owner_key));
	if (!tells) {
		event_writer = cursor_writer(events, sizeof(events));
		event_count = 0;
	}
	outcome_at = 8;
	for (int i = 0; i < 200 && !put_ends; i++)
		turn_for(10);
	turn_for(500);
	assert_int_equal(lost, 0);
	assert_int_equal(foreign, 0);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 1);
	assert_non_null(find_pair(owner_key));
	store_put_free(again);
	put(2, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 2);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

static void the_lease_ends_with_a_put_that_is_lost(void **state)
{
	put(1, LOST, LOST, LOST);
	go_on_without_owner(true);
}

static void the_lease_ends_silently_with_a_put_that_is_lost(void **state)
{
	put(1, LOST, LOST, LOST);
	go_on_without_owner(false);
}

static void the_lease_ends_with_a_put_that_is_done(void **state)
{
	put(1, LOST_ANSWER, LOST, LOST);
	go_on_without_owner(true);
}

static void the_lease_ends_silently_with_a_put_that_is_done(void **state)
{
	put(1, LOST_ANSWER, LOST, LOST);
	go_on_without_owner(false);
}

/* The keepalive tells that the lease is gone, before the watch tells of its keys. */
static void the_lease_is_gone_before_its_keys(void **state)
{
	put(1, LOST_ANSWER, LOST, LOST);
	store_txn_on_lease_lost(NULL);
	go_on_without_owner(false);
}

/* The copy of the put that did not count comes behind all that. */
static void the_lease_ends_with_a_put_that_comes_late(void **state)
{
	put(1, LATE, LOST, LOST);
	go_on_without_owner(true);
	do_late();
	turn_for(20);
	assert_int_equal(stored(), 2);
	assert_int_equal(lost, 0);
}

/* Renews it now, as with a new connection. */
static unsigned int renew(int64_t since_ms)
{
	store_pool.session->renewed_ms = session_now_ms() - since_ms;
	options.on_link(options.ctx, true);
	turn_for(100);
	return store_etcd_stretch();
}

/* Between two stretches managers were told of no lease, and another host may have had it. */
static void the_lease_did_not_run_for_a_while(void **state)
{
	struct session *session = store_pool.session;
	int64_t ttl = (int64_t)session->o.ttl * 1000;
	unsigned int first = store_etcd_stretch();

	assert_true(first > 0);
	assert_int_equal(renew(0), first);
	assert_int_equal(renew(ttl / 2), first);
	assert_int_equal(renew(ttl * 2 / 3 + 1), first + 1);
	assert_int_equal(renew(ttl / 2), first + 1);
	/* it is another one */
	session->lease = 0;
	session->ready = false;
	assert_int_equal(renew(0), first + 2);
	assert_int_equal(lost, 0);
}

/* Another host took it in that time: what was under way is not done by this one any more. */
static void the_lease_ends_and_another_takes_it(void **state)
{
	put(1, LOST, LOST, LOST);
	store_txn_on_lease_lost(NULL);
	take_it(false);
	outcome_at = 8;
	turn_for(1700);
	assert_int_equal(lost, 1);
	assert_int_equal(put_ends, 1);
	assert_int_equal(put_rc, -ESTALE);
	assert_int_equal(stored(), 0);
	store_put_free(again);
}

/* Who starts one, or makes one, is told, instead of waiting until etcd has room. */
static void etcd_is_full_for_a_claim(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	store_release(&s);
	turn_for(30);
	claimed = 0;
	outcomes[7] = FULL;
	outcome_at = 7;
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), -ENOSPC);
	e = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(store_claim(&s, &e), 0);
}

static void cut_off(void)
{
	options.on_link(options.ctx, false);
	if (watch)
		etcd_cancel(watch);
	while (calls) {
		struct etcd_call *call = calls;
		etcd_done *done = call->done;
		void *ctx = call->ctx;

		etcd_cancel(call);
		done(ctx, -ETIMEDOUT, NULL, 0);
	}
}

/* All members were restarted with other data. */
static void connect_again(void)
{
	cut_off();
	options.on_link(options.ctx, true);
	turn_for(500);
}

/* Asks for a claim of which etcd does not tell, as it has no majority; whoever waits hears that soon,
 * and why in the end. */
static void claim_in_vain(struct store *of, enum outcome o)
{
	struct error e = {.cause = CAUSE_NONE};

	slow = claimed = 0;
	store_pool.slow_ms = 200;
	store_pool.claim_ms = 600;
	assert_int_equal(store_claim(of, &e), -EAGAIN);
	turn_for(30);
	cut_off();
	if (o == LATE)
		do_late();
	for (int i = 0; i < 100 && !slow; i++)
		turn_for(10);
	assert_int_equal(slow, 1);
	assert_int_equal(claimed, 0);
	for (int i = 0; i < 100 && !claimed; i++)
		turn_for(10);
	assert_int_equal(slow, 1);
	assert_int_equal(claimed, 1);
	e = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(store_claim(of, &e), -ETIMEDOUT);
	assert_int_equal(e.cause, CAUSE_STORE);
	assert_non_null(strstr(e.text, "vtpmctl pool show"));
}

/* What was sent may have been done, and is taken back; then it can be claimed as ever. */
static void give_a_claim_up(enum outcome o)
{
	struct error e = {.cause = CAUSE_NONE};
	size_t ops;

	store_release(&s);
	turn_for(30);
	outcome_at = 7;
	outcomes[7] = o;
	claim_in_vain(&s, o);
	/* again and again: nothing gathers, as of what it is called meanwhile, which is refused */
	for (int i = 0; i < 3; i++) {
		claim_in_vain(&s, LOST);
		assert_false(store_is_held(&s));
		assert_int_equal(store_set(&s, "vtpm.json", "{ }", (size_t)1 + i),
				 -EPERM);
		if (!i)
			ops = store_pool.ops;
	}
	assert_true(ops <= 4);
	assert_int_equal(store_pool.ops, ops);
	connect_again();
	turn_for(700);
	assert_null(find_pair(owner_key));
	assert_int_equal(store_pool.ops, 0);
	claimed = 0;
	e = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), 0);
	put(1, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	store_put_free(again);
	assert_int_equal(lost, 0);
}

static void a_claim_that_is_lost_is_given_up(void **state)
{
	give_a_claim_up(LOST);
}

static void a_claim_that_is_done_is_given_up(void **state)
{
	give_a_claim_up(LOST_ANSWER);
}

static void a_claim_that_comes_late_is_given_up(void **state)
{
	give_a_claim_up(LATE);
}

static void a_claim_that_was_not_sent_is_given_up(void **state)
{
	store_release(&s);
	turn_for(30);
	cut_off();
	claim_in_vain(&s, LOST);
	assert_int_equal(store_pool.ops, 0);
	txns = 0;
	connect_again();
	assert_int_equal(txns, 0);
	assert_null(find_pair(owner_key));
}

/* Somebody gave it up, and claims it again as soon as etcd answers. */
static void a_claim_is_asked_for_again(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	store_release(&s);
	turn_for(30);
	outcome_at = 7;
	outcomes[7] = LOST_ANSWER;
	claim_in_vain(&s, LOST_ANSWER);
	claimed = 0;
	e = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	connect_again();
	for (int i = 0; i < 100 && store_claim(&s, &e) == -EAGAIN; i++)
		turn_for(10);
	assert_int_equal(store_claim(&s, &e), 0);
	turn_for(300);
	assert_non_null(find_pair(owner_key));
	assert_int_equal(lost, 0);
}

static unsigned int count_pairs(const char *prefix)
{
	unsigned int n = 0;

	for (size_t i = 0; i < KEYS; i++)
		n += pairs[i].mod && !strncmp(pairs[i].key, prefix, strlen(prefix));
	return n;
}

/* Nothing is left of one that could not be made. */
static void give_a_creation_up(enum outcome o)
{
	static const uint8_t other[16] = "vtpm number two";
	static const char keys[] =
		"/xen-vtpm/1/p1/v/7674706d-206e-756d-6265-722074776f00/";
	struct error e = {.cause = CAUSE_NONE};
	struct store second;

	outcome_at = o == DENIED ? 8 : 7;
	outcomes[7] = o;
	if (o == DENIED)
		cut_off();
	assert_int_equal(store_open(&second, "etcd://one:1/p1", other, true), 0);
	second.on_event = on_event;
	assert_int_equal(store_set(&second, "vtpm.json", "{}", 2), 0);
	claim_in_vain(&second, o);
	/* as registry_remove() */
	assert_int_equal(store_claim(&second, &e), -ENOENT);
	assert_int_equal(second.ops->remove(&second, "etcd://one:1/p1"), 0);
	store_close(&second);
	assert_int_equal(count_pairs(keys), o == LOST_ANSWER || o == LATE ? 3 : 0);
	connect_again();
	turn_for(700);
	assert_int_equal(count_pairs(keys), 0);
	assert_int_equal(store_pool.ops, 0);
	assert_int_equal(store_open(&second, "etcd://one:1/p1", other, false), -ENOENT);
	assert_int_equal(lost, 0);
}

static void a_creation_that_is_lost_is_given_up(void **state)
{
	give_a_creation_up(LOST);
}

static void a_creation_that_is_done_is_given_up(void **state)
{
	give_a_creation_up(LOST_ANSWER);
}

static void a_creation_that_comes_late_is_given_up(void **state)
{
	give_a_creation_up(LATE);
}

/* DENIED: which it is never asked for */
static void a_creation_that_was_not_sent_is_given_up(void **state)
{
	give_a_creation_up(DENIED);
}

static void expect_refused(void)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t other[16] = "vtpm number two";
	struct store second;
	size_t before = txns;
	uint32_t ms = 1;

	assert_true(store_etcd_put_back());
	assert_int_equal(store_lease_ms(&s, &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(store_set(&s, "vtpm.json", "{ }", 3), -ESTALE);
	assert_int_equal(store_etcd_may(&e), -ESTALE);
	assert_int_equal(e.cause, CAUSE_ROLLED_BACK);
	assert_non_null(strstr(e.text, "vtpmctl pool accept"));
	assert_int_equal(store_open(&second, "etcd://one:1/p1", other, false), -ENOENT);
	turn_for(700);
	assert_int_equal(txns, before);
	assert_int_equal(stored(), 1);
	assert_int_equal(lost, 0);
}

/* What etcd has counts, and the claim is to be made anew. */
static void accept_it(void)
{
	struct error e = {.cause = CAUSE_NONE};

	accepted = 0;
	store_etcd_accept();
	turn_for(1200);
	assert_int_equal(accepted, 1);
	assert_int_equal(lost, 1);
	assert_false(store_etcd_put_back());
	claimed = 0;
	s.claimed = false;
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(50);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), 0);
	s.lost = false;
	put(2, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	assert_int_equal(stored(), 2);
	store_put_free(again);
}

static void data_are_put_back(void **state)
{
	put(1, DONE, DONE, DONE);
	store_put_free(again);
	revision--;
	connect_again();
	expect_refused();
	revision += 100; /* it goes on from there: still another history */
	connect_again();
	expect_refused();
	accept_it();
}

/* Its vTPM was stopped: what its manager sent last is not waited for. */
static void a_put_is_given_up(void **state)
{
	put(1, DONE, DONE, DONE);
	store_put_free(again);
	revision--;
	connect_again();
	put(2, DONE, DONE, LOST);
	turn_for(500);
	assert_true(store_put_busy(&s));
	assert_int_equal(put_ends, 0);
	store_put_free(again);
	turn_for(500);
	assert_false(store_put_busy(&s));
	assert_int_equal(put_ends, 0);
	assert_int_equal(txns, 0);
	assert_int_equal(stored(), 1);
	revision += 100;
	accept_it();
}

static void it_is_another_cluster(void **state)
{
	put(1, DONE, DONE, DONE);
	store_put_free(again);
	cluster++;
	connect_again();
	expect_refused();
	accept_it();
}

/* A majority that has all of it is no reason to refuse anything. */
static void a_connection_is_lost(void **state)
{
	put(1, DONE, DONE, DONE);
	store_put_free(again);
	connect_again();
	assert_false(store_etcd_put_back());
	put(2, DONE, DONE, DONE);
	assert_int_equal(put_rc, 0);
	assert_int_equal(lost, 0);
	store_put_free(again);
}

static void a_claim_of_anothers(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	store_release(&s);
	turn_for(30);
	assert_null(find_pair(owner_key));
	revision++;
	set_pair(owner_key, (const uint8_t *)"two", 3, 0);
	turn_for(20);
	claimed = 0;
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(claimed, 1);
	e = (struct error){.cause = CAUSE_NONE};
	assert_int_equal(store_claim(&s, &e), -EBUSY);
	assert_int_equal(e.cause, CAUSE_LEASE);
	assert_string_equal(store_etcd_owner(&s), "two");
	assert_string_equal(store_etcd_other_owner(&s), "two");
}

static void another_host_is_told_who_has_it(void **state)
{
	static const uint8_t none[16] = "no such one";
	struct session *session = store_pool.session;
	int64_t told = session->promised_ms, id = session->lease;

	assert_true(id && told > session_now_ms());
	assert_true(told - session_now_ms() >= session_left_ms(session));
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_MINE);
	assert_int_equal(store_etcd_use(none, "two"), WITNESS_FREE);
	/* by its lease, whether etcd can be reached or not */
	session->ready = false;
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_MINE);
	session->ready = true;
	/* and as long as its manager may answer, whatever became of the lease since it was told */
	session->put_back = true;
	session->lease = 0;
	assert_int_equal(session_left_ms(session), 0);
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_MINE);
	session->put_back = false;
	session->lease = id;
	session->promised_ms -= (int64_t)session->o.ttl * 1000;
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_FREE);
	session->promised_ms = told;
	/* from the moment on from which it answers nothing, before etcd has it */
	store_release(&s);
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_FREE);
	turn_for(30);
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_FREE);
	revision++;
	set_pair(owner_key, (const uint8_t *)"three", 5, 0);
	turn_for(20);
	/* and sees whether it hears of etcd still, but not each time */
	session->renew_sent_ms = 0;
	assert_int_equal(store_etcd_use(uuid, "three"), WITNESS_FREE);
	assert_int_equal(session->renew_sent_ms, 0);
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_OTHERS);
	assert_true(session->renewing && session->renew_sent_ms);
	turn_for(20);
	assert_false(session->renewing);
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_OTHERS);
	assert_false(session->renewing);
	/* of what it saw before it lost etcd it says nothing */
	session->ready = false;
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_FREE);
	session->ready = session->put_back = true;
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_FREE);
	session->put_back = false;
	assert_int_equal(store_etcd_use(uuid, "two"), WITNESS_OTHERS);
}

static void a_host_is_shown_as_long_as_its_lease(void **state)
{
	assert_false(store_etcd_is_alive("two"));
	revision++;
	set_pair("/xen-vtpm/1/p1/alive/two", (const uint8_t *)"two", 3, 0);
	turn_for(20);
	assert_true(store_etcd_is_alive("two") && !store_etcd_is_alive("tw"));
	revision++;
	drop_pair(find_pair("/xen-vtpm/1/p1/alive/two"));
	turn_for(20);
	assert_false(store_etcd_is_alive("two"));
}

/* The owner's key, of which the watch told; it goes while no watch runs. */
static void lose_owner_unseen(const char *host)
{
	store_release(&s);
	turn_for(30);
	revision++;
	set_pair(owner_key, (const uint8_t *)host, strlen(host), 0);
	turn_for(20);
	revision++;
	drop_pair(find_pair(owner_key));
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
	claimed = 0;
}

/* Of this host's own lease, as etcd's older data have it. */
static void the_owner_went_unseen(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	lose_owner_unseen("one");
	assert_string_equal(store_etcd_owner(&s), "one");
	assert_string_equal(store_etcd_other_owner(&s), "");
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(500);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), 0);
	assert_non_null(find_pair(owner_key));
}

static void all_is_read_again_without_an_owner(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	lose_owner_unseen("two");
	assert_string_equal(store_etcd_owner(&s), "two");
	session_resync(store_pool.session);
	turn_for(500);
	assert_string_equal(store_etcd_owner(&s), "");
	assert_string_equal(store_etcd_other_owner(&s), "");
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), 0);
}

#define LIST_KEY "/xen-vtpm/1/p1/pool"

static void change_list(const void *list, size_t n)
{
	revision++;
	if (list)
		set_pair(LIST_KEY, list, n, 0);
	else
		drop_pair(find_pair(LIST_KEY));
	turn_for(30);
}

static void the_list_of_hosts_is_known(void **state)
{
	static const uint8_t large[POOL_MAX + 1];
	const struct proto_kv kv = {.key = (const uint8_t *)LIST_KEY,
				    .key_len = strlen(LIST_KEY),
				    .value = large,
				    .value_len = sizeof(large)};
	size_t len = 1;

	assert_null(store_etcd_list_of_hosts(&len));
	assert_int_equal(len, 0);
	change_list("a list", 6);
	assert_memory_equal(store_etcd_list_of_hosts(&len), "a list", 6);
	assert_int_equal(len, 6);
	session_resync(store_pool.session);
	turn_for(500);
	assert_memory_equal(store_etcd_list_of_hosts(&len), "a list", 6);
	mirror_apply(&store_pool.session->mirror, &kv);
	assert_null(store_etcd_list_of_hosts(&len));
	change_list("b", 1);
	assert_memory_equal(store_etcd_list_of_hosts(&len), "b", 1);
	change_list(NULL, 0);
	assert_null(store_etcd_list_of_hosts(&len));
	assert_int_equal(lost, 0);
}

/* It went while no watch told. */
static void a_list_that_went_unseen(void **state)
{
	size_t len;

	change_list("a list", 6);
	revision++;
	drop_pair(find_pair(LIST_KEY));
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
	session_resync(store_pool.session);
	turn_for(500);
	assert_null(store_etcd_list_of_hosts(&len));
}

static void a_host_that_is_not_in_the_list(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	size_t before;

	store_release(&s);
	turn_for(30);
	before = txns;
	may_rc = -EACCES;
	assert_int_equal(store_claim(&s, &e), -EACCES);
	assert_int_equal(e.cause, CAUSE_PEER);
	turn_for(30);
	assert_int_equal(txns, before);
	may_rc = 0;
	claimed = 0;
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(claimed, 1);
	assert_int_equal(store_claim(&s, &e), 0);
}

#define BOTH(t)                                                      \
	cmocka_unit_test_setup_teardown(t, make, unmake),            \
	{                                                            \
#t ", watch first", t, make, unmake, (void *)"first" \
	}

#define FEW  1000u
#define MANY 4000u

/* Another host's vTPM, of which etcd tells. */
static void hear_of(unsigned int n, bool deleted)
{
	static struct pair p;

	snprintf(p.key, sizeof(p.key),
		 "/xen-vtpm/1/p1/v/00000000-0000-4000-8000-%012x/gen", n);
	p.mod = ++revision;
	p.len = MIRROR_GEN_SIZE;
	note_change(&p, deleted);
	send_events();
}

/* As many come, are written and go, one after the other, and each is told of. */
static uint64_t hear_of_all(unsigned int n)
{
	size_t had = store_pool.session->mirror.count;
	uint64_t before = steps;

	foreign = 0;
	for (unsigned int i = 0; i < 2 * n; i++)
		hear_of(i * 7919 % n, false);
	assert_int_equal(store_pool.session->mirror.count, had + n);
	for (unsigned int i = 0; i < n; i++)
		hear_of(i * 7919 % n, true);
	before = steps - before;
	assert_int_equal(foreign, 3 * n);
	assert_int_equal(store_pool.session->mirror.count, had);
	return before;
}

/* What other hosts of a pool do costs a look at the vTPM that they do it to, not at all. */
static void a_change_is_looked_at_alone(void **state)
{
	uint64_t few = hear_of_all(FEW), many = hear_of_all(MANY);

	print_message("# %llu steps for each of %u, %llu for each of %u\n",
		      (unsigned long long)few / FEW, FEW, (unsigned long long)many / MANY,
		      MANY);
	assert_true(few > FEW);
	assert_true(many <= 6 * few);
	/* also where the square is of what is cheap */
	assert_true(many < 1000 * MANY);
}

/* -- a revision of which two messages of a watch tell ----------------------------------- */

/* The state of the generation, as another host has written it. */
static void put_another(uint64_t seq)
{
	uint8_t buf[100], gen[MIRROR_GEN_SIZE] = "another";
	struct cursor w = cursor_writer(buf, sizeof(buf));

	cursor_put(&w, "XVTPMBLB", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, 2);
	cursor_put(&w, uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 5);
	cursor_put(&w, "sealed", 6);
	revision++;
	set_pair(gen_key, gen, sizeof(gen), 0);
	send_part();
	set_pair("/xen-vtpm/1/p1/v/7674706d-206e-756d-6265-72206f6e6500/permall", buf,
		 w.pos, 0);
}

/* From where the watch that was asked for begins. */
static int64_t watched_from(void)
{
	struct cursor c = cursor_reader(watch->buf, asked_for), in;
	struct proto_field f, g;
	int64_t from = 0;

	assert_true(proto_next(&c, &f));
	in = cursor_reader(f.bytes, f.len);
	while (proto_next(&in, &g))
		if (g.number == 3)
			from = (int64_t)g.value;
	return from;
}

static void begin_parts(void)
{
	put(1, DONE, DONE, DONE);
	store_put_free(again);
	store_release(&s);
	turn_for(30);
	assert_null(find_pair(owner_key));
	claimed = 0;
	put_another(9);
}

/* The connection is lost between them: the second one comes in the next. */
static void a_connection_is_lost_within_a_revision(void **state)
{
	event_writer = cursor_writer(events, sizeof(events));
	begin_parts();
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
	connect_again();
	assert_non_null(watch);
	assert_true(watched_from() <= revision);
}

/* What a watch tells makes no sense: what it was is read. */
static void a_message_makes_no_sense(void **state)
{
	static const uint8_t odd[] = {0x5a, 0x02, 0x12,
				      0x00}; /* an event without a key */
	struct error e = {.cause = CAUSE_NONE};

	store_release(&s);
	turn_for(30);
	revision++;
	set_pair(owner_key, (const uint8_t *)"two", 3, 0);
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
	assert_non_null(watch);
	watch->done(watch->ctx, 0, odd, sizeof(odd));
	turn_for(500);
	assert_string_equal(store_etcd_owner(&s), "two");
	assert_int_equal(store_claim(&s, &e), -EAGAIN);
	turn_for(30);
	assert_int_equal(store_claim(&s, &e), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_put_is_done),
		BOTH(a_put_whose_answer_is_lost),
		BOTH(a_put_that_is_lost),
		BOTH(a_put_that_comes_late),
		BOTH(a_put_that_comes_late_in_time),
		BOTH(etcd_is_full),
		BOTH(etcd_is_full_behind_a_lost_answer),
		BOTH(etcd_denies_it),
		BOTH(another_host_has_it),
		BOTH(another_host_has_it_behind_a_lost_answer),
		BOTH(the_watch_tells_that_another_has_it),
		BOTH(for_how_long_it_is_this_hosts),
		BOTH(the_lease_ends),
		BOTH(the_lease_ends_with_a_put_that_is_lost),
		BOTH(the_lease_ends_silently_with_a_put_that_is_lost),
		BOTH(the_lease_ends_with_a_put_that_is_done),
		BOTH(the_lease_ends_silently_with_a_put_that_is_done),
		BOTH(the_lease_is_gone_before_its_keys),
		BOTH(the_lease_ends_with_a_put_that_comes_late),
		BOTH(the_lease_did_not_run_for_a_while),
		BOTH(the_lease_ends_and_another_takes_it),
		BOTH(etcd_is_full_for_a_claim),
		BOTH(a_claim_that_is_lost_is_given_up),
		BOTH(a_claim_that_is_done_is_given_up),
		BOTH(a_claim_that_comes_late_is_given_up),
		BOTH(a_claim_that_was_not_sent_is_given_up),
		BOTH(a_claim_is_asked_for_again),
		BOTH(a_creation_that_is_lost_is_given_up),
		BOTH(a_creation_that_is_done_is_given_up),
		BOTH(a_creation_that_comes_late_is_given_up),
		BOTH(a_creation_that_was_not_sent_is_given_up),
		BOTH(a_claim_of_anothers),
		BOTH(another_host_is_told_who_has_it),
		BOTH(a_host_is_shown_as_long_as_its_lease),
		BOTH(the_owner_went_unseen),
		BOTH(all_is_read_again_without_an_owner),
		BOTH(a_connection_is_lost),
		BOTH(data_are_put_back),
		BOTH(a_put_is_given_up),
		BOTH(it_is_another_cluster),
		BOTH(the_list_of_hosts_is_known),
		BOTH(a_list_that_went_unseen),
		BOTH(a_host_that_is_not_in_the_list),
		BOTH(a_connection_is_lost_within_a_revision),
		BOTH(a_message_makes_no_sense),
		cmocka_unit_test_setup_teardown(a_change_is_looked_at_alone, make,
						unmake),
	};

	return cmocka_run_group_tests_name("store_etcd", tests, begin, finish);
}
