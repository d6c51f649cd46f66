/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's end of the host channel against a scripted vtpmd, which answers
 * at once, goes away in the middle of a call, or talks nonsense. */
#include "tests/unit/unit.h"
#include "stubdom/manager/hostchan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake {
	struct channel_reader from; /* what the manager sent */
	uint8_t to[65536];	    /* what it will read */
	size_t to_len, to_pos;
	unsigned int types[32], count; /* requests seen */
	unsigned int die_at;	       /* goes away at this request, once */
	unsigned int reopened, closed;
	uint16_t event_with;  /* sends this event before each reply */
	uint16_t event_after; /* or this one after it */
	uint32_t status;
	uint8_t hello_mode;
	uint64_t put_seq;
	const uint8_t *guest; /* the reply to CHANNEL_GUEST */
	size_t guest_len;
	uint8_t asked[28]; /* CHANNEL_GUEST */
	size_t asked_len;
	bool gone, garbage, away;
} fake;

static void say(uint16_t type, uint32_t id, const void *p, size_t len)
{
	channel_header(fake.to + fake.to_len, type, id, len);
	if (len)
		memcpy(fake.to + fake.to_len + CHANNEL_HEADER_SIZE, p, len);
	fake.to_len += CHANNEL_HEADER_SIZE + len;
}

static void answer(struct channel_frame *f)
{
	uint8_t out[64] = {0};
	struct cursor c = cursor_reader(f->payload, f->len), w;
	size_t len = 4;

	fake.types[fake.count++] = f->type;
	if (fake.count == fake.die_at) {
		fake.gone = true;
		return;
	}
	if (fake.garbage) {
		memset(fake.to + fake.to_len, 0xff, 64);
		fake.to_len += 64;
		return;
	}
	w = cursor_writer(out, sizeof(out));
	cursor_put_u32(&w, fake.status);
	if (f->type == CHANNEL_HELLO) {
		cursor_u32(&c);
		fake.hello_mode = cursor_u8(&c);
		cursor_put_u16(&w, CHANNEL_VERSION);
		cursor_put(&w, "cfg", 3);
		len = w.pos;
	} else if (f->type == CHANNEL_PUT) {
		cursor_u16(&c);
		fake.put_seq = cursor_u64(&c);
	} else if (f->type == CHANNEL_GET || f->type == CHANNEL_TPM) {
		cursor_put(&w, "bytes", 5);
		len = w.pos;
	}
	if (f->type == CHANNEL_IDENTITY) {
		cursor_put_u32(&w, 2);
		len = w.pos;
	}
	if (f->type == CHANNEL_RENEW) {
		cursor_put(&w, fake.guest, fake.guest_len);
		len = w.pos;
	}
	if (f->type == CHANNEL_GUEST) {
		fake.asked_len = f->len;
		memcpy(fake.asked, f->payload, f->len);
		cursor_put(&w, fake.guest, fake.guest_len);
		len = w.pos;
	}
	if (fake.event_with)
		say(fake.event_with, 0, NULL, 0);
	/* a reply that nobody asked for must not confuse it */
	say(f->type | CHANNEL_REPLY, f->id + 1000, "\0\0\0\0", 4);
	say(f->type | CHANNEL_REPLY, f->id, out, len);
	if (fake.event_after)
		say(fake.event_after, 0, NULL, 0);
}

static ssize_t fake_write(struct hostchan_io *io, const void *buf, size_t len)
{
	struct channel_frame f;
	size_t room;
	uint8_t *p;
	int rc;

	if (fake.gone)
		return -EPIPE;
	p = channel_reader_room(&fake.from, &room);
	room = room < len ? room : len;
	memcpy(p, buf, room);
	rc = channel_reader_add(&fake.from, room);
	assert_true(rc >= 0);
	if (rc) {
		channel_reader_take(&fake.from, &f);
		answer(&f);
		free(f.payload);
	}
	return (ssize_t)room;
}

