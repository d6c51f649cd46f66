/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/hostchan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A request: its payload is head, then body.  After a reconnection a call that
 * may be repeated is sent again, any other one fails with -EPIPE. */
struct hostchan_call {
	uint16_t type;
	bool repeat;
	int ms; /* limit for the reply; 0: none */
	const uint8_t *head;
	size_t head_len;
	const uint8_t *body;
	size_t body_len;
	/* out: the data after the status; free(reply) */
	uint8_t *reply;
	size_t reply_len;
	char text[160]; /* out: the sentence of a refusal */
};

/* In the order in which they are answered. */
static const uint16_t events[] = {
	CHANNEL_EVENT_STOP,	  CHANNEL_EVENT_GUEST,	CHANNEL_EVENT_REKEY,
	CHANNEL_EVENT_REKEY_DEEP, CHANNEL_EVENT_ATTEST, CHANNEL_EVENT_IDENTITY,
	CHANNEL_EVENT_STATUS,	  CHANNEL_EVENT_MOVE,
};

static int hostchan_call(struct hostchan *h, struct hostchan_call *c);

static int send_all(struct hostchan *h, const uint8_t *p, size_t len)
{
	ssize_t n;
	int rc;

	while (len) {
		n = h->io.ops->write(&h->io, p, len);
		if (n < 0)
			return (int)n;
		p += n;
		len -= (size_t)n;
		if (n)
			continue;
		rc = h->io.ops->wait(&h->io, true, -1);
		if (rc)
			return rc;
	}
	return 0;
}

static int send_call(struct hostchan *h, const struct hostchan_call *c, uint32_t *id)
{
	uint8_t header[CHANNEL_HEADER_SIZE];
	int rc;

	if (c->head_len + c->body_len > CHANNEL_PAYLOAD_MAX)
		return -EMSGSIZE;
	/* 0 is the id of events */
	if (++h->last_id == 0)
		h->last_id = 1;
	*id = h->last_id;
	channel_header(header, c->type, *id, c->head_len + c->body_len);
	rc = send_all(h, header, sizeof(header));
	if (!rc)
		rc = send_all(h, c->head, c->head_len);
	if (!rc)
		rc = send_all(h, c->body, c->body_len);
	return rc;
}

/* The next frame; -ETIMEDOUT when none came within ms (< 0: no limit). */
static int receive(struct hostchan *h, int ms, struct channel_frame *f)
{
	size_t room;
	uint8_t *p;
	ssize_t n;
	int rc;

	for (;;) {
		p = channel_reader_room(&h->in, &room);
		n = h->io.ops->read(&h->io, p, room);
		if (n < 0)
			return (int)n;
		if (!n) {
			rc = h->io.ops->wait(&h->io, false, ms);
			if (rc)
				return rc;
			continue;
		}
		rc = channel_reader_add(&h->in, (size_t)n);
		if (rc < 0)
			return -EPIPE;
		if (rc)
			break;
	}
	channel_reader_take(&h->in, f);
	return 0;
}

/* 0: no event that is known. */
static uint32_t event_bit(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i] == type)
			return 1u << i;
	return 0;
}

/* 0: a step that nobody knows. */
static uint8_t step_kind(const uint8_t *payload, size_t len)
{
	return len && payload[0] < CHANNEL_MOVE_STEPS ? payload[0] : 0;
}

static void remove_step(struct hostchan *h, size_t i)
{
	h->steps_len--;
	memmove(h->steps + i, h->steps + i + 1, (h->steps_len - i) * sizeof(*h->steps));
}

/* ACTIVATE and THAW have no answer, so that the next step may come before they are taken. */
static void note_step(struct hostchan *h, struct channel_frame *f)
{
	uint8_t kind = step_kind(f->payload, f->len);
	size_t i;

	for (i = 0; i < h->steps_len; i++) {
		if (step_kind(h->steps[i].payload, h->steps[i].len) != kind)
			continue;
		free(h->steps[i].payload);
		remove_step(h, i);
		break;
	}
	h->steps[h->steps_len++] = (struct hostchan_step){f->payload, f->len};
}

