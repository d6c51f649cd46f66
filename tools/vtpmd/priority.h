/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the event loop: signals, children, timers and the control socket before
 * whatever a manager, its guest or a client of the figures triggers.
 *
 * libevent polls again after the events of one priority, and runs in a poll what is due
 * then: so a callback that has more to do adds a timer of no length, which is due in the
 * next poll.  It must not call event_active() for its own event: libevent would run it
 * again without a poll in between, and nothing else any more.
 */
#ifndef VTPMD_PRIORITY_H
#define VTPMD_PRIORITY_H

#include <event2/event.h>

#define PRIORITIES     3 /* libevent's default is the one in the middle */
#define PRIORITY_PEERS 2

/* A base without priorities (unit tests) has no other order. */
static inline void priority_of_peers(struct event *e)
{
	(void)event_priority_set(e, PRIORITY_PEERS);
}

#endif
