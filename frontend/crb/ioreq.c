/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/crb/ioreq.h"
#include "frontend/crb/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xencall.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xen/hvm/dm_op.h>
#include <xen/memory.h>

#define PAGE	     4096u
#define BUFFER_GFN   (CRB_BUFFER / PAGE)
#define LOG_GFN	     (ACPI_LOG_ADDR / PAGE)
#define LOG_PAGES    (ACPI_LOG_SIZE / PAGE)
#define TABLES_GFN   0xFED60u
#define TABLES_PAGES 16u /* ours, and those of acpi_firmware= */
#define NODE_ADDRESS "hvmloader/acpi/address"
#define NODE_LENGTH  "hvmloader/acpi/length"

/* Open only while ioreq_open() runs. */
struct handles {
	uint32_t domid;
	xencall_handle *call;
	xendevicemodel_handle *dm;
	xenforeignmemory_handle *memory;
	struct xs_handle *xs;
	const char **what;
};

static int fail(struct handles *h, const char *what)
{
	*h->what = what;
	return errno ? -errno : -EIO;
}

static int open_handles(struct handles *h)
{
	h->call = xencall_open(NULL, 0);
	h->dm = xendevicemodel_open(NULL, 0);
	h->memory = xenforeignmemory_open(NULL, 0);
	h->xs = xs_open(0);
	return h->call && h->dm && h->memory && h->xs ? 0 : fail(h, "Xen's devices");
}

/* What is mapped stays so. */
static void close_handles(struct handles *h)
{
	if (h->xs)
		xs_close(h->xs);
	if (h->memory)
		xenforeignmemory_close(h->memory);
	if (h->dm)
		xendevicemodel_close(h->dm);
	if (h->call)
		xencall_close(h->call);
}

/* Gives the guest RAM there. */
static int populate(struct handles *h, xen_pfn_t first, unsigned int count)
{
	xen_pfn_t *frames = xencall_alloc_buffer(h->call, count * sizeof(*frames));
	xen_memory_reservation_t *r = xencall_alloc_buffer(h->call, sizeof(*r));
	int done = -1;

	if (frames && r) {
		for (unsigned int i = 0; i < count; i++)
			frames[i] = first + i;
		memset(r, 0, sizeof(*r));
		r->nr_extents = count;
		r->domid = (domid_t)h->domid;
		set_xen_guest_handle(r->extent_start, frames);
		done = xencall2(h->call, __HYPERVISOR_memory_op, XENMEM_populate_physmap,
				(uintptr_t)r);
	}
	if (frames)
		xencall_free_buffer(h->call, frames);
	if (r)
		xencall_free_buffer(h->call, r);
	if (done == (int)count)
		return 0;
	if (done >= 0)
		errno = ENOMEM;
	return fail(h, "memory for the guest's TPM pages: does the host have any left");
}

static void *map_frames(struct handles *h, xen_pfn_t first, unsigned int count)
{
	xen_pfn_t frames[TABLES_PAGES] = {0};
	int error[TABLES_PAGES] = {0};
	void *at;

	for (unsigned int i = 0; i < count; i++)
		frames[i] = first + i;
	at = xenforeignmemory_map(h->memory, h->domid, PROT_READ | PROT_WRITE, count,
				  frames, error);
	for (unsigned int i = 0; at && i < count; i++)
		if (error[i]) {
			xenforeignmemory_unmap(h->memory, at, count);
			errno = -error[i];
			return NULL;
		}
	return at;
}

/* A number of the domain's nodes; 0: there is none. */
static uint64_t read_number(struct handles *h, const char *node)
{
	char path[96], *text;
	unsigned int len;
	uint64_t v;

	snprintf(path, sizeof(path), "/local/domain/%u/%s", h->domid, node);
	text = xs_read(h->xs, XBT_NULL, path, &len);
	v = text ? strtoull(text, NULL, 0) : 0;
	free(text);
	return v;
}

