/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a vtpm-crb: a file of vtpmd's run folder that both map, so that each store
 * is there also after SIGKILL.  The next vtpm-crb for the same domain goes on with it;
 * that of a restored domain takes struct crb_state alone.  Only root can open it; a vtpm-crb
 * that serves can write struct crb_state and what follows.
 */
#ifndef XVTPM_CRB_SAVED_H
#define XVTPM_CRB_SAVED_H

#include "frontend/crb/crb.h"
#include "lib/ppi.h"

#define SAVED_MAGIC 0x35435658u /* "XVC5" */
#define SAVED_VCPUS 128u	/* that one ioreq page has room for */

/* A domain's number is another's, when there were many since. */
struct saved_domain {
	uint32_t domid;
	uint8_t uuid[16];
};

/* Where the guest's own tables are, of acpi_firmware=, which its nodes do not say any more
 * once its board is being furnished. */
struct saved_board {
	uint32_t begun;
	uint64_t address, length;
};

struct saved {
	/* vtpmd's */
	uint32_t magic;
	struct saved_domain guest;
	struct saved_domain manager; /* the domain that it is in */
	struct saved_board board;
	uint32_t localities;
	struct ppi_told ppi_told;
	/* the manager has ended under the guest: no TPM until that starts again */
	uint32_t lost;
	/* vtpm-crb's, until it serves; vtpmd clears them */
	int32_t pid;	     /* of the vtpm-crb that is ready; 0: none is yet */
	uint32_t bound;	     /* the descriptors have the ring and the ports that follow */
	uint32_t ring_ref;   /* the grant of the ring's first page; 0: none yet */
	uint32_t ring_extra; /* and of its second one */
	uint64_t ring_index; /* for mmap() of /dev/xen/gntalloc */
	uint32_t server;     /* the ioreq server's id */
	uint32_t vcpus, ring_port, vcpu_port[SAVED_VCPUS];
	/* vtpmd's: the request of physical presence that it noted last */
	uint32_t ppi_noted;
	/* All before is what root goes by, and read-only to the vtpm-crb that serves. */
	_Alignas(4096) struct crb_state crb;
	struct ppi_state ppi;
};

#endif
