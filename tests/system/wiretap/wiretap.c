/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into vtpmd by the tests: writes a copy of all that it reads and
 * writes (vchan, TPM, sockets, files) behind the file that WIRETAP names, so that
 * the tests can search the traffic for what must never be in it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "compiler.h"

struct libxenvchan;

static int tap = -1;

static void __attribute__((constructor)) tap_open(void)
{
	const char *path = getenv("WIRETAP");

	if (path)
		tap = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Past the interposed write(). */
static ssize_t record(const void *data, ssize_t n)
{
	if (tap >= 0 && n > 0)
		syscall(SYS_write, tap, data, (size_t)n);
	return n;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int libxenvchan_read(struct libxenvchan *c, void *data, size_t size);
int libxenvchan_recv(struct libxenvchan *c, void *data, size_t size);
int libxenvchan_write(struct libxenvchan *c, const void *data, size_t size);
int libxenvchan_send(struct libxenvchan *c, const void *data, size_t size);

int libxenvchan_read(struct libxenvchan *c, void *data, size_t size)
{
	return (int)record(data, REAL(libxenvchan_read)(c, data, size));
}

int libxenvchan_recv(struct libxenvchan *c, void *data, size_t size)
{
	return (int)record(data, REAL(libxenvchan_recv)(c, data, size));
}

int libxenvchan_write(struct libxenvchan *c, const void *data, size_t size)
{
	return (int)record(data, REAL(libxenvchan_write)(c, data, size));
}

int libxenvchan_send(struct libxenvchan *c, const void *data, size_t size)
{
	return (int)record(data, REAL(libxenvchan_send)(c, data, size));
}

ssize_t read(int fd, void *data, size_t size)
{
	return record(data, REAL(read)(fd, data, size));
}

ssize_t write(int fd, const void *data, size_t size)
{
	return record(data, REAL(write)(fd, data, size));
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	return record(data, REAL(recv)(fd, data, size, flags));
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	return record(data, REAL(send)(fd, data, size, flags));
}

ssize_t readv(int fd, const struct iovec *iov, int n)
{
	ssize_t got = REAL(readv)(fd, iov, n), left = got;

	for (int i = 0; i < n && left > 0; i++) {
		ssize_t part = (ssize_t)iov[i].iov_len;

		record(iov[i].iov_base, part < left ? part : left);
		left -= part;
	}
	return got;
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++)
		record(iov[i].iov_base, (ssize_t)iov[i].iov_len);
	return REAL(writev)(fd, iov, n);
}
