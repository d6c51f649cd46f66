/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenstore.h>
#include <xen/sched.h>

#define RELEASED "@releaseDomain"

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
};

/* Notes what a watch event is about. */
static void mark(struct xen *x, const char *path)
{
	bool all = !strcmp(path, RELEASED);
	struct watch *w;

	for (w = x->watches; w; w = w->next)
		if (all || (w->path && !strncmp(path, w->path, strlen(w->path))))
			w->due = true;
}

/* A callback may add and remove watches: look from the start after each. */
static void call_due(struct xen *x)
{
	struct watch *w = x->watches;

	while (w) {
		if (!w->due) {
			w = w->next;
			continue;
		}
		w->due = false;
		w->changed(w->ctx);
		w = x->watches;
	}
}

static void on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct xen *x = ctx;
	char **event;

	while ((event = xs_check_watch(x->xs))) {
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
	if (!x->event || event_add(x->event, NULL)) {
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

/* A domain that was destroyed stays, "dying", for as long as another one maps a page of
 * its: no vCPU of it runs any more, and one with the same uuid may have followed it. */
static bool is_dying(const xc_domaininfo_t *info)
{
	return info->flags & XEN_DOMINF_dying;
}

/* Gives the next domain with this uuid, from number *next on. */
static bool next_of(struct xen *x, const uint8_t uuid[16], uint32_t *next,
		    xc_domaininfo_t *info)
{
	/* The one way to ask that libxenctrl has in 4.17 and since 4.19. */
	while (xc_domain_getinfolist(x->xc, *next, 1, info) == 1) {
		*next = info->domain + 1;
		if (!memcmp(info->handle, uuid, 16))
			return true;
	}
	return false;
}

enum xen_domain xen_find(struct xen *x, const uint8_t uuid[16], int *domid,
			 const char **why)
{
	xc_domaininfo_t info;
	uint32_t next = 1;

	*why = "it was destroyed";
	while (next_of(x, uuid, &next, &info)) {
		*why = end_reason(info.flags);
		if (is_dying(&info))
			continue;
		*domid = (int)info.domain;
		return info.flags & XEN_DOMINF_shutdown ? XEN_DOMAIN_ENDED
							: XEN_DOMAIN_ALIVE;
	}
	return XEN_DOMAIN_GONE;
}

int xen_uuid(struct xen *x, uint32_t domid, uint8_t uuid[16])
{
	xc_domaininfo_t info;

	/* it gives the next domain when there is none with this number */
	if (xc_domain_getinfolist(x->xc, domid, 1, &info) != 1 || info.domain != domid ||
	    is_dying(&info))
		return -ENOENT;
	memcpy(uuid, info.handle, 16);
	return 0;
}

bool xen_is_alone(struct xen *x, const uint8_t uuid[16])
{
	xc_domaininfo_t info;
	uint32_t next = 1;
	unsigned int count = 0;

	while (next_of(x, uuid, &next, &info))
		count += !is_dying(&info);
	return count == 1;
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
