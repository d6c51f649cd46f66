/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frontend's side of the tpmif ring (backend/ring.h), for vtpm-crb: a page and one
 * extra page of its own, granted to the domain of the vTPM's manager, so that the longest
 * packet fits.  The manager may be hostile: a response is copied once and its length
 * checked.
 */
#ifndef XVTPM_CRB_RING_H
#define XVTPM_CRB_RING_H

#include "frontend/crb/saved.h"

#include <stdbool.h>

#define RING_PAGES 2u

struct crb_ring {
	volatile uint8_t *page; /* RING_PAGES pages; "extra" is the second one's grant */
	uint32_t extra;
};

enum ring_answer {
	RING_NOTHING,  /* the manager has it, or nobody asked */
	RING_RESPONSE, /* *len bytes */
	RING_UNSENT,   /* prepared, and not sent, or cancelled before it was taken */
};

/* Writes a command into the page; ring_send() is to follow. */
void crb_ring_prepare(struct crb_ring *r, uint8_t locality, const uint8_t *cmd,
		      size_t len);
/* Marks it as sent, unless it is.  The caller notifies the manager. */
void crb_ring_send(struct crb_ring *r);
/* Whether the command was marked, and the manager is to be notified. */
bool crb_ring_cancel(struct crb_ring *r);
/* A response of an impossible length is one of 0 bytes. */
enum ring_answer crb_ring_answer(const struct crb_ring *r, uint8_t rsp[CRB_BUFFER_MAX],
				 size_t *len);

#endif
