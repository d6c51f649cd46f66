/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmd's end of the host channel against a manager that was taken over: it may send
 * anything, and reaches its own vTPM's objects and the allowed TPM commands alone. */
#include "tests/unit/unit.h"
#include "lib/channel.h"
#include "lib/cursor.h"
#include "lib/text.h"
#include "tools/vtpmd/peer.h"
#include "tools/vtpmd/tunnel.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM (2 * CHANNEL_PAYLOAD_MAX)

static const uint8_t own[16] = "vtpm number one", other[16] = "vtpm number two";

static struct event_base *base;
static struct peer *peer;
static struct store store;
static struct config config, *configured = &config;
static struct peer_limits limits;
static char root[64];

/* The wire: what the manager sent, and what it was sent. */
static uint8_t *in, *out;
static size_t in_len, in_pos, out_len, out_pos;

/* What the vTPM was told. */
static bool asked_for_keys;
static int hellos, readies, fails, statuses, rekeys, gone;
static uint32_t cause, quoted;
static char text[1100];

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

static int on_hello(void *ctx, uint8_t mode, const uint8_t uuid[16], uint64_t seq,
		    struct cursor *c, const char **why)
{
	hellos++;
	cursor_put(c, "config", 6);
	return 0;
}

static void on_ready(void *ctx, uint64_t seq)
{
	readies++;
}

static int on_config(void *ctx, struct cursor *c, const char **why)
{
	cursor_put(c, "anew", 4);
	return 0;
}

/* Domain 7 is new, and had another power-on than 5. */
static int on_guest(void *ctx, const struct peer_guest *g, struct cursor *c,
		    const char **why)
{
	*why = "it is another's[2J";
	if (g->domid != 7 || g->on != 5 || (g->device && g->device[15] != 1))
		return -EPERM;
	cursor_put(c, "list", 4);
	return 0;
}

static uint32_t cleared;

static int on_cleared(void *ctx, uint32_t response, const char **why)
{
	if (cleared)
		return -EPERM;
	cleared = response | 0x1000;
	return 0;
}

static bool on_rekeyed(void *ctx, uint32_t why, const char *words)
{
	if (!asked_for_keys)
		return false;
	rekeys++;
	cause = why;
	snprintf(text, sizeof(text), "%s", words);
	return true;
}

static int on_identity(void *ctx, const uint8_t *keys, size_t len, uint32_t *known,
		       const char **why)
{
	if (len != 4)
		return -EPERM;
	*known = keys[0];
	return 0;
}

/* The answer comes later: by the test. */
static int on_quote(void *ctx, uint32_t id, const uint8_t *request, size_t len,
		    const char **words)
{
	quoted = id;
	return len == 3 ? 0 : -EAGAIN;
}

static void on_attested(void *ctx, uint32_t why, const char *words)
{
	cause = why;
	snprintf(text, sizeof(text), "%s", words);
}

static void on_fail(void *ctx, uint32_t why, const char *words)
{
	fails++;
	cause = why;
	snprintf(text, sizeof(text), "%s", words);
}

static void on_status(void *ctx, const uint8_t *tlvs, size_t len)
{
	statuses++;
}

static void on_gone(void *ctx)
{
	gone++;
	peer_free(peer);
	peer = NULL;
}

/* Whether a header may be stored, and whether it counts at once. */
static int may_put;
static bool counts_later;

static int on_put(void *ctx, const struct store_put *put)
{
	return put->object == CHANNEL_OBJECT_HEADER ? may_put : 0;
}

static bool on_stored(void *ctx, uint16_t object)
{
	return object == CHANNEL_OBJECT_HEADER && counts_later;
}

static char refused[64];

static void on_refused(void *ctx, uint32_t domid, const char *why)
{
	snprintf(refused, sizeof(refused), "%u: %s", domid, why);
}

static bool may_answer = true;

static bool on_may_answer(void *ctx)
{
	return may_answer;
}

static const struct peer_owner owner = {
	.hello = on_hello,
	.ready = on_ready,
	.may_answer = on_may_answer,
	.put = on_put,
	.stored = on_stored,
	.config = on_config,
	.guest = on_guest,
	.refused = on_refused,
	.cleared = on_cleared,
	.rekeyed = on_rekeyed,
	.identity = on_identity,
	.quote = on_quote,
	.attested = on_attested,
	.fail = on_fail,
	.status = on_status,
	.gone = on_gone,
};

