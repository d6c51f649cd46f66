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

struct socket_front {
	struct front front;
	const struct listener *listener;
	int client; /* -1: none */
	uint64_t commands;
	size_t have;
	uint8_t in[ENGINE_BUFFER_SIZE], out[ENGINE_BUFFER_SIZE];
};

static struct socket_front *socket_of(const struct front *f)
{
	return (struct socket_front *)f;
}

static void drop_socket(struct socket_front *p)
{
	close(p->client);
	p->client = -1;
	p->have = 0;
}

/* The length that the command, of which the header is there, says. */
static size_t wanted(const struct socket_front *p)
{
	struct cursor c = cursor_reader(p->in, p->have);

	(void)cursor_u16(&c);
	return cursor_u32(&c);
}

static void answer(struct socket_front *p, size_t len)
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

static void refuse_socket(struct socket_front *p)
{
	struct cursor w = cursor_writer(p->out, sizeof(p->out));

	cursor_put_u16(&w, TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&w, HEADER_SIZE);
	cursor_put_u32(&w, TPM2_RC_COMMAND_SIZE);
	answer(p, HEADER_SIZE);
	if (p->client >= 0)
		drop_socket(p);
}

static void run_socket(struct socket_front *p, size_t len)
{
	const struct front_tpm *tpm = &p->front.all->tpm;
	size_t rsp_len = sizeof(p->out);

	p->commands++;
	if (tpm->execute(tpm->ctx, 0, p->in, len, p->out, &rsp_len)) {
		drop_socket(p); /* nothing may be shown */
		return;
	}
	answer(p, rsp_len);
	if (p->client < 0)
		return;
	p->have -= len;
	memmove(p->in, p->in + len, p->have);
}

static int socket_ready(struct front *f, const struct pollfd *fds)
{
	struct socket_front *p = socket_of(f);
	ssize_t got;
	size_t len;

	if (!fds[0].revents)
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

static nfds_t socket_pollfds(struct front *f, struct pollfd fds[static FRONT_POLLFDS])
{
	struct socket_front *p = socket_of(f);

	fds[0].fd = p->client >= 0 ? p->client : p->listener->fd;
	fds[0].events = POLLIN;
	return 1;
}

static void socket_stats(const struct front *f, struct front_stats *s)
{
	*s = (struct front_stats){.commands = socket_of(f)->commands};
}

static void socket_close(struct front *f)
{
	struct socket_front *p = socket_of(f);

	if (p->client >= 0)
		close(p->client);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

static const struct front_ops socket_ops = {
	.firmware = FRONT_FIRMWARE_MANAGER,
	.pollfds = socket_pollfds,
	.ready = socket_ready,
	.stats = socket_stats,
	.close = socket_close,
};

int socket_front(struct front **f, const struct listener *listener, struct error *e)
{
	struct socket_front *p = calloc(1, sizeof(*p));

	if (!p)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	p->front.ops = &socket_ops;
	p->client = -1;
	p->listener = listener;
	*f = &p->front;
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
