/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front of a stream socket, raw TPM commands: a command, which carries its own
 * length, then its response.  `socat - UNIX-CONNECT:PATH` is a client.  One client
 * at a time; the next waits in the listen queue.
 *
 * Nothing here waits for a client, but, of one that options allow to linger, for a millisecond
 * behind an answer (socket.c): what it does not read stays in the one response, and its
 * next command is taken after that.  A command whose header tells a length that no command
 * has is answered when all of it has come, or nothing more for SOCKET_SILENCE_MS, and the
 * connection goes on.
 */
#ifndef XVTPM_MANAGER_SOCKET_H
#define XVTPM_MANAGER_SOCKET_H

#include "include/compiler.h"
#include "lib/error.h"
#include "stubdom/manager/front.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#define SOCKET_SILENCE_MS 200

/* A socket that clients on this machine connect to. */
struct listener {
	int fd;		       /* -1: none; does not block */
	struct sockaddr_un at; /* sun_path is empty for TCP */
};

/* Listens at path (0600), which must be free or a socket without a server. */
int __must_check listener_unix(struct listener *l, const char *path, struct error *e);
/* Listens on 127.0.0.1 alone. */
int __must_check listener_tcp(struct listener *l, uint16_t port, struct error *e);
/* Takes a connection; < 0: none. */
int listener_accept(const struct listener *l);
void listener_close(struct listener *l);

struct socket_options {
	bool disconnect; /* after each response */
	bool lingers;	 /* the next command may be waited for, for a moment */
	bool prefix;	 /* takes the TCG's header of TPM2_SEND_COMMAND, as swtpm does */
	/* A client has gone.  May be NULL. */
	void (*left)(void *ctx);
	/* The prefix names this locality, for now on.  NULL: there is no prefix. */
	void (*locality)(void *ctx, uint8_t locality);
	void *ctx;
};

/* The listener stays the caller's, and outlives *f; with fd -1 clients come by
 * socket_take() alone. -ENOMEM */
int __must_check socket_front(struct front **f, const struct listener *listener,
			      const struct socket_options *options, struct error *e);
/* Takes fd over as the client.  -EBUSY: there is one; fd stays the caller's. */
int __must_check socket_take(struct front *f, int fd);

#endif
