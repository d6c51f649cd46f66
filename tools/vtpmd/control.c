/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/control_ask.h"
#include "tools/vtpmd/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/buffer.h>

/* A backup that is restored has its objects in hex. */
#define LINE_MAX_BYTES (4 * CHANNEL_PAYLOAD_MAX + 65536)

static struct event *listener;
static struct control *controls;

static void release(struct control *c)
{
	if (c->timer)
		event_free(c->timer);
	if (c->answer)
		event_free(c->answer);
	if (c->stream)
		bufferevent_free(c->stream);
	free(c);
}

static void drop(struct control *c)
{
	struct control **at = &controls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	control_op_cancel(c);
	release(c);
}

void control_send(struct control *c, json_t *line)
{
	static const char cannot[] =
		"{\"ok\":false,\"error\":\"The answer could not be made: there is no memory, or "
		"something in it is no text.\",\"cause\":\"internal\"}";
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	json_decref(line);
	/* who asked waits for a line */
	if (!text)
		log_line(LOG_ERR, "an answer for vtpmctl could not be made");
	bufferevent_write(c->stream, text ? text : cannot, strlen(text ? text : cannot));
	bufferevent_write(c->stream, "\n", 1);
	free(text);
}

void control_on_status(struct vtpmd *d)
{
	struct control *c;

	for (c = controls; c; c = c->next)
		control_ask_status(c);
}

static void take_line(struct control *c)
{
	struct evbuffer *in = bufferevent_get_input(c->stream);
	size_t len;
	char *line;

	if (c->busy)
		return;
	line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
	if (line) {
		c->busy = true;
		control_op(c, line, len);
		free(line);
	}
}

void control_idle(struct control *c)
{
	c->busy = false;
	bufferevent_enable(c->stream, EV_READ);
	/* a request that came meanwhile; from the loop, not from in here */
	bufferevent_trigger(c->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void on_read(struct bufferevent *b, void *ctx)
{
	struct control *c = ctx;

	take_line(c);
	if (evbuffer_get_length(bufferevent_get_input(b)) <= LINE_MAX_BYTES)
		return;
	/* no watermark: see limit_reading() in tunnel.c */
	if (c->busy)
		bufferevent_disable(b, EV_READ);
	else
		drop(c);
}

static void on_event(struct bufferevent *b, short what, void *ctx)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		drop(ctx);
}

static void on_answer(evutil_socket_t fd, short what, void *ctx)
{
	control_ask_answer(ctx);
}

static void on_limit(evutil_socket_t fd, short what, void *ctx)
{
	control_ask_status(ctx);
}

static void on_accept(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(client);
		return;
	}
	c->d = ctx;
	c->stream = bufferevent_socket_new(c->d->base, client, BEV_OPT_CLOSE_ON_FREE);
	c->timer = evtimer_new(c->d->base, on_limit, c);
	c->answer = event_new(c->d->base, -1, 0, on_answer, c);
	if (!c->stream)
		close(client);
	if (!c->stream || !c->timer || !c->answer) {
		release(c);
		return;
	}
	c->next = controls;
	controls = c;
	bufferevent_setcb(c->stream, on_read, NULL, on_event, c);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
}

/* Listens at the path; -EADDRINUSE when another vtpmd answers there. */
static int listen_at(const char *path, int *out)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, rc = 0;
	mode_t mask;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)) || errno == EAGAIN) {
		close(fd);
		return -EADDRINUSE;
	}
	(void)unlink(path);
	mask = umask(0177);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16))
		rc = -errno;
	umask(mask);
	if (rc)
		close(fd);
	else
		*out = fd;
	return rc;
}

int control_open(struct vtpmd *d)
{
	int fd = -1, rc = listen_at(d->socket, &fd);

	if (rc)
		return rc;
	d->on_status[0] = control_on_status;
	listener = event_new(d->base, fd, EV_READ | EV_PERSIST, on_accept, d);
	if (!listener || event_add(listener, NULL)) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

void control_close(struct vtpmd *d)
{
	while (controls)
		drop(controls);
	if (!listener)
		return;
	close(event_get_fd(listener));
	event_free(listener);
	listener = NULL;
	(void)unlink(d->socket);
}
