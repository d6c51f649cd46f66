/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/xen.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xen/sched.h>

#define RELEASED "@releaseDomain"
/* Domains that Xen is asked for in one call, as libxl does: of 4,000 four times. */
#define BATCH 1024
/* Watch events that are taken in one turn: more than a xenstored makes meanwhile, so that
 * libxenstore does not queue them without end.  Its descriptor stays readable while it has
 * more. */
#define EVENTS_MAX 512

struct watch {
	struct watch *next;
	char *path; /* NULL: domain ends only */
	xen_changed *changed;
	void *ctx;
	bool due;
};

struct xen {
	struct xs_handle *xs;
	xc_interface *xc;
	struct event *event;
	struct watch *watches;
	struct watch *at; /* the one that call_due() comes to next */
	/* all domains, by their numbers; is_valid: none has ended since */
	xc_domaininfo_t *all;
	size_t count, room;
	bool is_calling, is_valid;
};

/* Notes what a watch event is about.  Of several watches that were added with one ctx, a
 * domain's end has the last one called. */
static void mark(struct xen *x, const char *path)
{
	bool all = !strcmp(path, RELEASED);
	struct watch *w;

	if (all)
		x->is_valid = false;
	for (w = x->watches; w; w = w->next)
		if (all ? !w->next || w->next->ctx != w->ctx
			: w->path && !strncmp(path, w->path, strlen(w->path)))
			w->due = true;
}

/* A guest that reboots in a loop has all called each time: Xen is asked once for all of
 * them.  What a domain writes into its nodes brings no question at all.  A callback may
 * add and remove watches. */
static void call_due(struct xen *x)
{
	struct watch *w;

	x->is_calling = true;
	for (x->at = x->watches; (w = x->at);) {
		x->at = w->next;
		if (!w->due)
			continue;
		w->due = false;
		w->changed(w->ctx);
	}
	x->is_calling = false;
}

static void on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct xen *x = ctx;
	char **event;
	int n;

	for (n = 0; n < EVENTS_MAX && (event = xs_check_watch(x->xs)); n++) {
		mark(x, event[XS_WATCH_PATH]);
		free(event);
	}
	call_due(x);
}

struct xen *xen_open(struct event_base *base)
{
	struct xen *x;

	/* libxenctrl complains aloud where there is no Xen */
	if (access("/dev/xen/privcmd", F_OK) && access("/proc/xen/privcmd", F_OK))
		return NULL;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->xc = xc_interface_open(NULL, NULL, 0);
	x->xs = xs_open(0);
	if (x->xs && x->xc && xs_watch(x->xs, RELEASED, RELEASED))
		x->event = event_new(base, xs_fileno(x->xs), EV_READ | EV_PERSIST,
				     on_watch, x);
	if (!x->event) {
		xen_close(x);
		return NULL;
	}
	/* a stub domain can write to its own nodes without end */
	priority_of_peers(x->event);
	if (event_add(x->event, NULL)) {
		xen_close(x);
		return NULL;
	}
	return x;
}

void xen_close(struct xen *x)
{
	if (!x)
		return;
	while (x->watches)
		xen_unwatch(x, x->watches->ctx);
	if (x->event)
		event_free(x->event);
	if (x->xs)
		xs_close(x->xs);
	if (x->xc)
		xc_interface_close(x->xc);
	free(x->all);
	free(x);
}

static const char *end_reason(uint32_t flags)
{
	switch (flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask) {
	case SHUTDOWN_crash:
		return "it crashed";
	case SHUTDOWN_poweroff:
		return "it shut itself down";
	default:
		return "it stopped";
	}
}

static bool make_room(struct xen *x, size_t count)
{
	xc_domaininfo_t *all;

	if (x->room >= count + BATCH)
		return true;
	all = realloc(x->all, (x->room + BATCH) * sizeof(*all));
	if (!all)
		return false;
	x->all = all;
	x->room += BATCH;
	return true;
}

/* Has all domains in x->all.  In call_due() the last answer does until one of these has
 * ended, or shut down, which xenstored tells; who asks elsewhere has made a domain, or may
 * wait for one.  When Xen does not answer, what it said before stands. */
