/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few threads for work that waits for a disk, so that the event loop does not.
 *
 * Pieces of work with the same key run one after the other, in the order in which they
 * were added; those with different keys beside each other, the oldest first.
 */
#ifndef VTPMD_WORK_H
#define VTPMD_WORK_H

#include "include/compiler.h"

#include <event2/event.h>
#include <stdbool.h>

struct work {
	struct work *next;
	const void *key;
	/* In a thread: reads and writes nothing but what this piece of work owns. */
	void (*run)(struct work *w);
	/* On the event loop, when run() has returned: may free w, and add it again. */
	void (*done)(struct work *w);
};

int __must_check work_init(struct event_base *base);
/* w is the threads' until done() is called. */
/* Without threads (before work_init() and after work_end()) it is done at once. */
void work_add(struct work *w);
/* Waits for all that was added, and calls done() for each; then ends the threads.
 * done() may add nothing. */
void work_end(void);

/*
 * The order of the event loop: signals, children, timers and the control socket before
 * whatever a manager, its guest or a client of the figures triggers.
 *
 * libevent polls again after the events of one priority, and runs in a poll what is due
 * then: so a callback that has more to do adds a timer of no length, which is due in the
 * next poll.  It must not call event_active() for its own event: libevent would run it
 * again without a poll in between, and nothing else any more.
 */

#define PRIORITIES     3 /* libevent's default is the one in the middle */
#define PRIORITY_PEERS 2

/* A base without priorities (unit tests) has no other order. */
static inline void priority_of_peers(struct event *e)
{
	(void)event_priority_set(e, PRIORITY_PEERS);
}

#endif
