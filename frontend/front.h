/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * xen-tpmfront: the TPM of a Xen guest, 2.0 (or 1.2), served by another domain.
 *
 *   packet  what a TPM packet looks like          (pure)
 *   ring    the shared pages, one command at a time
 *   eventlog  what was measured before the guest ran, in securityfs
 *   chip    the TPM core's side: send, receive, register, start again
 *   front   the xenbus side: this state machine; calls chip and ring
 *
 * All transitions are made by one work item, one after the other, so that neither
 * the probe nor the thread that delivers xenstore's events ever waits for a TPM.
 * What happens outside only leaves a note and pokes the work item.
 *
 *   phase      our xenbus state   /dev/tpm0     commands
 *   IDLE       Closed (6)         no            fail with EPIPE
 *   WAITING    Initialising (1)   if it was     wait for READY for some seconds
 *   OFFERED    Initialised (3)    if it was     likewise
 *   READY      Connected (4)      yes           run
 *   SUSPENDED  Connected (4)      yes           wait for READY for some seconds
 *
 *   probe                      -> WAITING
 *   WAITING,   backend 1 or 2  -> OFFERED: pages granted, event channel, keys written
 *   OFFERED,   backend 4       -> READY:   chip registered, or its TPM started again
 *   READY,     backend 1 or 2  -> WAITING: a new backend; pages are offered again
 *   READY,     suspend         -> SUSPENDED: the TPM has saved its state
 *   SUSPENDED, resume          -> WAITING: new pages for the new backend, same chip
 *   SUSPENDED, resume undone   -> READY:   nothing was lost
 *   any,       backend 5, 6, gone -> IDLE: chip unregistered (TPM2_Shutdown while the
 *                                 backend still serves), our state Closed
 *   IDLE,      backend 1 or 2  -> WAITING, unless the toolstack took the device away
 *
 * (WAITING lets backend 6 pass: that is how it stands before it has seen us come.)
 *
 * What each failure leaves behind
 *   no pages, no event channel, no xenstore, backend without protocol 2, no answer
 *   during the probe of the TPM: nothing of a chip; the cause stands in the log and
 *   in the error node; our state is Closing, then IDLE; a backend that starts again
 *   gets a new try.
 *   A command: -EIO the backend went away, -ETIME no answer in time (cancelled),
 *   -ECANCELED the backend ended it, -EBADMSG an answer that is no packet, -EBUSY a
 *   backend that still has an older command.  The chip stays registered.
 *   The TPM cannot be started again after a resume: as a failed probe, so that the
 *   chip goes away rather than answer with a TPM that is not the one it was.
 *   Removal with /dev/tpm0 open: the open file answers EPIPE and may be closed at
 *   any time; the module can go.
 */
#ifndef XEN_TPMFRONT_FRONT_H
#define XEN_TPMFRONT_FRONT_H

#include <linux/tpm.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <xen/xenbus.h>
#include "eventlog.h"
#include "ring.h"

enum front_phase {
	FRONT_IDLE,
	FRONT_WAITING,
	FRONT_OFFERED,
	FRONT_READY,
	FRONT_SUSPENDED,
};

struct front {
	struct xenbus_device *dev;
	struct ring ring;
	struct tpm_chip *chip; /* NULL: not registered */
	struct eventlog log;   /* published while the chip is registered */
	u32 resets;	       /* of the TPM, when the guest was suspended */
	bool resets_known;

	struct mutex lock; /* held during a transition */
	enum front_phase phase;
	wait_queue_head_t wait; /* for a change of phase */
	struct delayed_work work;
	unsigned long next_offer; /* jiffies */

	/* Notes for the work item. */
	int backend; /* enum xenbus_state */
	unsigned long notes;

	/* Between send and receive; the TPM core lets one command through. */
	u8 response[PACKET_MAX];
	size_t response_len; /* 0: none */
};

#endif
