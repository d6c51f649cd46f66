/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a vTPM's manager runs: a stub domain (domain.c) or a process of this
 * domain (process.c).
 *
 * States: none -> start() -> alive -> gone() -> none.  While alive, wire() may be
 * called several times, each time with a new connection; the user gives one back
 * with lost() so that the next can come.  end() makes it go away, whatever it
 * does; gone() follows.
 */
#ifndef VTPMD_BODY_H
#define VTPMD_BODY_H

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/image.h"
#include "tools/vtpmd/vtpmd.h"
#include "tools/vtpmd/wire.h"

struct body_owner {
	/* A new connection to the manager; it is the callee's. */
	void (*wire)(void *ctx, struct wire *wire);
	/* The toolstack asks it to end (`xl shutdown`, as when the host goes down).  0: that
	 * is on the disk, and body's ending set; else it is asked again. */
	int __must_check (*asked)(void *ctx);
	/* It is ending, and no guest uses it, or uses it any more.  false: not now; it is
	 * called again. */
	bool __must_check (*unused)(void *ctx);
	/* The manager ended; why is a sentence.  cause: why it
	 * never began; CAUSE_NONE: it did. */
	void (*gone)(void *ctx, enum cause cause, const char *why);
	/* A line for anyone who waits. */
	void (*progress)(void *ctx, const char *text);
};

struct body;

struct body_ops {
	int (*start)(struct body *b, struct error *e);
	/* Finds a body that an earlier vtpmd started; -ENOENT. */
	int (*adopt)(struct body *b);
	void (*lost)(struct body *b);
	void (*end)(struct body *b);
	void (*free)(struct body *b);
};

struct body {
	const struct body_ops *ops;
	struct vtpmd *d;
	const char *name; /* of the vTPM */
	const uint8_t *uuid;
	unsigned int memory; /* MiB */
	const struct body_owner *owner;
	void *ctx;
	int domid;	    /* of the stub domain; -1 */
	bool ending;	    /* it ends as soon as no guest uses it: the owner's */
	struct image image; /* that it was started from */
};

/* NULL: out of memory. */
struct body *process_new(void);
struct body *domain_new(void);

#endif