static ssize_t fake_read(struct hostchan_io *io, void *buf, size_t len)
{
	size_t n = fake.to_len - fake.to_pos;

	if (!n)
		return fake.gone ? -EPIPE : 0;
	/* awkward pieces */
	n = n < 5 ? n : 5;
	n = n < len ? n : len;
	memcpy(buf, fake.to + fake.to_pos, n);
	fake.to_pos += n;
	return (ssize_t)n;
}

static int fake_reopen(struct hostchan_io *io)
{
	fake.gone = fake.garbage = false;
	fake.to_len = fake.to_pos = 0;
	channel_reader_reset(&fake.from);
	fake.reopened++;
	return 0;
}

static bool fake_connected(struct hostchan_io *io)
{
	return !fake.away;
}

static int fake_wait(struct hostchan_io *io, bool to_write, int ms)
{
	/* a call without limit would hang for ever */
	assert_true(ms >= 0);
	return -ETIMEDOUT;
}

static int fake_fd(const struct hostchan_io *io)
{
	return -1;
}

static void fake_close(struct hostchan_io *io)
{
	fake.closed++;
}

static const struct hostchan_io_ops fake_ops = {
	.reopen = fake_reopen,
	.connected = fake_connected,
	.read = fake_read,
	.write = fake_write,
	.wait = fake_wait,
	.fd = fake_fd,
	.close = fake_close,
};

static const uint64_t seq = 41;

static struct hostchan *start(bool running)
{
	const struct hostchan_io io = {.ops = &fake_ops};
	struct hostchan *h;
	struct error e = {0};
	uint8_t *config;
	size_t len;

