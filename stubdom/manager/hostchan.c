/* SPDX-License-Identifier: Apache-2.0 */
#include "hostchan.h"
#include "hostchan_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long a manager that gives up waits for vtpmd to hear it. */
#define FAIL_MS 5000
/* How long a guest waits for a vtpmd that is away; its toolstack waits 10 s for us. */
#define GUEST_MS 7000

static int open_with(struct hostchan **out, struct hostchan_io *io)
{
	struct hostchan *h = calloc(1, sizeof(*h));

	if (!h) {
		io->ops->close(io);
		return -ENOMEM;
	}
	h->io = *io;
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
	while (!rc && !io.ops->connected(&io))
		rc = io.ops->wait(&io, false, -1);
	if (!rc)
		rc = open_with(out, &io);
	if (rc)
		return error_set(e, rc, CAUSE_CHANNEL,
				 "Waiting for vtpmd on the host channel failed.");
	return 0;
}

int hostchan_open_fd(struct hostchan **out, int fd, struct error *e)
{
	struct hostchan_io io = {.fd = -1};
	int rc = hostchan_io_fd(&io, fd);

	if (!rc)
		rc = open_with(out, &io);
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
	free(h);
}

int hostchan_hello(struct hostchan *h, uint8_t **config, size_t *len, struct error *e)
{
	struct hostchan_call c = {0};
	struct cursor in;
	int rc = hostchan_call_hello(h, &c);

	if (rc)
		return error_set(e, rc, rc == -EPROTO ? CAUSE_VERSION : CAUSE_CHANNEL,
				 "vtpmd did not accept this manager: %s",
				 c.text[0] ? c.text : "the connection was closed.");
	in = cursor_reader(c.reply, c.reply_len);
	if (cursor_u16(&in) != CHANNEL_VERSION || !cursor_ok(&in)) {
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

	if (rc == -ENOSYS) { /* of before there were any: it wants none */
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

	g->what = cursor_u8(&r);
	g->measured = cursor_u8(&r) != 0;
	g->on = cursor_u64(&r);
	g->len = cursor_left(&r);
	if (!cursor_ok(&r) || !makes_sense(g, on))
		return -EBADMSG;
	g->list = g->len ? malloc(g->len) : NULL;
	if (g->len && !g->list)
		return -ENOMEM;
	cursor_copy(&r, g->list, g->len);
	return 0;
}

int hostchan_guest(struct hostchan *h, uint32_t domid, uint64_t on,
		   struct hostchan_guest *g)
{
	uint8_t head[12];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_GUEST,
		.head = head,
		.head_len = sizeof(head),
	};
	int64_t until = hostchan_call_now_ms() + GUEST_MS;
	int rc;

	memset(g, 0, sizeof(*g));
	cursor_put_u32(&w, domid);
	cursor_put_u64(&w, on);
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

void hostchan_rekeyed(struct hostchan *h, const struct error *e)
{
	uint8_t head[4];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_REKEYED,
		.head = head,
		.head_len = sizeof(head),
		.body = (const uint8_t *)e->text,
		.body_len = strnlen(e->text, sizeof(e->text)),
	};

	cursor_put_u32(&w, e->cause);
	if (!hostchan_call(h, &c))
		free(c.reply);
}

void hostchan_fail(struct hostchan *h, const struct error *e)
{
	uint8_t head[4];
	struct cursor w = cursor_writer(head, sizeof(head));
	struct hostchan_call c = {
		.type = CHANNEL_FAIL,
		.ms = FAIL_MS,
		.head = head,
		.head_len = sizeof(head),
		.body = (const uint8_t *)e->text,
		.body_len = strnlen(e->text, sizeof(e->text)),
	};

	cursor_put_u32(&w, e->cause);
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

int hostchan_fd(const struct hostchan *h)
{
	return h->io.ops->fd(&h->io);
}

int hostchan_event(struct hostchan *h)
{
	const struct {
		bool *came;
		int event;
	} events[] = {
		{&h->stop, CHANNEL_EVENT_STOP},
		{&h->guest, CHANNEL_EVENT_GUEST},
		{&h->rekey, CHANNEL_EVENT_REKEY},
		{&h->deep, CHANNEL_EVENT_REKEY_DEEP},
		{&h->attest, CHANNEL_EVENT_ATTEST},
		{&h->identity, CHANNEL_EVENT_IDENTITY},
		{&h->status, CHANNEL_EVENT_STATUS},
	};
	size_t i;
	int rc;

	if (!h->stop && !h->guest && !h->rekey && !h->deep && !h->identity &&
	    !h->attest && !h->status) {
		rc = hostchan_call_poll(h);
		if (rc)
			return rc;
	}
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (!*events[i].came)
			continue;
		*events[i].came = false;
		return events[i].event;
	}
	return 0;
}

int hostchan_status(struct hostchan *h, const uint8_t *tlvs, size_t len)
{
	struct hostchan_call c = {.type = CHANNEL_STATUS, .body = tlvs, .body_len = len};
	int rc = hostchan_call_later(h, &c);

	return rc == -EPIPE && h->running ? 0 : rc;
}
