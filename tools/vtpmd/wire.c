/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/wire.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <libxenvchan.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_fd {
	struct wire wire;
	int fd;
	struct event *readable, *writable;
};

static ssize_t fd_read(struct wire *w, void *buf, size_t len)
{
	struct wire_fd *f = (struct wire_fd *)w;
	ssize_t n;

	do
		n = recv(f->fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n > 0 ? n : -EPIPE;
}

static ssize_t fd_write(struct wire *w, const void *buf, size_t len)
{
	struct wire_fd *f = (struct wire_fd *)w;
	ssize_t n;

	do
		n = send(f->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n >= 0 ? n : -EPIPE;
}

static void fd_want_write(struct wire *w, int yes)
{
	struct wire_fd *f = (struct wire_fd *)w;

	if (yes)
		(void)event_add(f->writable, NULL);
	else
		(void)event_del(f->writable);
}

static void fd_free(struct wire *w)
{
	struct wire_fd *f = (struct wire_fd *)w;

	if (f->readable)
		event_free(f->readable);
	if (f->writable)
		event_free(f->writable);
	close(f->fd);
	free(f);
}

static void on_wire_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;

	if (w->ready)
		w->ready(w->ctx);
}

int wire_fd_new(struct event_base *base, int fd, struct wire **out)
{
	struct wire_fd *f = calloc(1, sizeof(*f));

	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	f->wire = (struct wire){
		.read = fd_read,
		.write = fd_write,
		.want_write = fd_want_write,
		.free = fd_free,
	};
	f->fd = fd;
	/* edge-triggered: data that are left unread cause no further event */
	f->readable = event_new(base, fd, EV_READ | EV_ET | EV_PERSIST, on_wire_ready, f);
	f->writable =
		event_new(base, fd, EV_WRITE | EV_ET | EV_PERSIST, on_wire_ready, f);
	if (!f->readable || !f->writable) {
		fd_free(&f->wire);
		return -ENOMEM;
	}
	priority_of_peers(f->readable);
	priority_of_peers(f->writable);
	if (event_add(f->readable, NULL)) {
		fd_free(&f->wire);
		return -ENOMEM;
	}
	*out = &f->wire;
	return 0;
}

/*
 * The vchan to a stub domain, as the client.  The ring is shared with a domain
 * that may be hostile: libxenvchan copies the ring's indexes before use and keeps
 * its own copy of the sizes, so that bytes and counts from it stay inside; what
 * the bytes mean is judged by lib/channel.c.
 */

struct wire_vchan {
	struct wire wire;
	struct libxenvchan *vchan;
	struct event *event;
};

static ssize_t vchan_read(struct wire *w, void *buf, size_t len)
{
	int n = libxenvchan_read(((struct wire_vchan *)w)->vchan, buf, len);

	return n < 0 || (size_t)n > len ? -EPIPE : n;
}

static ssize_t vchan_write(struct wire *w, const void *buf, size_t len)
{
	int n = libxenvchan_write(((struct wire_vchan *)w)->vchan, buf, len);

	return n < 0 || (size_t)n > len ? -EPIPE : n;
}

/* A write that found no room has asked the peer for an event already. */
static void vchan_want_write(struct wire *w, int yes)
{
}

static void vchan_free(struct wire *w)
{
	struct wire_vchan *v = (struct wire_vchan *)w;

	if (v->event)
		event_free(v->event);
	if (v->vchan)
		libxenvchan_close(v->vchan);
	free(v);
}

static void on_wire_event(evutil_socket_t fd, short what, void *ctx)
{
	struct wire_vchan *v = ctx;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	/* takes the event and unmasks it; must not wait for another one */
	if (poll(&p, 1, 0) == 1)
		(void)libxenvchan_wait(v->vchan);
	if (v->wire.ready)
		v->wire.ready(v->wire.ctx);
}

int wire_vchan_new(struct event_base *base, uint32_t domid, const char *path,
		   struct wire **out)
{
	struct wire_vchan *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->wire = (struct wire){
		.read = vchan_read,
		.write = vchan_write,
		.want_write = vchan_want_write,
		.free = vchan_free,
	};
	v->vchan = libxenvchan_client_init(NULL, (int)domid, path);
	if (!v->vchan) {
		free(v);
		return -EAGAIN;
	}
	v->vchan->blocking = 0;
	v->event = event_new(base, libxenvchan_fd_for_select(v->vchan),
			     EV_READ | EV_PERSIST, on_wire_event, v);
	if (v->event)
		priority_of_peers(v->event);
	if (!v->event || event_add(v->event, NULL)) {
		vchan_free(&v->wire);
		return -ENOMEM;
	}
	*out = &v->wire;
	return 0;
}
