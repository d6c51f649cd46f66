/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/wire.h"
#include "tools/vtpmd/priority.h"

#include <errno.h>
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

static void on_ready(evutil_socket_t fd, short what, void *ctx)
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
	/* edges: what is left unread wakes nobody again */
	f->readable = event_new(base, fd, EV_READ | EV_ET | EV_PERSIST, on_ready, f);
	f->writable = event_new(base, fd, EV_WRITE | EV_ET | EV_PERSIST, on_ready, f);
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
