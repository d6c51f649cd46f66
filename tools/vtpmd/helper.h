/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `vtpmctl host VERB --json` as a child, which speaks with the host's TPM for vtpmd, or with
 * another host: what it prints comes through a pipe, of which a bounded part is read.
 */
#ifndef VTPMD_HELPER_H
#define VTPMD_HELPER_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/vtpmd.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define HELPER_OUTPUT_MAX 65536
#define HELPER_ARGS	  6

/* said: the object that it printed, which stays the helper's; NULL: *e tells why not. */
typedef void helper_done(void *ctx, json_t *said, const struct error *e);

/* One child at a time. */
struct helper {
	struct vtpmd *d;
	helper_done *done;
	void *ctx;
	pid_t pid; /* 0: nothing is under way */
	bool late; /* it took too long, and was ended */
	unsigned int limit_s;
	struct event *limit, *output;
	size_t len;
	char text[HELPER_OUTPUT_MAX];
};

/* A child is killed after limit_s.  -ENOMEM */
int __must_check helper_init(struct helper *h, struct vtpmd *d, unsigned int limit_s,
			     helper_done *done, void *ctx);
/* args: of the verb, ended by NULL when there are fewer.  done() follows, from the loop,
 * unless this fails; then *e tells. */
int __must_check helper_run(struct helper *h, const char *verb,
			    const char *const args[HELPER_ARGS], struct error *e);
/* Kills the child that is under way; done() is not called any more. */
void helper_end(struct helper *h);

#endif
