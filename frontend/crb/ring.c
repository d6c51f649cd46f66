/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/ring.h"

#include <stddef.h>
#include <xen/xen.h>
#include <xen/io/tpmif.h>

#define EXTRA  1u
#define PACKET (sizeof(struct tpmif_shared_page) + 4 * EXTRA)
#define PAGE   4096u

_Static_assert(PACKET + CRB_BUFFER_MAX <= RING_PAGES * PAGE, "the longest packet");

static volatile struct tpmif_shared_page *head(const struct crb_ring *r)
{
	return (volatile struct tpmif_shared_page *)r->page;
}

void crb_ring_prepare(struct crb_ring *r, uint8_t locality, const uint8_t *cmd,
		      size_t len)
{
	volatile struct tpmif_shared_page *h = head(r);

	h->state = TPMIF_STATE_IDLE;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	h->length = (uint32_t)len;
	h->locality = locality;
	h->pad = 0;
	h->nr_extra_pages = EXTRA;
	h->extra_pages[0] = r->extra;
	for (size_t i = 0; i < len; i++)
		r->page[PACKET + i] = cmd[i];
}

void crb_ring_send(struct crb_ring *r)
{
	uint8_t expected = TPMIF_STATE_IDLE;

	/* packet before SUBMIT */
	__atomic_compare_exchange_n(&head(r)->state, &expected, TPMIF_STATE_SUBMIT, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

bool crb_ring_cancel(struct crb_ring *r)
{
	uint8_t expected = TPMIF_STATE_SUBMIT;

	/* never over a FINISH */
	return __atomic_compare_exchange_n(&head(r)->state, &expected, TPMIF_STATE_CANCEL,
					   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

enum ring_answer crb_ring_answer(const struct crb_ring *r, uint8_t rsp[CRB_BUFFER_MAX],
				 size_t *len)
{
	uint8_t state = head(r)->state;
	uint32_t n;

	if (state == TPMIF_STATE_IDLE)
		return RING_UNSENT;
	if (state != TPMIF_STATE_FINISH)
		return RING_NOTHING;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	n = head(r)->length;
	*len = n <= CRB_BUFFER_MAX ? n : 0;
	for (size_t i = 0; i < *len; i++)
		rsp[i] = r->page[PACKET + i];
	return RING_RESPONSE;
}
