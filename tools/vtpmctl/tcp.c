/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_MS   5000
#define TRANSFER_SEC 15

int tcp_check_name(const char *address, struct error *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	struct kmsurl url;
	int code;

	if (kmsurl_parse(address, &url))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "the KMS address %.100s is not HOST:PORT", address);
	code = getaddrinfo(url.host, url.port, &hints, &list);
	if (code)
		return error_set(
			e, -EHOSTUNREACH, CAUSE_KMS_UNREACHABLE,
			"the name %s has no address (%s); check --kms and the DNS",
			url.host, gai_strerror(code));
	freeaddrinfo(list);
	return 0;
}

static int wait_connected(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error;

	if (poll(&p, 1, CONNECT_MS) != 1)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

static int dial(const struct addrinfo *a, int *out)
{
	const struct timeval limit = {.tv_sec = TRANSFER_SEC};
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen))
		rc = errno == EINPROGRESS ? wait_connected(fd) : -errno;
	if (!rc &&
	    /* from here on it blocks, within limits */
	    (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	     setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit))))
		rc = -errno;
	if (!rc && fcntl(fd, F_SETFL, 0))
		rc = -errno;
	if (rc)
		close(fd);
	else
		*out = fd;
	return rc;
}

static int tcp_open(void *ctx, unsigned int nth)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct tcp *t = ctx;
	struct addrinfo *list, *a;
	char address[ADDRESS_MAX];
	struct kmsurl url;
	int rc = address_nth(t->addresses, nth, address);

	t->fd = -1;
	if (!rc)
		rc = kmsurl_parse(address, &url);
	if (rc)
		return rc;
	rc = -EHOSTUNREACH;
	if (getaddrinfo(url.host, url.port, &hints, &list))
		return rc;
	for (a = list; a; a = a->ai_next) {
		rc = dial(a, &t->fd);
		if (!rc)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

static int tcp_send(void *ctx, const uint8_t *buf, size_t len)
{
	struct tcp *t = ctx;

	while (len) {
		ssize_t n = send(t->fd, buf, len, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int tcp_recv(void *ctx, uint8_t *buf, size_t room)
{
	struct tcp *t = ctx;
	ssize_t n = recv(t->fd, buf, room, 0);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (int)n;
}

static void tcp_close(void *ctx)
{
	struct tcp *t = ctx;

	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

struct kms_stream tcp_stream(struct tcp *t)
{
	t->fd = -1;
	return (struct kms_stream){
		.ctx = t,
		.open = tcp_open,
		.send = tcp_send,
		.recv = tcp_recv,
		.close = tcp_close,
	};
}
