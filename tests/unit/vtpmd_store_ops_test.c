/* SPDX-License-Identifier: Apache-2.0 */
/* A vTPM whose store is no folder: a double in memory of what another place may do.  What
 * it was asked for is done late, or fails; the claim is lost; others change what is there. */
#include "tests/unit/unit.h"
#include "lib/channel.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM   65536
#define VALUES 16

static const uint8_t uuid[16] = "vtpm number one";

/* -- the double ------------------------------------------------------------ */

static struct value {
	char name[32];
	uint8_t *buf;
	size_t len;
} values[VALUES];
static int claims, releases; /* how often */
static int claim_says;
static struct store_put *putting; /* that it was asked for */
static int begun_puts, sets;

static struct value *find_value(const char *name)
{
	for (size_t i = 0; i < VALUES; i++)
		if (!strcmp(values[i].name, name))
			return &values[i];
	return NULL;
}

static int double_list(const char *root, void (*each)(void *ctx, const char *uuid),
		       void *ctx)
{
	return -ENOSYS;
}

static int double_open(struct store *s, const char *root, bool create)
{
	return 0;
}

static void double_close(struct store *s)
{
}

static int double_claim(struct store *s, struct error *e)
{
	claims++;
	return claim_says == -EBUSY
		       ? error_set(e, -EBUSY, CAUSE_LEASE, "Another host has it.")
		       : claim_says;
}

static void double_release(struct store *s, bool later)
{
	releases++;
}

static int double_get(struct store *s, const char *name, size_t max, uint8_t **buf,
		      size_t *len)
{
	struct value *v = find_value(name);

	if (!v)
		return -ENOENT;
	*buf = calloc(1, v->len + 1);
	memcpy(*buf, v->buf, v->len);
	*len = v->len;
	return 0;
}

static int double_set(struct store *s, const char *name, const void *buf, size_t len)
{
	struct value *v = find_value(name);

	if (!v)
		v = find_value("");
	assert_non_null(v);
	sets++;
	strcpy(v->name, name);
	free(v->buf);
	v->buf = malloc(len + 1);
	memcpy(v->buf, buf, len);
	v->len = len;
	return 0;
}

static int double_put(struct store_put *p)
{
	assert_false(p->now);
	assert_null(putting);
	putting = p;
	begun_puts++;
	return 0;
}

/* The end of what it was asked for; as many bytes are stored as rc says. */
static void end_put(int rc)
{
	struct store_put *p = putting;

	putting = NULL;
	if (!rc)
		(void)!double_set(p->store, store_name(p->object), p->buf, p->len);
	store_put_end(p, rc);
}

static int double_erase(struct store *s, const char *name, bool whole)
{
	struct value *v = whole ? find_value(name) : NULL;

	if (v)
		v->name[0] = '\0';
	return 0;
}

static int double_remove(struct store *s, const char *root)
{
	return -ENOSYS;
}

static bool is_here;

static bool double_is_here(const struct store *s)
{
	return is_here;
}

static const struct store_ops store_double = {
	.is_here = double_is_here,
	.list = double_list,
	.open = double_open,
	.close = double_close,
	.claim = double_claim,
	.release = double_release,
	.get = double_get,
	.set = double_set,
	.put = double_put,
	.erase = double_erase,
	.remove = double_remove,
};

/* -- what runs the manager ------------------------------------------------- */

static int begun, ended;
static int adopt_says; /* 0: an earlier vtpmd left one */

static int body_start(struct body *b, struct error *e)
{
	begun++;
	return 0;
}

static int body_adopt(struct body *b)
{
	return adopt_says;
}

static void body_lost(struct body *b)
{
}

static void body_end(struct body *b)
{
	ended++;
}

static void body_free(struct body *b)
{
}

static const struct body_ops body_ops = {.start = body_start,
					 .adopt = body_adopt,
					 .lost = body_lost,
					 .end = body_end,
					 .free = body_free};

/* -- the wire -------------------------------------------------------------- */

static uint8_t in[ROOM], out[ROOM];
static size_t in_len, in_pos, out_len, out_pos;

static ssize_t wire_read(struct wire *w, void *buf, size_t len)
{
	size_t n = in_len - in_pos;

	n = n < len ? n : len;
	memcpy(buf, in + in_pos, n);
	in_pos += n;
	return (ssize_t)n;
}

static ssize_t wire_write(struct wire *w, const void *buf, size_t len)
{
	assert_true(out_len + len <= ROOM);
	memcpy(out + out_len, buf, len);
	out_len += len;
	return (ssize_t)len;
}

