/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <asm/ioctl.h>
#include <xen/xen.h>
#include <xen/sys/gntdev.h>
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/unmap.h"

static bool is_program_port(uint32_t port)
{
	for (unsigned int i = 0; port && i < EVTCHN_MAX; i++)
		if (evtchn_entry(i)->port == port && evtchn_entry(i)->owner)
			return true;
	return false;
}

int unmap_set(struct unmap *u, uint32_t action, uint32_t port, uint64_t byte)
{
	if (action & ~(uint32_t)(UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT))
		return -EINVAL;
	if (action & UNMAP_NOTIFY_SEND_EVENT && !is_program_port(port))
		return -EINVAL;
	*u = (struct unmap){action, port, (uint32_t)byte};
	return 0;
}

void unmap_perform(struct unmap *u, uint64_t page)
{
	volatile char *at = (char *)LAYOUT_FIXED_AT(LAYOUT_TEMPORARY);

	if (u->action & UNMAP_NOTIFY_CLEAR_BYTE) {
		map_fixed(LAYOUT_TEMPORARY, page);
		at[u->byte % LAYOUT_PAGE] = 0;
		/* Nothing may reach the page once it is someone else's. */
		map_unfix(LAYOUT_TEMPORARY);
	}
	/* The port may have been closed meanwhile, and be another's by now. */
	if (u->action & UNMAP_NOTIFY_SEND_EVENT && is_program_port(u->port))
		evtchn_notify_port(u->port);
	u->action = 0;
}
