/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw TPM commands on a stream socket: a command, which carries its own
 * length, then its response.  `socat - UNIX-CONNECT:PATH` is a client.  One client
 * at a time; the next waits in the listen queue.
 */
#ifndef XVTPM_PLAIN_H
#define XVTPM_PLAIN_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "listener.h"

#define PLAIN_POLLFDS 1

struct plain_ops {
	void *ctx;
	/* As in struct backend_engine. */
	int (*execute)(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
		       uint8_t *rsp, size_t *rsp_len);
};

struct plain;

/* The listener stays the caller's, and outlives *p. -ENOMEM */
int __must_check plain_open(struct plain **p, const struct listener *listener,
			    const struct plain_ops *ops);
void plain_close(struct plain *p); /* NULL is allowed */
/* Fills fds; returns how many. */
nfds_t plain_pollfds(const struct plain *p, struct pollfd *fds);
int __must_check plain_ready(struct plain *p, const struct pollfd *fds, nfds_t n);
uint64_t plain_commands(const struct plain *p);

#endif
