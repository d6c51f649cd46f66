/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program has mapped: ranges of whole pages, sorted, without overlap.
 * Pure bookkeeping; memory.c keeps the page tables in step.
 */
#ifndef STUB_REGION_H
#define STUB_REGION_H

#include <stdbool.h>
#include <stdint.h>
#include "include/compiler.h"

#define REGION_MAX 256

enum region_kind {
	REGION_MEMORY, /* pages of our own, freed with the mapping */
	REGION_STACK,  /* the same, filled when first touched */
	REGION_DEVICE, /* whose pages belong to `object` (file.h) */
};

struct region {
	uint64_t start, end; /* end exclusive */
	unsigned int rights; /* MAP_* of map.h */
	bool image;	     /* of the ELF file: never unmapped by brk */
	enum region_kind kind;
	void *object; /* REGION_DEVICE only */
};

void region_init(void);
/* The region that holds this address, or NULL. */
struct region *region_at(uint64_t address);
/* The n-th region, or NULL. */
struct region *region_entry(unsigned int n);
/* Nothing is mapped in [start, end). */
bool region_is_free(uint64_t start, uint64_t end);
/* Every page of [start, end) is mapped. */
bool region_is_mapped(uint64_t start, uint64_t end);
/* The highest free place of `size` bytes, a page free on both sides, inside
 * [bottom, top); 0: none is free. */
uint64_t region_gap(uint64_t size, uint64_t bottom, uint64_t top);
/* Adds a region where nothing is.  -ENOMEM: too many of them. */
int __must_check region_add(const struct region *r);
/* Makes start and end boundaries of regions, if they are inside one. */
int __must_check region_cut(uint64_t start, uint64_t end);
/* Both need a cut before: forget, or change, the regions in [start, end). */
void region_remove(uint64_t start, uint64_t end);
void region_set_rights(uint64_t start, uint64_t end, unsigned int rights);

#endif
