/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw TPM commands on a stream socket: a command, which carries its own
 * length, then its response.  `socat - UNIX-CONNECT:PATH` is a client.  One client
 * at a time; the next waits in the listen queue.
 */
#ifndef XVTPM_MANAGER_SOCKET_H
#define XVTPM_MANAGER_SOCKET_H

#include "include/compiler.h"
#include "lib/error.h"

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

/* Sockets that clients on this machine connect to. */

struct listener {
	int fd;		       /* -1: none; does not block */
	struct sockaddr_un at; /* sun_path is empty for TCP */
};

/* Listens at path (0600), which must be free or a socket that nobody serves. */
int __must_check listener_unix(struct listener *l, const char *path, struct error *e);
/* Listens on 127.0.0.1 alone. */
int __must_check listener_tcp(struct listener *l, uint16_t port, struct error *e);
/* Takes a connection; < 0: none. It blocks. */
int listener_accept(const struct listener *l);
void listener_close(struct listener *l);

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