static int setup(void **state)
{
	struct peer_env env = {.name = "web1", .tpm = "unix:/no/such", .store = &store};

	asked_for_keys = false;
	hellos = readies = fails = statuses = rekeys = gone = 0;
	in_len = in_pos = out_len = out_pos = 0;
	in = malloc(ROOM);
	out = malloc(ROOM);
	strcpy(root, "/tmp/peer-test.XXXXXX");
	if (!in || !out || !mkdtemp(root) || store_open(&store, root, own, true))
		return -1;
	config = (struct config){.host.srk_handle = 0x81005654};
	memset(&limits, 0, sizeof(limits));
	env.limits = &limits;
	env.config = &configured;
	base = event_base_new();
	env.base = base;
	if (work_init(base))
		return -1;
	return peer_new(&env, &wire, &owner, NULL, &peer);
}

static int teardown(void **state)
{
	peer_free(peer);
	peer = NULL;
	work_end();
	tunnel_end();
	event_base_free(base);
	if (store.ops->remove(&store, root))
		return -1;
	store_close(&store);
	free(in);
	free(out);
	return rmdir(root);
}

static void turn(void)
{
	int i;

	if (peer)
		wire.ready(wire.ctx);
	for (i = 0; i < 5 || store_put_busy(&store); i++)
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void send_frame(uint16_t type, uint32_t id, const void *p, size_t n)
{
	assert_true(in_len + CHANNEL_HEADER_SIZE + n <= ROOM);
	channel_header(in + in_len, type, id, n);
	if (n)
		memcpy(in + in_len + CHANNEL_HEADER_SIZE, p, n);
	in_len += CHANNEL_HEADER_SIZE + n;
}

/* Takes the next frame that was sent to the manager; its status. */
static uint32_t reply(uint16_t type, uint32_t id, const uint8_t **data, size_t *len)
{
	struct cursor c = cursor_reader(out + out_pos, out_len - out_pos);
	uint32_t status, size;

	assert_int_equal(cursor_u16(&c), type | CHANNEL_REPLY);
	(void)cursor_u16(&c);
	assert_int_equal(cursor_u32(&c), id);
	size = cursor_u32(&c);
	assert_true(size >= 4);
	status = cursor_u32(&c);
	if (data)
		*data = out + out_pos + c.pos;
	if (len)
		*len = size - 4;
	(void)cursor_bytes(&c, size - 4);
	assert_true(cursor_ok(&c));
	out_pos += c.pos;
	return status;
}

static uint32_t ask(uint16_t type, const void *p, size_t n)
{
	static uint32_t id = 100;

	send_frame(type, ++id, p, n);
	turn();
	assert_non_null(peer);
	return reply(type, id, NULL, NULL);
}

static void say_hello(void)
{
	uint8_t hello[29] = {0, 1, 0, 2};

	assert_int_equal(ask(CHANNEL_HELLO, hello, sizeof(hello)), 0);
	assert_int_equal(hellos, 1);
}

/* A blob in the form of lib/slot/envelope.h, behind what PUT says of it. */
static size_t make_put(uint8_t *buf, uint16_t object, uint64_t seq, const uint8_t *uuid)
{
	struct cursor w = cursor_writer(buf, 200);

	cursor_put_u16(&w, object);
	cursor_put_u64(&w, seq);
	cursor_put(&w, "XVTPMBLB", 8);
	cursor_put_u16(&w, 1);
	cursor_put_u16(&w, 2);
	cursor_put(&w, uuid, 16);
	cursor_put_u64(&w, seq);
	cursor_put_u64(&w, 1); /* epoch */
	cursor_put(&w, "sealed", 6);
	return w.pos;
}

static void objects_of_its_own(void **state)
{
	uint8_t buf[200], get[2] = {0, CHANNEL_OBJECT_PERMALL};
	const uint8_t *data;
	size_t len;

	say_hello();
	assert_int_equal(ask(CHANNEL_GET, get, 2), ENOENT);
	len = make_put(buf, CHANNEL_OBJECT_PERMALL, 1, own);
	assert_int_equal(ask(CHANNEL_PUT, buf, len), 0);
	send_frame(CHANNEL_GET, 7, get, 2);
	turn();
	assert_int_equal(reply(CHANNEL_GET, 7, &data, &len), 0);
	assert_memory_equal(data, buf + 10, len);
	/* another vTPM's, an older one, no such object, and no bytes at all */
	len = make_put(buf, CHANNEL_OBJECT_PERMALL, 2, other);
	assert_int_equal(ask(CHANNEL_PUT, buf, len), EPERM);
	len = make_put(buf, CHANNEL_OBJECT_PERMALL, 0, own);
	assert_int_equal(ask(CHANNEL_PUT, buf, len), ESTALE);
	len = make_put(buf, 99, 3, own);
	assert_int_equal(ask(CHANNEL_PUT, buf, len), EINVAL);
	assert_int_equal(ask(CHANNEL_PUT, buf, 10), EINVAL);
	assert_int_equal(ask(CHANNEL_GET, get, 1), EINVAL);
	get[1] = 99;
	assert_int_equal(ask(CHANNEL_GET, get, 2), EINVAL);
}

/* A folder is one host's as long as its claim; one that lost it is told so. */
static void how_long_it_may_answer(void **state)
{
	static const uint8_t longest[] = {0, 4, 0x93, 0xe0}; /* 300000 */
	const uint8_t *data;
	size_t len;

	store.claimed = true;
	say_hello();
	send_frame(CHANNEL_RENEW, 7, NULL, 0);
	turn();
	assert_int_equal(reply(CHANNEL_RENEW, 7, &data, &len), 0);
	assert_int_equal(len, sizeof(longest));
	assert_memory_equal(data, longest, len);
	may_answer = false;
	send_frame(CHANNEL_RENEW, 8, NULL, 0);
	turn();
	may_answer = true;
	assert_int_equal(reply(CHANNEL_RENEW, 8, &data, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(data, "\0\0\0", len);
	store.lost = true;
	assert_int_equal(ask(CHANNEL_RENEW, NULL, 0), ESTALE);
	store.lost = false;
	store.claimed = false;
	assert_int_equal(ask(CHANNEL_RENEW, NULL, 0), ESTALE);
}

static void commands_that_are_not_allowed(void **state)
{
	static const uint8_t clear[] = {0x80, 2, 0,    0,    0, 14, 0,
					0,    1, 0x26, 0x40, 0, 0,  12};
	static const uint8_t random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

	say_hello();
	assert_int_equal(ask(CHANNEL_TPM, clear, sizeof(clear)), EPERM);
	assert_int_equal(ask(CHANNEL_TPM, clear, 3), EPERM);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), ENODEV);
	/* no KMS is configured: no tunnel to anywhere */
	assert_int_equal(ask(CHANNEL_KMS_OPEN, NULL, 0), EDESTADDRREQ);
	assert_int_equal(ask(CHANNEL_KMS_SEND, "x", 1), ENOTCONN);
}

/* The way to the TPM is open while it starts, and while it makes new key slots. */
static void when_the_tpm_is_its_to_use(void **state)
{
	static const uint8_t random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
	uint8_t ready[8] = {0}, why[4] = {0};

	say_hello();
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), ENODEV);
	assert_int_equal(ask(CHANNEL_READY, ready, 8), 0);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), EPERM);
	/* what it says of itself opens nothing */
	assert_int_equal(ask(CHANNEL_CONFIG, NULL, 0), 0);
	asked_for_keys = true;
	assert_int_equal(ask(CHANNEL_REKEYED, why, 4), 0);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), EPERM);
	peer_tpm_open(peer);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), ENODEV);
	assert_int_equal(ask(CHANNEL_REKEYED, why, 4), 0);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), EPERM);
	peer_tpm_open(peer);
	assert_int_equal(ask(CHANNEL_FAIL, why, 4), 0);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), EPERM);
}