	memset(&fake, 0, sizeof(fake));
	assert_int_equal(hostchan_open(&h, &io, false), 0);
	assert_int_equal(fake.count, 0);
	assert_int_equal(hostchan_hello(h, &config, &len, &e), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(config, "cfg", 3);
	free(config);
	if (running)
		hostchan_running(h, (const uint8_t *)"0123456789abcdef", &seq);
	return h;
}

static void end(struct hostchan *h)
{
	channel_reader_reset(&fake.from);
	hostchan_close(h);
}

/* vtpmd answers it while the manager prepares itself. */
static void hello_is_said_at_once(void **state)
{
	const struct hostchan_io io = {.ops = &fake_ops};
	struct hostchan *h;
	struct error e = {0};
	uint8_t *config;
	size_t len;

	memset(&fake, 0, sizeof(fake));
	fake.hello_mode = 0xff;
	assert_int_equal(hostchan_open(&h, &io, true), 0);
	assert_int_equal(fake.count, 1);
	assert_int_equal(fake.types[0], CHANNEL_HELLO);
	assert_int_equal(fake.hello_mode, CHANNEL_STARTING);
	/* and once */
	assert_int_equal(hostchan_hello(h, &config, &len, &e), 0);
	assert_int_equal(fake.count, 1);
	free(config);
	end(h);
}

static void nobody_to_say_hello_to(void **state)
{
	const struct hostchan_io io = {.ops = &fake_ops};
	struct hostchan *h;

	memset(&fake, 0, sizeof(fake));
	fake.gone = true;
	assert_int_equal(hostchan_open(&h, &io, true), -EPIPE);
	assert_int_equal(fake.closed, 1);
}

static void gets_and_puts(void **state)
{
	struct hostchan *h = start(true);
	struct state_place p = hostchan_place(h);
	uint8_t *buf;
	size_t len;

	assert_int_equal(p.get(p.ctx, CHANNEL_OBJECT_HEADER, &buf, &len), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(buf, "bytes", 5);
	free(buf);
	assert_int_equal(p.put(p.ctx, CHANNEL_OBJECT_PERMALL, 42, NULL, 0), 0);
	assert_int_equal(fake.put_seq, 42);
	fake.status = ENOENT;
	assert_int_equal(p.get(p.ctx, CHANNEL_OBJECT_HEADER, &buf, &len), -ENOENT);
	fake.status = 0xffffffff;
	assert_int_equal(hostchan_ready(h, 1), -EPIPE);
	end(h);
}

static void put_is_sent_again_after_a_loss(void **state)
{
	struct hostchan *h = start(true);
	struct state_place p = hostchan_place(h);

	fake.die_at = 2;
	assert_int_equal(p.put(p.ctx, CHANNEL_OBJECT_PERMALL, 42, NULL, 0), 0);
	assert_int_equal(fake.reopened, 1);
	assert_int_equal(fake.count, 4);
	assert_int_equal(fake.types[1], CHANNEL_PUT);
	assert_int_equal(fake.types[2], CHANNEL_HELLO);
	assert_int_equal(fake.hello_mode, CHANNEL_RESUMED);
	assert_int_equal(fake.types[3], CHANNEL_PUT);
	assert_int_equal(fake.put_seq, 42);
	end(h);
}

static void loss_during_the_second_hello(void **state)
{
	struct hostchan *h = start(true);
	struct state_place p = hostchan_place(h);

	fake.gone = true;
	fake.die_at = 2; /* the HELLO after the first loss */
	assert_int_equal(p.put(p.ctx, CHANNEL_OBJECT_PERMALL, 42, NULL, 0), 0);
	assert_int_equal(fake.reopened, 2);
	end(h);
}

static void other_calls_fail_but_the_channel_comes_back(void **state)
{
	struct hostchan *h = start(true);
	uint8_t rsp[8];
	size_t len = sizeof(rsp);

	fake.gone = true;
	assert_int_equal(hostchan_tpm(h, rsp, 1, rsp, &len), -EPIPE);
	len = sizeof(rsp);
	assert_int_equal(hostchan_tpm(h, rsp, 1, rsp, &len), 0);
	assert_int_equal(len, 5);
	len = 4;
	assert_int_equal(hostchan_tpm(h, rsp, 1, rsp, &len), -EMSGSIZE);
	end(h);
}

static void loss_before_running_is_final(void **state)
{
	struct hostchan *h = start(false);
	struct state_place p = hostchan_place(h);
	uint8_t *buf;
	size_t len;

	fake.gone = true;
	assert_int_equal(p.get(p.ctx, CHANNEL_OBJECT_HEADER, &buf, &len), -EPIPE);
	assert_int_equal(p.get(p.ctx, CHANNEL_OBJECT_HEADER, &buf, &len), -EPIPE);
	assert_int_equal(hostchan_event(h), -EPIPE);
	assert_int_equal(fake.reopened, 0);
	end(h);
}

static void garbage_is_a_loss(void **state)
{
	struct hostchan *h = start(true);
	struct state_place p = hostchan_place(h);

	fake.garbage = true;
	assert_int_equal(p.put(p.ctx, CHANNEL_OBJECT_PERMALL, 42, NULL, 0), 0);
	assert_int_equal(fake.reopened, 1);
	end(h);
}

static void takes_step(struct hostchan *h, const char *step)
{
	uint8_t *payload;
	size_t len;

	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_MOVE);
	payload = hostchan_move_payload(h, &len);
	assert_int_equal(len, strlen(step));
	assert_memory_equal(payload, step, len);
	free(payload);
}

static void steps_that_come_at_once_are_kept(void **state)
{
	struct hostchan *h = start(true);
	size_t len;

	/* a guest that cannot be started is given back at once: ACTIVATE, DEACTIVATE */
	say(CHANNEL_EVENT_MOVE, 0, "\6", 1);
	say(CHANNEL_EVENT_MOVE, 0, "\7", 1);
	takes_step(h, "\6");
	takes_step(h, "\7");
	assert_int_equal(hostchan_event(h), 0);
	assert_null(hostchan_move_payload(h, &len));
	assert_int_equal(len, 0);

	/* of each step the newest, as many as there are, and what nobody knows */
	for (unsigned int i = 0; i < 100; i++) {
		say(CHANNEL_EVENT_MOVE, 0, "\2", 1);
		say(CHANNEL_EVENT_MOVE, 0, "\3", 1);
		say(CHANNEL_EVENT_MOVE, 0, i % 2 ? "\1new" : "\1old", 4);
		say(CHANNEL_EVENT_MOVE, 0, "\xff", 1);
		say(CHANNEL_EVENT_MOVE, 0, NULL, 0);
	}
	takes_step(h, "\2");
	takes_step(h, "\3");
	takes_step(h, "\1new");
	takes_step(h, "");
	assert_int_equal(hostchan_event(h), 0);

	/* what is left is freed */
	say(CHANNEL_EVENT_MOVE, 0, "\6", 1);
	say(CHANNEL_EVENT_MOVE, 0, "\7", 1);
	takes_step(h, "\6");
	end(h);
}

static void events_beside_replies_are_kept(void **state)
{
	struct hostchan *h = start(true);

	fake.event_with = CHANNEL_EVENT_STATUS;
	assert_int_equal(hostchan_ready(h, 1), 0);
	fake.event_with = CHANNEL_EVENT_STOP;
	assert_int_equal(hostchan_ready(h, 1), 0);
	fake.event_with = 0x4fff;
	assert_int_equal(hostchan_ready(h, 1), 0);
	fake.event_with = CHANNEL_EVENT_GUEST;
	assert_int_equal(hostchan_ready(h, 1), 0);
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_STOP);
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_GUEST);
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_STATUS);
	assert_int_equal(hostchan_event(h), 0);
	end(h);
}

