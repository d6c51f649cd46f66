/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Xen for one vtpm-crb, loaded before its libraries: its guest's page of ioreqs and its
 * buffer are files, page and ram, of the folder $CRBXEN; events come through descriptor 3, a
 * socket of the test's; descriptor 4 is the file that the ring is in.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#define PAGE	  4096u
#define GRANTS_FD 4
#define VCPU_PORT 7

static int any;

static void *map_file(const char *name)
{
	char path[512];
	void *at;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", getenv("CRBXEN"), name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	/* IOCTL_GNTALLOC_ALLOC_GREF: no number of a grant matters here */
	return fd == GRANTS_FD ? 0 : (int)syscall(SYS_ioctl, fd, request, arg);
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t domid)
{
	return VCPU_PORT - 1;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
						     evtchn_port_t port)
{
	return VCPU_PORT;
}

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned int flags)
{
	return (xendevicemodel_handle *)&any;
}

int xendevicemodel_close(xendevicemodel_handle *h)
{
	return 0;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *h, domid_t domid,
				       int buffered, ioservid_t *id)
{
	*id = 1;
	return 0;
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *h, domid_t domid,
						ioservid_t id, int is_mmio,
						uint64_t start, uint64_t end)
{
	return 0;
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h, domid_t domid,
					  ioservid_t id, int enabled)
{
	return 0;
}

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned int flags)
{
	return (xenforeignmemory_handle *)&any;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *h, domid_t domid)
{
	return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t domid, int prot,
			   size_t count, const xen_pfn_t *frames, int *errors)
{
	errors[0] = 0;
	return map_file("ram");
}

xenforeignmemory_resource_handle *
xenforeignmemory_map_resource(xenforeignmemory_handle *h, domid_t domid,
			      unsigned int type, unsigned int id, unsigned long frame,
			      unsigned long count, void **at, int prot, int flags)
{
	*at = map_file("page");
	return *at ? (xenforeignmemory_resource_handle *)&any : NULL;
}

struct xs_handle *xs_open(unsigned long flags)
{
	return (struct xs_handle *)&any;
}

void xs_close(struct xs_handle *h)
{
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	return true;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned int count)
{
	return true;
}
