// SPDX-License-Identifier: GPL-2.0-only
#include <linux/interrupt.h>
#include <linux/string.h>
#include <xen/events.h>
#include <xen/grant_table.h>
#include "ring.h"

#define EXTRA_PAGES   (RING_PAGES - 1)
#define PACKET_OFFSET (sizeof(struct vtpm_shared_page) + EXTRA_PAGES * sizeof(u32))
#define PACKET_ROOM   (RING_PAGES * XEN_PAGE_SIZE - PACKET_OFFSET)
#define HURRY_WAIT    (2 * HZ)
#define CANCEL_WAIT   (2 * HZ)
#define DRAIN_WAIT    (10 * HZ)

static u8 *packet_of(struct ring *r)
{
	return (u8 *)r->page + PACKET_OFFSET;
}

static bool answered(const struct ring *r)
{
	u8 state = READ_ONCE(r->page->state);

	return state == VTPM_STATE_IDLE || state == VTPM_STATE_FINISH;
}

static bool settled(const struct ring *r)
{
	return !READ_ONCE(r->up) || answered(r);
}

static irqreturn_t interrupt(int irq, void *arg)
{
	/* Said of events that nothing waits for, so that the kernel slows down a
	 * backend that storms. */
	unsigned int flags = XEN_EOI_FLAG_SPURIOUS;
	struct ring *r = arg;

	if (READ_ONCE(r->busy) && answered(r)) {
		wake_up_all(&r->wait);
		flags = 0;
	}
	xen_irq_lateeoi(irq, flags);
	return IRQ_HANDLED;
}

void xtpm_ring_init(struct ring *r, struct xenbus_device *dev)
{
	r->dev = dev;
	init_waitqueue_head(&r->wait);
	mutex_init(&r->lock);
}

static int bind_events(struct ring *r)
{
	int rc = xenbus_alloc_evtchn(r->dev, &r->port);

	if (rc)
		return rc;
	rc = bind_evtchn_to_irqhandler_lateeoi(r->port, interrupt, 0, "xen-tpmfront", r);
	if (rc < 0) {
		xenbus_free_evtchn(r->dev, r->port);
		return rc;
	}
	r->irq = rc;
	return 0;
}

static void reset(struct ring *r)
{
	memset(r->page, 0, RING_PAGES * XEN_PAGE_SIZE);
	r->page->nr_extra_pages = EXTRA_PAGES;
	for (int i = 0; i < EXTRA_PAGES; i++)
		r->page->extra_pages[i] = r->refs[1 + i];
	r->busy = false;
}

int xtpm_ring_open(struct ring *r)
{
	void *pages;
	int rc;

	if (r->page && r->peer != r->dev->otherend_id)
		xtpm_ring_close(r);
	if (r->page) {
		reset(r);
		return 0;
	}
	rc = xenbus_setup_ring(r->dev, GFP_KERNEL, &pages, RING_PAGES, r->refs);
	if (rc)
		return rc;
	r->page = pages;
	r->peer = r->dev->otherend_id;
	reset(r);
	rc = bind_events(r);
	if (rc)
		xtpm_ring_close(r);
	return rc;
}

void xtpm_ring_close(struct ring *r)
{
	void *pages = r->page;

	if (!pages)
		return;
	if (r->irq)
		unbind_from_irqhandler(r->irq, r);
	r->irq = 0;
	r->page = NULL;
	/* Commands carry authorization values. */
	memzero_explicit(pages, RING_PAGES * XEN_PAGE_SIZE);
	xenbus_teardown_ring(&pages, RING_PAGES, r->refs);
}

void xtpm_ring_start(struct ring *r)
{
	WRITE_ONCE(r->hurry, false);
	WRITE_ONCE(r->up, true);
}

void xtpm_ring_abort(struct ring *r)
{
	WRITE_ONCE(r->up, false);
	wake_up_all(&r->wait);
}

void xtpm_ring_stop(struct ring *r)
{
	xtpm_ring_abort(r);
	mutex_lock(&r->lock);
	mutex_unlock(&r->lock);
}

