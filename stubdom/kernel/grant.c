/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include "stubdom/kernel/grant.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/platform.h"

#define FIRST	8 /* xl's console and xenstore have the ones below */
#define ENTRIES (LAYOUT_PAGE / sizeof(grant_entry_v1_t))

static volatile grant_entry_v1_t *table;
static uint64_t shared[ENTRIES / 64];	      /* references in use */
static uint64_t window[PLATFORM_WINDOW / 64]; /* frames in use */

/* What Xen's page and the two maps of bits owe to the contracts below. */
/*@ predicate table_holds =
	\valid(table + (0 .. ENTRIES - 1)) &&
	\separated(table + (0 .. ENTRIES - 1), &shared[0 .. ENTRIES / 64 - 1],
		   &window[0 .. PLATFORM_WINDOW / 64 - 1]); */

/* Sets the first clear bit at or after `from`; -1 when all are set. */
/*@ requires end <= INT32_MAX && \valid(bits + (0 .. (end - 1) / 64));
    assigns bits[0 .. (end - 1) / 64];
    ensures \result == -1 || from <= \result < end; */
static int take_bit(uint64_t *bits, unsigned int from, unsigned int end)
{
	/*@ loop invariant from <= i && (i <= end || i == from);
	    loop assigns i;
	    loop variant end - i; */
	for (unsigned int i = from; i < end; i++) {
		if (bits[i / 64] >> (i % 64) & 1)
			continue;
		bits[i / 64] |= 1ULL << (i % 64);
		return (int)i;
	}
	return -1;
}

/*@ requires \valid(&bits[i / 64]);
    assigns bits[i / 64]; */
static void clear_bit(uint64_t *bits, unsigned int i)
{
	bits[i / 64] &= ~(1ULL << (i % 64));
}

void grant_init(void)
{
	if (platform_map_grant_table())
		panic("Xen does not map the grant table");
	table = (grant_entry_v1_t *)LAYOUT_FIXED_AT(LAYOUT_GRANT_TABLE);
}

/*@ requires table_holds && \valid(ref) && \separated(ref, &shared[0 .. ENTRIES / 64 - 1]);
    assigns shared[0 .. ENTRIES / 64 - 1], table[0 .. ENTRIES - 1], *ref;
    ensures \result == 0 || \result == -ENOSPC;
    ensures \result == 0 ==> FIRST <= *ref < ENTRIES; */
int grant_share(uint16_t domid, uint64_t pa, bool writable, uint32_t *ref)
{
	int i = take_bit(shared, FIRST, ENTRIES);

	if (i < 0)
		return -ENOSPC;
	table[i].domid = domid;
	table[i].frame = (uint32_t)(pa / LAYOUT_PAGE);
	/* Xen reads the entry as soon as the flags permit it. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	table[i].flags = (uint16_t)(GTF_permit_access | (writable ? 0 : GTF_readonly));
	*ref = (uint32_t)i;
	return 0;
}

/*@ requires table_holds && ref < ENTRIES;
    assigns shared[0 .. ENTRIES / 64 - 1], table[0 .. ENTRIES - 1].flags; */
bool grant_end(uint32_t ref)
{
	volatile uint16_t *flags = &table[ref].flags;
	uint16_t now = *flags;

	/*@ loop assigns now, *flags; */
	do {
		if (now & (GTF_reading | GTF_writing))
			return false;
	} while (!__atomic_compare_exchange_n(flags, &now, 0, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	clear_bit(shared, ref);
	return true;
}

/*@ requires \valid_read(p);
    assigns \nothing; */
uint64_t grant_address(const struct grant_page *p)
{
	return (platform_window() + p->slot) * LAYOUT_PAGE;
}

/*@ requires \valid(p) && \separated(p, &window[0 .. PLATFORM_WINDOW / 64 - 1]);
    assigns window[0 .. PLATFORM_WINDOW / 64 - 1], p->slot, p->handle;
    ensures \result == 0 || \result == -EINVAL || \result == -ENOMEM;
    ensures \result == 0 ==> p->slot < PLATFORM_WINDOW; */
int grant_map(struct grant_page *p, bool writable)
{
	int slot = take_bit(window, 0, PLATFORM_WINDOW);
	struct gnttab_map_grant_ref map = {.ref = p->ref, .dom = p->domid};
	long rc;

	if (slot < 0)
		return -ENOMEM;
	p->slot = (uint16_t)slot;
	map.host_addr = grant_address(p);
	map.flags = GNTMAP_host_map | (writable ? 0 : GNTMAP_readonly);
	rc = hypercall_grant(GNTTABOP_map_grant_ref, &map, 1);
	if (rc || map.status != GNTST_okay) {
		clear_bit(window, p->slot);
		return -EINVAL;
	}
	p->handle = map.handle;
	return 0;
}

/*@ requires \valid_read(p) && p->slot < PLATFORM_WINDOW;
    assigns window[0 .. PLATFORM_WINDOW / 64 - 1]; */
void grant_unmap(struct grant_page *p)
{
	struct gnttab_unmap_grant_ref unmap = {.host_addr = grant_address(p),
					       .handle = p->handle};

	/* A frame that Xen keeps is not used again. */
	if (!hypercall_grant(GNTTABOP_unmap_grant_ref, &unmap, 1) &&
	    unmap.status == GNTST_okay)
		clear_bit(window, p->slot);
}
