/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/xen.h"
#include "tools/vtpmd/tree.h"
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

#define TOKEN_SIZE 24

struct watch {
	struct watch *next, *before;
	struct tree_node by_number, by_ctx;
	uint64_t number; /* its token, as a text: none comes twice */
	char *path;	 /* NULL: domain ends only */
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
	struct tree_node *by_number, *by_ctx;
	uint64_t numbers; /* of watches that were drawn */
	/* all domains, by their numbers, and, if is_sorted, by their uuids; is_valid: none has
	 * ended since */
	xc_domaininfo_t *all;
	const xc_domaininfo_t **by_uuid;
	size_t count, room;
	bool is_calling, is_valid, is_sorted;
};

static struct watch *of_number_node(const struct tree_node *n)
{
	return n ? TREE_OF(n, struct watch, by_number) : NULL;
}

static struct watch *of_ctx_node(const struct tree_node *n)
{
	return n ? TREE_OF(n, struct watch, by_ctx) : NULL;
}

static int compare_numbers(const void *key, const struct tree_node *n)
{
	uint64_t number = *(const uint64_t *)key, other = of_number_node(n)->number;

	return number < other ? -1 : number > other;
}

static int compare_ctxs(const void *key, const struct tree_node *n)
{
	uintptr_t ctx = (uintptr_t)key, other = (uintptr_t)of_ctx_node(n)->ctx;

	return ctx < other ? -1 : ctx > other;
}

/* Of several watches that were added with one ctx, a domain's end has the last one called. */
static void mark_all(struct xen *x)
{
	struct watch *w;

	x->is_valid = false;
	for (w = x->watches; w; w = w->next)
		if (!w->next || w->next->ctx != w->ctx)
			w->due = true;
}

/* One that is gone may still have an event. */
static void mark_one(struct xen *x, const char *token)
{
	uint64_t number = strtoull(token, NULL, 10);
	struct watch *w =
		of_number_node(tree_find(x->by_number, &number, compare_numbers));

	if (w)
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
		if (!strcmp(event[XS_WATCH_PATH], RELEASED))
			mark_all(x);
		else
			mark_one(x, event[XS_WATCH_TOKEN]);
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
	free(x->by_uuid);
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
	case SHUTDOWN_watchdog:
		return "Xen's watchdog ended it, as this host's lease had run out under it";
	default:
		return "it stopped";
	}
}

static bool make_room(struct xen *x, size_t count)
{
	const xc_domaininfo_t **by_uuid;
	xc_domaininfo_t *all;

	if (x->room >= count + BATCH)
		return true;
	x->is_sorted = false;
	all = realloc(x->all, (x->room + BATCH) * sizeof(*all));
	if (all)
		x->all = all;
	by_uuid = realloc(x->by_uuid, (x->room + BATCH) * sizeof(*by_uuid));
	if (by_uuid)
		x->by_uuid = by_uuid;
	if (!all || !by_uuid)
		return false;
	x->room += BATCH;
	return true;
}

static int compare_handles(const void *a, const void *b)
{
	const xc_domaininfo_t *one = *(const xc_domaininfo_t *const *)a;
	const xc_domaininfo_t *other = *(const xc_domaininfo_t *const *)b;
	int rc = memcmp(one->handle, other->handle, sizeof(one->handle));

	return rc ? rc : one->domain < other->domain ? -1 : one->domain > other->domain;
}

