/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages that this driver shares with the vTPM's backend: tpmif protocol 2
 * (xen/interface/io/tpmif.h).  One command at a time.
 *
 *   page 0    u32 length | u8 state | u8 locality | u8 pad | u8 nr_extra_pages
 *             u32 grant reference of page 1
 *             the packet, from byte 12 on
 *   page 1    the packet's rest: 4084 + 4096 bytes, so that a full-size command fits
 *
 * States of the page, and who leaves them:
 *   IDLE, FINISH   we write SUBMIT
 *   SUBMIT         the backend writes FINISH, or we write CANCEL
 *   CANCEL         the backend writes FINISH, or IDLE when nothing ran
 *
 * The backend may be hostile and write anything at any time.  The ring remembers by
 * itself whether a command is out and where the packet is.  Of the page it reads the
 * state, and after FINISH once the length, which it checks before it copies the
 * packet once.  The worst outcome is a command that fails.
 *
 * A ring is closed, open (pages and event channel exist) or started (the backend is
 * there, commands may run).  Open, close, start and stop are one caller's at a time;
 * xtpm_ring_abort() and xtpm_ring_shorten_timeouts() may come from anywhere.
 */
#ifndef XEN_TPMFRONT_RING_H
#define XEN_TPMFRONT_RING_H

#include <linux/mutex.h>
#include <linux/wait.h>
#include <xen/xenbus.h>
#include <xen/interface/io/tpmif.h>
#include "packet.h"

#define RING_PAGES 2

struct ring {
	struct xenbus_device *dev;
	struct vtpm_shared_page *page; /* NULL: closed */
	grant_ref_t refs[RING_PAGES];
	evtchn_port_t port;
	int irq;
	int peer; /* the domain that refs and port are for */
	wait_queue_head_t wait;
	struct mutex lock; /* held during a command */
	bool up;	   /* started */
	bool hurry;	   /* waits are cut short */
	bool busy;	   /* a command is with the backend */
};

void xtpm_ring_init(struct ring *r, struct xenbus_device *dev);

/* Makes the ring ready to be offered to dev->otherend_id.  Pages and event channel
 * that are for the same domain are used again, so that a backend that comes and
 * goes without letting go of them does not use up this guest's memory.  On failure
 * the ring is closed. */
int __must_check xtpm_ring_open(struct ring *r);
/* Ends the grants and wipes the pages; does nothing on a closed ring.  Pages that
 * the backend still has mapped are freed by the kernel when it lets go. */
void xtpm_ring_close(struct ring *r);

void xtpm_ring_start(struct ring *r);
/* No command is running or will run when this returns. */
void xtpm_ring_stop(struct ring *r);

/* There is no one who could answer: the command in flight fails. */
void xtpm_ring_abort(struct ring *r);
/* The end is near: every wait of this and later commands is cut to some seconds. */
void xtpm_ring_shorten_timeouts(struct ring *r);
/* Asks the backend to end the command in flight early; the answer still comes. */
void xtpm_ring_cancel(struct ring *r);

/*
 * Runs one command.  cmd: len bytes; wait: jiffies; rsp: PACKET_MAX bytes, of which
 * the first *rsp_len are the response, whose header and length agree.
 *   -EPIPE      not started            -E2BIG     longer than PACKET_MAX
 *   -EBADMSG    what came back is no packet
 *   -ECANCELED  the backend ended it   -EIO       the backend went away
 *   -ETIME      no answer in time, or the process is being killed; asked the backend
 *               to cancel
 *   -EBUSY      the backend still has an earlier command that timed out
 */
int __must_check xtpm_ring_exchange(struct ring *r, const u8 *cmd, size_t len,
				    unsigned long wait, u8 *rsp, size_t *rsp_len);

#endif
