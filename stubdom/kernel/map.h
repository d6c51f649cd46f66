/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page tables.  No mapping is both writable and executable; the program's pages are
 * in the lower half of the one top table.  An entry of the program's that is not
 * present but not zero keeps the page of a PROT_NONE range.
 */
#ifndef STUB_MAP_H
#define STUB_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include "include/compiler.h"

#define MAP_READ  1u
#define MAP_WRITE 2u
#define MAP_EXEC  4u

/* Builds the final tables: the direct map up to `top`, the kernel with the rights
 * of its parts and without the guard pages; leaves the boot tables. */
void map_init(uint64_t top);
/* Page n of LAYOUT_FIXED shows physical address pa. */
void map_fixed(unsigned int n, uint64_t pa);
void map_unfix(unsigned int n);

/* The program's page at va.  rights 0 hides it.  -ENOMEM: no page for a table. */
int __must_check map_user(uint64_t va, uint64_t pa, unsigned int rights);
/* True when there is a page at va, shown or hidden. */
bool map_lookup(uint64_t va, uint64_t *pa);
/* New rights for the page at va, if there is one. */
void map_protect(uint64_t va, unsigned int rights);
/* Takes the page at va away; true and its address if there was one. */
bool map_remove(uint64_t va, uint64_t *pa);
/* Panics if any mapping is writable and executable, or shows the kernel to the
 * program, or if the processor ignores these bits. */
void map_check(void);
/* Gives back tables that have become empty in this range. */
void map_trim(uint64_t start, uint64_t end);

#endif
