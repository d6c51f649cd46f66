/* SPDX-License-Identifier: Apache-2.0 */
#include "hostchan_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void note_event(struct hostchan *h, uint16_t type)
{
	if (type == CHANNEL_EVENT_STOP)
		h->stop = true;
	else if (type == CHANNEL_EVENT_STATUS)
		h->status = true;
	else if (type == CHANNEL_EVENT_GUEST)
		h->guest = true;
	else if (type == CHANNEL_EVENT_REKEY)
		h->rekey = true;
	else if (type == CHANNEL_EVENT_REKEY_DEEP)
		h->deep = true;
	else if (type == CHANNEL_EVENT_ATTEST)
		h->attest = true;
	else if (type == CHANNEL_EVENT_IDENTITY)
		h->identity = true;
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

static int exchange(struct hostchan *h, struct hostchan_call *c)
{
	struct channel_frame f;
	uint32_t id;
	int rc;

	rc = send_call(h, c, &id);
	while (!rc) {
		rc = receive(h, c->ms ? c->ms : -1, &f);
		if (rc)
			break;
		if (f.id == id && f.type == (c->type | CHANNEL_REPLY))
			return take_reply(c, &f);
		/* an event, or the reply of a call that nobody waits for */
		if (!f.id)
			note_event(h, f.type);
		free(f.payload);
	}
	return rc;
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

int hostchan_call_hello(struct hostchan *h, struct hostchan_call *c)
{
	uint8_t head[29];
	struct cursor w = cursor_writer(head, sizeof(head));
	int rc;

	cursor_put_u16(&w, CHANNEL_VERSION);
	cursor_put_u16(&w, CHANNEL_VERSION);
	cursor_put_u8(&w, h->running ? CHANNEL_RESUMED : CHANNEL_STARTING);
	cursor_put(&w, h->uuid, sizeof(h->uuid));
	cursor_put_u64(&w, h->seq ? *h->seq : 0);
	c->type = CHANNEL_HELLO;
	c->head = head;
	c->head_len = w.pos;
	rc = exchange(h, c);
	c->head = NULL;
	h->up = !rc;
	return rc;
}

static int resume(struct hostchan *h)
{
	struct hostchan_call c = {0};
	int rc = hostchan_call_hello(h, &c);

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

int64_t hostchan_call_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int hostchan_call_await(struct hostchan *h, int ms)
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

int hostchan_call(struct hostchan *h, struct hostchan_call *c)
{
	int rc;

	for (;;) {
		rc = h->up ? 0 : h->running ? reconnect(h) : -EPIPE;
		if (!rc)
			rc = exchange(h, c);
		if (rc != -EPIPE)
			return rc;
		rc = lose(h);
		if (rc || !c->repeat)
			return -EPIPE;
	}
}

int hostchan_call_bytes(struct hostchan *h, struct hostchan_call *c, uint8_t **buf,
			size_t *len)
{
	int rc = hostchan_call(h, c);

	if (rc)
		return rc;
	*buf = c->reply;
	*len = c->reply_len;
	return 0;
}

int hostchan_call_later(struct hostchan *h, struct hostchan_call *c)
{
	uint32_t id;
	int rc = -EPIPE;

	if (h->up)
		rc = send_call(h, c, &id);
	if (rc == -EPIPE && h->up)
		rc = lose(h);
	return rc;
}

int hostchan_call_poll(struct hostchan *h)
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
			note_event(h, f.type);
		free(f.payload);
	}
	return rc == -ETIMEDOUT ? 0 : lose(h);
}
