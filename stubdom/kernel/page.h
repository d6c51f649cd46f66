/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical pages.  Memory that was never used is taken from the bottom of each
 * range, so that a big domain costs no time; pages given back are linked through
 * themselves.  Pure but for the mapping of all memory at one base address.
 */
#ifndef STUB_PAGE_H
#define STUB_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "include/compiler.h"

#define PAGE_SIZE   4096UL
#define PAGE_RANGES 32
/* Left to the kernel, for tables and devices, when the program has used up all. */
#define PAGE_RESERVE 24

struct page_span {
	uint64_t start, end; /* bytes, end exclusive */
};

/* Where physical address 0 is mapped. */
void page_init(void *base);
/* Adds the whole pages of one piece of RAM, without those that touch any of the n
 * spans of `taken`.  Ranges past PAGE_RANGES are left unused. */
void page_add(struct page_span ram, const struct page_span *taken, unsigned int n);
/* One page of zeroes: 0 or -ENOMEM. */
int __must_check page_alloc(uint64_t *pa);
/* The same for the program: keeps PAGE_RESERVE for the kernel. */
int __must_check page_alloc_user(uint64_t *pa);
/* pa: from page_alloc(), or RAM that was `taken` and is now given up. */
void page_free(uint64_t pa);
void *page_address(uint64_t pa);
/* Pages free now, and pages ever added or given. */
uint64_t page_count_free(void);
uint64_t page_count_total(void);

#endif