static void wire_want(struct wire *w, int yes)
{
}

static void wire_free(struct wire *w)
{
}

static struct wire wire = {wire_read, wire_write, wire_want, wire_free, NULL, NULL};

static struct vtpmd d;
static struct config config;
static struct body body;
static struct vtpm *v;
static char root[64], path[3][96];

static void turn(void)
{
	if (v->peer)
		wire.ready(wire.ctx);
	for (int i = 0; i < 8; i++)
		(void)event_base_loop(d.base, EVLOOP_NONBLOCK);
}

static void send_frame(uint16_t type, uint32_t id, const void *p, size_t n)
{
	channel_header(in + in_len, type, id, n);
	memcpy(in + in_len + CHANNEL_HEADER_SIZE, p, n);
	in_len += CHANNEL_HEADER_SIZE + n;
	turn();
}

/* The status of the answer that came, behind events; UINT32_MAX: none came. */
static uint32_t answer(uint16_t type)
{
	while (out_len > out_pos) {
		struct cursor c = cursor_reader(out + out_pos, out_len - out_pos);
		uint16_t is = cursor_u16(&c);
		uint32_t len, status;

		(void)cursor_bytes(&c, 6);
		len = cursor_u32(&c);
		out_pos += CHANNEL_HEADER_SIZE + len;
		status = len >= 4 ? cursor_u32(&c) : 0;
		if (is == (type | CHANNEL_REPLY))
			return status;
	}
	return UINT32_MAX;
}

static void send_put(uint64_t seq)
{
	uint8_t buf[100];
	struct cursor w = cursor_writer(buf, sizeof(buf));

	cursor_put_u16(&w, CHANNEL_OBJECT_PERMALL);
	cursor_put_u64(&w, seq);
	cursor_put(&w, "XVTPMBLB", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, 2);
	cursor_put(&w, uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, v->store.epoch);
	cursor_put(&w, "sealed", 6);
	send_frame(CHANNEL_PUT, (uint32_t)seq, buf, w.pos);
}

static uint64_t stored_seq(void)
{
	uint64_t seq = 0;
	struct value *state = find_value("permall");

	if (state)
		(void)!store_object_seq(CHANNEL_OBJECT_PERMALL, state->buf, state->len,
					&seq);
	return seq;
}

/* A host without an anchor, whose vTPMs need nothing but a KMS. */
static int setup(void **state)
{
	struct meta m = {.name = "web1", .policy = "kms", .memory = 8, .creating = true};
	struct store s = {.ops = &store_double};
	int fd;

	claims = releases = claim_says = begun_puts = begun = ended = 0;
	is_here = true;
	in_len = in_pos = out_len = out_pos = 0;
	strcpy(root, "/tmp/store-ops.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	for (int i = 0; i < 3; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%c", root, "acs"[i]);
	fd = open(path[1], O_CREAT | O_RDWR, 0600);
	d = (struct vtpmd){.base = event_base_new(),
			   .store = root,
			   .folder = root,
			   .config = path[1],
			   .audit = path[0],
			   .tpm = "unix:/no/such",
			   .anchor_every = 600,
			   .run_dir = open(root, O_RDONLY | O_DIRECTORY)};
	config = (struct config){.users = 1000, .host.has_kms = true};
	d.host.last = &config;
	if (fd < 0 || fstat(fd, &d.host.at) || anchor_new(&d))
		return -1;
	close(fd);
	memcpy(s.uuid, uuid, sizeof(uuid));
	memcpy(m.uuid, uuid, sizeof(uuid));
	v = vtpm_new(&d, &m, &s);
	if (!v)
		return -1;
	vtpms_add(&d, v);
	v->making = true;
	body = (struct body){.ops = &body_ops, .domid = -1};
	v->body = &body;
	return 0;
}

