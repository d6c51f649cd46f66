/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/xlwatch.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenstore.h>
#include <xen/sched.h>

/* xenstored's word for: a domain has shut down, been suspended, or ended. */
#define RELEASED "@releaseDomain"

struct xlwatch {
	struct xs_handle *xs;
	xc_interface *xc;
	uint32_t domid;
};

struct xlwatch *xlwatch_open(const char *domid)
{
	struct xlwatch *w;

	/* libxenctrl complains aloud where there is no Xen */
	if (access("/dev/xen/privcmd", F_OK) && access("/proc/xen/privcmd", F_OK))
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->domid = (uint32_t)strtoul(domid, NULL, 10);
	w->xc = xc_interface_open(NULL, NULL, 0);
	w->xs = xs_open(0);
	if (w->xc && w->xs && xs_watch(w->xs, RELEASED, RELEASED))
		return w;
	xlwatch_close(w);
	return NULL;
}

int xlwatch_fd(const struct xlwatch *w)
{
	return w ? xs_fileno(w->xs) : -1;
}

bool xlwatch_is_suspended(struct xlwatch *w)
{
	xc_domaininfo_t info;
	uint32_t reason;
	char **event;

	while ((event = xs_check_watch(w->xs)))
		free(event);
	/* Xen returns the next domain when this one does not exist */
	if (xc_domain_getinfolist(w->xc, w->domid, 1, &info) != 1 ||
	    info.domain != w->domid || info.flags & XEN_DOMINF_dying)
		return false;
	reason = info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
	return info.flags & XEN_DOMINF_shutdown && reason == SHUTDOWN_suspend;
}

void xlwatch_close(struct xlwatch *w)
{
	if (!w)
		return;
	if (w->xs)
		xs_close(w->xs);
	if (w->xc)
		xc_interface_close(w->xc);
	free(w);
}