/* Takes the payload over. */
static void note_event(struct hostchan *h, struct channel_frame *f)
{
	h->pending |= event_bit(f->type);
	if (f->type == CHANNEL_EVENT_ATTEST) {
		free(h->payload);
		h->payload = f->payload;
		h->payload_len = f->len;
	} else if (f->type == CHANNEL_EVENT_MOVE) {
		note_step(h, f);
	} else {
		free(f->payload);
	}
}

/* Splits the reply's status from its data; takes the payload over. */
static int take_reply(struct hostchan_call *c, struct channel_frame *f)
{
	struct cursor in = cursor_reader(f->payload, f->len);
	uint32_t status = cursor_u32(&in);
	size_t len = cursor_left(&in), n = len;

	if (!cursor_ok(&in) || status > 4095) {
		free(f->payload);
		return -EPIPE;
	}
	if (!status) {
		c->reply_len = len;
		memmove(f->payload, f->payload + in.pos, len);
		c->reply = f->payload;
		return 0;
	}
	if (n >= sizeof(c->text))
		n = sizeof(c->text) - 1;
	cursor_copy(&in, c->text, n);
	c->text[n] = 0;
	free(f->payload);
	return -(int)status;
}

/* Waits for the reply to the request of that id. */
static int await_reply(struct hostchan *h, struct hostchan_call *c, uint32_t id)
{
	struct channel_frame f;
	int rc;

	for (;;) {
		rc = receive(h, c->ms ? c->ms : -1, &f);
		if (rc)
			return rc;
		if (f.id == id && f.type == (c->type | CHANNEL_REPLY))
			return take_reply(c, &f);
		/* an event, or the late reply of a call that has ended */
		if (!f.id)
			note_event(h, &f);
		else
			free(f.payload);
	}
}

static int exchange_frames(struct hostchan *h, struct hostchan_call *c)
{
	uint32_t id;
	int rc = send_call(h, c, &id);

	return rc ? rc : await_reply(h, c, id);
}

/* The connection is gone: listen for the next one. */
static int lose(struct hostchan *h)
{
	h->up = false;
	channel_reader_reset(&h->in);
	if (!h->running)
		return -EPIPE;
	return h->io.ops->reopen(&h->io);
}

/* Says HELLO to vtpmd. */
static int send_hello(struct hostchan *h, uint32_t *id)
{
	uint8_t head[29];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {.type = CHANNEL_HELLO, .head = head};

	cursor_put_u16(&w, CHANNEL_VERSION_MIN);
	cursor_put_u16(&w, CHANNEL_VERSION);
	cursor_put_u8(&w, h->running ? CHANNEL_RESUMED : CHANNEL_STARTING);
	cursor_put(&w, h->uuid, sizeof(h->uuid));
	cursor_put_u64(&w, h->seq ? *h->seq : 0);
	c.head_len = w.pos;
	return send_call(h, &c, id);
}

/* Waits until vtpmd has answered HELLO; the reply is in *c. */
static int await_hello(struct hostchan *h, struct hostchan_call *c, uint32_t id)
{
	int rc;

	c->type = CHANNEL_HELLO;
	rc = await_reply(h, c, id);
	h->up = !rc;
	return rc;
}

/* Says HELLO to a vtpmd that has just come. */
static int resume(struct hostchan *h)
{
	struct hostchan_call c = {0};
	uint32_t id;
	int rc = send_hello(h, &id);

	if (!rc)
		rc = await_hello(h, &c, id);
	free(c.reply);
	return rc;
}

/* Waits for vtpmd, however long it takes. */
static int reconnect(struct hostchan *h)
{
	int rc;

	for (;;) {
		while (!h->io.ops->connected(&h->io)) {
			rc = h->io.ops->wait(&h->io, false, -1);
			if (rc)
				return rc;
		}
		rc = resume(h);
		if (rc != -EPIPE)
			return rc;
		rc = lose(h);
		if (rc)
			return rc;
	}
}

static uint64_t hostchan_call_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t hostchan_call_now_ms(void)
{
	return (int64_t)(hostchan_call_now_ns() / 1000000);
}

