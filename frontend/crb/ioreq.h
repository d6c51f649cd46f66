/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Xen's side of vtpm-crb: the ioreq server that has the guest's accesses to the registers,
 * and the guest's pages.  ioreq_open() needs the rights of domain 0; afterwards a mapped
 * page each of ioreqs and of the buffer, the event channels, and a handle that maps pages
 * of this one guest, are all that is left.
 */
#ifndef XVTPM_CRB_IOREQ_H
#define XVTPM_CRB_IOREQ_H

#include "frontend/crb/saved.h"

#include <stdbool.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xen/hvm/ioreq.h>

enum ioreq_how {
	IOREQ_NEW,     /* the domain has not run yet */
	IOREQ_RESTORE, /* its RAM came out of a file, with the pages in it */
	IOREQ_RESUME,  /* it runs, and a vtpm-crb before this one has died ... */
	IOREQ_REBIND,  /* ... and its event channels have gone with it */
	IOREQ_RENEW,   /* as RESUME, and the guest's device was made anew */
};

struct ioreq_server {
	shared_iopage_t *page;
	volatile uint8_t *buffer; /* CRB_BUFFER */
	xenforeignmemory_handle *memory;
	uint32_t domid;
};

/* Makes the server, or goes on with that of *s, which gets its id and its ports; it has
 * the guest's accesses from then on.  A soft reset of the guest (kexec) takes the server along,
 * and the event channels: then they are made anew.  0, or -errno and *what: the call that
 * failed. */
int __must_check ioreq_open(struct ioreq_server *q, struct saved *s, enum ioreq_how how,
			    xenevtchn_handle *events, const char **what);
/* Gives back all that is of the guest, so that its domain can go. */
void ioreq_close(struct ioreq_server *q);
/* Whether a vtpm-crb that died had taken vCPU n's request. */
bool ioreq_is_taken(const struct ioreq_server *q, unsigned int n);
/* Copies vCPU n's request, which it waits for; false: none.  ioreq_done() answers it. */
bool __must_check ioreq_take(struct ioreq_server *q, unsigned int n, ioreq_t *copy);
/* Copies size bytes, 1 to 8, from the guest's RAM at gpa to *data, or from *data; where the
 * guest has no RAM, nothing, and *data is all ones.  Linux reads CTRL_RSP_ADDR into its RAM
 * by one instruction. */
void ioreq_copy(const struct ioreq_server *q, uint64_t gpa, uint64_t *data,
		unsigned int size, bool to_guest);
void ioreq_done(struct ioreq_server *q, unsigned int n, uint64_t data);

#endif
