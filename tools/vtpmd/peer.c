/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer.h"
#include "tools/vtpmd/peer_kms.h"
#include "tools/vtpmd/peer_serve.h"
#include "tools/vtpmd/peer_store.h"
#include "tools/vtpmd/peer_tpm.h"
#include "tools/vtpmd/priority.h"
#include "tools/vtpmd/log.h"
#include "lib/stamp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <event2/buffer.h>

/* A manager waits for each answer; one that leaves this much unread is broken. */
#define UNREAD_MAX (4 * CHANNEL_PAYLOAD_MAX)
/* Reads in one turn, which ends with the first request. */
#define TURN_READS 16
/* Milliseconds of requests, by peer_cost(), that a vTPM's managers may ask for at once;
 * then they get a millisecond in a millisecond. */
#define REQUESTS_MS 1024

static void fill(struct peer *p, uint16_t type, uint32_t id, const void *head,
		 size_t head_len, const void *body, size_t body_len)
{
	uint8_t header[CHANNEL_HEADER_SIZE];

	channel_header(header, type, id, head_len + body_len);
	if (evbuffer_add(p->out, header, sizeof(header)) ||
	    (head_len && evbuffer_add(p->out, head, head_len)) ||
	    (body_len && evbuffer_add(p->out, body, body_len)))
		p->broken = "there is no memory for its answers";
	if (evbuffer_get_length(p->out) > UNREAD_MAX)
		p->broken = "it does not read its answers";
}

static void flush(struct peer *p)
{
	ssize_t n = 1;

	while (evbuffer_get_length(p->out) && n > 0) {
		size_t len = evbuffer_get_contiguous_space(p->out);

		n = p->wire->write(p->wire, evbuffer_pullup(p->out, (ssize_t)len), len);
		if (n < 0)
			p->ended = true;
		else
			evbuffer_drain(p->out, (size_t)n);
	}
	p->wire->want_write(p->wire, evbuffer_get_length(p->out) > 0);
}

/* Gives this peer a turn after the next poll, in which the others have theirs: to flush,
 * to read on, or to end. */
static void again(struct peer *p)
{
	static const struct timeval now;

	if (event_add(p->turn, &now))
		log_line(LOG_ERR, "there is no memory for a turn of %s", p->env.name);
}

void peer_reply(struct peer *p, uint16_t type, uint32_t id, const void *data, size_t len)
{
	static const uint8_t success[4];

	if (len > CHANNEL_PAYLOAD_MAX - sizeof(success)) {
		peer_refuse(p, type, id, EFBIG, "The answer is too long.");
		return;
	}
	fill(p, type | CHANNEL_REPLY, id, success, sizeof(success), data, len);
	again(p);
}

void peer_refuse(struct peer *p, uint16_t type, uint32_t id, int error, const char *why)
{
	uint8_t status[4];
	struct cursor w = cursor_writer(status, sizeof(status));

	cursor_put_u32(&w, (uint32_t)error);
	fill(p, type | CHANNEL_REPLY, id, status, sizeof(status), why, strlen(why));
	again(p);
}

void peer_event(struct peer *p, uint16_t type)
{
	fill(p, type, 0, NULL, 0, NULL, 0);
	again(p);
}

/* When the request is served: at once, or when there is enough in the bucket for it. */
static void set_due(struct peer *p)
{
	unsigned int cost = peer_cost(p->held.type);
	uint64_t now = (uint64_t)stamp_ms();

	p->due_ms = now +
		    bucket_wait(&p->env.limits->requests, REQUESTS_MS / cost, cost, now);
}

/* Reads until a request is whole; whether there may be more to read. */
static bool read_request(struct peer *p)
{
	size_t room;
	uint8_t *at;
	ssize_t n;
	int i, rc;

	for (i = 0; i < TURN_READS; i++) {
		at = channel_reader_room(&p->in, &room);
		n = p->wire->read(p->wire, at, room);
		if (n < 0)
			p->ended = true;
		if (n <= 0)
			return false;
		rc = channel_reader_add(&p->in, (size_t)n);
		if (rc < 0)
			p->broken = "it does not speak the host channel's protocol";
		if (rc)
			p->holds = rc > 0;
		if (rc)
			break;
	}
	if (p->holds) {
		channel_reader_take(&p->in, &p->held);
		set_due(p);
	}
	return true;
}

/* Serves the request that it holds, if it is due; else it has a turn when it is. */
static void serve_held(struct peer *p)
{
	uint64_t now = (uint64_t)stamp_ms(), wait = p->due_ms > now ? p->due_ms - now : 0;
	const struct timeval tv = {.tv_usec = (suseconds_t)wait * 1000};
	struct channel_frame f = p->held;

	if (wait) {
		if (event_add(p->turn, &tv))
			p->broken = "there is no memory for its turn";
		return;
	}
	p->holds = false;
	peer_serve(p, &f);
	free(f.payload);
}

bool peer_is_held(const struct peer *p)
{
	return p->holds;
}

static void drop(struct peer *p)
{
	if (p->broken)
		peer_log(p, LOG_WARNING, PEER_ABOUT(p), "its manager is dropped: %s",
			 p->broken);
	log_left_out(&p->env.limits->lines, PEER_ABOUT(p));
	p->owner->gone(p->ctx);
}

/* Serves one request at most.  While a state is being stored none is taken. */
static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	bool more = p->holds;

	if (!p->put.put && !p->holds && !p->broken)
		more = read_request(p);
	if (p->holds)
		serve_held(p);
	if (!p->broken)
		flush(p);
	if (p->broken || p->ended)
		drop(p);
	else if (more && !p->put.put && !p->holds)
		again(p);
}

static void on_ready(void *ctx)
{
	again(ctx);
}

int peer_new(const struct peer_env *env, struct wire *wire,
	     const struct peer_owner *owner, void *ctx, struct peer **out)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		wire->free(wire);
		return -ENOMEM;
	}
	p->env = *env;
	p->wire = wire;
	p->owner = owner;
	p->ctx = ctx;
	p->out = evbuffer_new();
	p->turn = evtimer_new(env->base, on_turn, p);
	p->tunnel = tunnel_new(env->base, peer_kms_answered, p);
	if (peer_tpm_init(p) || !p->out || !p->turn || !p->tunnel) {
		peer_free(p);
		return -ENOMEM;
	}
	priority_of_peers(p->turn);
	wire->ctx = p;
	wire->ready = on_ready;
	again(p);
	*out = p;
	return 0;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	peer_store_end(p);
	peer_tpm_end(p);
	tunnel_free(p->tunnel);
	if (p->turn)
		event_free(p->turn);
	if (p->out)
		evbuffer_free(p->out);
	channel_reader_reset(&p->in);
	if (p->holds)
		free(p->held.payload);
	p->wire->free(p->wire);
	free(p);
}
