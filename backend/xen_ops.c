/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xentoollog.h>
#include "backend/xen_ops.h"

static int store_read(void *ctx, const char *path, char *value, size_t size)
{
	struct xen_ops *x = ctx;

	return xenstore_read(&x->xenstore, path, value, size);
}

static int store_write(void *ctx, const char *path, const char *value)
{
	struct xen_ops *x = ctx;

	return xenstore_write(&x->xenstore, path, value);
}

static int store_remove(void *ctx, const char *path)
{
	struct xen_ops *x = ctx;

	return xenstore_remove(&x->xenstore, path);
}

static int store_list(void *ctx, const char *path, uint32_t *ids, unsigned int max)
{
	struct xen_ops *x = ctx;

	return xenstore_list(&x->xenstore, path, ids, max);
}

static int store_watch(void *ctx, const char *path)
{
	struct xen_ops *x = ctx;

	return xenstore_watch(&x->xenstore, path);
}

static int store_unwatch(void *ctx, const char *path)
{
	struct xen_ops *x = ctx;

	return xenstore_unwatch(&x->xenstore, path);
}

static int store_changed(void *ctx)
{
	struct xen_ops *x = ctx;

	return xenstore_changed(&x->xenstore);
}

static int store_fd(void *ctx)
{
	struct xen_ops *x = ctx;

	return x->xenstore.fd;
}

/* A library call failed; one that forgot to say why is an I/O error. */
static int failure(void)
{
	return errno > 0 ? -errno : -EIO;
}

static int map_pages(void *ctx, uint32_t domid, const uint32_t *refs, unsigned int n,
		     void **pages)
{
	struct xen_ops *x = ctx;

	*pages = xengnttab_map_domain_grant_refs(x->gnttab, n, domid, (uint32_t *)refs,
						 PROT_READ | PROT_WRITE);
	return *pages ? 0 : failure();
}

static void unmap_pages(void *ctx, void *pages, unsigned int n)
{
	struct xen_ops *x = ctx;

	(void)xengnttab_unmap(x->gnttab, pages, n);
}

static int bind_port(void *ctx, uint32_t domid, uint32_t remote_port, uint32_t *port)
{
	struct xen_ops *x = ctx;
	int rc = xenevtchn_bind_interdomain(x->evtchn, domid, remote_port);

	if (rc < 0)
		return failure();
	*port = (uint32_t)rc;
	return 0;
}

static void unbind_port(void *ctx, uint32_t port)
{
	struct xen_ops *x = ctx;

	(void)xenevtchn_unbind(x->evtchn, port);
}

static int notify_port(void *ctx, uint32_t port)
{
	struct xen_ops *x = ctx;

	return xenevtchn_notify(x->evtchn, port) ? failure() : 0;
}

/* The owner has polled; a second poll() keeps the read from blocking when the
 * event was taken back with its port, and costs no hypercall. */
static int pending_port(void *ctx, uint32_t *port)
{
	struct xen_ops *x = ctx;
	struct pollfd fd = {.fd = xenevtchn_fd(x->evtchn), .events = POLLIN};
	int rc = poll(&fd, 1, 0);

	if (rc < 0)
		return errno == EINTR ? -EAGAIN : failure();
	if (rc == 0)
		return -EAGAIN;
	rc = xenevtchn_pending(x->evtchn);
	if (rc < 0)
		return failure();
	*port = (uint32_t)rc;
	return 0;
}

/* A port that was unbound while its event waited needs no unmasking. */
static int unmask_port(void *ctx, uint32_t port)
{
	struct xen_ops *x = ctx;

	(void)xenevtchn_unmask(x->evtchn, port);
	return 0;
}

static uint64_t now_ms(void *ctx)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int event_fd(void *ctx)
{
	struct xen_ops *x = ctx;

	return xenevtchn_fd(x->evtchn);
}

const struct backend_ops xen_ops_table = {
	.xs_read = store_read,
	.xs_write = store_write,
	.xs_remove = store_remove,
	.xs_list = store_list,
	.xs_watch = store_watch,
	.xs_unwatch = store_unwatch,
	.xs_changed = store_changed,
	.map = map_pages,
	.unmap = unmap_pages,
	.bind = bind_port,
	.unbind = unbind_port,
	.notify = notify_port,
	.pending = pending_port,
	.unmask = unmask_port,
	.now_ms = now_ms,
	.xs_fd = store_fd,
	.event_fd = event_fd,
};

int xen_ops_open(struct xen_ops *x)
{
	xentoollog_logger *logger;
	int rc;

	memset(x, 0, sizeof(*x));
	rc = xenstore_open(&x->xenstore);
	if (rc)
		return rc;
	/* A guest chooses the references: a bad one is worth no line of ours. */
	x->logger = xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
	logger = (xentoollog_logger *)x->logger;
	if (logger)
		x->evtchn = xenevtchn_open(logger, 0);
	if (x->evtchn)
		x->gnttab = xengnttab_open(logger, 0);
	if (x->gnttab)
		return 0;
	rc = failure();
	xen_ops_close(x);
	return rc;
}

void xen_ops_close(struct xen_ops *x)
{
	if (x->gnttab)
		xengnttab_close(x->gnttab);
	if (x->evtchn)
		xenevtchn_close(x->evtchn);
	if (x->logger)
		xtl_logger_destroy((xentoollog_logger *)x->logger);
	xenstore_close(&x->xenstore);
	x->gnttab = NULL;
	x->evtchn = NULL;
	x->logger = NULL;
}