/* One that ran on does not start. */
static void no_tpm_for_one_that_resumes(void **state)
{
	static const uint8_t random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
	uint8_t hello[29] = {0, 1, 0, 1, CHANNEL_RESUMED}; /* an older one that runs */

	assert_int_equal(ask(CHANNEL_HELLO, hello, sizeof(hello)), 0);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), EPERM);
}

static void what_it_tells(void **state)
{
	uint8_t ready[8] = {0}, why[4 + 1200] = {0, 0, 0, CAUSE_KMS_KEY};
	const uint8_t *data;
	size_t len;

	say_hello();
	memset(why + 4, 'w', sizeof(why) - 4);
	assert_int_equal(ask(CHANNEL_READY, ready, 7), EINVAL);
	assert_int_equal(ask(CHANNEL_READY, ready, 8), 0);
	assert_int_equal(readies, 1);
	assert_int_equal(ask(CHANNEL_STATUS, "x", 1), 0);
	assert_int_equal(statuses, 1);
	assert_int_equal(ask(CHANNEL_CONFIG, NULL, 0), 0);
	assert_int_equal(ask(CHANNEL_IDENTITY, NULL, 0), EPERM);
	send_frame(CHANNEL_IDENTITY, 7, "\3key", 4);
	turn();
	assert_int_equal(reply(CHANNEL_IDENTITY, 7, &data, &len), 0);
	assert_int_equal(len, 4);
	assert_int_equal(data[3], 3);
	assert_int_equal(ask(CHANNEL_QUOTE, "xx", 2), EAGAIN);
	send_frame(CHANNEL_QUOTE, 8, "xxx", 3);
	turn();
	assert_int_equal(quoted, 8);
	peer_reply(peer, CHANNEL_QUOTE, 8, "{}", 2);
	turn();
	assert_int_equal(reply(CHANNEL_QUOTE, 8, &data, &len), 0);
	assert_int_equal(len, 2);
	assert_int_equal(ask(CHANNEL_ATTEST, NULL, 0), EINVAL);
	assert_int_equal(ask(CHANNEL_ATTEST, "\0\0\0", 3), EINVAL);
	assert_int_equal(ask(CHANNEL_ATTEST, "\0\0\0\7evidence", 12), 0);
	assert_int_equal(cause, 7);
	assert_string_equal(text, "evidence");
	assert_int_equal(ask(CHANNEL_REKEYED, why, 3), EINVAL);
	assert_int_equal(ask(CHANNEL_REKEYED, why, 4), EPERM);
	assert_int_equal(rekeys, 0);
	asked_for_keys = true;
	assert_int_equal(ask(CHANNEL_REKEYED, why, 4), 0);
	assert_int_equal(rekeys, 1);
	assert_string_equal(text, "");
	assert_int_equal(ask(CHANNEL_FAIL, why, sizeof(why)), 0);
	assert_int_equal(fails, 1);
	assert_int_equal(cause, CAUSE_KMS_KEY);
	assert_int_equal(strlen(text), 1000); /* no more than is good for a log */
	assert_int_equal(ask(CHANNEL_LOG, "\1\x1b[2Jtext", 9), 0);
	assert_int_equal(ask(CHANNEL_LOG, NULL, 0), EINVAL);
	assert_int_equal(ask(77, NULL, 0), ENOSYS);
}

