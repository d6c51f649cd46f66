/* SPDX-License-Identifier: Apache-2.0 */
/* The host channel over a connected stream socket, for a manager that runs as a
 * process: vtpmd's end goes with vtpmd, and the manager with it. */
#include "hostchan_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int fd_reopen(struct hostchan_io *io)
{
	return -EPIPE;
}

static bool fd_connected(struct hostchan_io *io)
{
	return io->fd >= 0;
}

static ssize_t fd_result(ssize_t n, bool reading)
{
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n == 0 && !reading ? 0 : -EPIPE;
}

static ssize_t fd_read(struct hostchan_io *io, void *buf, size_t len)
{
	return fd_result(recv(io->fd, buf, len, 0), true);
}

static ssize_t fd_write(struct hostchan_io *io, const void *buf, size_t len)
{
	return fd_result(send(io->fd, buf, len, MSG_NOSIGNAL), false);
}

static int fd_wait(struct hostchan_io *io, bool to_write, int ms)
{
	struct pollfd p = {.fd = io->fd, .events = to_write ? POLLOUT : POLLIN};

	return poll(&p, 1, ms) == 0 ? -ETIMEDOUT : 0;
}

static int fd_fd(const struct hostchan_io *io)
{
	return io->fd;
}

static void fd_close(struct hostchan_io *io)
{
	if (io->fd >= 0)
		close(io->fd);
	io->fd = -1;
}

static const struct hostchan_io_ops fd_ops = {
	.reopen = fd_reopen,
	.connected = fd_connected,
	.read = fd_read,
	.write = fd_write,
	.wait = fd_wait,
	.fd = fd_fd,
	.close = fd_close,
};

int hostchan_io_fd(struct hostchan_io *io, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	io->ops = &fd_ops;
	io->fd = fd;
	return 0;
}
