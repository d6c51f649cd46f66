/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/serve.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <poll.h>
#include <string.h>
#include <time.h>

/* How long the write to START waits for the response, which saves reads of START; the
 * drivers' own time limits begin after it.  TPM2_Startup, once in a boot, changes the stored
 * state, and Linux allows it 750 ms, which a busy disk may need for itself. */
#define HOLD_NS		1000000ll
#define STARTUP_HOLD_NS 5000000000ll
#define RC_CANCELED	0x909
/* What is trapped, but for the page of the buffer, which is RAM. */
#define PPI_AT	   (PPI_BASE - CRB_BASE)
#define BOARD_SIZE (PPI_AT + PPI_SIZE)

static bool is_busy(const struct device *d)
{
	return d->saved->crb.start & CRB_EXECUTING;
}

static void prepare(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len)
{
	struct device *d = ctx;
	struct cursor c = cursor_reader(cmd, len);

	(void)cursor_u16(&c); /* tag */
	(void)cursor_u32(&c); /* size */
	d->hold_ns = cursor_u32(&c) == TPM2_CC_Startup ? STARTUP_HOLD_NS : HOLD_NS;
	crb_ring_prepare(&d->ring, locality, cmd, len);
}

static void send_command(void *ctx)
{
	struct device *d = ctx;

	crb_ring_send(&d->ring);
	(void)!xenevtchn_notify(d->events, d->saved->ring_port);
}

static void cancel_command(void *ctx)
{
	struct device *d = ctx;

	if (crb_ring_cancel(&d->ring))
		(void)!xenevtchn_notify(d->events, d->saved->ring_port);
}

const struct crb_ops serve_ops = {
	.prepare = prepare,
	.send = send_command,
	.cancel = cancel_command,
};

/* Takes in what the manager did; a command that it has not got is sent again. */
static void look_at_ring(struct device *d)
{
	static const uint8_t cancelled[] = {
		0x80, 1, 0, 0, 0, 10, 0, 0, RC_CANCELED >> 8, RC_CANCELED & 0xff};
	uint8_t rsp[CRB_BUFFER_MAX];
	size_t len = 0;

	if (!is_busy(d))
		return;
	switch (crb_ring_answer(&d->ring, rsp, &len)) {
	case RING_RESPONSE:
		crb_complete(&d->crb, rsp, len);
		explicit_bzero(rsp, len);
		break;
	case RING_UNSENT:
		if (d->saved->crb.cancel)
			crb_complete(&d->crb, cancelled, sizeof(cancelled));
		else
			send_command(d);
		break;
	case RING_NOTHING:
		break;
	}
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Takes an event in; an access waits for its turn. */
static void note_event(struct device *d)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(d->events);

	if (port >= 0)
		(void)!xenevtchn_unmask(d->events, (evtchn_port_t)port);
	d->noted = true;
}

static void hold(struct device *d)
{
	int64_t until = now_ns() + d->hold_ns, left;

	look_at_ring(d);
	while (is_busy(d) && (left = until - now_ns()) > 0) {
		struct pollfd p = {.fd = xenevtchn_fd(d->events), .events = POLLIN};
		struct timespec t = {.tv_sec = left / 1000000000,
				     .tv_nsec = left % 1000000000};

		if (ppoll(&p, 1, &t, NULL) > 0)
			note_event(d);
		look_at_ring(d);
	}
}

static uint64_t read_board(const struct device *d, uint32_t at, unsigned int size)
{
	return at < PPI_AT ? crb_read(&d->crb, at, size)
			   : ppi_read(&d->ppi, at - PPI_AT, size);
}

static void write_board(struct device *d, uint32_t at, unsigned int size, uint64_t v)
{
	if (at < PPI_AT)
		crb_write(&d->crb, at, size, v);
	else
		ppi_write(&d->ppi, at - PPI_AT, size, v);
}

/* One element of an instruction; data is what it writes, or a place in the guest's RAM. */
static uint64_t serve_element(struct device *d, const ioreq_t *r, uint32_t at,
			      uint64_t data)
{
	uint64_t v = data;

	if (r->dir == IOREQ_READ) {
		v = read_board(d, at, r->size);
		if (r->data_is_ptr)
			ioreq_copy(&d->ioreq, data, &v, r->size, true);
		return v;
	}
	if (r->data_is_ptr)
		ioreq_copy(&d->ioreq, data, &v, r->size, false);
	write_board(d, at, r->size, v);
	return data;
}

/* An instruction that repeats is one request.  Returns what a read gives. */
static uint64_t serve_access(struct device *d, const ioreq_t *r)
{
	uint64_t at = r->addr - CRB_BASE, data = r->data, result = ~0ull;
	uint64_t step = r->df ? -(uint64_t)r->size : r->size;
	bool executes = is_busy(d);

	if (r->type != IOREQ_TYPE_COPY || !r->size || r->size > 8)
		return data;
	for (uint32_t i = 0; i < r->count && at < BOARD_SIZE; i++, at += step) {
		result = serve_element(d, r, (uint32_t)at, data);
		if (r->data_is_ptr)
			data += step;
	}
	if (!executes && is_busy(d))
		hold(d);
	return r->data_is_ptr ? r->data : result;
}

/* An access that a vtpm-crb which died was serving is served again, but for a write to START
 * whose command it had taken: what is in the buffer by now is not that command. */
static void serve_vcpu(struct device *d, unsigned int n)
{
	struct crb_state *s = &d->saved->crb;
	bool again = ioreq_is_taken(&d->ioreq, n), started = s->start >> 1 == n + 1;
	uint64_t data;
	ioreq_t r;

	if (!again && started)
		s->start &= CRB_EXECUTING;
	if (!ioreq_take(&d->ioreq, n, &r))
		return;
	data = r.data;
	if (!again || !started) {
		d->crb.vcpu = n + 1;
		data = serve_access(d, &r);
		d->crb.vcpu = 0;
	} else if (is_busy(d)) {
		look_at_ring(d);
	} else {
		crb_deliver(&d->crb);
	}
	ioreq_done(&d->ioreq, n, data);
	(void)!xenevtchn_notify(d->events, d->saved->vcpu_port[n]);
}

static void serve_all(struct device *d)
{
	for (unsigned int n = 0; n < d->saved->vcpus; n++)
		serve_vcpu(d, n);
}

/* What one that died had read and not unmasked, or had done and not told. */
static void catch_up(struct device *d)
{
	(void)!xenevtchn_unmask(d->events, d->saved->ring_port);
	(void)!xenevtchn_notify(d->events, d->saved->ring_port);
	for (unsigned int n = 0; n < d->saved->vcpus; n++) {
		(void)!xenevtchn_unmask(d->events, d->saved->vcpu_port[n]);
		(void)!xenevtchn_notify(d->events, d->saved->vcpu_port[n]);
	}
}

static void serve_event(struct device *d)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(d->events);

	if (port < 0)
		return;
	(void)!xenevtchn_unmask(d->events, (evtchn_port_t)port);
	if ((uint32_t)port == d->saved->ring_port)
		look_at_ring(d);
	for (unsigned int n = 0; n < d->saved->vcpus; n++)
		if ((uint32_t)port == d->saved->vcpu_port[n])
			serve_vcpu(d, n);
}

void serve_begin(struct device *d)
{
	catch_up(d);
	look_at_ring(d);
	serve_all(d);
}

void serve_next(struct device *d)
{
	struct pollfd p = {.fd = xenevtchn_fd(d->events), .events = POLLIN};

	while (d->noted) {
		d->noted = false;
		serve_all(d);
	}
	if (poll(&p, 1, -1) > 0)
		serve_event(d);
}