static void guests_are_judged(void **state)
{
	uint8_t ask_for[29] = {0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 5, [27] = 1};
	const uint8_t *data;
	size_t len;

	say_hello();
	send_frame(CHANNEL_GUEST, 9, ask_for, 12);
	turn();
	assert_int_equal(reply(CHANNEL_GUEST, 9, &data, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(data, "list", 4);
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 11), EINVAL);
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 13), EINVAL);
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 27), EINVAL);
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 28), 0);
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 29), EINVAL);
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 4), EINVAL);
	ask_for[3] = 8;
	assert_int_equal(ask(CHANNEL_GUEST, ask_for, 12), EPERM);
	assert_int_equal(ask(CHANNEL_CLEARED, "\0\0\1\x01", 3), EINVAL);
	assert_int_equal(ask(CHANNEL_CLEARED, "\0\0\1\x01\0", 5), EINVAL);
	assert_int_equal(ask(CHANNEL_CLEARED, "\0\0\1\x01", 4), 0);
	assert_int_equal(cleared, 0x1101);
	assert_int_equal(ask(CHANNEL_CLEARED, "\0\0\0\0", 4), EPERM);
	assert_int_equal(ask(CHANNEL_REFUSED, "\0\0\0", 3), EINVAL);
	assert_int_equal(ask(CHANNEL_REFUSED, "\0\0\0\7in\nuse", 10), 0);
	assert_string_equal(refused, "7: in?use");
}

static void dropped(void)
{
	turn();
	assert_int_equal(gone, 1);
	assert_null(peer);
}