void xtpm_ring_shorten_timeouts(struct ring *r)
{
	WRITE_ONCE(r->hurry, true);
	wake_up_all(&r->wait);
}

static void post(struct ring *r, u8 state)
{
	/* Earlier writes must be visible before the state; pairs with the
	 * backend's barrier after it has read SUBMIT. */
	virt_wmb();
	WRITE_ONCE(r->page->state, state);
	virt_mb(); /* The state before the event: the backend sleeps until that. */
	notify_remote_via_irq(r->irq);
}

static void submit(struct ring *r, const u8 *cmd, size_t len)
{
	memcpy(packet_of(r), cmd, len);
	r->page->length = len;
	r->page->locality = 0;
	WRITE_ONCE(r->busy, true);
	post(r, VTPM_STATE_SUBMIT);
}

/* Jiffies that were left, 0 when time is up, negative when killed. */
static long sleep(struct ring *r, unsigned long wait)
{
	long left;

	left = wait_event_killable_timeout(r->wait, settled(r) || READ_ONCE(r->hurry),
					   wait);
	if (left > 0 && !settled(r))
		left = wait_event_killable_timeout(r->wait, settled(r),
						   min_t(long, left, HURRY_WAIT));
	return left;
}

static int outcome(struct ring *r)
{
	if (!READ_ONCE(r->up))
		return -EIO;
	if (!answered(r))
		return -ETIME;
	WRITE_ONCE(r->busy, false);
	return 0;
}

void xtpm_ring_cancel(struct ring *r)
{
	if (READ_ONCE(r->up) && READ_ONCE(r->busy) && !answered(r))
		post(r, VTPM_STATE_CANCEL);
}

/* Not killable: the process may be on its way out already. */
static void give_up(struct ring *r)
{
	xtpm_ring_cancel(r);
	wait_event_timeout(r->wait, settled(r), CANCEL_WAIT);
	if (!outcome(r))
		return;
	dev_warn(&r->dev->dev, "the vTPM's backend does not answer\n");
	/* One timeout for all commands of an orderly end, not one for each. */
	if (READ_ONCE(r->hurry))
		xtpm_ring_abort(r);
}

static int take(struct ring *r, u8 *rsp, size_t *rsp_len)
{
	u32 length;
	int rc;

	if (READ_ONCE(r->page->state) != VTPM_STATE_FINISH)
		return -ECANCELED;
	/* FINISH before length and packet; pairs with the backend's barrier before
	 * it writes FINISH. */
	virt_rmb();
	length = READ_ONCE(r->page->length);
	rc = xtpm_packet_check_length(length, PACKET_ROOM);
	if (rc)
		return rc;
	memcpy(rsp, packet_of(r), length);
	rc = xtpm_packet_check(rsp, length);
	if (rc)
		return rc;
	*rsp_len = length;
	return 0;
}

static int drain(struct ring *r)
{
	if (!r->busy)
		return 0;
	/* Again: a backend that was not there for the first event, or lost it. */
	xtpm_ring_cancel(r);
	sleep(r, DRAIN_WAIT);
	return outcome(r) == -ETIME ? -EBUSY : 0;
}

static int exchange(struct ring *r, const u8 *cmd, size_t len, unsigned long wait,
		    u8 *rsp, size_t *rsp_len)
{
	int rc;

	if (!READ_ONCE(r->up))
		return -EPIPE;
	rc = drain(r);
	if (rc)
		return rc;
	submit(r, cmd, len);
	sleep(r, wait);
	rc = outcome(r);
	if (rc == -ETIME)
		give_up(r);
	if (rc)
		return rc;
	return take(r, rsp, rsp_len);
}

int xtpm_ring_exchange(struct ring *r, const u8 *cmd, size_t len, unsigned long wait,
		       u8 *rsp, size_t *rsp_len)
{
	int rc;

	BUILD_BUG_ON(PACKET_ROOM < PACKET_MAX);
	if (len > PACKET_MAX)
		return -E2BIG;
	mutex_lock(&r->lock);
	rc = exchange(r, cmd, len, wait, rsp, rsp_len);
	mutex_unlock(&r->lock);
	return rc;
}