static void a_configuration_that_is_read_anew(void **state)
{
	struct hostchan *h = start(true);
	const struct error why = {.cause = CAUSE_KMS_KEY, .text = "the key is gone: ask"};
	uint8_t *tlvs = NULL;
	size_t len = 1;
	unsigned int before;

	fake.event_with = CHANNEL_EVENT_REKEY;
	assert_int_equal(hostchan_ready(h, 1), 0);
	fake.event_with = 0;
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_REKEY);
	assert_int_equal(hostchan_event(h), 0);
	fake.event_with = CHANNEL_EVENT_REKEY_DEEP;
	assert_int_equal(hostchan_ready(h, 1), 0);
	fake.event_with = 0;
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_REKEY_DEEP);
	assert_int_equal(hostchan_event(h), 0);
	before = fake.count;
	assert_int_equal(hostchan_config(h, &tlvs, &len), 0);
	assert_int_equal(fake.types[before], CHANNEL_CONFIG);
	free(tlvs);
	hostchan_rekeyed(h, &why);
	assert_int_equal(fake.types[before + 1], CHANNEL_REKEYED);
	fake.status = ENOENT;
	assert_int_equal(hostchan_config(h, &tlvs, &len), -ENOENT);
	end(h);
}

static int renew(struct hostchan *h, const char *reply, size_t len, uint32_t *ms)
{
	fake.guest = (const uint8_t *)reply;
	fake.guest_len = len;
	return hostchan_renew(h, ms);
}

static void a_lease_is_asked_for(void **state)
{
	struct hostchan *h = start(true);
	uint32_t ms;

	assert_int_equal(renew(h, "\0\0\x4e\x20", 4, &ms), 0);
	assert_int_equal(ms, 20000);
	assert_int_equal(renew(h, "\0\0\0\0", 4, &ms), 0);
	assert_int_equal(ms, 0);
	/* nonsense gives no time; 300001 ms are more than there can be */
	assert_int_equal(renew(h, "\0\0\1", 3, &ms), -EBADMSG);
	assert_int_equal(renew(h, "\0\0\1\0\0", 5, &ms), -EMSGSIZE);
	assert_int_equal(renew(h, "\0\4\x93\xe1", 4, &ms), -EBADMSG);
	/* a vtpmd that comes back is asked again */
	fake.gone = true;
	assert_int_equal(renew(h, "\0\0\0\1", 4, &ms), 0);
	assert_int_equal(ms, 1);
	assert_int_equal(fake.reopened, 1);
	assert_false(hostchan_is_stopped(h));
	fake.event_with = CHANNEL_EVENT_STOP;
	fake.status = ESTALE;
	assert_int_equal(renew(h, NULL, 0, &ms), -ESTALE);
	assert_true(hostchan_is_stopped(h));
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_STOP);
	assert_false(hostchan_is_stopped(h));
	end(h);
}

