/* SPDX-License-Identifier: Apache-2.0 */
/* A plain TCP connection as the byte stream of lib/kms.h, with time limits: what
 * vtpmd's tunnel is to a manager, this is to `vtpmctl host init`. */
#ifndef XVTPM_TCP_H
#define XVTPM_TCP_H

#include "lib/kms.h"
#include "tools/vtpmctl/kmsurl.h"

struct tcp {
	struct kmsurl url;
	int fd;
};

/* The stream over *t; its open() connects to t->url. */
struct kms_stream tcp_stream(struct tcp *t);

#endif