/* Waits until there is a connection; -EPIPE: not within ms. */
static int hostchan_call_await(struct hostchan *h, int ms)
{
	int64_t until = hostchan_call_now_ms() + ms;
	int rc = 0, left;

	while (!h->up && h->running && !rc) {
		left = (int)(until - hostchan_call_now_ms());
		if (left <= 0)
			return -EPIPE;
		if (!h->io.ops->connected(&h->io)) {
			rc = h->io.ops->wait(&h->io, false, left);
			if (rc == -ETIMEDOUT)
				return -EPIPE;
			continue;
		}
		rc = resume(h);
		if (rc == -EPIPE)
			rc = lose(h);
	}
	return h->up || rc ? rc : -EPIPE;
}

static int call_until_answered(struct hostchan *h, struct hostchan_call *c)
{
	int rc;

	for (;;) {
		rc = h->up ? 0 : h->running ? reconnect(h) : -EPIPE;
		if (!rc)
			rc = exchange_frames(h, c);
		if (rc != -EPIPE)
			return rc;
		rc = lose(h);
		if (rc || !c->repeat)
			return -EPIPE;
	}
}

/* 0; -EPIPE: no connection; else the negative errno that vtpmd replied. */
static int hostchan_call(struct hostchan *h, struct hostchan_call *c)
{
	uint64_t start = hostchan_call_now_ns();
	int rc = call_until_answered(h, c);

	h->waited_ns += hostchan_call_now_ns() - start;
	return rc;
}

/* The same; gives the data after the status to the caller: free(*buf). */
static int hostchan_call_bytes(struct hostchan *h, struct hostchan_call *c, uint8_t **buf,
			       size_t *len)
{
	int rc = hostchan_call(h, c);

	if (rc)
		return rc;
	*buf = c->reply;
	*len = c->reply_len;
	return 0;
}

/* Sends a request and never looks at its reply. */
static int hostchan_call_later(struct hostchan *h, struct hostchan_call *c)
{
	uint32_t id;
	int rc = -EPIPE;

	if (h->up)
		rc = send_call(h, c, &id);
	if (rc == -EPIPE && h->up)
		rc = lose(h);
	return rc;
}

/* Takes in what has arrived, without waiting; -EPIPE when the channel is over. */
static int hostchan_call_poll(struct hostchan *h)
{
	struct channel_frame f;
	int rc;

	if (!h->up) {
		if (!h->running)
			return -EPIPE;
		rc = h->io.ops->wait(&h->io, false, 0);
		if (rc && rc != -ETIMEDOUT)
			return lose(h);
		if (!h->io.ops->connected(&h->io))
			return 0;
		rc = resume(h);
		if (rc)
			return rc == -EPIPE ? lose(h) : rc;
	}
	/* Up to the last byte, also right after a reconnection: only who has found
	 * nothing to read is woken by what comes next. */
	while (!(rc = receive(h, 0, &f))) {
		if (!f.id)
			note_event(h, &f);
		else
			free(f.payload);
	}
	return rc == -ETIMEDOUT ? 0 : lose(h);
}

/* How long to wait for vtpmd to acknowledge FAIL. */
#define FAIL_MS 5000
/* How long a guest waits for a vtpmd that is away; its toolstack waits 10 s for us. */
#define GUEST_MS 7000

int hostchan_open(struct hostchan **out, const struct hostchan_io *io, bool greets)
{
	struct hostchan *h = calloc(1, sizeof(*h));
	struct hostchan_io unused = *io;
	int rc = 0;

	if (!h) {
		unused.ops->close(&unused);
		return -ENOMEM;
	}
	h->io = *io;
	if (greets)
		rc = send_hello(h, &h->hello);
	if (rc) {
		hostchan_close(h);
		return rc;
	}
	*out = h;
	return 0;
}

