/* SPDX-License-Identifier: Apache-2.0 */
/* What vtpm-crb does once it is set up: it serves the guest's accesses, gives its commands
 * to the manager, and takes the responses. */
#ifndef XVTPM_CRB_SERVE_H
#define XVTPM_CRB_SERVE_H

#include "frontend/crb/ioreq.h"
#include "frontend/crb/ring.h"

struct device {
	struct saved *saved;
	xenevtchn_handle *events;
	struct ioreq_server ioreq;
	struct crb_ring ring;
	struct crb crb;
	struct ppi ppi;
	/* vCPUs whose access waits for the response to the command that executes */
	bool held[SAVED_VCPUS];
	int64_t hold_until; /* CLOCK_MONOTONIC, ns */
};

/* For d->crb, whose ctx is d. */
extern const struct crb_ops serve_ops;

/* Goes on with what a vtpm-crb that died, or ended, left undone. */
void serve_begin(struct device *d);
/* Waits for one event, or for SIGTERM, which is blocked otherwise, and serves it. */
void serve_next(struct device *d);
/* The guest has ended, and may be restored: gives back what is of it, and waits until the
 * TPM has answered its command.  If it runs still, the next vtpm-crb goes on. */
void serve_end(struct device *d);

#endif