static void no_hello_first(void **state)
{
	send_frame(CHANNEL_GET, 1, "\0\2", 2);
	dropped();
}

static void a_version_that_is_not_spoken(void **state)
{
	uint8_t hello[29] = {0, 3, 0, 4};

	assert_int_equal(ask(CHANNEL_HELLO, hello, sizeof(hello)), EPROTO);
	assert_int_equal(hellos, 0);
	send_frame(CHANNEL_HELLO, 1, hello, 20);
	dropped();
}

/* It would skip of its configuration what it does not know. */
static void an_older_manager_does_not_start(void **state)
{
	uint8_t hello[29] = {0, 1, 0, 1};

	assert_int_equal(ask(CHANNEL_HELLO, hello, sizeof(hello)), EPROTO);
	assert_int_equal(hellos, 0);
	assert_int_equal(fails, 1);
	assert_int_equal(cause, CAUSE_VERSION);
	send_frame(CHANNEL_GET, 1, "\0\2", 2);
	dropped();
}

static void what_only_vtpmd_may_send(void **state)
{
	say_hello();
	send_frame(CHANNEL_EVENT_STOP, 0, NULL, 0);
	dropped();
}

static void garbage(void **state)
{
	memset(in, 0xff, 64);
	in_len = 64;
	dropped();
}

/* However many wait: others have their turn after each. */
static void one_request_a_turn(void **state)
{
	const size_t size =
		CHANNEL_HEADER_SIZE + 4 + strlen("vtpmd does not know the request.");
	size_t before, most = 0;
	int i, polls = 0;

	say_hello();
	before = out_len;
	for (i = 0; i < 40; i++)
		send_frame(77, (uint32_t)i + 1, NULL, 0);
	wire.ready(wire.ctx);
	for (; polls < 400 && out_len < before + 40 * size; polls++) {
		size_t was = out_len;

		(void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		most = out_len - was > most ? out_len - was : most;
	}
	assert_int_equal(out_len, before + 40 * size);
	assert_int_equal(most, size);
	assert_true(polls >= 40);
}

/* The answers come in the order of the requests, and no put overtakes another. */
static void nothing_overtakes_a_put(void **state)
{
	uint8_t buf[200];
	uint32_t n;
	size_t len;

	say_hello();
	for (n = 1; n <= 20; n++) {
		len = make_put(buf, CHANNEL_OBJECT_PERMALL, n, own);
		send_frame(CHANNEL_PUT, 2 * n, buf, len);
		send_frame(77, 2 * n + 1, NULL, 0);
	}
	for (n = 0; n < 100; n++)
		turn();
	for (n = 1; n <= 20; n++) {
		assert_int_equal(reply(CHANNEL_PUT, 2 * n, NULL, NULL), 0);
		assert_int_equal(reply(77, 2 * n + 1, NULL, NULL), ENOSYS);
	}
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), 20);
}

/* It goes while its state is on the way to the disk: that is finished, or never was.  A put that
 * the disk has at once is followed by another. */
static void gone_while_it_is_stored(void **state)
{
	uint8_t buf[200];
	uint32_t n = 0;
	size_t len;

	say_hello();
	do {
		assert_true(++n <= 100);
		len = make_put(buf, CHANNEL_OBJECT_PERMALL, n, own);
		send_frame(CHANNEL_PUT, n, buf, len);
		wire.ready(wire.ctx);
		while (!store_put_busy(&store) &&
		       store_seq(&store, CHANNEL_OBJECT_PERMALL) < n)
			(void)event_base_loop(base, EVLOOP_NONBLOCK);
	} while (!store_put_busy(&store));
	peer_free(peer);
	peer = NULL;
	turn();
	assert_false(store_put_busy(&store));
	assert_int_equal(store_seq(&store, CHANNEL_OBJECT_PERMALL), n);
}

/* It asks without end: what it may have at once is served, the rest in its time, and
 * nothing piles up.  A new connection of the same vTPM brings nothing back. */
static void a_flood(void **state)
{
	size_t most = 0;
	uint64_t began;
	int i;

	say_hello();
	began = (uint64_t)stamp_ms();
	for (i = 0; i < 1400; i++)
		send_frame(77, (uint32_t)i + 1, NULL, 0);
	wire.ready(wire.ctx);
	while (in_pos < in_len) {
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		if ((uint64_t)stamp_ms() - began < 50)
			most = in_pos / CHANNEL_HEADER_SIZE;
		usleep(100);
	}
	turn();
	/* 1024 at once, and one a millisecond */
	assert_true(most < 1024 + 60);
	assert_true((uint64_t)stamp_ms() - began >= 300);
	assert_int_equal(gone, 0);
	assert_true(bucket_wait(&limits.requests, 64, 16, (uint64_t)stamp_ms()) > 0);
}

