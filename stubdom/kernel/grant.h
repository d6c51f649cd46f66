/* SPDX-License-Identifier: Apache-2.0 */
/* Grant references: pages of ours for a peer, and a peer's pages for us.  Version 1
 * of the table, one page of it (xen/grant_table.h). */
#ifndef STUB_GRANT_H
#define STUB_GRANT_H

#include <stdbool.h>
#include <stdint.h>
#include "include/compiler.h"

/* A page of another domain, at a frame of the platform's window. */
struct grant_page {
	uint32_t ref;
	uint32_t handle;
	uint16_t domid;
	uint16_t slot;
};

void grant_init(void);
/* Lets domid use the page at pa: 0 and a reference, or -ENOSPC. */
int __must_check grant_share(uint16_t domid, uint64_t pa, bool writable, uint32_t *ref);
/* Takes the page back; false while the peer has it mapped: ask again later. */
bool grant_end(uint32_t ref);
/* Maps p->ref of p->domid: 0, -EINVAL (refused) or -ENOMEM (the window is full). */
int __must_check grant_map(struct grant_page *p, bool writable);
uint64_t grant_address(const struct grant_page *p);
void grant_unmap(struct grant_page *p);

#endif
