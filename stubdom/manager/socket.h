/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front of a stream socket, raw TPM commands: a command, which carries its own
 * length, then its response.  `socat - UNIX-CONNECT:PATH` is a client.  One client
 * at a time; the next waits in the listen queue.
 */
#ifndef XVTPM_MANAGER_SOCKET_H
#define XVTPM_MANAGER_SOCKET_H

#include "include/compiler.h"
#include "lib/error.h"
#include "stubdom/manager/front.h"

#include <stdint.h>
#include <sys/un.h>

/* A socket that clients on this machine connect to. */
struct listener {
	int fd;		       /* -1: none; does not block */
	struct sockaddr_un at; /* sun_path is empty for TCP */
};

/* Listens at path (0600), which must be free or a socket without a server. */
int __must_check listener_unix(struct listener *l, const char *path, struct error *e);
/* Listens on 127.0.0.1 alone. */
int __must_check listener_tcp(struct listener *l, uint16_t port, struct error *e);
/* Takes a connection; < 0: none. It blocks. */
int listener_accept(const struct listener *l);
void listener_close(struct listener *l);

/* The listener stays the caller's, and outlives *f. -ENOMEM */
int __must_check socket_front(struct front **f, const struct listener *listener,
			      struct error *e);

#endif
