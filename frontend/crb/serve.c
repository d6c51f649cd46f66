/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/serve.h"
#include "lib/cursor.h"
#include "lib/tpm2/types.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* For how long after START the write to it, and reads of it, wait for the response, which
 * saves reads: no longer than Xen's scheduler lets a vCPU wait, too.  Longer for what comes
 * once in a boot, when nothing else is there to be done; the drivers' own time limits begin
 * after the write.  TPM2_Startup changes the stored state, and Linux allows it 750 ms, which
 * a busy disk may need for itself. */
#define HOLD_NS		  20000000ll
#define SELF_TEST_HOLD_NS 2000000000ll
#define STARTUP_HOLD_NS	  5000000000ll
#define RC_CANCELED	  0x909
/* What is trapped, but for the page of the buffer, which is RAM. */
#define PPI_AT	   (PPI_BASE - CRB_BASE)
#define BOARD_SIZE (PPI_AT + PPI_SIZE)

static bool is_busy(const struct device *d)
{
	return d->saved->crb.start & CRB_EXECUTING;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t hold_ns(uint32_t code)
{
	if (code == TPM2_CC_Startup)
		return STARTUP_HOLD_NS;
	return code == TPM2_CC_SelfTest ? SELF_TEST_HOLD_NS : HOLD_NS;
}

static void prepare(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len)
{
	struct device *d = ctx;
	struct cursor c = cursor_reader(cmd, len);

	(void)cursor_u16(&c); /* tag */
	(void)cursor_u32(&c); /* size */
	d->hold_until = now_ns() + hold_ns(cursor_u32(&c));
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

	if (r->type != IOREQ_TYPE_COPY || !r->size || r->size > 8)
		return data;
	for (uint32_t i = 0; i < r->count && at < BOARD_SIZE; i++, at += step) {
		result = serve_element(d, r, (uint32_t)at, data);
		if (r->data_is_ptr)
			data += step;
	}
	return r->data_is_ptr ? r->data : result;
}

static void answer_vcpu(struct device *d, unsigned int n, uint64_t data)
{
	d->held[n] = false;
	ioreq_done(&d->ioreq, n, data);
	(void)!xenevtchn_notify(d->events, d->saved->vcpu_port[n]);
}

/* Whether the access, which was served, asks for what a response changes: it gave the
 * command, or reads whether it executes still. */
static bool awaits_response(const struct device *d, const ioreq_t *r, bool gave)
{
	uint64_t at = r->addr - CRB_BASE;

	return is_busy(d) && now_ns() < d->hold_until &&
	       (gave || (r->dir == IOREQ_READ && r->count == 1 && !r->data_is_ptr &&
			 at < CRB_SIZE && at % CRB_PAGE == CRB_CTRL_START));
}

/* An access that a vtpm-crb which died was serving is served again, but for a write to START
 * whose command it had taken: what is in the buffer by now is not that command. */
static void serve_vcpu(struct device *d, unsigned int n)
{
	struct crb_state *s = &d->saved->crb;
	bool again = ioreq_is_taken(&d->ioreq, n), started = s->start >> 1 == n + 1;
	bool executes = is_busy(d);
	uint64_t data;
	ioreq_t r;

	if (d->held[n])
		return;
	if (!again && started)
		s->start &= CRB_EXECUTING;
	if (!ioreq_take(&d->ioreq, n, &r))
		return;
	data = r.data;
	if (!again || !started) {
		d->crb.vcpu = n + 1;
		data = serve_access(d, &r);
		d->crb.vcpu = 0;
		d->held[n] = awaits_response(d, &r, !executes);
	} else if (!executes) {
		crb_deliver(&d->crb);
	}
	if (!d->held[n])
		answer_vcpu(d, n, data);
}

/* Answers whoever waits for a response that has come, or comes too late. */
static void release_held(struct device *d)
{
	ioreq_t r;

	look_at_ring(d);
	if (is_busy(d) && now_ns() < d->hold_until)
		return;
	for (unsigned int n = 0; n < d->saved->vcpus; n++)
		if (d->held[n] && ioreq_take(&d->ioreq, n, &r))
			answer_vcpu(d, n,
				    r.dir == IOREQ_READ ? serve_access(d, &r) : r.data);
}

/* First those that one which died had taken: their vCPUs came before the others. */
static void serve_all(struct device *d)
{
	for (int taken = 1; taken >= 0; taken--)
		for (unsigned int n = 0; n < d->saved->vcpus; n++)
			if (ioreq_is_taken(&d->ioreq, n) == taken)
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
	look_at_ring(d);
	for (unsigned int n = 0; n < d->saved->vcpus; n++)
		if ((uint32_t)port == d->saved->vcpu_port[n])
			serve_vcpu(d, n);
}

void serve_begin(struct device *d)
{
	if (d->saved->crb.away && !is_busy(d))
		crb_deliver(&d->crb);
	d->saved->crb.away = 0;
	catch_up(d);
	look_at_ring(d);
	serve_all(d);
	release_held(d);
}

/* NULL: no access waits. */
static const struct timespec *time_left(const struct device *d, struct timespec *t)
{
	int64_t left = d->hold_until - now_ns();

	if (!memchr(d->held, true, sizeof(d->held)))
		return NULL;
	left = left > 0 ? left : 0;
	*t = (struct timespec){left / 1000000000, left % 1000000000};
	return t;
}

void serve_next(struct device *d)
{
	struct pollfd p = {.fd = xenevtchn_fd(d->events), .events = POLLIN};
	struct timespec t;
	sigset_t none;

	sigemptyset(&none);
	if (ppoll(&p, 1, time_left(d, &t), &none) > 0)
		serve_event(d);
	release_held(d);
}

void serve_end(struct device *d)
{
	static uint8_t nowhere[CRB_BUFFER_MAX];
	struct pollfd p = {.fd = xenevtchn_fd(d->events), .events = POLLIN};

	d->saved->crb.away = 1;
	ioreq_close(&d->ioreq);
	d->crb.buffer = nowhere;
	for (look_at_ring(d); is_busy(d); look_at_ring(d)) {
		xenevtchn_port_or_error_t port;

		(void)!poll(&p, 1, -1);
		port = xenevtchn_pending(d->events);
		if (port >= 0)
			(void)!xenevtchn_unmask(d->events, (evtchn_port_t)port);
	}
}
