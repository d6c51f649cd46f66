/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostchan.c asks of a transport: a non-blocking byte stream, a way to wait
 * for it, and, where there is one, a way to listen for a new peer after the old
 * one went.  Private to hostchan*.c.
 */
#ifndef XVTPM_HOSTCHAN_IO_H
#define XVTPM_HOSTCHAN_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "compiler.h"

struct libxenvchan;

struct hostchan_io {
	const struct hostchan_io_ops *ops;
	int fd;			   /* socket transport; -1: closed */
	struct libxenvchan *vchan; /* vchan transport; NULL: closed */
};

struct hostchan_io_ops {
	/* Drops the peer and listens for the next one, without waiting for it.
	 * -EPIPE: this transport has only one life. */
	int (*reopen)(struct hostchan_io *io);
	/* A peer is there. */
	bool (*connected)(struct hostchan_io *io);
	/* Bytes moved, 0 when that is not possible now, -EPIPE when it ended. */
	ssize_t (*read)(struct hostchan_io *io, void *buf, size_t len);
	ssize_t (*write)(struct hostchan_io *io, const void *buf, size_t len);
	/* Blocks until something may have changed. -ETIMEDOUT; ms < 0: no limit. */
	int (*wait)(struct hostchan_io *io, bool to_write, int ms);
	int (*fd)(const struct hostchan_io *io);
	void (*close)(struct hostchan_io *io);
};

int __must_check hostchan_io_vchan(struct hostchan_io *io);
int __must_check hostchan_io_fd(struct hostchan_io *io, int fd);

#endif
