/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event channels.  Nothing is delivered: Xen sets a port's pending bit, and
 * evtchn_scan() takes the bits of the ports that are armed.  Taking one disarms it,
 * so that a peer who notifies without end costs nothing until its port is armed
 * again; a bit set meanwhile is kept by Xen.
 */
#ifndef STUB_EVTCHN_H
#define STUB_EVTCHN_H

#include <stdbool.h>
#include <stdint.h>
#include "include/compiler.h"

#define EVTCHN_MAX 64 /* ports at once, the kernel's two among them */

struct evtchn {
	uint32_t port; /* 0: this entry is free */
	bool armed;
	bool fired;	   /* taken, and not yet read by the owner */
	const void *owner; /* the open file, NULL for the kernel */
};

extern uint64_t evtchn_notifications;
extern uint64_t evtchn_taken; /* events that evtchn_scan() took, ever */

/* A port that Xen made for us; NULL for port 0 or when there is no entry left. */
struct evtchn *evtchn_adopt(uint32_t port);
/* Each gives 0 and a new armed port, or -errno. */
int __must_check evtchn_bind_interdomain(const void *owner, uint32_t domid,
					 uint32_t remote, struct evtchn **out);
int __must_check evtchn_bind_unbound(const void *owner, uint32_t domid,
				     struct evtchn **out);
/* Closes the port. */
void evtchn_close(struct evtchn *e);
/* NULL unless this owner has the port. */
struct evtchn *evtchn_find(const void *owner, uint32_t port);
/* The n-th entry, for owners that walk theirs; n below EVTCHN_MAX. */
struct evtchn *evtchn_entry(unsigned int n);
void evtchn_arm(struct evtchn *e);
void evtchn_disarm(struct evtchn *e);
int evtchn_notify(struct evtchn *e);
/* Notifies by port number, without an owner check: for unmap notifications. */
void evtchn_notify_port(uint32_t port);
/* Takes pending bits of armed ports; true when there was one. */
bool evtchn_scan(void);
/* Sleeps until an armed port has an event or until time_now() is `until`; may
 * return early.  TIME_NEVER: without limit. */
void evtchn_wait(uint64_t until);
/* The same, and returns at once when evtchn_taken is not `seen` any more: an event that
 * was taken since wakes nobody, as its port is not armed. */
void evtchn_wait_since(uint64_t seen, uint64_t until);

#endif