static int ask_guest(struct hostchan *h, uint64_t on, const char *reply, size_t len)
{
	struct hostchan_guest g;
	int rc;

	fake.guest = (const uint8_t *)reply;
	fake.guest_len = len;
	fake.count = 0;
	rc = hostchan_guest(h, 7, NULL, on, &g);
	assert_true(rc || !g.len == !g.list);
	free(g.list);
	return rc;
}

#define GUEST(text) text, sizeof(text) - 1

static void a_guest_is_asked_for(void **state)
{
	struct hostchan *h = start(true);
	struct hostchan_guest g;

	fake.guest = (const uint8_t *)"\1\1\0\0\0\0\0\0\0\11list";
	fake.guest_len = 14;
	assert_int_equal(hostchan_guest(h, 7, NULL, 0, &g), 0);
	assert_int_equal(fake.types[fake.count - 1], CHANNEL_GUEST);
	assert_int_equal(g.what, CHANNEL_GUEST_NEW);
	assert_int_equal(g.on, 9);
	assert_true(g.measured && g.len == 4);
	assert_memory_equal(g.list, "list", 4);
	free(g.list);
	assert_int_equal(fake.asked_len, 12);
	assert_int_equal(hostchan_guest(h, 7, (const uint8_t *)"0123456789abcdef", 0, &g),
			 0);
	assert_int_equal(fake.asked_len, 28);
	assert_memory_equal(fake.asked + 12, "0123456789abcdef", 16);
	free(g.list);
	assert_int_equal(ask_guest(h, 9, GUEST("\2\0\0\0\0\0\0\0\0\11")), 0);
	assert_int_equal(ask_guest(h, 9, GUEST("\3\1\0\0\0\0\0\0\0\11")), 0);
	fake.status = EPERM;
	assert_int_equal(hostchan_guest(h, 7, NULL, 9, &g), -EPERM);
	assert_null(g.list);
	hostchan_refused(h, 8, "in use");
	assert_int_equal(hostchan_guest(h, 7, NULL, 9, &g), -EPERM);
	assert_int_equal(fake.types[fake.count - 2], CHANNEL_REFUSED);
	end(h);
}

