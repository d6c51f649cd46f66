/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of a vTPM: finds the guest in xenstore, takes its commands from
 * the ring, has the engine run them, publishes the responses.
 *
 * Single-threaded.  The owner polls the descriptors of backend_pollfds() and calls
 * backend_xenstore_ready() or backend_ring_ready() when one is readable; neither
 * blocks, except for the engine's work on one command.  Open it when the engine
 * can serve: the toolstack waits only 10 s for a backend.
 *
 *   no guest -> (leaf) adopted -> connected -> closed -> ...
 *
 * The engine is asked for each leaf, before the guest sees a backend: it knows domains
 * by more than their numbers, and whether one that comes goes on with the TPM as it is
 * (a driver that is reloaded does not even ask: its leaf stays).
 */
#ifndef XVTPM_BACKEND_H
#define XVTPM_BACKEND_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "backend/ops.h"

#define BACKEND_POLLFDS 2

struct backend_config {
	char uuid[37];	    /* of this vTPM, as text */
	uint8_t localities; /* bit n: the guest may use locality n (0 to 4) */
	/* Several vTPMs live in this domain (dom0): leaves with another uuid are
	 * theirs and left alone.  In a stub domain they are refused. */
	bool shared_domain;
	bool tpm12; /* what we refuse ourselves, we refuse as a TPM 1.2 does */
};

struct backend_engine {
	void *ctx;
	/* Domain domid is to have this TPM: gets it ready, by _TPM_Init and what a
	 * machine's firmware does then, unless the domain had it before.  Fails with
	 * *why, a sentence: the guest is refused. */
	int (*adopt)(void *ctx, uint32_t domid, const char **why);
	/* Runs one command and returns when the state that it changed is durable.
	 * rsp_len: in, room (4096); out, bytes.  Negative: nothing may be shown,
	 * the guest gets TPM_RC_FAILURE. */
	int (*execute)(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
		       uint8_t *rsp, size_t *rsp_len);
	/* The command in flight shall end early; from backend_check_cancel(). */
	void (*cancel)(void *ctx);
};

struct backend_stats {
	uint64_t commands; /* answered by the engine */
	uint64_t refused;  /* answered without it: malformed, locality */
	bool present;	   /* there is a guest; domid is valid */
	bool connected;	   /* its driver shares a page with us */
	uint32_t domid;
};

struct backend;

/* ops and ops_ctx must outlive the backend.  On failure *b is NULL. */
int __must_check backend_open(struct backend **b, const struct backend_config *config,
			      const struct backend_engine *engine,
			      const struct backend_ops *ops, void *ops_ctx);
/* Tells the guest with Closed (6), unmaps everything. NULL is allowed. */
void backend_close(struct backend *b);

/* Fills fds (POLLIN): fds[0] xenstore, fds[1] events of the ring. */
void backend_pollfds(struct backend *b, struct pollfd fds[static BACKEND_POLLFDS]);
/* For how long at most to poll, in ms (-1: without limit); then, as when fds[0] is
 * readable, call backend_xenstore_ready(). */
int backend_timeout(const struct backend *b);
/* Follows the guest.  -errno: xenstore is lost, the backend is of no use. */
int __must_check backend_xenstore_ready(struct backend *b);
/* Serves at most one command.  -errno: event channels are lost. */
int __must_check backend_ring_ready(struct backend *b);

/* For anyone who gets the processor while the engine works: passes a guest's CANCEL
 * on to engine->cancel(). */
void backend_check_cancel(struct backend *b);
void backend_stats(const struct backend *b, struct backend_stats *s);

#endif
