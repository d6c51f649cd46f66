/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
