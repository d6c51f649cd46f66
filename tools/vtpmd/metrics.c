/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/metrics.h"
#include "tools/vtpmd/http.h"
#include "tools/vtpmd/metrics_text.h"
#include "tools/vtpmd/priority.h"
#include "tools/vtpmd/vtpm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#define REQUEST_MAX 8192
/* A connection is over after that, whatever its client does. */
#define LIMIT_S	 5
#define FRESH_NS 500000000

struct client {
	struct client *next;
	struct vtpmd *d;
	struct bufferevent *stream;
	struct event *timer, *answer, *limit;
	struct timespec asked;
	bool asking, answered, head;
	int status; /* of HTTP; 0: the request line has not come yet */
};

static struct event *listener;
static struct client *clients;
static unsigned int count;

static void drop(struct client *c)
{
	struct client **at = &clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	count--;
	if (c->timer)
		event_free(c->timer);
	if (c->answer)
		event_free(c->answer);
	if (c->limit)
		event_free(c->limit);
	bufferevent_free(c->stream);
	free(c);
}

static void respond(struct client *c)
{
	struct evbuffer *out = bufferevent_get_output(c->stream);
	struct evbuffer *body = evbuffer_new();

	c->answered = true;
	if (!body) {
		drop(c);
		return;
	}
	if (c->status == 200)
		metrics_text(c->d, body);
	else
		evbuffer_add_printf(body, "There is GET /metrics here.\n");
	evbuffer_add_printf(out,
			    "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; "
			    "charset=utf-8\r\nContent-Length: %zu\r\nConnection: "
			    "close\r\n\r\n",
			    c->status, http_reason(c->status), evbuffer_get_length(body));
	if (!c->head)
		evbuffer_add_buffer(out, body);
	evbuffer_free(body);
}

/* Answers when all managers that were asked have told, or their time is over. */
static void look(struct client *c)
{
	struct vtpm *v;

	if (!c->asking)
		return;
	if (evtimer_pending(c->timer, NULL))
		for (v = c->d->vtpms; v; v = v->next)
			if (vtpm_owes_status(v, &c->asked) && !vtpm_is_mute(v))
				return;
	c->asking = false;
	event_del(c->timer);
	/* from the loop: a manager's message is being served */
	event_active(c->answer, EV_TIMEOUT, 0);
}

static void on_status(struct vtpmd *d)
{
	struct client *c;

	for (c = clients; c; c = c->next)
		look(c);
}

static void on_answer(evutil_socket_t fd, short what, void *ctx)
{
	respond(ctx);
}

static void on_limit(evutil_socket_t fd, short what, void *ctx)
{
	look(ctx);
}

/* Those whose figures are older than half a second: on loopback everybody may scrape,
 * and shall not keep stub domains busy with it. */
static void ask(struct client *c)
{
	struct timeval limit = {.tv_sec = VTPM_TABLE_MS / 1000,
				.tv_usec = VTPM_TABLE_MS % 1000 * 1000};
	struct vtpm *v;

	clock_gettime(CLOCK_MONOTONIC, &c->asked);
	c->asked.tv_nsec -= FRESH_NS;
	if (c->asked.tv_nsec < 0) {
		c->asked.tv_sec--;
		c->asked.tv_nsec += 1000000000;
	}
	for (v = c->d->vtpms; v; v = v->next)
		if (vtpm_owes_status(v, &c->asked))
			vtpm_ask_status(v);
	c->asking = true;
	event_add(c->timer, &limit);
	look(c);
}

/* The header's lines say nothing that is needed here; the empty one ends them. */
static void on_read(struct bufferevent *b, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(b);
	struct client *c = ctx;
	bool end = false;
	char *line;

	while (!c->asking && !c->answered && !end &&
	       (line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF))) {
		if (!c->status)
			c->status = http_request(line, "/metrics", &c->head);
		else
			end = !line[0];
		free(line);
	}
	if (end && c->status == 200)
		ask(c);
	else if (end)
		respond(c);
	else if (evbuffer_get_length(in) >= REQUEST_MAX)
		drop(c);
}

