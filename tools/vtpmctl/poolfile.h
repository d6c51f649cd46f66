/* SPDX-License-Identifier: Apache-2.0 */
/* The pool (lib/pool.h) as a file that vtpmctl reads and writes, beside host.json. */
#ifndef XVTPM_VTPMCTL_POOLFILE_H
#define XVTPM_VTPMCTL_POOLFILE_H

#include "lib/error.h"
#include "lib/hostconf.h"
#include "lib/pool.h"

struct poolfile {
	char path[4096];
	char *bytes; /* NULL: there is none */
	size_t len;
	struct pool pool; /* points into bytes */
};

/* Reads it, and verifies its signature by host.json's policy key.  0 also if there is none. */
int __must_check poolfile_load(struct poolfile *f, const char *config,
			       const struct hostconf *h, struct error *e);
/* The host of that name; false: none. */
bool poolfile_find(const struct poolfile *f, const char *name, struct pool_host *h);
void poolfile_free(struct poolfile *f);

#endif