int hostchan_open_vchan(struct hostchan **out, struct error *e)
{
	struct hostchan_io io;
	int rc = hostchan_io_vchan(&io);

	if (rc)
		return error_set(e, rc, CAUSE_CHANNEL,
				 "The host channel could not be offered to domain 0: "
				 "see whether xenstore's " CHANNEL_XS_PATH
				 " is writable for this domain.");
	rc = hostchan_open(out, &io, true);
	if (rc)
		return error_set(e, rc, CAUSE_CHANNEL,
				 "The host channel could not be prepared for vtpmd.");
	return 0;
}

int hostchan_open_fd(struct hostchan **out, int fd, struct error *e)
{
	struct hostchan_io io = {.fd = -1};
	int rc = hostchan_io_fd(&io, fd);

	if (!rc)
		rc = hostchan_open(out, &io, false);
	if (rc)
		return error_set(
			e, rc, CAUSE_CHANNEL,
			"File descriptor %d is no host channel: this mode is for "
			"managers that vtpmd starts.",
			fd);
	return 0;
}

void hostchan_close(struct hostchan *h)
{
	if (!h)
		return;
	channel_reader_reset(&h->in);
	h->io.ops->close(&h->io);
	free(h->payload);
	for (size_t i = 0; i < h->steps_len; i++)
		free(h->steps[i].payload);
	free(h);
}

int hostchan_hello(struct hostchan *h, uint8_t **config, size_t *len, struct error *e)
{
	struct hostchan_call c = {0};
	struct cursor in;
	uint16_t chosen;
	int rc = h->hello ? 0 : send_hello(h, &h->hello);

	if (!rc)
		rc = await_hello(h, &c, h->hello);
	if (rc)
		return error_set(e, rc, rc == -EPROTO ? CAUSE_VERSION : CAUSE_CHANNEL,
				 "vtpmd did not accept this manager: %s",
				 c.text[0] ? c.text : "the connection was closed.");
	in = cursor_reader(c.reply, c.reply_len);
	chosen = cursor_u16(&in);
	if (!cursor_ok(&in) || chosen < CHANNEL_VERSION_MIN || chosen > CHANNEL_VERSION) {
		free(c.reply);
		return error_set(e, -EPROTO, CAUSE_VERSION,
				 "vtpmd chose a host channel version that this manager "
				 "does not speak: install both from one release.");
	}
	*len = cursor_left(&in);
	memmove(c.reply, c.reply + in.pos, *len);
	*config = c.reply;
	return 0;
}

void hostchan_running(struct hostchan *h, const uint8_t uuid[16], const uint64_t *seq)
{
	memcpy(h->uuid, uuid, sizeof(h->uuid));
	h->seq = seq;
	h->running = true;
}

uint64_t hostchan_waited_ns(const struct hostchan *h)
{
	return h->waited_ns;
}

/* A call whose reply's bytes go into a buffer of *room bytes. */
static int call_into(struct hostchan *h, struct hostchan_call *c, uint8_t *out,
		     size_t *room)
{
	int rc = hostchan_call(h, c);

	if (!rc && c->reply_len > *room)
		rc = -EMSGSIZE;
	if (!rc) {
		memcpy(out, c->reply, c->reply_len);
		*room = c->reply_len;
	}
	free(c->reply);
	return rc;
}

/* A call whose reply carries nothing. */
static int call_plain(struct hostchan *h, uint16_t type, const uint8_t *buf, size_t len)
{
	struct hostchan_call c = {.type = type, .body = buf, .body_len = len};
	int rc = hostchan_call(h, &c);

	free(c.reply);
	return rc;
}

int hostchan_tpm(void *hostchan, const uint8_t *cmd, size_t len, uint8_t *rsp,
		 size_t *rsp_len)
{
	struct hostchan_call c = {.type = CHANNEL_TPM, .body = cmd, .body_len = len};

	return call_into(hostchan, &c, rsp, rsp_len);
}

int hostchan_kms_open(void *hostchan, unsigned int nth)
{
	uint8_t head[2];
	struct cursor w = cursor_writer(head, sizeof(head));

	cursor_put_u16(&w, (uint16_t)nth);
	return call_plain(hostchan, CHANNEL_KMS_OPEN, head, sizeof(head));
}