static void ask_all(struct xen *x)
{
	size_t count = 0;
	uint32_t next = 1;
	int n;

	if (x->is_calling && x->is_valid)
		return;
	do {
		if (!make_room(x, count))
			return;
		n = xc_domain_getinfolist(x->xc, next, BATCH, x->all + count);
		if (n < 0)
			return;
		count += (size_t)n;
		if (n)
			next = x->all[count - 1].domain + 1u;
	} while (n == BATCH);
	x->count = count;
	x->is_valid = true;
}

/* A domain that was destroyed stays, "dying", for as long as another one maps a page of
 * its: no vCPU of it runs any more, and one with the same uuid may have followed it. */
static bool is_dying(const xc_domaininfo_t *info)
{
	return info->flags & XEN_DOMINF_dying;
}

static bool is_of(const xc_domaininfo_t *info, const uint8_t uuid[16])
{
	return !memcmp(info->handle, uuid, sizeof(info->handle));
}

enum xen_domain xen_find(struct xen *x, const uint8_t uuid[16], int *domid,
			 const char **why)
{
	const xc_domaininfo_t *info;

	ask_all(x);
	*why = "it was destroyed";
	for (info = x->all; info < x->all + x->count; info++) {
		if (!is_of(info, uuid))
			continue;
		*why = end_reason(info->flags);
		if (is_dying(info))
			continue;
		*domid = (int)info->domain;
		return info->flags & XEN_DOMINF_shutdown ? XEN_DOMAIN_ENDED
							 : XEN_DOMAIN_ALIVE;
	}
	return XEN_DOMAIN_GONE;
}

/* Of all, if they are asked for anyway. */
static bool tell(struct xen *x, uint32_t domid, xc_domaininfo_t *out)
{
	const xc_domaininfo_t *info;

	/* Xen returns the next domain when this one does not exist */
	if (!x->is_calling)
		return xc_domain_getinfolist(x->xc, domid, 1, out) == 1 &&
		       out->domain == domid;
	ask_all(x);
	for (info = x->all; info < x->all + x->count; info++)
		if (info->domain == domid) {
			*out = *info;
			return true;
		}
	return false;
}

int xen_uuid(struct xen *x, uint32_t domid, uint8_t uuid[16])
{
	xc_domaininfo_t info;

	if (!tell(x, domid, &info) || is_dying(&info))
		return -ENOENT;
	memcpy(uuid, info.handle, sizeof(info.handle));
	return 0;
}

bool xen_is_alone(struct xen *x, const uint8_t uuid[16])
{
	const xc_domaininfo_t *info;
	unsigned int count = 0;

	ask_all(x);
	for (info = x->all; info < x->all + x->count; info++)
		count += is_of(info, uuid) && !is_dying(info);
	return count < 2;
}

int xen_watch(struct xen *x, const char *path, xen_changed *changed, void *ctx)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->changed = changed;
	w->ctx = ctx;
	w->path = path ? strdup(path) : NULL;
	if (path && (!w->path || !xs_watch(x->xs, path, path))) {
		free(w->path);
		free(w);
		return -EIO;
	}
	w->next = x->watches;
	x->watches = w;
	return 0;
}

void xen_unwatch(struct xen *x, void *ctx)
{
	struct watch **at = &x->watches, *w;

	while ((w = *at)) {
		if (w->ctx != ctx) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (x->at == w)
			x->at = w->next;
		if (w->path)
			xs_unwatch(x->xs, w->path, w->path);
		free(w->path);
		free(w);
	}
}

int xen_share_folder(struct xen *x, int domid, const char *path)
{
	struct xs_permissions perms[] = {
		{.id = 0, .perms = XS_PERM_NONE}, /* ours */
		{.id = (unsigned int)domid, .perms = XS_PERM_READ | XS_PERM_WRITE},
	};

	if (!xs_mkdir(x->xs, XBT_NULL, path) ||
	    !xs_set_permissions(x->xs, XBT_NULL, path, perms, 2))
		return -EIO;
	return 0;
}

