/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which calls of Xen's set vtpm-crb up, in each of the ways: one that goes on keeps server and
 * channels; where a soft reset of the guest has destroyed the server, it makes another one, and
 * gives the channels of the old one back.
 */
#include "tests/unit/unit.h"
#include "frontend/crb/ioreq.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xendevicemodel.h>
#include <xen/memory.h>

#define VCPUS	3u
#define THEIRS	100u /* Xen's port of vCPU 0 */
#define OURS	40u
#define OLD_ID	2u
#define NEW_ID	5u
#define NOTHING ((ioservid_t)0xffff)

static struct {
	ioservid_t server; /* that Xen has */
	int map_error;
	unsigned int made, ranges, started, bound, unbound;
	bool is_restricted;
} xen;

static uint8_t page_bytes[4096] __attribute__((aligned(8)));
static uint8_t buffer[4096];

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned int flags)
{
	return (xendevicemodel_handle *)&xen;
}

int xendevicemodel_close(xendevicemodel_handle *h)
{
	return 0;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *h, domid_t domid,
				       int buffered, ioservid_t *id)
{
	xen.made++;
	*id = xen.server = NEW_ID;
	return 0;
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *h, domid_t domid,
						ioservid_t id, int is_mmio,
						uint64_t start, uint64_t end)
{
	assert_int_equal(id, xen.server);
	xen.ranges++;
	return 0;
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h, domid_t domid,
					  ioservid_t id, int enabled)
{
	assert_int_equal(id, xen.server);
	xen.started++;
	return 0;
}

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned int flags)
{
	return (xenforeignmemory_handle *)&xen;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *h, domid_t domid)
{
	xen.is_restricted = true;
	return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t domid, int prot,
			   size_t count, const xen_pfn_t *frames, int *errors)
{
	assert_int_equal(frames[0], CRB_BUFFER / 4096);
	errors[0] = 0;
	return buffer;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *at, size_t count)
{
	return 0;
}

xenforeignmemory_resource_handle *
xenforeignmemory_map_resource(xenforeignmemory_handle *h, domid_t domid,
			      unsigned int type, unsigned int id, unsigned long frame,
			      unsigned long count, void **at, int prot, int flags)
{
	errno = xen.map_error ? xen.map_error : ENOENT;
	if (xen.map_error || id != xen.server)
		return NULL;
	*at = page_bytes;
	return (xenforeignmemory_resource_handle *)&xen;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
						     evtchn_port_t port)
{
	assert_int_equal(port, THEIRS + xen.bound);
	return (xenevtchn_port_or_error_t)(OURS + xen.bound++);
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	assert_int_equal(port, 7 + xen.unbound);
	xen.unbound++;
	return 0;
}

static struct saved saved;

/* What one that served for a while has left. */
static int reset(void **ctx)
{
	shared_iopage_t *page = (shared_iopage_t *)page_bytes;

	memset(&xen, 0, sizeof(xen));
	memset(page_bytes, 0, sizeof(page_bytes));
	memset(&saved, 0, sizeof(saved));
	xen.server = OLD_ID;
	saved.guest.domid = 9;
	saved.server = OLD_ID;
	saved.vcpus = VCPUS;
	for (unsigned int n = 0; n < VCPUS; n++) {
		page->vcpu_ioreq[n].vp_eport = THEIRS + n;
		saved.vcpu_port[n] = 7 + n;
	}
	return 0;
}

static int opens(enum ioreq_how how)
{
	struct ioreq_server q = {0};
	const char *what = "";

	return ioreq_open(&q, &saved, how, (xenevtchn_handle *)&xen, &what);
}

static void assert_begun(unsigned int unbound)
{
	assert_int_equal(xen.made, 1);
	assert_int_equal(xen.ranges, 2);
	assert_int_equal(xen.started, 1);
	assert_int_equal(xen.bound, VCPUS);
	assert_int_equal(xen.unbound, unbound);
	assert_int_equal(saved.server, NEW_ID);
	assert_int_equal(saved.vcpu_port[VCPUS - 1], OURS + VCPUS - 1);
	assert_true(xen.is_restricted);
}

static void one_that_begins(void **ctx)
{
	static const enum ioreq_how hows[] = {IOREQ_NEW, IOREQ_RESTORE};

	for (size_t i = 0; i < 2; i++) {
		reset(ctx);
		xen.server = NOTHING;
		assert_int_equal(opens(hows[i]), 0);
		assert_begun(0);
	}
}

static void one_that_goes_on(void **ctx)
{
	static const enum ioreq_how hows[] = {IOREQ_RESUME, IOREQ_RENEW, IOREQ_REBIND};

	for (size_t i = 0; i < 3; i++) {
		reset(ctx);
		assert_int_equal(opens(hows[i]), 0);
		assert_int_equal(xen.made + xen.ranges + xen.started + xen.unbound, 0);
		assert_int_equal(saved.server, OLD_ID);
		assert_int_equal(xen.bound, hows[i] == IOREQ_REBIND ? VCPUS : 0);
		assert_int_equal(saved.vcpu_port[0], xen.bound ? OURS : 7);
		assert_true(xen.is_restricted);
	}
}

static void behind_a_soft_reset(void **ctx)
{
	static const enum ioreq_how hows[] = {IOREQ_RESUME, IOREQ_RENEW, IOREQ_REBIND};

	for (size_t i = 0; i < 3; i++) {
		reset(ctx);
		xen.server = NOTHING;
		assert_int_equal(opens(hows[i]), 0);
		/* those of a rebind are new, and the old ones gone with their file */
		assert_begun(hows[i] == IOREQ_REBIND ? 0 : VCPUS);
	}
}

/* A second server would have the accesses, and those that wait at the first no answer. */
static void a_server_that_is_there(void **ctx)
{
	xen.map_error = ENOMEM;
	assert_int_equal(opens(IOREQ_RESUME), -ENOMEM);
	assert_int_equal(xen.made + xen.unbound, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_that_begins, reset),
		cmocka_unit_test_setup(one_that_goes_on, reset),
		cmocka_unit_test_setup(behind_a_soft_reset, reset),
		cmocka_unit_test_setup(a_server_that_is_there, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
