/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the backend needs of Xen, in a stub domain or in dom0: xenstore, foreign pages,
 * event channels.  Tests link functions of the same names instead, which bring a hostile
 * peer.
 *
 * All calls are synchronous and return 0 (or what is said below) or -errno.
 */
#ifndef XVTPM_BACKEND_XEN_H
#define XVTPM_BACKEND_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

/* The folder of a domain's backends, of which each device has a leaf DOMID/DEVID. */
#define BACKEND_ROOT "backend/vtpm"

#define BACKEND_PATH_MAX  192
#define BACKEND_VALUE_MAX 192
#define BACKEND_PAGE_SIZE 4096

/*
 * A small xenstore client on /dev/xen/xenbus (xen/include/public/io/xs_wire.h),
 * blocking, without transactions.  Paths are absolute ("/local/domain/...") or relative
 * to the own domain; values are text, at most BACKEND_VALUE_MAX - 1 bytes.
 *
 * Not libxenstore: in its static form no thread reads watch events, so that
 * neither poll() on its descriptor nor a check that cannot block is to be had.
 * Watch events are only counted here, as tpmif.c looks at everything anyway; but not
 * those of nodes that backends write.  In domain 0 all managers watch one folder: each
 * would look at all guests whenever one of these has its own manager write a state.
 * Errors are -errno, those of xenstored among them; -EIO: the device broke, or
 * xenstored sent nonsense.
 */
struct xenstore {
	int fd;
	uint32_t next_id;
	bool changed; /* an event came in since xenstore_changed() */
};

int __must_check xenstore_open(struct xenstore *s);
void xenstore_close(struct xenstore *s);
/* -ENOENT or -EACCES: no such node; -E2BIG: longer than size - 1. */
int __must_check xenstore_read(struct xenstore *s, const char *path, char *value,
			       size_t size);
int __must_check xenstore_write(struct xenstore *s, const char *path, const char *value);
/* Removes the node and all below it. */
int __must_check xenstore_remove(struct xenstore *s, const char *path);
/* The children whose names are decimal numbers; returns how many there are, of which the
 * first max stand in ids. */
int __must_check xenstore_list(struct xenstore *s, const char *path, uint32_t *ids,
			       unsigned int max);
int __must_check xenstore_watch(struct xenstore *s, const char *path);
int __must_check xenstore_unwatch(struct xenstore *s, const char *path);
/* 1: a watch fired since the last call; 0: none did; never blocks.  What a backend writes
 * (state, error, feature-protocol-v2 of a leaf) does not count. */
int __must_check xenstore_changed(struct xenstore *s);

struct xen {
	struct xenstore store; /* poll its fd for xenstore_changed() */
	struct xenevtchn_handle *evtchn;
	struct xengntdev_handle *gnttab;
	struct xentoollog_logger_stdiostream *logger;
};

/* Opens /dev/xen/{xenbus,evtchn,gntdev}; on failure nothing stays open. */
int __must_check xen_open(struct xen *x);
void xen_close(struct xen *x);

/* Maps n pages of domain domid, readable and writable, one after the other; all or
 * nothing.  The owner cannot take a mapped page away. */
int __must_check xen_map(struct xen *x, uint32_t domid, const uint32_t *refs,
			 unsigned int n, void **pages);
void xen_unmap(struct xen *x, void *pages, unsigned int n);

int __must_check xen_bind(struct xen *x, uint32_t domid, uint32_t remote_port,
			  uint32_t *port);
void xen_unbind(struct xen *x, uint32_t port);
void xen_notify(struct xen *x, uint32_t port);
/* The next port with an event, which is masked until xen_unmask(); -EAGAIN when there is
 * none, never blocks. */
int __must_check xen_pending(struct xen *x, uint32_t *port);
void xen_unmask(struct xen *x, uint32_t port);
/* To poll for xen_pending() */
int xen_event_fd(struct xen *x);

/* Milliseconds of a clock that only goes forward. */
uint64_t xen_now_ms(void);

#endif