bool xen_has_run(struct xen *x, uint32_t domid)
{
	xc_domaininfo_t info;

	return !tell(x, domid, &info) || info.cpu_time;
}

bool xen_is_suspended(struct xen *x, uint32_t domid)
{
	xc_domaininfo_t info;
	uint32_t reason;

	if (!tell(x, domid, &info) || is_dying(&info))
		return false;
	reason = info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
	return info.flags & XEN_DOMINF_shutdown && reason == SHUTDOWN_suspend;
}

void xen_remove(struct xen *x, const char *path)
{
	(void)!xs_rm(x->xs, XBT_NULL, path);
}

bool xen_exists(struct xen *x, const char *path)
{
	unsigned int len;
	char *value = xs_read(x->xs, XBT_NULL, path, &len);

	free(value);
	return value != NULL;
}

bool xen_has_children(struct xen *x, const char *path)
{
	unsigned int count = 0;
	char **names = xs_directory(x->xs, XBT_NULL, path, &count);

	free(names);
	return names && count;
}

static bool is_to_return(uint32_t flags)
{
	uint32_t reason = flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;

	return flags & XEN_DOMINF_shutdown &&
	       (reason == SHUTDOWN_reboot || reason == SHUTDOWN_crash);
}

struct xen_below xen_below(struct xen *x, const char *path)
{
	struct xen_below below = {.lives = false};
	unsigned int i, count = 0;
	char **names = xs_directory(x->xs, XBT_NULL, path, &count);
	xc_domaininfo_t info;

	for (i = 0; names && i < count; i++) {
		if (!tell(x, (uint32_t)strtoul(names[i], NULL, 10), &info))
			continue;
		if (is_to_return(info.flags))
			below.returns = true;
		else if (!is_dying(&info) && !(info.flags & XEN_DOMINF_shutdown))
			below.lives = true;
	}
	free(names);
	return below;
}

int xen_read(struct xen *x, const char *path, char *out, size_t room)
{
	unsigned int len;
	char *value = xs_read(x->xs, XBT_NULL, path, &len);

	if (!value)
		return -ENOENT;
	snprintf(out, room, "%s", value);
	free(value);
	return 0;
}

int xen_write(struct xen *x, const char *path, const char *text)
{
	return xs_write(x->xs, XBT_NULL, path, text, (unsigned int)strlen(text)) ? 0
										 : -EIO;
}

int xen_populate(struct xen *x, uint32_t domid, uint64_t first, unsigned int count)
{
	xen_pfn_t frames[XEN_FRAMES_MAX];

	if (count > XEN_FRAMES_MAX)
		return -E2BIG;
	for (unsigned int i = 0; i < count; i++)
		frames[i] = first + i;
	return xc_domain_populate_physmap_exact(x->xc, domid, count, 0, 0, frames)
		       ? -ENOMEM
		       : 0;
}

void *xen_map(struct xen *x, uint32_t domid, uint64_t first, unsigned int count)
{
	xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
	xen_pfn_t frames[XEN_FRAMES_MAX];
	int errors[XEN_FRAMES_MAX] = {0};
	void *at = NULL;

	for (unsigned int i = 0; i < count && i < XEN_FRAMES_MAX; i++)
		frames[i] = first + i;
	if (memory && count <= XEN_FRAMES_MAX)
		at = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, count,
					  frames, errors);
	for (unsigned int i = 0; at && i < count; i++)
		if (errors[i]) {
			xen_unmap(at, count);
			at = NULL;
		}
	if (memory)
		xenforeignmemory_close(memory);
	return at;
}

void xen_unmap(void *at, unsigned int count)
{
	munmap(at, count * XC_PAGE_SIZE);
}

int xen_write_for(struct xen *x, uint32_t domid, const char *path, const char *text)
{
	struct xs_permissions perms[] = {
		{.id = 0, .perms = XS_PERM_NONE}, /* ours */
		{.id = domid, .perms = XS_PERM_READ},
	};
	int rc = xen_write(x, path, text);

	return !rc && !xs_set_permissions(x->xs, XBT_NULL, path, perms, 2) ? -EIO : rc;
}
