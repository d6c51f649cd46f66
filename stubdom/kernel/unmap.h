/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer is told when a page is given up (xen/sys/gntdev.h): a byte is cleared,
 * an event is sent.  The same for pages of ours and of theirs. */
#ifndef STUB_UNMAP_H
#define STUB_UNMAP_H

#include <stdbool.h>
#include <stdint.h>
#include "include/compiler.h"

struct unmap {
	uint32_t action; /* UNMAP_NOTIFY_*; 0: nothing */
	uint32_t port;
	uint32_t byte; /* offset from the first page */
};

/* 0, or -EINVAL: unknown action, or a port that is not the program's. */
int __must_check unmap_set(struct unmap *u, uint32_t action, uint32_t port,
			   uint64_t byte);
/* page: physical address of the page that holds the byte. */
void unmap_perform(struct unmap *u, uint64_t page);

#endif