/* For all the looks that follow. */
static void sort_all(struct xen *x)
{
	for (size_t i = 0; i < x->count; i++)
		x->by_uuid[i] = &x->all[i];
	qsort(x->by_uuid, x->count, sizeof(*x->by_uuid), compare_handles);
	x->is_sorted = true;
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
	x->is_sorted = false;
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
	if (x->is_calling)
		sort_all(x);
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

/* Where the domains with the uuid may begin, for next_of(). */
static size_t first_of(const struct xen *x, const uint8_t uuid[16])
{
	size_t low = 0, high = x->is_sorted ? x->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(x->by_uuid[middle]->handle, uuid, 16) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The next domain with the uuid, in the order of their numbers; NULL: there is none. */
static const xc_domaininfo_t *next_of(const struct xen *x, const uint8_t uuid[16],
				      size_t *at)
{
	const xc_domaininfo_t *info;

	while (*at < x->count) {
		info = x->is_sorted ? x->by_uuid[*at] : &x->all[*at];
		++*at;
		if (is_of(info, uuid))
			return info;
		if (x->is_sorted)
			break;
	}
	return NULL;
}

enum xen_domain xen_find(struct xen *x, const uint8_t uuid[16], int *domid,
			 const char **why)
{
	const xc_domaininfo_t *info;
	size_t at;

	ask_all(x);
	*why = "it was destroyed";
	for (at = first_of(x, uuid); (info = next_of(x, uuid, &at));) {
		*why = end_reason(info->flags);
		if (is_dying(info))
			continue;
		*domid = (int)info->domain;
		return info->flags & XEN_DOMINF_shutdown ? XEN_DOMAIN_ENDED
							 : XEN_DOMAIN_ALIVE;
	}
	return XEN_DOMAIN_GONE;
}

static int compare_domids(const void *a, const void *b)
{
	const xc_domaininfo_t *one = a, *other = b;

	return one->domain < other->domain ? -1 : one->domain > other->domain;
}

/* Of all, if they are asked for anyway. */
static bool tell(struct xen *x, uint32_t domid, xc_domaininfo_t *out)
{
	const xc_domaininfo_t key = {.domain = (domid_t)domid}, *info;

	/* Xen returns the next domain when this one does not exist */
	if (!x->is_calling)
		return xc_domain_getinfolist(x->xc, domid, 1, out) == 1 &&
		       out->domain == domid;
	ask_all(x);
	info = bsearch(&key, x->all, x->count, sizeof(key), compare_domids);
	if (!info || info->domain != domid)
		return false;
	*out = *info;
	return true;
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
	size_t at;

	ask_all(x);
	for (at = first_of(x, uuid); (info = next_of(x, uuid, &at));)
		count += !is_dying(info);
	return count < 2;
}

static void write_token(const struct watch *w, char out[static TOKEN_SIZE])
{
	snprintf(out, TOKEN_SIZE, "%llu", (unsigned long long)w->number);
}

int xen_watch(struct xen *x, const char *path, xen_changed *changed, void *ctx)
{
	struct watch *w = calloc(1, sizeof(*w));
	char token[TOKEN_SIZE];

	if (!w)
		return -ENOMEM;
	w->changed = changed;
	w->ctx = ctx;
	w->number = ++x->numbers;
	w->path = path ? strdup(path) : NULL;
	write_token(w, token);
	if (path && (!w->path || !xs_watch(x->xs, path, token))) {
		free(w->path);
		free(w);
		return -EIO;
	}
	w->next = x->watches;
	if (w->next)
		w->next->before = w;
	x->watches = w;
	tree_add(&x->by_number, &w->number, &w->by_number, compare_numbers);
	tree_add(&x->by_ctx, w->ctx, &w->by_ctx, compare_ctxs);
	return 0;
}

static void end_watch(struct xen *x, struct watch *w)
{
	char token[TOKEN_SIZE];

	tree_remove(&x->by_number, &w->number, &w->by_number, compare_numbers);
	tree_remove(&x->by_ctx, w->ctx, &w->by_ctx, compare_ctxs);
	if (w->before)
		w->before->next = w->next;
	else
		x->watches = w->next;
	if (w->next)
		w->next->before = w->before;
	if (x->at == w)
		x->at = w->next;
	write_token(w, token);
	if (w->path)
		xs_unwatch(x->xs, w->path, token);
	free(w->path);
	free(w);
}

void xen_unwatch(struct xen *x, void *ctx)
{
	struct watch *w;

	while ((w = of_ctx_node(tree_find(x->by_ctx, ctx, compare_ctxs))))
		end_watch(x, w);
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