int hostchan_kms_send(void *hostchan, const uint8_t *buf, size_t len)
{
	size_t n;
	int rc = 0;

	for (; len && !rc; buf += n, len -= n) {
		n = len < 16384 ? len : 16384;
		rc = call_plain(hostchan, CHANNEL_KMS_SEND, buf, n);
	}
	return rc;
}

int hostchan_kms_recv(void *hostchan, uint8_t *buf, size_t room)
{
	uint8_t head[4];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_KMS_RECV,
		.head = head,
		.head_len = sizeof(head),
	};
	int rc;

	if (room > 16384)
		room = 16384;
	cursor_put_u32(&w, (uint32_t)room);
	rc = call_into(hostchan, &c, buf, &room);
	return rc ? rc : (int)room;
}

void hostchan_kms_close(void *hostchan)
{
	/* the tunnel ends with the connection at the latest */
	(void)!call_plain(hostchan, CHANNEL_KMS_CLOSE, NULL, 0);
}

int hostchan_ready(struct hostchan *h, uint64_t seq)
{
	uint8_t head[8];
	struct cursor w = cursor_writer(head, sizeof(head));

	cursor_put_u64(&w, seq);
	return call_plain(h, CHANNEL_READY, head, sizeof(head));
}

int hostchan_identity(void *hostchan, const uint8_t *keys, size_t len, uint32_t *known)
{
	struct hostchan_call c = {
		.type = CHANNEL_IDENTITY, .body = keys, .body_len = len};
	uint8_t reply[4];
	size_t room = sizeof(reply);
	int rc = call_into(hostchan, &c, reply, &room);
	struct cursor r = cursor_reader(reply, rc ? 0 : room);

	if (rc == -ENOSYS) { /* an older vtpmd, without identities */
		*known = UINT32_MAX;
		return 0;
	}
	*known = cursor_u32(&r);
	return rc || cursor_done(&r) ? rc : -EBADMSG;
}

int hostchan_config(struct hostchan *h, uint8_t **tlvs, size_t *len)
{
	struct hostchan_call c = {.type = CHANNEL_CONFIG, .repeat = true};

	return hostchan_call_bytes(h, &c, tlvs, len);
}

/* A new guest has a power-on of its own, the others the one that there is. */
static bool makes_sense(const struct hostchan_guest *g, uint64_t on)
{
	if (g->what == CHANNEL_GUEST_NEW)
		return g->on && g->on != on && (g->measured || !g->len);
	return (g->what == CHANNEL_GUEST_SAME || g->what == CHANNEL_GUEST_RESUMED) &&
	       on && g->on == on && !g->len;
}

static int parse_guest(const struct hostchan_call *c, uint64_t on,
		       struct hostchan_guest *g)
{
	struct cursor r = cursor_reader(c->reply, c->reply_len);
	uint8_t flags;

	g->what = cursor_u8(&r);
	flags = cursor_u8(&r);
	g->measured = flags & CHANNEL_GUEST_IS_MEASURED;
	g->crb = flags & CHANNEL_GUEST_IS_HVM;
	g->cleared = flags & CHANNEL_GUEST_IS_CLEARED;
	g->on = cursor_u64(&r);
	g->len = cursor_left(&r);
	if (!cursor_ok(&r) || flags & ~CHANNEL_GUEST_IS_ALL || !makes_sense(g, on))
		return -EBADMSG;
	g->list = g->len ? malloc(g->len) : NULL;
	if (g->len && !g->list)
		return -ENOMEM;
	cursor_copy(&r, g->list, g->len);
	return 0;
}

int hostchan_guest(struct hostchan *h, uint32_t domid, const uint8_t *device, uint64_t on,
		   struct hostchan_guest *g)
{
	uint8_t head[12 + 16];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_GUEST,
		.head = head,
	};
	int64_t until = hostchan_call_now_ms() + GUEST_MS;
	int rc;

	memset(g, 0, sizeof(*g));
	cursor_put_u32(&w, domid);
	cursor_put_u64(&w, on);
	if (device)
		cursor_put(&w, device, 16);
	c.head_len = w.pos;
	do {
		c.ms = (int)(until - hostchan_call_now_ms());
		rc = hostchan_call_await(h, c.ms);
		if (rc)
			break;
		rc = hostchan_call(h, &c);
	} while (rc == -EPIPE && h->running && hostchan_call_now_ms() < until);
	if (rc == -ETIMEDOUT)
		rc = -EPIPE;
	memcpy(g->why, c.text, sizeof(g->why));
	if (!rc)
		rc = parse_guest(&c, on, g);
	free(c.reply);
	return rc;
}

