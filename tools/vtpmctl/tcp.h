/* SPDX-License-Identifier: Apache-2.0 */
/* A plain TCP connection as the byte stream of lib/kms.h, with time limits: what
 * vtpmd's tunnel is to a manager, this is to `vtpmctl host init`. */
#ifndef XVTPM_TCP_H
#define XVTPM_TCP_H

#include "lib/kms.h"
#include "tools/vtpmctl/kmsurl.h"

struct tcp {
	const char *addresses; /* lib/address.h */
	int fd;
};

/* -EHOSTUNREACH, with a sentence of its own, when the name of HOST:PORT has no
 * address. */
int __must_check tcp_check_name(const char *address, struct error *e);
/* The stream over *t; its open() connects to one of t->addresses. */
struct kms_stream tcp_stream(struct tcp *t);

#endif