/* As libxl's own: the guest may read it, and no more. */
static int write_number(struct handles *h, const char *node, uint64_t v)
{
	struct xs_permissions perms[] = {
		{.id = 0, .perms = XS_PERM_NONE},
		{.id = h->domid, .perms = XS_PERM_READ},
	};
	char path[96], text[32];

	snprintf(path, sizeof(path), "/local/domain/%u/%s", h->domid, node);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)v);
	return xs_write(h->xs, XBT_NULL, path, text, (unsigned int)strlen(text)) &&
			       xs_set_permissions(h->xs, XBT_NULL, path, perms, 2)
		       ? 0
		       : fail(h, "the guest's hvmloader nodes");
}

/* Copies the tables that acpi_firmware= gave, which ours follow. */
static int copy_tables(struct handles *h, uint8_t *to, size_t room, size_t *len)
{
	uint64_t at = read_number(h, NODE_ADDRESS), n = read_number(h, NODE_LENGTH);
	unsigned int count;
	uint8_t *from;

	*len = 0;
	/* ours: the toolstack starts it a second time */
	if (!at || !n || at == (uint64_t)TABLES_GFN * PAGE)
		return 0;
	count = (unsigned int)((at % PAGE + n + PAGE - 1) / PAGE);
	if (n > room || count > TABLES_PAGES) {
		errno = ENOSPC;
		return fail(h, "the tables of acpi_firmware=");
	}
	from = map_frames(h, at / PAGE, count);
	if (!from)
		return fail(h, "the tables of acpi_firmware=");
	memcpy(to, from + at % PAGE, n);
	xenforeignmemory_unmap(h->memory, from, count);
	*len = n;
	return 0;
}

static int put_tables(struct handles *h)
{
	size_t room = TABLES_PAGES * PAGE, others, own;
	uint8_t *tables;
	int rc = populate(h, TABLES_GFN, TABLES_PAGES);

	if (rc)
		return rc;
	tables = map_frames(h, TABLES_GFN, TABLES_PAGES);
	if (!tables)
		return fail(h, "the guest's ACPI pages");
	rc = copy_tables(h, tables, room, &others);
	if (!rc && acpi_tables(tables + others, room - others, &own)) {
		errno = ENOSPC;
		rc = fail(h, "the guest's ACPI pages");
	}
	xenforeignmemory_unmap(h->memory, tables, TABLES_PAGES);
	if (!rc)
		rc = write_number(h, NODE_ADDRESS, (uint64_t)TABLES_GFN * PAGE);
	return rc ? rc : write_number(h, NODE_LENGTH, others + own);
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

/* A guest that has not run yet gets its pages and tables. */
static int furnish(struct handles *h)
{
	int rc = populate(h, BUFFER_GFN, 1);

	if (!rc)
		rc = populate(h, LOG_GFN, LOG_PAGES);
	return rc ? rc : put_tables(h);
}

static int open_all(struct handles *h, struct ioreq_server *q, struct saved *s,
		    enum ioreq_how how, xenevtchn_handle *events)
{
	bool runs = how == IOREQ_RESUME || how == IOREQ_REBIND;
	int rc = open_handles(h);

	if (!rc && how == IOREQ_NEW)
		rc = furnish(h);
	if (rc)
		return rc;
	q->buffer = map_frames(h, BUFFER_GFN, 1);
	if (!q->buffer)
		return fail(h, "the command buffer");
	if (!runs)
		rc = make_server(h, s);
	if (!rc)
		rc = map_server(h, q, s);
	if (!rc && !runs)
		rc = start_server(h, s);
	if (!rc && how != IOREQ_RESUME)
		rc = bind_vcpus(h, q, s, events);
	return rc;
}

int ioreq_open(struct ioreq_server *q, struct saved *s, enum ioreq_how how,
	       xenevtchn_handle *events, const char **what)
{
	struct handles h = {.domid = s->domid, .what = what};
	int rc = open_all(&h, q, s, how, events);

	if (!rc && xenforeignmemory_restrict(h.memory, (domid_t)s->domid))
		rc = fail(&h, "the restriction of what it may map to the guest");
	if (!rc) {
		q->memory = h.memory;
		q->domid = s->domid;
		h.memory = NULL;
	}
	close_handles(&h);
	return rc;
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