int hostchan_cleared(struct hostchan *h, uint32_t code)
{
	uint8_t head[4];
	struct cursor w = cursor_writer(head, sizeof(head));

	cursor_put_u32(&w, code);
	return call_plain(h, CHANNEL_CLEARED, head, sizeof(head));
}

int hostchan_renew(struct hostchan *h, uint32_t *ms)
{
	struct hostchan_call c = {.type = CHANNEL_RENEW, .repeat = true};
	uint8_t reply[4];
	size_t room = sizeof(reply);
	int rc = call_into(h, &c, reply, &room);
	struct cursor r = cursor_reader(reply, rc ? 0 : room);

	*ms = cursor_u32(&r);
	if (rc)
		return rc;
	return cursor_done(&r) && *ms <= CHANNEL_LEASE_MAX_MS ? 0 : -EBADMSG;
}

void hostchan_pause(struct hostchan *h, int ms)
{
	/* what failed, the next call finds as well */
	(void)!h->io.ops->wait(&h->io, false, ms);
}

bool hostchan_is_stopped(const struct hostchan *h)
{
	size_t i = 0;

	while (events[i] != CHANNEL_EVENT_STOP)
		i++;
	return h->pending & 1u << i;
}

/* A call that carries why something failed, or CAUSE_NONE.  head: 4 bytes for it. */
static struct hostchan_call cause_call(uint16_t type, const struct error *e,
				       uint8_t head[static 4])
{
	struct cursor w = cursor_writer(head, 4);

	cursor_put_u32(&w, e->cause);
	return (struct hostchan_call){
		.type = type,
		.head = head,
		.head_len = w.pos,
		.body = (const uint8_t *)e->text,
		.body_len = strnlen(e->text, sizeof(e->text)),
	};
}

void hostchan_rekeyed(struct hostchan *h, const struct error *e)
{
	uint8_t head[4];
	struct hostchan_call c = cause_call(CHANNEL_REKEYED, e, head);

	(void)!hostchan_call(h, &c);
	free(c.reply);
}

void hostchan_fail(struct hostchan *h, const struct error *e)
{
	uint8_t head[4];
	struct hostchan_call c = cause_call(CHANNEL_FAIL, e, head);

	c.ms = FAIL_MS;
	if (h->up)
		(void)!hostchan_call(h, &c);
	free(c.reply);
}

void hostchan_log(struct hostchan *h, int level, const char *text)
{
	uint8_t head[1] = {(uint8_t)level};
	struct hostchan_call c = {
		.type = CHANNEL_LOG,
		.head = head,
		.head_len = sizeof(head),
		.body = (const uint8_t *)text,
		.body_len = strnlen(text, 1024),
	};

	hostchan_call_later(h, &c);
}

void hostchan_refused(struct hostchan *h, uint32_t domid, const char *why)
{
	uint8_t head[4];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_REFUSED,
		.head = head,
		.head_len = sizeof(head),
		.body = (const uint8_t *)why,
		.body_len = strnlen(why, 256),
	};

	cursor_put_u32(&w, domid);
	hostchan_call_later(h, &c);
}

int hostchan_fd(const struct hostchan *h)
{
	return h->io.ops->fd(&h->io);
}

int hostchan_event(struct hostchan *h)
{
	size_t i;
	int rc;

	if (!h->pending) {
		rc = hostchan_call_poll(h);
		if (rc)
			return rc;
	}
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (!(h->pending & 1u << i))
			continue;
		h->pending &= ~(1u << i);
		return events[i];
	}
	return 0;
}

