/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Until when a manager may answer, in a pool of hosts.  The store refuses what a host writes that
 * lost a vTPM to another; of what needs no write (a read, a quote) only time can tell.  vtpmd
 * knows until when its host's lease lasts, and the manager asks it (CHANNEL_RENEW):
 *
 *   unknown --RENEW says n ms--> held, until n ms behind the moment at which it was ASKED
 *   held    --the time is up---> unknown: nothing is answered, all is kept
 *   unknown --RENEW says 0-----> unknown, and it is asked again in a moment
 *   any     --RENEW is refused-> over: nothing is answered any more, and the manager ends
 *
 * It is asked when there is an answer to give and the time is up, so an idle vTPM asks nothing.
 * An answer of vtpmd that comes late counts from the question too, so it can only give less;
 * one that never comes leaves it unknown.  The clock is Xen's, or Linux's with the time that
 * the host slept: one that stands still while the manager does would make old answers new.
 *
 * Between the look at the clock and the answer the domain may be paused for any time.  With a guard,
 * Xen's watchdog, it is ended then: from the look on that is set to fire behind the end of the lease,
 * by LEASE_GUARD_SLACK_MS at most, until the answer is out.  So what the guard costs an idle vTPM is
 * nothing, and one that executes for long, or waits for vtpmd, is not ended.
 */
#ifndef XVTPM_MANAGER_LEASE_H
#define XVTPM_MANAGER_LEASE_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/* The lease of a host is longer than what its managers are told by a third, 1 s at least. */
#define LEASE_GUARD_SLACK_MS 1000
/* With a guard it is asked for anew when no more than that is left, if more is to be had. */
#define LEASE_GUARD_LEFT_MS 2000

struct lease {
	bool needed; /* CONFIG_LEASED; without it all is held for ever */
	bool guarded;
	int64_t until_ms, seen_ms;
};

/* What it asks, and the clock. */
struct lease_env {
	void *ctx;
	int64_t (*now_ms)(void *ctx);
	/* As hostchan_renew(). */
	int (*renew)(void *ctx, uint32_t *ms);
	/* Between two questions. */
	void (*pause)(void *ctx);
	/* vtpmd wants the manager to end. */
	bool (*is_stopped)(void *ctx);
	/* NULL: there is none.  Ends the manager in so many seconds; 0: does not. */
	void (*guard)(void *ctx, uint32_t seconds);
};

/* Returns 0 when this host has the vTPM now, however long that takes; -ECANCELED when the
 * manager is to end instead; else renew()'s error. */
int __must_check lease_await(struct lease *l, const struct lease_env *env);
/* No answer is under way: it is out, or a command begins, which may take long. */
void lease_rest(struct lease *l, const struct lease_env *env);

#endif
