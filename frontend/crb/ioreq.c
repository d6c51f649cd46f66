/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/ioreq.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xen/hvm/dm_op.h>
#include <xen/memory.h>

#define PAGE 4096u

/* Open only while ioreq_open() runs. */
struct handles {
	uint32_t domid;
	xendevicemodel_handle *dm;
	xenforeignmemory_handle *memory;
	const char **what;
};

static int fail(struct handles *h, const char *what)
{
	*h->what = what;
	return errno ? -errno : -EIO;
}

static int open_handles(struct handles *h)
{
	h->dm = xendevicemodel_open(NULL, 0);
	h->memory = xenforeignmemory_open(NULL, 0);
	return h->dm && h->memory ? 0 : fail(h, "Xen's devices");
}

/* What is mapped stays so. */
static void close_handles(struct handles *h)
{
	if (h->memory)
		xenforeignmemory_close(h->memory);
	if (h->dm)
		xendevicemodel_close(h->dm);
}

static int make_server(struct handles *h, struct saved *s)
{
	domid_t domid = (domid_t)h->domid;
	ioservid_t id;

	if (xendevicemodel_create_ioreq_server(h->dm, domid, HVM_IOREQSRV_BUFIOREQ_OFF,
					       &id))
		return fail(h, "an ioreq server");
	s->server = id;
	if (xendevicemodel_map_io_range_to_ioreq_server(h->dm, domid, id, 1, CRB_BASE,
							CRB_BASE + CRB_SIZE - 1) ||
	    xendevicemodel_map_io_range_to_ioreq_server(h->dm, domid, id, 1, PPI_BASE,
							PPI_BASE + PPI_SIZE - 1))
		return fail(h, "the register range");
	return 0;
}

static int map_server(struct handles *h, struct ioreq_server *q, const struct saved *s)
{
	void *page = NULL;

	if (!xenforeignmemory_map_resource(h->memory, (domid_t)h->domid,
					   XENMEM_resource_ioreq_server, s->server,
					   XENMEM_resource_ioreq_server_frame_ioreq(0), 1,
					   &page, PROT_READ | PROT_WRITE, 0))
		return fail(h, "the ioreq server's page");
	q->page = page;
	return 0;
}

static int start_server(struct handles *h, const struct saved *s)
{
	return xendevicemodel_set_ioreq_server_state(h->dm, (domid_t)h->domid,
						     (ioservid_t)s->server, 1)
		       ? fail(h, "the ioreq server's start")
		       : 0;
}

/* The vCPUs are there from the start; each has a port once the server is on. */
static int bind_vcpus(struct handles *h, struct ioreq_server *q, struct saved *s,
		      xenevtchn_handle *events)
{
	for (s->vcpus = 0; s->vcpus < SAVED_VCPUS; s->vcpus++) {
		evtchn_port_t theirs = q->page->vcpu_ioreq[s->vcpus].vp_eport;
		xenevtchn_port_or_error_t port;

		if (!theirs)
			break;
		port = xenevtchn_bind_interdomain(events, h->domid, theirs);
		if (port < 0)
			return fail(h, "a vCPU's event channel");
		s->vcpu_port[s->vcpus] = (uint32_t)port;
	}
	return s->vcpus ? 0 : fail(h, "the guest's vCPUs");
}

static int map_buffer(struct handles *h, struct ioreq_server *q)
{
	const xen_pfn_t frame = CRB_BUFFER / PAGE;
	int error = 0;

	q->buffer = xenforeignmemory_map(h->memory, h->domid, PROT_READ | PROT_WRITE, 1,
					 &frame, &error);
	if (q->buffer && !error)
		return 0;
	errno = error ? -error : errno;
	return fail(h, "the command buffer");
}

static int begin_server(struct handles *h, struct ioreq_server *q, struct saved *s,
			xenevtchn_handle *events)
{
	int rc = make_server(h, s);

	if (!rc)
		rc = map_server(h, q, s);
	if (!rc)
		rc = start_server(h, s);
	return rc ? rc : bind_vcpus(h, q, s, events);
}