/* None of these lets a guest in. */
static void nonsense_about_a_guest_is_a_refusal(void **state)
{
	struct hostchan *h = start(true);

	assert_int_equal(ask_guest(h, 9, GUEST("")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\1\1\0\0\0\0\0\0\0")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\0\1\0\0\0\0\0\0\0\11")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\4\1\0\0\0\0\0\0\0\11")), -EBADMSG);
	/* a flag of a newer vtpmd */
	assert_int_equal(ask_guest(h, 9, GUEST("\2\10\0\0\0\0\0\0\0\11")), -EBADMSG);
	/* a new guest with the last one's power-on, or none */
	assert_int_equal(ask_guest(h, 9, GUEST("\1\1\0\0\0\0\0\0\0\11")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\1\1\0\0\0\0\0\0\0\0")), -EBADMSG);
	/* measurements of a guest that was not measured */
	assert_int_equal(ask_guest(h, 9, GUEST("\1\0\0\0\0\0\0\0\0\7list")), -EBADMSG);
	/* one that goes on, where there is nothing to go on with */
	assert_int_equal(ask_guest(h, 0, GUEST("\2\0\0\0\0\0\0\0\0\0")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\2\0\0\0\0\0\0\0\0\10")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\3\0\0\0\0\0\0\0\0\10")), -EBADMSG);
	assert_int_equal(ask_guest(h, 9, GUEST("\3\1\0\0\0\0\0\0\0\11list")), -EBADMSG);
	end(h);
}

/* A vtpmd that was restarted is asked; one that stays away lets nobody in. */
static void a_guest_waits_for_vtpmd(void **state)
{
	struct hostchan *h = start(true);

	fake.gone = true;
	assert_int_equal(ask_guest(h, 9, GUEST("\2\0\0\0\0\0\0\0\0\11")), 0);
	assert_int_equal(fake.reopened, 1);
	fake.gone = fake.away = true;
	assert_int_equal(ask_guest(h, 9, GUEST("\2\0\0\0\0\0\0\0\0\11")), -EPIPE);
	end(h);
}

static void who_it_is_is_told(void **state)
{
	struct hostchan *h = start(false);
	uint32_t known = 9;

	fake.event_with = CHANNEL_EVENT_IDENTITY;
	assert_int_equal(hostchan_identity(h, (const uint8_t *)"key", 3, &known), 0);
	assert_int_equal(known, 2);
	fake.event_with = 0;
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_IDENTITY);
	fake.status = EPERM;
	assert_int_equal(hostchan_identity(h, (const uint8_t *)"key", 3, &known), -EPERM);
	fake.status = ENOSYS; /* a vtpmd of before */
	assert_int_equal(hostchan_identity(h, (const uint8_t *)"key", 3, &known), 0);
	assert_int_equal(known, UINT32_MAX);
	end(h);
}

static void idle_channel_resumes_by_itself(void **state)
{
	struct hostchan *h = start(true);

	fake.gone = true;
	assert_int_equal(hostchan_event(h), 0);
	assert_int_equal(fake.reopened, 1);
	assert_int_equal(hostchan_event(h), 0);
	assert_int_equal(fake.hello_mode, CHANNEL_RESUMED);
	end(h);
}

/* vtpmd may ask at once; nothing would wake the manager for it later. */
static void an_event_right_behind_the_second_hello_is_heard(void **state)
{
	struct hostchan *h = start(true);

	fake.gone = true;
	assert_int_equal(hostchan_event(h), 0);
	fake.event_after = CHANNEL_EVENT_STATUS;
	assert_int_equal(hostchan_event(h), CHANNEL_EVENT_STATUS);
	assert_int_equal(fake.to_pos, fake.to_len);
	end(h);
}

static void later_puts_do_not_wait(void **state)
{
	struct hostchan *h = start(true);
	struct state_place p = hostchan_place(h);

	assert_int_equal(p.put_later(p.ctx, CHANNEL_OBJECT_PERMALL, 50, NULL, 0), 0);
	assert_int_equal(fake.put_seq, 50);
	fake.gone = true;
	assert_int_equal(p.put_later(p.ctx, CHANNEL_OBJECT_PERMALL, 51, NULL, 0), 0);
	assert_int_equal(p.put(p.ctx, CHANNEL_OBJECT_PERMALL, 52, NULL, 0), 0);
	assert_int_equal(fake.put_seq, 52);
	end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_is_said_at_once),
		cmocka_unit_test(nobody_to_say_hello_to),
		cmocka_unit_test(gets_and_puts),
		cmocka_unit_test(put_is_sent_again_after_a_loss),
		cmocka_unit_test(loss_during_the_second_hello),
		cmocka_unit_test(other_calls_fail_but_the_channel_comes_back),
		cmocka_unit_test(loss_before_running_is_final),
		cmocka_unit_test(garbage_is_a_loss),
		cmocka_unit_test(events_beside_replies_are_kept),
		cmocka_unit_test(steps_that_come_at_once_are_kept),
		cmocka_unit_test(a_configuration_that_is_read_anew),
		cmocka_unit_test(a_lease_is_asked_for),
		cmocka_unit_test(a_guest_is_asked_for),
		cmocka_unit_test(nonsense_about_a_guest_is_a_refusal),
		cmocka_unit_test(a_guest_waits_for_vtpmd),
		cmocka_unit_test(who_it_is_is_told),
		cmocka_unit_test(idle_channel_resumes_by_itself),
		cmocka_unit_test(an_event_right_behind_the_second_hello_is_heard),
		cmocka_unit_test(later_puts_do_not_wait),
	};

	return cmocka_run_group_tests_name("hostchan", tests, NULL, NULL);
}
