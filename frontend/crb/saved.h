/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a vtpm-crb: a file of vtpmd's run folder that it maps, so that each store
 * is there also after SIGKILL.  The next vtpm-crb for the same domain goes on with it;
 * that of a restored domain takes struct crb_state alone.  Only root can open it; a vtpm-crb
 * that serves can write struct crb_state and what follows.
 */
#ifndef XVTPM_CRB_SAVED_H
#define XVTPM_CRB_SAVED_H

#include "frontend/crb/crb.h"
#include "frontend/crb/ppi.h"

#define SAVED_MAGIC 0x32435658u /* "XVC2" */
#define SAVED_VCPUS 128u	/* that one ioreq page has room for */

struct saved {
	uint32_t magic;
	uint32_t domid;	  /* the guest */
	uint32_t backend; /* the domain of the vTPM's manager */
	uint32_t localities;
	int32_t pid;		   /* of the vtpm-crb that is ready; 0: none is yet */
	int32_t ring_fd, event_fd; /* in it: what vtpmd keeps open for the next one */
	uint64_t ring_index;	   /* for mmap() of ring_fd */
	uint32_t ring_extra;	   /* the grant of the ring's second page */
	uint32_t server;	   /* the ioreq server's id */
	uint32_t vcpus;
	uint32_t ring_port, vcpu_port[SAVED_VCPUS];
	struct ppi_told ppi_told; /* vtpmd writes it */
	/* All before is what root goes by, and read-only to the vtpm-crb that serves. */
	_Alignas(4096) struct crb_state crb;
	uint32_t starter; /* 1 + the vCPU whose write to START was taken; 0: none */
	struct ppi_state ppi;
};

#endif