/* Those to a server that Xen has destroyed: each guest could use domain 0's up otherwise. */
static void unbind_vcpus(const struct saved *s, xenevtchn_handle *events)
{
	for (unsigned int n = 0; n < s->vcpus; n++)
		(void)!xenevtchn_unbind(events, s->vcpu_port[n]);
}

static int find_server(struct handles *h, struct ioreq_server *q, struct saved *s,
		       enum ioreq_how how, xenevtchn_handle *events)
{
	int rc = map_server(h, q, s);

	if (rc == -ENOENT) {
		if (how != IOREQ_REBIND)
			unbind_vcpus(s, events);
		return begin_server(h, q, s, events);
	}
	return rc || how != IOREQ_REBIND ? rc : bind_vcpus(h, q, s, events);
}

static int open_all(struct handles *h, struct ioreq_server *q, struct saved *s,
		    enum ioreq_how how, xenevtchn_handle *events)
{
	int rc = open_handles(h);

	if (!rc)
		rc = map_buffer(h, q);
	if (rc)
		return rc;
	return how == IOREQ_NEW || how == IOREQ_RESTORE
		       ? begin_server(h, q, s, events)
		       : find_server(h, q, s, how, events);
}

int ioreq_open(struct ioreq_server *q, struct saved *s, enum ioreq_how how,
	       xenevtchn_handle *events, const char **what)
{
	struct handles h = {.domid = s->guest.domid, .what = what};
	int rc = open_all(&h, q, s, how, events);

	if (!rc && xenforeignmemory_restrict(h.memory, (domid_t)s->guest.domid))
		rc = fail(&h, "the restriction of what it may map to the guest");
	if (!rc) {
		q->memory = h.memory;
		q->domid = s->guest.domid;
		h.memory = NULL;
	}
	close_handles(&h);
	return rc;
}

void ioreq_close(struct ioreq_server *q)
{
	munmap(q->page, PAGE);
	munmap((void *)(uintptr_t)q->buffer, PAGE);
	xenforeignmemory_close(q->memory);
}

bool ioreq_is_taken(const struct ioreq_server *q, unsigned int n)
{
	return q->page->vcpu_ioreq[n].state == STATE_IOREQ_INPROCESS;
}

bool ioreq_take(struct ioreq_server *q, unsigned int n, ioreq_t *copy)
{
	ioreq_t *r = &q->page->vcpu_ioreq[n];

	if (r->state != STATE_IOREQ_READY && r->state != STATE_IOREQ_INPROCESS)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*copy = *r;
	r->state = STATE_IOREQ_INPROCESS;
	return true;
}

void ioreq_copy(const struct ioreq_server *q, uint64_t gpa, uint64_t *data,
		unsigned int size, bool to_guest)
{
	uint8_t *bytes = (uint8_t *)data;

	if (!to_guest)
		*data = ~0ull;
	while (size) {
		unsigned int n = PAGE - (unsigned int)(gpa % PAGE);
		xen_pfn_t frame = gpa / PAGE;
		int error = 0;
		uint8_t *page;

		n = n < size ? n : size;
		page = xenforeignmemory_map(q->memory, q->domid, PROT_READ | PROT_WRITE,
					    1, &frame, &error);
		if (page && !error && to_guest)
			memcpy(page + gpa % PAGE, bytes, n);
		else if (page && !error)
			memcpy(bytes, page + gpa % PAGE, n);
		if (page)
			xenforeignmemory_unmap(q->memory, page, 1);
		bytes += n;
		gpa += n;
		size -= n;
	}
}

void ioreq_done(struct ioreq_server *q, unsigned int n, uint64_t data)
{
	ioreq_t *r = &q->page->vcpu_ioreq[n];

	r->data = data;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	r->state = STATE_IORESP_READY;
}