/* The output has drained. */
static void on_write(struct bufferevent *b, void *ctx)
{
	struct client *c = ctx;

	if (c->answered)
		drop(c);
}

static void on_event(struct bufferevent *b, short what, void *ctx)
{
	struct client *c = ctx;

	/* one that reads no more may still wait for its answer */
	if (what & BEV_EVENT_EOF && (c->asking || c->answered) &&
	    !(what & BEV_EVENT_ERROR))
		return;
	drop(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	drop(ctx);
}

static int add_timers(struct client *c)
{
	static const struct timeval limit = {.tv_sec = LIMIT_S};

	c->timer = evtimer_new(c->d->base, on_limit, c);
	c->answer = event_new(c->d->base, -1, 0, on_answer, c);
	c->limit = evtimer_new(c->d->base, on_deadline, c);
	if (!c->timer || !c->answer || !c->limit)
		return -ENOMEM;
	priority_of_peers(c->answer);
	return event_add(c->limit, &limit) ? -ENOMEM : 0;
}

/* One client in a poll: others of this host wait no longer for many. */
static void on_accept(evutil_socket_t at, short what, void *ctx)
{
	int fd = accept4(at, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	if (fd < 0)
		return;
	c = count < METRICS_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (c)
		c->d = ctx;
	if (c)
		c->stream = bufferevent_socket_new(c->d->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c || !c->stream) {
		free(c);
		close(fd);
		return;
	}
	c->next = clients;
	clients = c;
	count++;
	if (add_timers(c)) {
		drop(c);
		return;
	}
	bufferevent_priority_set(c->stream, PRIORITY_PEERS);
	bufferevent_setcb(c->stream, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->stream, EV_READ, 0, REQUEST_MAX);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
}

static bool is_loopback(const struct sockaddr *a)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *four = (const struct sockaddr_in *)a;

	if (a->sa_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == 127 && four->sin_port;
	return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) &&
	       six->sin6_port;
}

int metrics_parse(const char *where, struct sockaddr_storage *a, socklen_t *len)
{
	struct sockaddr_un *path = (struct sockaddr_un *)a;
	int n = sizeof(*a);

	memset(a, 0, sizeof(*a));
	if (!strncmp(where, "unix:", 5)) {
		if (!where[5] || strlen(where + 5) >= sizeof(path->sun_path))
			return -EINVAL;
		path->sun_family = AF_UNIX;
		strcpy(path->sun_path, where + 5);
		*len = sizeof(*path);
		return 0;
	}
	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)a, &n) ||
	    !is_loopback((struct sockaddr *)a))
		return -EINVAL;
	*len = (socklen_t)n;
	return 0;
}

/* What an earlier vtpmd left; no other file, whatever was given. */
static void remove_socket(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		(void)unlink(path);
}

/* The descriptor, or -errno. */
static int listen_at(struct sockaddr *a, socklen_t len)
{
	int one = 1, rc = 0;
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;

	if (fd < 0)
		return -errno;
	mask = umask(0177);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, a, len) || listen(fd, METRICS_CLIENTS))
		rc = -errno;
	umask(mask);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

int metrics_open(struct vtpmd *d)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd, rc;

	if (!d->metrics)
		return 0;
	rc = metrics_parse(d->metrics, &a, &len);
	if (rc)
		return rc;
	if (a.ss_family == AF_UNIX)
		remove_socket(((struct sockaddr_un *)&a)->sun_path);
	fd = listen_at((struct sockaddr *)&a, len);
	if (fd < 0)
		return fd;
	listener = event_new(d->base, fd, EV_READ | EV_PERSIST, on_accept, d);
	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	priority_of_peers(listener);
	d->on_status[1] = on_status;
	return event_add(listener, NULL) ? -ENOMEM : 0;
}

void metrics_close(struct vtpmd *d)
{
	while (clients)
		drop(clients);
	if (!listener)
		return;
	close(event_get_fd(listener));
	event_free(listener);
	listener = NULL;
	d->on_status[1] = NULL;
	if (!strncmp(d->metrics, "unix:", 5))
		remove_socket(d->metrics + 5);
}
