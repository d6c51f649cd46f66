/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/io/tpmif.h>
#include "backend/ring.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

/*
 * Access to memory that a guest can change at any moment.  Every byte is read
 * exactly once, into memory of our own, and only that copy is looked at.
 *
 * A test defines SHARED_ACCESS before it includes the product file, and plays the
 * guest there: it is called before each access.
 */
#ifndef SHARED_ACCESS
#define SHARED_ACCESS(address) ((void)(address))
#endif

static uint32_t shared_read_u32(const volatile uint8_t *from)
{
	SHARED_ACCESS(from);
	return *(const volatile uint32_t *)from;
}

/*@ requires \valid_read(from);
    assigns \nothing; */
static uint8_t shared_read_u8(const volatile uint8_t *from)
{
	SHARED_ACCESS(from);
	return *from;
}

static void shared_write_u32(volatile uint8_t *to, uint32_t value)
{
	SHARED_ACCESS(to);
	*(volatile uint32_t *)to = value;
}

/*@ requires \valid(to);
    assigns *to; */
static void shared_write_u8(volatile uint8_t *to, uint8_t value)
{
	SHARED_ACCESS(to);
	*to = value;
}

/*@ requires \valid(to + (0 .. n - 1)) && \valid_read(from + (0 .. n - 1));
    assigns to[0 .. n - 1]; */
static void shared_copy_in(uint8_t *to, const volatile uint8_t *from, size_t n)
{
	/*@ loop invariant 0 <= i <= n;
	    loop assigns i, to[0 .. n - 1];
	    loop variant n - i; */
	for (size_t i = 0; i < n; i++)
		to[i] = shared_read_u8(from + i);
}

/*@ requires \valid(to + (0 .. n - 1)) && \valid_read(from + (0 .. n - 1));
    assigns to[0 .. n - 1]; */
static void shared_copy_out(volatile uint8_t *to, const uint8_t *from, size_t n)
{
	/*@ loop invariant 0 <= i <= n;
	    loop assigns i, to[0 .. n - 1];
	    loop variant n - i; */
	for (size_t i = 0; i < n; i++)
		shared_write_u8(to + i, from[i]);
}

/* Offsets in the page; state, locality and nr_extra_pages are one aligned word. */
#define OFFSET_LENGTH	    0
#define OFFSET_STATE	    4
#define OFFSET_REFS	    8
#define TPM_TAG_RSP_COMMAND 0x00c4

_Static_assert(offsetof(struct tpmif_shared_page, length) == OFFSET_LENGTH, "length");
_Static_assert(offsetof(struct tpmif_shared_page, state) == OFFSET_STATE, "state");
_Static_assert(offsetof(struct tpmif_shared_page, locality) == 5, "locality");
_Static_assert(offsetof(struct tpmif_shared_page, nr_extra_pages) == 7, "extra pages");
_Static_assert(offsetof(struct tpmif_shared_page, extra_pages) == OFFSET_REFS, "refs");
_Static_assert(OFFSET_REFS + 4 * UINT8_MAX + RING_TPM_HEADER_SIZE <= BACKEND_PAGE_SIZE,
	       "a refusal fits into the page whatever nr_extra_pages says");

/*@ assigns \nothing;
    ensures \result == OFFSET_REFS + 4 * nr_extra; */
static size_t packet_offset(uint8_t nr_extra)
{
	return OFFSET_REFS + 4 * (size_t)nr_extra;
}

int ring_open(struct ring *r, struct xen *xen, uint32_t domid, uint32_t ref,
	      uint32_t remote_port)
{
	void *page;
	int rc;

	memset(r, 0, sizeof(*r));
	rc = xen_map(xen, domid, &ref, 1, &page);
	if (rc)
		return rc;
	rc = xen_bind(xen, domid, remote_port, &r->port);
	if (rc) {
		xen_unmap(xen, page, 1);
		return rc;
	}
	r->xen = xen;
	r->domid = domid;
	r->page = page;
	return 0;
}

