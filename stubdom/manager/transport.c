/* SPDX-License-Identifier: Apache-2.0 */
/* The host channel over a connected stream socket, for a manager that runs as a
 * process: vtpmd's end goes with vtpmd, and the manager with it. */
#include "include/channel.h"
#include "stubdom/manager/hostchan.h"

#include <errno.h>
#include <fcntl.h>
#include <libxenvchan.h>
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

/*
 * The host channel over vchan, with this domain as the server and domain 0 as
 * the client.  A client that goes (also by kill -9: the kernel clears cli_live
 * when it unmaps the ring) leaves a ring that may hold half a message, so the
 * server is closed and made again; its xenstore nodes tell vtpmd to connect.
 */

/* A sealed state is some 10 to 100 KiB and goes towards dom0; what comes back is short, but
 * for the state of a vTPM that moves here, while its guest stands still.  Both are a compromise
 * with the domain's 8 MiB. */
#define FROM_HOST 16384
#define TO_HOST	  16384

static void vchan_close(struct hostchan_io *io)
{
	if (io->vchan)
		libxenvchan_close(io->vchan);
	io->vchan = NULL;
}

static int vchan_reopen(struct hostchan_io *io)
{
	vchan_close(io);
	io->vchan = libxenvchan_server_init(NULL, 0, CHANNEL_XS_PATH, FROM_HOST, TO_HOST);
	if (!io->vchan)
		return -EPIPE;
	io->vchan->blocking = 0;
	return 0;
}

static bool vchan_connected(struct hostchan_io *io)
{
	/* 2: no client has come yet; 0: it has gone */
	return libxenvchan_is_open(io->vchan) != 2;
}

static ssize_t vchan_read(struct hostchan_io *io, void *buf, size_t len)
{
	int n = libxenvchan_read(io->vchan, buf, len);

	return n < 0 ? -EPIPE : n;
}

static ssize_t vchan_write(struct hostchan_io *io, const void *buf, size_t len)
{
	int n = libxenvchan_write(io->vchan, buf, len);

	return n < 0 ? -EPIPE : n;
}

static int vchan_wait(struct hostchan_io *io, bool to_write, int ms)
{
	struct pollfd p = {
		.fd = libxenvchan_fd_for_select(io->vchan),
		.events = POLLIN,
	};

	if (poll(&p, 1, ms) == 0)
		return -ETIMEDOUT;
	/* takes the event, and unmasks it again */
	if (p.revents & POLLIN)
		return libxenvchan_wait(io->vchan) ? -EPIPE : 0;
	return 0;
}

static int vchan_fd(const struct hostchan_io *io)
{
	return libxenvchan_fd_for_select(io->vchan);
}

static const struct hostchan_io_ops vchan_ops = {
	.reopen = vchan_reopen,
	.connected = vchan_connected,
	.read = vchan_read,
	.write = vchan_write,
	.wait = vchan_wait,
	.fd = vchan_fd,
	.close = vchan_close,
};

int hostchan_io_vchan(struct hostchan_io *io)
{
	io->ops = &vchan_ops;
	io->vchan = NULL;
	io->fd = -1;
	return vchan_reopen(io);
}
