/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/socket.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"
#include "stubdom/manager/engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_SIZE 10

struct plain {
	struct plain_ops ops;
	const struct listener *listener;
	int client; /* -1: none */
	uint64_t commands;
	size_t have;
	uint8_t in[ENGINE_BUFFER_SIZE], out[ENGINE_BUFFER_SIZE];
};

int plain_open(struct plain **out, const struct listener *listener,
	       const struct plain_ops *ops)
{
	struct plain *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->ops = *ops;
	p->client = -1;
	p->listener = listener;
	*out = p;
	return 0;
}

void plain_close(struct plain *p)
{
	if (!p)
		return;
	if (p->client >= 0)
		close(p->client);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

nfds_t plain_pollfds(const struct plain *p, struct pollfd *fds)
{
	fds[0].fd = p->client >= 0 ? p->client : p->listener->fd;
	fds[0].events = POLLIN;
	return 1;
}

uint64_t plain_commands(const struct plain *p)
{
	return p->commands;
}

static void drop_socket(struct plain *p)
{
	close(p->client);
	p->client = -1;
	p->have = 0;
}

/* The length that the command, of which the header is there, says. */
static size_t wanted(const struct plain *p)
{
	struct cursor c = cursor_reader(p->in, p->have);

	(void)cursor_u16(&c);
	return cursor_u32(&c);
}

static void answer(struct plain *p, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = send(p->client, p->out + done, len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			drop_socket(p);
			return;
		}
		done += (size_t)n;
	}
}

static void refuse_socket(struct plain *p)
{
	struct cursor w = cursor_writer(p->out, sizeof(p->out));

	cursor_put_u16(&w, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&w, HEADER_SIZE);
	cursor_put_u32(&w, TPM2_RC_COMMAND_SIZE);
	answer(p, HEADER_SIZE);
	if (p->client >= 0)
		drop_socket(p);
}

static void run_socket(struct plain *p, size_t len)
{
	size_t rsp_len = sizeof(p->out);

	p->commands++;
	if (p->ops.execute(p->ops.ctx, 0, p->in, len, p->out, &rsp_len)) {
		drop_socket(p); /* nothing may be shown */
		return;
	}
	answer(p, rsp_len);
	if (p->client < 0)
		return;
	p->have -= len;
	memmove(p->in, p->in + len, p->have);
}

int plain_ready(struct plain *p, const struct pollfd *fds, nfds_t n)
{
	ssize_t got;
	size_t len;

	if (!n || !fds[0].revents)
		return 0;
	if (p->client < 0) {
		p->client = listener_accept(p->listener);
		return 0;
	}
	got = recv(p->client, p->in + p->have, sizeof(p->in) - p->have, 0);
	if (got <= 0) {
		if (got == 0 || errno != EINTR)
			drop_socket(p);
		return 0;
	}
	p->have += (size_t)got;
	while (p->client >= 0 && p->have >= HEADER_SIZE) {
		len = wanted(p);
		if (len < HEADER_SIZE || len > sizeof(p->in))
			refuse_socket(p);
		else if (len > p->have)
			break;
		else
			run_socket(p, len);
	}
	return 0;
}

#define BACKLOG 8

static int bind_free(const struct listener *l)
{
	const struct sockaddr *at = (const struct sockaddr *)&l->at;
	mode_t old = umask(0177);
	int rc = bind(l->fd, at, sizeof(l->at)) ? -errno : 0;
	int probe;

	if (rc == -EADDRINUSE) {
		probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (probe >= 0 && connect(probe, at, sizeof(l->at)) &&
		    errno == ECONNREFUSED && !unlink(l->at.sun_path))
			rc = bind(l->fd, at, sizeof(l->at)) ? -errno : 0;
		if (probe >= 0)
			close(probe);
	}
	umask(old);
	return rc;
}

/* Ends what a listener_*() began: rc is that of bind(). */
static int start(struct listener *l, int rc)
{
	if (!rc && listen(l->fd, BACKLOG))
		rc = -errno;
	if (rc && l->fd >= 0) {
		close(l->fd);
		l->fd = -1;
	}
	return rc;
}

static int new_socket(struct listener *l, int family)
{
	memset(l, 0, sizeof(*l));
	l->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return l->fd < 0 ? -errno : 0;
}

int listener_unix(struct listener *l, const char *path, struct error *e)
{
	int rc = new_socket(l, AF_UNIX);

	l->at.sun_family = AF_UNIX;
	if (!rc && strlen(path) >= sizeof(l->at.sun_path))
		rc = -ENAMETOOLONG;
	if (!rc) {
		strcpy(l->at.sun_path, path);
		rc = bind_free(l);
	}
	rc = start(l, rc);
	return rc ? error_set(e, rc, CAUSE_INTERNAL, "cannot listen at %s: %s", path,
			      strerror(-rc))
		  : 0;
}

int listener_tcp(struct listener *l, uint16_t port, struct error *e)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	int rc = new_socket(l, AF_INET), yes = 1;

	if (!rc && (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
		    bind(l->fd, (struct sockaddr *)&at, sizeof(at))))
		rc = -errno;
	rc = start(l, rc);
	return rc ? error_set(e, rc, CAUSE_INTERNAL, "cannot listen at 127.0.0.1:%u: %s",
			      port, strerror(-rc))
		  : 0;
}

int listener_accept(const struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC), yes = 1;

	/* an answer is one write: nothing to wait for */
	if (fd >= 0 && !l->at.sun_path[0])
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

void listener_close(struct listener *l)
{
	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (l->at.sun_path[0])
		unlink(l->at.sun_path);
}
