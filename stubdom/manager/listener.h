/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that clients on this machine connect to. */
#ifndef XVTPM_LISTENER_H
#define XVTPM_LISTENER_H

#include <stdint.h>
#include <sys/un.h>
#include "compiler.h"
#include "lib/error.h"

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

#endif