static int teardown(void **state)
{
	char command[80];

	vtpm_free(v);
	anchor_free(d.anchor);
	close(d.run_dir);
	event_base_free(d.base);
	for (size_t i = 0; i < VALUES; i++) {
		free(values[i].buf);
		values[i] = (struct value){.name = ""};
	}
	putting = NULL;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void start(void)
{
	struct error e = {.cause = CAUSE_NONE};

	assert_int_equal(vtpm_start(v, &e), 0);
	turn();
}

/* From its start to READY. */
static void run(void)
{
	uint8_t hello[29] = {0, CHANNEL_VERSION, 0, CHANNEL_VERSION, CHANNEL_STARTING};
	uint8_t ready[8] = {0};

	start();
	assert_int_equal(begun, 1);
	v->body_owner->wire(v, &wire);
	send_frame(CHANNEL_HELLO, 1, hello, sizeof(hello));
	assert_int_equal(answer(CHANNEL_HELLO), 0);
	send_put(1);
	assert_non_null(putting);
	end_put(0);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), 0);
	ready[7] = 1;
	send_frame(CHANNEL_READY, 3, ready, sizeof(ready));
	assert_int_equal(answer(CHANNEL_READY), 0);
	assert_int_equal(v->state, VTPM_RUNNING);
	assert_true(v->store.claimed);
}

static void body_is_gone(void)
{
	v->body_owner->gone(v, CAUSE_NONE, "It ended.");
	turn();
}

/* -- the cases ------------------------------------------------------------- */

static void a_put_that_comes_late(void **state)
{
	run();
	send_put(2);
	for (int i = 0; i < 10; i++)
		turn();
	assert_int_equal(answer(CHANNEL_PUT), UINT32_MAX);
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 1);
	assert_true(store_put_busy(&v->store));
	/* no other is begun meanwhile */
	send_put(3);
	assert_int_equal(begun_puts, 2);
	end_put(0);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), 0);
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 2);
	end_put(0);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), 0);
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 3);
}

/* What may pass is tried again, and the guest waits; the rest is told. */
static void a_put_that_fails(void **state)
{
	run();
	send_put(2);
	end_put(-EIO);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), UINT32_MAX);
	assert_int_equal(peer_store_error(v->peer), -EIO);
	while (!putting)
		turn();
	end_put(0);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), 0);
	send_put(3);
	end_put(-ESTALE);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), ESTALE);
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 2);
	assert_int_equal(v->state, VTPM_RUNNING);
}

static void its_manager_ends_while_it_puts(void **state)
{
	run();
	send_put(2);
	body_is_gone();
	/* the claim is kept until that is over */
	assert_true(v->store.claimed);
	assert_int_equal(releases, 0);
	end_put(0);
	while (v->store.claimed)
		turn();
	assert_int_equal(releases, 1);
	assert_int_equal(stored_seq(), 2);
}

/* The vTPM is stopped, and nothing is acknowledged any more: not even what was stored. */
static void the_claim_is_lost_while_it_puts(void **state)
{
	int before, claimed;

	run();
	send_put(2);
	store_tell(&v->store, STORE_LOST);
	assert_int_equal(ended, 1);
	assert_false(v->store.claimed);
	end_put(0);
	turn();
	assert_int_equal(answer(CHANNEL_PUT), ESTALE);
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 1);
	/* nor is anything put */
	send_put(3);
	assert_int_equal(begun_puts, 2);
	assert_int_equal(answer(CHANNEL_PUT), ESTALE);
	before = sets;
	body_is_gone();
	assert_int_equal(v->state, VTPM_FAILED);
	assert_int_equal(v->meta.error.cause, CAUSE_LEASE);
	assert_int_equal(vtpm_next_try(v), -1);
	/* its vtpm.json is another's, too */
	claimed = claims;
	vtpm_on_keep(-1, 0, v);
	assert_int_equal(sets, before);
	assert_int_equal(claims, claimed);
	assert_int_equal(releases, 0);
}

/* This host was away for longer than its lease, and its vtpmd is started anew: what that one
 * left running is ended, and nothing of the other host's is changed. */
static void another_host_has_what_is_left_here(void **state)
{
	int before = sets;

	v->making = is_here = false;
	adopt_says = -ENOENT;
	assert_false(vtpm_adopt(v));
	assert_int_equal(v->state, VTPM_STOPPED);
	assert_int_equal(ended, 0);
	assert_null(v->body);
	v->body = &body;
	adopt_says = 0;
	assert_false(vtpm_adopt(v));
	assert_int_equal(ended, 1);
	assert_int_equal(v->state, VTPM_ABORTING);
	body_is_gone();
	assert_int_equal(v->state, VTPM_FAILED);
	assert_int_equal(v->meta.error.cause, CAUSE_LEASE);
	assert_int_equal(vtpm_next_try(v), -1);
	assert_int_equal(begun + claims + releases, 0);
	assert_int_equal(sets, before);
	is_here = true;
	assert_true(vtpm_adopt(v));
	assert_int_equal(v->state, VTPM_ADOPTED);
	assert_int_equal(claims, 1);
}