uint8_t *hostchan_event_payload(struct hostchan *h, size_t *len)
{
	uint8_t *payload = h->payload;

	*len = payload ? h->payload_len : 0;
	h->payload = NULL;
	return payload;
}

uint8_t *hostchan_move_payload(struct hostchan *h, size_t *len)
{
	struct hostchan_step first =
		h->steps_len ? h->steps[0] : (struct hostchan_step){0};

	*len = first.len;
	if (h->steps_len)
		remove_step(h, 0);
	if (h->steps_len)
		h->pending |= event_bit(CHANNEL_EVENT_MOVE);
	return first.payload;
}

int hostchan_moved(struct hostchan *h, enum channel_move step, const struct error *e,
		   const uint8_t *bytes, size_t len)
{
	uint8_t head[5];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {.type = CHANNEL_MOVED,
				  .head = head,
				  .head_len = sizeof(head),
				  .body = bytes,
				  .body_len = len};
	int rc;

	cursor_put_u8(&w, (uint8_t)step);
	cursor_put_u32(&w, e->cause);
	if (e->cause) {
		c.body = (const uint8_t *)e->text;
		c.body_len = strnlen(e->text, sizeof(e->text));
	}
	rc = hostchan_call(h, &c);
	free(c.reply);
	return rc;
}

int hostchan_status(struct hostchan *h, const uint8_t *tlvs, size_t len)
{
	struct hostchan_call c = {.type = CHANNEL_STATUS, .body = tlvs, .body_len = len};
	int rc = hostchan_call_later(h, &c);

	return rc == -EPIPE && h->running ? 0 : rc;
}

/* How long a guest waits for the host's TPM, which others may use. */
#define QUOTE_MS 20000

int hostchan_quote(void *hostchan, const uint8_t *request, size_t len, uint8_t **reply,
		   size_t *reply_len)
{
	struct hostchan *h = hostchan;
	struct hostchan_call c = {
		.type = CHANNEL_QUOTE, .ms = QUOTE_MS, .body = request, .body_len = len};

	return h->up ? hostchan_call_bytes(h, &c, reply, reply_len) : -EPIPE;
}

void hostchan_attested(struct hostchan *h, const struct error *e, const char *evidence,
		       size_t len)
{
	uint8_t head[4];
	struct hostchan_call c = cause_call(CHANNEL_ATTEST, e, head);

	if (e->cause == CAUSE_NONE) {
		c.body = (const uint8_t *)evidence;
		c.body_len = len;
	}
	hostchan_call_later(h, &c);
}

static int place_get(void *ctx, enum channel_object object, uint8_t **buf, size_t *len)
{
	uint8_t head[2];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_GET,
		.repeat = true,
		.head = head,
		.head_len = sizeof(head),
	};

	cursor_put_u16(&w, (uint16_t)object);
	return hostchan_call_bytes(ctx, &c, buf, len);
}

static int put_channel(struct hostchan *h, bool later, enum channel_object object,
		       uint64_t seq, const uint8_t *buf, size_t len)
{
	uint8_t head[10];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_PUT,
		.repeat = true,
		.head = head,
		.head_len = sizeof(head),
		.body = buf,
		.body_len = len,
	};
	int rc;

	cursor_put_u16(&w, (uint16_t)object);
	cursor_put_u64(&w, seq);
	if (later)
		return hostchan_call_later(h, &c);
	rc = hostchan_call(h, &c);
	free(c.reply);
	return rc;
}

static int place_put(void *ctx, enum channel_object object, uint64_t seq,
		     const uint8_t *buf, size_t len)
{
	return put_channel(ctx, false, object, seq, buf, len);
}

/* While vtpmd is away the write is dropped: it was not acknowledged, and the
 * next one carries it. */
static int place_put_later(void *ctx, enum channel_object object, uint64_t seq,
			   const uint8_t *buf, size_t len)
{
	int rc = put_channel(ctx, true, object, seq, buf, len);

	return rc == -EPIPE ? 0 : rc;
}

struct state_place hostchan_place(struct hostchan *h)
{
	return (struct state_place){
		.ctx = h,
		.get = place_get,
		.put = place_put,
		.put_later = place_put_later,
	};
}
