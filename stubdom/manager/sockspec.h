/* SPDX-License-Identifier: Apache-2.0 */
/* Where a socket is, in the words of swtpm's --server and --ctrl:
 * type=tcp,port=N | type=unixio,path=P | fd=N | clientfd=N, and ,disconnect */
#ifndef XVTPM_MANAGER_SOCKSPEC_H
#define XVTPM_MANAGER_SOCKSPEC_H

#include "include/compiler.h"
#include "lib/error.h"

#include <stdbool.h>
#include <stdint.h>

enum sockspec_kind {
	SOCKSPEC_NONE,
	SOCKSPEC_TCP,	  /* 127.0.0.1:port */
	SOCKSPEC_UNIX,	  /* path */
	SOCKSPEC_LISTENS, /* fd listens */
	SOCKSPEC_CLIENT,  /* fd is a connection */
};

struct sockspec {
	enum sockspec_kind kind;
	char path[108];
	uint16_t port;
	int fd;
	bool disconnect; /* after each response */
};

/* option: "--ctrl" or "--server", of which fd= means different things, and which errors name.
 * -EINVAL: *e says what it does not know, and what it takes. */
int __must_check sockspec_parse(const char *option, const char *text, struct sockspec *s,
				struct error *e);
/* A decimal number from least to most, and nothing else.  -EINVAL: *e says so. */
int __must_check sockspec_number(const char *option, const char *text,
				 unsigned long least, unsigned long most,
				 unsigned long *n, struct error *e);

#endif