/*@ requires \valid(r);
    assigns r->extra, r->nr_extra;
    ensures r->extra == \null && r->nr_extra == 0; */
static void drop_extra(struct ring *r)
{
	if (r->extra)
		xen_unmap(r->xen, (void *)r->extra, r->nr_extra);
	r->extra = NULL;
	r->nr_extra = 0;
}

void ring_close(struct ring *r)
{
	if (!r->page)
		return;
	drop_extra(r);
	xen_unbind(r->xen, r->port);
	xen_unmap(r->xen, (void *)r->page, 1);
	r->page = NULL;
}

/* Mappings are kept while a guest names the same pages: mapping costs hypercalls. */
/*@ requires \valid(r) && ring_extra(r) && nr <= RING_EXTRA_MAX;
    requires \valid_read(refs + (0 .. RING_EXTRA_MAX - 1));
    requires \separated(r, refs + (0 .. RING_EXTRA_MAX - 1));
    assigns r->extra, r->nr_extra, r->extra_refs[0 .. RING_EXTRA_MAX - 1];
    ensures ring_extra(r) && (\result == 0 ==> r->nr_extra == nr); */
static int want_extra(struct ring *r, const uint32_t *refs, uint8_t nr)
{
	void *pages;
	int rc;

	if (nr == r->nr_extra && !memcmp(refs, r->extra_refs, nr * sizeof(*refs)))
		return 0;
	drop_extra(r);
	if (nr == 0)
		return 0;
	rc = xen_map(r->xen, r->domid, refs, nr, &pages);
	if (rc)
		return rc;
	r->extra = pages;
	r->nr_extra = nr;
	memcpy(r->extra_refs, refs, nr * sizeof(*refs));
	return 0;
}

/*@ requires \valid_read(r) && \valid(r->page + OFFSET_STATE);
    assigns r->page[OFFSET_STATE]; */
static void set_ring_state(struct ring *r, enum tpmif_state state)
{
	shared_write_u8(r->page + OFFSET_STATE, state);
	xen_notify(r->xen, r->port);
}

/* The one place where an answer becomes visible. */
/*@ requires ring_holds(r) && \valid_read(rsp + (0 .. len - 1));
    requires len <= RING_TPM_HEADER_SIZE ||
	(nr_extra == r->nr_extra && len <= ring_space(nr_extra));
    assigns r->page[0 .. BACKEND_PAGE_SIZE - 1];
    assigns r->extra[0 .. len - 1 - (BACKEND_PAGE_SIZE - OFFSET_REFS - 4 * nr_extra)]; */
static void publish(struct ring *r, uint8_t nr_extra, const uint8_t *rsp, size_t len)
{
	size_t offset = packet_offset(nr_extra);
	size_t first = BACKEND_PAGE_SIZE - offset;

	if (first > len)
		first = len;
	shared_copy_out(r->page + offset, rsp, first);
	if (len > first)
		shared_copy_out(r->extra, rsp + first, len - first);
	shared_write_u32(r->page + OFFSET_LENGTH, (uint32_t)len);
	/* Packet and length before FINISH; pairs with the guest's reads of both
	 * after it has seen FINISH (vtpm_recv() in Linux). */
	atomic_thread_fence(memory_order_release);
	set_ring_state(r, TPMIF_STATE_FINISH);
}

/*@ assigns \nothing; */
static uint32_t code_12(uint32_t code)
{
	switch (code) {
	case TPM2_RC_COMMAND_SIZE:
		return TPM_BAD_PARAM_SIZE;
	case TPM2_RC_LOCALITY:
		return TPM_BAD_LOCALITY;
	default:
		return TPM_FAIL;
	}
}

