/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/tunnel.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>

#define CONNECT_S  10 /* for the name and for every address */
#define TRANSFER_S 30
#define READ_AHEAD 65536
#define RECV_MAX   16384

enum waiting { NOTHING, OPENING, SENDING, RECEIVING };

/* A name being looked up; outlives a tunnel that was closed meanwhile. */
struct lookup {
	struct tunnel *tunnel;
	struct evdns_getaddrinfo_request *request;
};

/* One resolver for all; it is made again when it is idle, since a host's name
 * servers and addresses change. */
static struct {
	struct evdns_base *dns;
	unsigned int pending;
} resolver;

struct tunnel {
	struct event_base *base;
	struct lookup *lookup;
	struct evutil_addrinfo *addresses, *next;
	struct bufferevent *stream; /* NULL: there is no tunnel */
	struct event *limit;
	enum waiting waiting;
	size_t max; /* of a RECV */
	int ended;  /* 0, 1: end of stream, < 0: it broke so */
	int last;   /* why the last address did not connect */
	tunnel_done *done;
	void *ctx;
};

static void try_next(struct tunnel *t);

static void finish_tunnel(struct tunnel *t, int rc, const uint8_t *data, size_t len)
{
	t->waiting = NOTHING;
	event_del(t->limit);
	t->done(t->ctx, rc, data, len);
}

static void drop_stream(struct tunnel *t)
{
	if (t->stream)
		bufferevent_free(t->stream);
	t->stream = NULL;
}

static void drop_lookup(struct tunnel *t)
{
	struct lookup *l = t->lookup;

	t->lookup = NULL;
	if (l) {
		l->tunnel = NULL;
		if (l->request)
			evdns_getaddrinfo_cancel(l->request);
	}
	if (t->addresses)
		evutil_freeaddrinfo(t->addresses);
	t->addresses = t->next = NULL;
}

void tunnel_close(struct tunnel *t)
{
	event_del(t->limit);
	t->waiting = NOTHING;
	t->ended = 0;
	drop_stream(t);
	drop_lookup(t);
}

static void fail_open(struct tunnel *t, int rc)
{
	tunnel_close(t);
	t->done(t->ctx, rc, NULL, 0);
}

/* Reads no more of a server than READ_AHEAD before the manager takes it.  No watermark
 * does that: libevent calls on_tunnel_read() again and again, before anything of a lower
 * priority, until less than a watermark is left. */
static void limit_reading(struct tunnel *t)
{
	struct evbuffer *in = bufferevent_get_input(t->stream);

	if (evbuffer_get_length(in) >= READ_AHEAD)
		bufferevent_disable(t->stream, EV_READ);
	else if (!t->ended)
		bufferevent_enable(t->stream, EV_READ);
}

/* Answers a RECV as far as that is possible now. */
static void serve_recv(struct tunnel *t)
{
	struct evbuffer *in = bufferevent_get_input(t->stream);
	uint8_t data[RECV_MAX];
	size_t max = t->max < sizeof(data) ? t->max : sizeof(data);
	int n = evbuffer_remove(in, data, max);

	limit_reading(t);
	if (n > 0)
		finish_tunnel(t, 0, data, (size_t)n);
	else if (t->ended)
		finish_tunnel(t, t->ended < 0 ? t->ended : 0, data, 0);
}

static void on_tunnel_read(struct bufferevent *b, void *ctx)
{
	struct tunnel *t = ctx;

	if (t->waiting == RECEIVING)
		serve_recv(t);
	else
		limit_reading(t);
}

/* The output has drained. */
static void on_tunnel_write(struct bufferevent *b, void *ctx)
{
	struct tunnel *t = ctx;

	if (t->waiting == SENDING)
		finish_tunnel(t, 0, NULL, 0);
}

static void on_connected(struct tunnel *t)
{
	drop_lookup(t);
	bufferevent_enable(t->stream, EV_READ | EV_WRITE);
	finish_tunnel(t, 0, NULL, 0);
}

static void on_tunnel_event(struct bufferevent *b, short what, void *ctx)
{
	struct tunnel *t = ctx;
	int error = EVUTIL_SOCKET_ERROR();

	if (what & BEV_EVENT_CONNECTED) {
		on_connected(t);
		return;
	}
	if (t->waiting == OPENING) {
		t->last = error ? -error : -ECONNREFUSED;
		drop_stream(t);
		try_next(t);
		return;
	}
	t->ended = what & BEV_EVENT_EOF ? 1 : error ? -error : -EIO;
	if (t->waiting == RECEIVING)
		serve_recv(t);
	else if (t->waiting == SENDING)
		finish_tunnel(t, t->ended < 0 ? t->ended : -EPIPE, NULL, 0);
}

static void on_tunnel_limit(evutil_socket_t fd, short what, void *ctx)
{
	struct tunnel *t = ctx;

	if (t->waiting == OPENING) {
		t->last = -ETIMEDOUT;
		if (t->lookup) {
			fail_open(t, -ETIMEDOUT);
			return;
		}
		drop_stream(t);
		try_next(t);
		return;
	}
	t->ended = -ETIMEDOUT;
	if (t->waiting != NOTHING)
		finish_tunnel(t, -ETIMEDOUT, NULL, 0);
}

