/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page that a guest's TPM driver shares with us: tpmif protocol version 2
 * (xen/include/public/io/tpmif.h).  One request at a time.
 *
 *   offset 0  u32 length | u8 state | u8 locality | u8 pad | u8 nr_extra_pages
 *   offset 8  nr_extra_pages grant references, u32 each, little-endian
 *   then      the TPM packet, which runs on in the extra pages
 *
 * (The public header's comment says 16 for the 8; every driver uses 8.)
 *
 * The guest is hostile: it may write anything anywhere at any time.  ring_take()
 * copies the header and the packet once and checks the copies.  Whatever it finds,
 * the worst outcome is an answer that the guest does not like.
 *
 * States of the page, and who leaves them:
 *   IDLE, FINISH   the guest writes SUBMIT
 *   SUBMIT         ring_take() + ring_put(): FINISH; a refusal: FINISH;
 *                  or the guest writes CANCEL
 *   CANCEL         a command is executing: ring_put(): FINISH; else ring_take(): IDLE
 *   anything else  is left alone: it asks for nothing
 */
#ifndef XVTPM_BACKEND_RING_H
#define XVTPM_BACKEND_RING_H

#include <stdbool.h>
#include "compiler.h"
#include "backend/xen.h"
#include "lib/tpm2/types.h"

/* The longest packet, either way. */
#define RING_PACKET_MAX 4096
/* One extra page is enough for it, two leave room; more are refused unmapped. */
#define RING_EXTRA_MAX 2
/* TPM 2.0 Part 1, 18.2: tag, size and code come first in every packet. */
#define RING_TPM_HEADER_SIZE 10

/* What a TPM 1.2 says in their place: TPM Main, Part 2, 16 */
#define TPM_FAIL	   9
#define TPM_BAD_PARAM_SIZE 0x19
#define TPM_BAD_LOCALITY   0x3d

struct ring {
	struct xen *xen;
	uint32_t domid;
	uint32_t port;		 /* ours */
	bool tpm12;		 /* set by the owner: refusals are a TPM 1.2's */
	volatile uint8_t *page;	 /* NULL: closed */
	volatile uint8_t *extra; /* mapped for extra_refs, or NULL */
	uint8_t nr_extra;	 /* how many pages extra has */
	uint32_t extra_refs[RING_EXTRA_MAX];
};

/* A private copy; filled by ring_take(). */
struct ring_request {
	uint8_t locality; /* as written by the guest */
	uint8_t nr_extra;
	size_t len; /* RING_TPM_HEADER_SIZE .. RING_PACKET_MAX */
	uint8_t packet[RING_PACKET_MAX];
};

/*
 * The contracts, which `make prove` proves for whatever the guest writes, whenever
 * (docs/proofs.md).  ring_holds: the page is mapped, and so are nr_extra more.
 */
/*@ predicate ring_extra(struct ring *r) =
	r->nr_extra <= RING_EXTRA_MAX &&
	(r->nr_extra > 0 ==>
	 \valid(r->extra + (0 .. BACKEND_PAGE_SIZE * r->nr_extra - 1)));
    predicate ring_holds(struct ring *r) =
	\valid(r) && \valid(r->page + (0 .. BACKEND_PAGE_SIZE - 1)) &&
	\separated(r, r->page + (0 .. BACKEND_PAGE_SIZE - 1)) && ring_extra(r);
    logic integer ring_space(integer nr_extra) =
	BACKEND_PAGE_SIZE * (1 + nr_extra) - 8 - 4 * nr_extra;
    predicate ring_taken(struct ring *r, struct ring_request *q) =
	q->nr_extra == r->nr_extra &&
	RING_TPM_HEADER_SIZE <= q->len <= RING_PACKET_MAX && q->len <= ring_space(q->nr_extra);
*/

/* Maps the page and binds the event channel; on failure nothing is left. */
int __must_check ring_open(struct ring *r, struct xen *xen, uint32_t domid, uint32_t ref,
			   uint32_t remote_port);
/* Unbinds and unmaps; does nothing on a closed ring. */
void ring_close(struct ring *r);

/*
 * Looks for a request.
 *   0         q holds one; the caller must answer it with ring_put()
 *   -EAGAIN   no command (a stale CANCEL was acknowledged with IDLE)
 *   -EBADMSG  there was one that cannot be served; it has been answered with
 *             TPM_RC_COMMAND_SIZE or, for pages that do not map, TPM_RC_FAILURE
 */
/*@ requires ring_holds(r) && \valid(q);
    requires \separated(r, q, r->page + (0 .. BACKEND_PAGE_SIZE - 1));
    assigns *q, r->nr_extra, r->extra, r->extra_refs[0 .. RING_EXTRA_MAX - 1];
    assigns r->page[0 .. BACKEND_PAGE_SIZE - 1];
    ensures ring_holds(r);
    ensures \result == 0 ==> ring_taken(r, q);
    ensures \result == 0 || \result == -EAGAIN || \result == -EBADMSG; */
int __must_check ring_take(struct ring *r, struct ring_request *q);

/* How long a response to q may be. */
/*@ requires \valid_read(q);
    assigns \nothing;
    ensures \result <= RING_PACKET_MAX && \result <= ring_space(q->nr_extra);
    ensures \result >= RING_TPM_HEADER_SIZE; */
size_t ring_room(const struct ring_request *q);

/* Publishes the response to q and notifies the guest.  One that is longer than
 * ring_room() is replaced by TPM_RC_FAILURE. */
/*@ requires ring_holds(r) && \valid_read(q) && q->nr_extra == r->nr_extra;
    requires \valid_read(rsp + (0 .. len - 1));
    assigns r->page[0 .. BACKEND_PAGE_SIZE - 1];
    assigns r->extra[0 .. BACKEND_PAGE_SIZE * r->nr_extra - 1]; */
void ring_put(struct ring *r, const struct ring_request *q, const uint8_t *rsp,
	      size_t len);

/* The guest asks for an end of the command that executes now. */
/*@ requires \valid_read(r) && (r->page == \null || \valid_read(r->page + 4));
    assigns \nothing; */
bool ring_cancelled(const struct ring *r);

/* A response without parameters: RING_TPM_HEADER_SIZE bytes.  code is a TPM_RC of
 * above; for tpm12 it is the TPM 1.2's word for the same. */
/*@ requires \valid(rsp + (0 .. RING_TPM_HEADER_SIZE - 1));
    assigns rsp[0 .. RING_TPM_HEADER_SIZE - 1]; */
void ring_error(uint8_t rsp[static RING_TPM_HEADER_SIZE], uint32_t code, bool tpm12);

#endif