/* The bucket of commands for the host's TPM is filled for an operator, and by nothing that
 * a manager does: READY, FAIL, a new connection that starts. */
static void no_tpm_commands_back(void **state)
{
	static const uint8_t random[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
	struct peer_env env = {.base = base,
			       .name = "web1",
			       .tpm = "unix:/no/such",
			       .store = &store,
			       .config = &configured,
			       .limits = &limits};
	uint8_t ready[8] = {0}, why[4] = {0};
	uint64_t spent;
	int i;

	say_hello();
	for (i = 0; i < 20; i++)
		assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), ENODEV);
	spent = limits.tpm.spent_ms;
	assert_true(spent >= (uint64_t)stamp_ms() + 9000);
	assert_int_equal(ask(CHANNEL_READY, ready, 8), 0);
	assert_int_equal(ask(CHANNEL_FAIL, why, 4), 0);
	peer_free(peer);
	assert_int_equal(peer_new(&env, &wire, &owner, NULL, &peer), 0);
	hellos = 0;
	say_hello();
	assert_int_equal(limits.tpm.spent_ms, spent);
	assert_int_equal(ask(CHANNEL_TPM, random, sizeof(random)), ENODEV);
	assert_int_equal(limits.tpm.spent_ms, spent + 500);
	peer_tpm_fill(&limits);
	assert_int_equal(limits.tpm.spent_ms, 0);
}

static void hello_twice(void **state)
{
	uint8_t hello[29] = {0, 1, 0, 2};

	say_hello();
	send_frame(CHANNEL_HELLO, 1, hello, sizeof(hello));
	dropped();
	assert_int_equal(hellos, 1);
}

static void fail_twice(void **state)
{
	uint8_t why[5] = {0, 0, 0, CAUSE_KMS_KEY, 'x'};

	say_hello();
	assert_int_equal(ask(CHANNEL_FAIL, why, sizeof(why)), 0);
	send_frame(CHANNEL_FAIL, 9, why, sizeof(why));
	dropped();
	assert_int_equal(fails, 1);
}

/* Escape sequences for root's terminal, and bytes that are no text. */
static void text_is_made_printable(void **state)
{
	static const uint8_t why[] = "\0\0\0\x13"
				     "a\x1b]0;b\a\xc2\x9b\xff\xc3\xbc";

	say_hello();
	assert_int_equal(ask(CHANNEL_ATTEST, why, sizeof(why) - 1), 0);
	assert_string_equal(text, "a?]0;b???\xc3\xbc");
	asked_for_keys = true;
	assert_int_equal(ask(CHANNEL_REKEYED, why, sizeof(why) - 1), 0);
	assert_string_equal(text, "a?]0;b???\xc3\xbc");
	assert_int_equal(ask(CHANNEL_FAIL, why, sizeof(why) - 1), 0);
	assert_string_equal(text, "a?]0;b???\xc3\xbc");
}

#define PEER_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(objects_of_its_own),
		PEER_TEST(how_long_it_may_answer),
		PEER_TEST(commands_that_are_not_allowed),
		PEER_TEST(when_the_tpm_is_its_to_use),
		PEER_TEST(no_tpm_for_one_that_resumes),
		PEER_TEST(what_it_tells),
		PEER_TEST(guests_are_judged),
		PEER_TEST(no_hello_first),
		PEER_TEST(a_version_that_is_not_spoken),
		PEER_TEST(an_older_manager_does_not_start),
		PEER_TEST(what_only_vtpmd_may_send),
		PEER_TEST(garbage),
		PEER_TEST(one_request_a_turn),
		PEER_TEST(nothing_overtakes_a_put),
		PEER_TEST(gone_while_it_is_stored),
		PEER_TEST(a_flood),
		PEER_TEST(no_tpm_commands_back),
		PEER_TEST(hello_twice),
		PEER_TEST(fail_twice),
		PEER_TEST(text_is_made_printable),
	};

	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