static void set_limit(struct tunnel *t, int seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	event_add(t->limit, &tv);
}

/* Connects to the next address; each has its own time. */
static void try_next(struct tunnel *t)
{
	struct evutil_addrinfo *a;

	for (a = t->next; a; a = t->next) {
		t->next = a->ai_next;
		t->stream = bufferevent_socket_new(t->base, -1, BEV_OPT_CLOSE_ON_FREE);
		if (!t->stream) {
			t->last = -ENOMEM;
			break;
		}
		bufferevent_priority_set(t->stream, PRIORITY_PEERS);
		bufferevent_setcb(t->stream, on_tunnel_read, on_tunnel_write,
				  on_tunnel_event, t);
		set_limit(t, CONNECT_S);
		if (!bufferevent_socket_connect(t->stream, a->ai_addr,
						(int)a->ai_addrlen))
			return;
		t->last = errno ? -errno : -EHOSTUNREACH;
		drop_stream(t);
	}
	fail_open(t, t->last ? t->last : -EHOSTUNREACH);
}

static void on_address(int rc, struct evutil_addrinfo *a, void *ctx)
{
	struct lookup *l = ctx;
	struct tunnel *t = l->tunnel;

	free(l);
	resolver.pending--;
	if (!t) {
		if (!rc && a)
			evutil_freeaddrinfo(a);
		return;
	}
	t->lookup = NULL;
	if (rc) {
		fail_open(t, -EHOSTUNREACH);
		return;
	}
	t->addresses = t->next = a;
	try_next(t);
}

static int renew_resolver(struct event_base *base)
{
	if (resolver.pending)
		return 0;
	if (resolver.dns)
		evdns_base_free(resolver.dns, 0);
	resolver.dns = evdns_base_new(base, 0);
	if (!resolver.dns)
		return -ENOMEM;
	/* without the one or the other, numeric addresses still work */
	(void)evdns_base_resolv_conf_parse(resolver.dns, DNS_OPTIONS_ALL,
					   "/etc/resolv.conf");
	(void)evdns_base_load_hosts(resolver.dns, "/etc/hosts");
	return 0;
}

static int look_up(struct tunnel *t, const char *host, const char *port)
{
	struct evutil_addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
	};
	struct evdns_getaddrinfo_request *request;
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l || renew_resolver(t->base)) {
		free(l);
		return -ENOMEM;
	}
	l->tunnel = t;
	t->lookup = l;
	t->waiting = OPENING;
	t->last = 0;
	set_limit(t, CONNECT_S);
	resolver.pending++;
	request = evdns_getaddrinfo(resolver.dns, host, port, &hints, on_address, l);
	/* NULL: on_address() was called already, and l is gone */
	if (request)
		l->request = request;
	return 0;
}

int tunnel_split(const char *address, char *host, char *port)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (n && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	if (!n || n > 255 || !colon[1] || strlen(colon + 1) > 5 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	memcpy(host, address, n);
	host[n] = 0;
	strcpy(port, colon + 1);
	return 0;
}

int tunnel_open(struct tunnel *t, const char *address)
{
	char host[256], port[256];

	if (t->waiting != NOTHING)
		return -EBUSY;
	if (tunnel_split(address, host, port))
		return -EINVAL;
	tunnel_close(t);
	return look_up(t, host, port);
}

int tunnel_send(struct tunnel *t, const uint8_t *buf, size_t len)
{
	if (t->waiting != NOTHING)
		return -EBUSY;
	if (!t->stream)
		return -ENOTCONN;
	if (t->ended)
		return t->ended < 0 ? t->ended : -EPIPE;
	if (!len)
		return -EINVAL;
	if (bufferevent_write(t->stream, buf, len))
		return -ENOMEM;
	t->waiting = SENDING;
	set_limit(t, TRANSFER_S);
	return 0;
}

int tunnel_recv(struct tunnel *t, size_t max)
{
	if (t->waiting != NOTHING)
		return -EBUSY;
	if (!t->stream)
		return -ENOTCONN;
	if (!max)
		return -EINVAL;
	t->waiting = RECEIVING;
	t->max = max;
	set_limit(t, TRANSFER_S);
	serve_recv(t);
	return 0;
}

struct tunnel *tunnel_new(struct event_base *base, tunnel_done *done, void *ctx)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->base = base;
	t->done = done;
	t->ctx = ctx;
	t->limit = evtimer_new(base, on_tunnel_limit, t);
	if (!t->limit) {
		free(t);
		return NULL;
	}
	return t;
}

void tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	tunnel_close(t);
	event_free(t->limit);
	free(t);
}

void tunnel_end(void)
{
	if (resolver.dns)
		evdns_base_free(resolver.dns, 0);
	resolver.dns = NULL;
}
