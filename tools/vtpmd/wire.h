/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream to one manager, driven by the event loop: a socket to a process,
 * or a vchan to a stub domain.  Nothing blocks.
 */
#ifndef VTPMD_WIRE_H
#define VTPMD_WIRE_H

#include "include/compiler.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wire {
	/* Bytes moved, 0 when that is not possible now, -EPIPE when it ended. */
	ssize_t (*read)(struct wire *w, void *buf, size_t len);
	ssize_t (*write)(struct wire *w, const void *buf, size_t len);
	/* Whether write() has more to do once there is room. */
	void (*want_write)(struct wire *w, int yes);
	void (*free)(struct wire *w);
	/* Set by the user: something may be possible that was not before.  It is called
	 * once for what has come; the user reads until read() returns 0, in turns. */
	void (*ready)(void *ctx);
	void *ctx;
};

/* Takes fd over. */
int __must_check wire_fd_new(struct event_base *base, int fd, struct wire **out);
/* Connects to the server at path, an absolute xenstore path, in domain domid;
 * -EAGAIN: none yet. */
int __must_check wire_vchan_new(struct event_base *base, uint32_t domid, const char *path,
				struct wire **out);

#endif
