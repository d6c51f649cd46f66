/* SPDX-License-Identifier: Apache-2.0 */
/* What vtpmd asks of Xen: which domains live, and when something changes. */
#ifndef VTPMD_XEN_H
#define VTPMD_XEN_H

#include <stdbool.h>
#include <stdint.h>
#include <event2/event.h>
#include "compiler.h"

struct xen;

/* A domain that Xen has not got rid of yet, though it was destroyed, counts as gone. */
enum xen_domain {
	XEN_DOMAIN_GONE,  /* no domain has this uuid */
	XEN_DOMAIN_ENDED, /* it shut down or crashed, and is to be destroyed */
	XEN_DOMAIN_ALIVE,
};

typedef void xen_changed(void *ctx);

/* NULL when this is no domain 0 of a Xen host. */
struct xen *xen_open(struct event_base *base);
void xen_close(struct xen *x);

/* Finds the domain that was created with this uuid; *domid when not gone, and
 * for an ended one why: "it crashed". */
enum xen_domain xen_find(struct xen *x, const uint8_t uuid[16], int *domid,
			 const char **why);
/* The uuid of the domain with this number.  -ENOENT: no such domain. */
int __must_check xen_uuid(struct xen *x, uint32_t domid, uint8_t uuid[16]);
/* Whether no two domains have this uuid, as Xen itself lets them.  Domain 0, which may be
 * a guest as well, is not counted. */
bool xen_is_alone(struct xen *x, const uint8_t uuid[16]);
/* Calls changed when a domain was released, or path or what lies below it was
 * written (path NULL: the first only). */
int __must_check xen_watch(struct xen *x, const char *path, xen_changed *changed,
			   void *ctx);
void xen_unwatch(struct xen *x, void *ctx); /* all of ctx's */
/* Makes a folder that domain domid may write to, as may what is made in it. -EIO. */
int __must_check xen_share_folder(struct xen *x, int domid, const char *path);
/* Whether a domain has had a processor yet. */
bool xen_has_run(struct xen *x, uint32_t domid);
/* Whether a domain has no processor any more, as it was saved or is being moved. */
bool xen_is_suspended(struct xen *x, uint32_t domid);
/* With all below it; what is not there is removed already. */
void xen_remove(struct xen *x, const char *path);
bool xen_exists(struct xen *x, const char *path);
/* Of the domains that have folders, by their numbers, below path. */
struct xen_below {
	bool lives;   /* one runs */
	bool returns; /* one has ended to be started again: it rebooted, or crashed */
};
struct xen_below xen_below(struct xen *x, const char *path);
/* Whether something lies below path. */
bool xen_has_children(struct xen *x, const char *path);
/* Text, cut to room; -ENOENT. */
int __must_check xen_read(struct xen *x, const char *path, char *out, size_t room);
int __must_check xen_write(struct xen *x, const char *path, const char *text); /* -EIO */
/* Writes a node that domain domid may read.  -EIO */
int __must_check xen_write_for(struct xen *x, uint32_t domid, const char *path,
			       const char *text);

#define XEN_FRAMES_MAX 16u
/* Gives a domain RAM at its frames first and on, XEN_FRAMES_MAX at most.  -ENOMEM, -E2BIG */
int __must_check xen_populate(struct xen *x, uint32_t domid, uint64_t first,
			      unsigned int count);
/* A domain's frames, to read and write; NULL.  xen_unmap() gives them back. */
void *xen_map(struct xen *x, uint32_t domid, uint64_t first, unsigned int count);
void xen_unmap(void *at, unsigned int count);

#endif
