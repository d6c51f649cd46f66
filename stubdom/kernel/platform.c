/* SPDX-License-Identifier: Apache-2.0 */
#include <xen/xen.h>
#include <xen/memory.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/platform.h"

/* Frames above RAM, from `first`: */
enum special { SPECIAL_SHARED_INFO, SPECIAL_GRANT_TABLE, SPECIAL_WINDOW };

volatile struct shared_info *platform_shared;

static uint64_t first;

static int place_platform(unsigned int space, unsigned int index, enum special frame,
			  unsigned int fixed)
{
	struct xen_add_to_physmap add = {
		.domid = DOMID_SELF,
		.space = space,
		.idx = index,
		.gpfn = first + frame,
	};
	long rc = hypercall_memory(XENMEM_add_to_physmap, &add);

	if (rc)
		return (int)rc;
	map_fixed(fixed, (first + frame) * LAYOUT_PAGE);
	return 0;
}

uint64_t platform_param(unsigned int index)
{
	struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};

	if (hypercall_hvm(HVMOP_get_param, &param))
		return 0;
	return param.value;
}

void platform_init(uint64_t top)
{
	first = (top + LAYOUT_PAGE - 1) / LAYOUT_PAGE;
	if (place_platform(XENMAPSPACE_shared_info, 0, SPECIAL_SHARED_INFO,
			   LAYOUT_SHARED_INFO))
		panic("Xen does not map its shared page");
	platform_shared = (struct shared_info *)LAYOUT_FIXED_AT(LAYOUT_SHARED_INFO);
	/* Events are polled for, never delivered. */
	for (unsigned int i = 0; i < sizeof(platform_shared->evtchn_mask) / 8; i++)
		platform_shared->evtchn_mask[i] = ~0UL;
}

int platform_map_grant_table(void)
{
	return place_platform(XENMAPSPACE_grant_table, 0, SPECIAL_GRANT_TABLE,
			      LAYOUT_GRANT_TABLE);
}

uint64_t platform_window(void)
{
	return first + SPECIAL_WINDOW;
}