void ring_error(uint8_t rsp[static RING_TPM_HEADER_SIZE], uint32_t code, bool tpm12)
{
	struct cursor c = cursor_writer(rsp, RING_TPM_HEADER_SIZE);

	cursor_put_u16(&c, tpm12 ? TPM_TAG_RSP_COMMAND : TPM2_ST_NO_SESSIONS);
	cursor_put_u32(&c, RING_TPM_HEADER_SIZE);
	cursor_put_u32(&c, tpm12 ? code_12(code) : code);
}

/*@ requires ring_holds(r);
    assigns r->page[0 .. BACKEND_PAGE_SIZE - 1];
    ensures \result == -EBADMSG; */
static int refuse_ring(struct ring *r, uint8_t nr_extra, uint32_t code)
{
	uint8_t rsp[RING_TPM_HEADER_SIZE];

	ring_error(rsp, code, r->tpm12);
	publish(r, nr_extra, rsp, sizeof(rsp));
	return -EBADMSG;
}

size_t ring_room(const struct ring_request *q)
{
	size_t room = BACKEND_PAGE_SIZE * (1 + (size_t)q->nr_extra) -
		      packet_offset(q->nr_extra);

	return room < RING_PACKET_MAX ? room : RING_PACKET_MAX;
}

/*@ requires ring_holds(r) && \valid(q) && \separated(r, q) && ring_taken(r, q);
    assigns q->packet[0 .. RING_PACKET_MAX - 1]; */
static void copy_packet(struct ring *r, struct ring_request *q)
{
	size_t offset = packet_offset(q->nr_extra);
	size_t first = BACKEND_PAGE_SIZE - offset;

	if (first > q->len)
		first = q->len;
	shared_copy_in(q->packet, r->page + offset, first);
	if (q->len > first)
		shared_copy_in(q->packet + first, r->extra, q->len - first);
}

int ring_take(struct ring *r, struct ring_request *q)
{
	uint32_t word = shared_read_u32(r->page + OFFSET_STATE);
	uint32_t refs[RING_EXTRA_MAX] = {0};
	uint8_t state = word & 0xff;

	if (state == TPMIF_STATE_CANCEL) {
		set_ring_state(r, TPMIF_STATE_IDLE);
		return -EAGAIN;
	}
	if (state != TPMIF_STATE_SUBMIT)
		return -EAGAIN;
	/* SUBMIT before length, references and packet; pairs with the guest's
	 * barrier between writing those and SUBMIT (vtpm_send() in Linux). */
	atomic_thread_fence(memory_order_acquire);
	q->locality = word >> 8 & 0xff;
	q->nr_extra = word >> 24;
	q->len = shared_read_u32(r->page + OFFSET_LENGTH);

	if (q->nr_extra > RING_EXTRA_MAX)
		return refuse_ring(r, q->nr_extra, TPM2_RC_COMMAND_SIZE);
	if (q->len < RING_TPM_HEADER_SIZE || q->len > ring_room(q))
		return refuse_ring(r, q->nr_extra, TPM2_RC_COMMAND_SIZE);
	/*@ loop invariant 0 <= i <= q->nr_extra;
	    loop assigns i, refs[0 .. RING_EXTRA_MAX - 1];
	    loop variant q->nr_extra - i; */
	for (uint8_t i = 0; i < q->nr_extra; i++)
		refs[i] = shared_read_u32(r->page + OFFSET_REFS + 4 * i);
	if (want_extra(r, refs, q->nr_extra))
		return refuse_ring(r, q->nr_extra, TPM2_RC_FAILURE);
	copy_packet(r, q);
	return 0;
}

void ring_put(struct ring *r, const struct ring_request *q, const uint8_t *rsp,
	      size_t len)
{
	if (len > ring_room(q))
		(void)refuse_ring(r, q->nr_extra, TPM2_RC_FAILURE);
	else
		publish(r, q->nr_extra, rsp, len);
}

bool ring_cancelled(const struct ring *r)
{
	return r->page && shared_read_u8(r->page + OFFSET_STATE) == TPMIF_STATE_CANCEL;
}