/* A put that waits for the store is given up, too. */
static void the_claim_is_lost_while_a_put_waits(void **state)
{
	run();
	send_put(2);
	end_put(-EIO);
	store_tell(&v->store, STORE_LOST);
	while (peer_store_error(v->peer))
		turn();
	assert_int_equal(answer(CHANNEL_PUT), ESTALE);
	assert_int_equal(begun_puts, 2);
	assert_int_equal(stored_seq(), 1);
}

static void another_changes_what_is_claimed(void **state)
{
	run();
	store_tell(&v->store, STORE_CHANGED);
	assert_int_equal(ended, 1);
	assert_true(v->store.lost);
	body_is_gone();
	assert_int_equal(v->meta.error.cause, CAUSE_LEASE);
}

/* Of a vTPM that does not run here, what another put is what counts. */
static void another_changes_what_is_not_claimed(void **state)
{
	struct error e = {.cause = CAUSE_NONE};
	struct value *stored;

	run();
	assert_int_equal(vtpm_stop(v, &e), 0);
	body_is_gone();
	assert_int_equal(v->state, VTPM_STOPPED);
	assert_int_equal(releases, 1);
	stored = find_value("permall");
	assert_int_equal(
		store_know(&v->store, CHANNEL_OBJECT_PERMALL, stored->buf, stored->len),
		0);
	stored->buf[35] = 9; /* its generation */
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 1);
	store_tell(&v->store, STORE_CHANGED);
	assert_int_equal(store_seq(&v->store, CHANNEL_OBJECT_PERMALL), 9);
	assert_int_equal(ended, 0);
	assert_int_equal(v->state, VTPM_STOPPED);
}

/* The start goes on when the store tells. */
static void a_claim_that_takes_its_time(void **state)
{
	claim_says = -EAGAIN;
	start();
	assert_int_equal(claims, 1);
	assert_int_equal(begun, 0);
	assert_int_equal(v->state, VTPM_QUEUED);
	store_tell(&v->store, STORE_CLAIMED);
	turn();
	assert_int_equal(claims, 2);
	assert_int_equal(begun, 0);
	claim_says = 0;
	store_tell(&v->store, STORE_CLAIMED);
	turn();
	assert_int_equal(begun, 1);
	assert_true(v->store.claimed);
}

/* It is asked for again, and its operator gets the answer to that. */
static void a_claim_that_is_lost_before_it_is_known(void **state)
{
	claim_says = -EAGAIN;
	start();
	assert_int_equal(claims, 1);
	claim_says = 0;
	store_tell(&v->store, STORE_LOST);
	turn();
	assert_int_equal(claims, 2);
	assert_int_equal(begun, 1);
	assert_true(v->store.claimed);
}

static void a_claim_that_is_anothers(void **state)
{
	claim_says = -EAGAIN;
	start();
	claim_says = -EBUSY;
	store_tell(&v->store, STORE_CLAIMED);
	turn();
	assert_int_equal(begun, 0);
	assert_int_equal(v->state, VTPM_FAILED);
	assert_string_equal(v->meta.error.text, "Another host has it.");
}

static void it_is_stopped_while_it_is_claimed(void **state)
{
	struct error e = {.cause = CAUSE_NONE};

	claim_says = -EAGAIN;
	start();
	assert_int_equal(vtpm_stop(v, &e), 0);
	assert_int_equal(v->state, VTPM_STOPPED);
	assert_int_equal(releases, 1);
	claim_says = 0;
	store_tell(&v->store, STORE_CLAIMED);
	turn();
	assert_int_equal(claims, 1);
	assert_int_equal(begun, 0);
}

#define OPS_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPS_TEST(a_put_that_comes_late),
		OPS_TEST(a_put_that_fails),
		OPS_TEST(its_manager_ends_while_it_puts),
		OPS_TEST(the_claim_is_lost_while_it_puts),
		OPS_TEST(the_claim_is_lost_while_a_put_waits),
		OPS_TEST(another_host_has_what_is_left_here),
		OPS_TEST(another_changes_what_is_claimed),
		OPS_TEST(another_changes_what_is_not_claimed),
		OPS_TEST(a_claim_that_takes_its_time),
		OPS_TEST(a_claim_that_is_lost_before_it_is_known),
		OPS_TEST(a_claim_that_is_anothers),
		OPS_TEST(it_is_stopped_while_it_is_claimed),
	};

	return cmocka_run_group_tests_name("vtpmd_store_ops", tests, NULL, NULL);
}
