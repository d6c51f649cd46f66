/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/x86.h"

#define ENTRIES	   512
#define PRESENT	   (1ULL << 0)
#define WRITABLE   (1ULL << 1)
#define USER	   (1ULL << 2)
#define LARGE	   (1ULL << 7)
#define KEPT	   (1ULL << 9) /* ours: a page stands here, present or not */
#define NO_EXEC	   (1ULL << 63)
#define ADDRESS	   0x000ffffffffff000ULL
#define LARGE_SIZE 0x200000ULL
#define TABLE	   (PRESENT | WRITABLE)

extern char kernel_start[], kernel_text_end[], kernel_rodata_end[], kernel_end[],
	kernel_stacks_start[], kernel_stack_top[], kernel_stack_df[], kernel_stack_nmi[],
	kernel_stack_mc[], kernel_stack_db[], kernel_boot_tables_start[],
	kernel_boot_tables_end[];

static uint64_t *top_table;

static uint64_t *table_at(uint64_t entry)
{
	return page_address(entry & ADDRESS);
}

static unsigned int index_at(uint64_t va, unsigned int level)
{
	return (unsigned int)(va >> (12 + 9 * level)) % ENTRIES;
}

/* The entry for va at this level (0: 4 KiB pages), or NULL: a table is missing, and
 * was not to be made or could not be. */
static uint64_t *entry_at(uint64_t va, unsigned int level, bool make)
{
	uint64_t *table = top_table, *entry, pa;
	uint64_t user = va < LAYOUT_USER_TOP ? USER : 0;

	for (unsigned int l = 3; l > level; l--) {
		entry = &table[index_at(va, l)];
		if (!(*entry & PRESENT)) {
			if (!make || page_alloc(&pa))
				return NULL;
			*entry = pa | TABLE | user;
		}
		table = table_at(*entry);
	}
	return &table[index_at(va, level)];
}

static void map_kernel(uint64_t va, unsigned int level, uint64_t entry)
{
	uint64_t *e = entry_at(va, level, true);

	if (!e)
		panic("no memory for the kernel's page tables");
	*e = entry;
}

static bool is_guard(uint64_t va)
{
	const char *const tops[] = {kernel_stack_df, kernel_stack_nmi, kernel_stack_mc,
				    kernel_stack_db};

	for (unsigned int i = 0; i < sizeof(tops) / sizeof(tops[0]); i++)
		if (va == (uint64_t)tops[i] - 2 * LAYOUT_PAGE)
			return true;
	return va == (uint64_t)kernel_stacks_start;
}

static uint64_t kernel_rights(uint64_t va)
{
	if (va < (uint64_t)kernel_text_end)
		return 0;
	return va < (uint64_t)kernel_rodata_end ? NO_EXEC : NO_EXEC | WRITABLE;
}

static void map_image(void)
{
	for (uint64_t va = (uint64_t)kernel_start; va < (uint64_t)kernel_end;
	     va += LAYOUT_PAGE) {
		if (is_guard(va) || (va >= (uint64_t)kernel_boot_tables_start &&
				     va < (uint64_t)kernel_boot_tables_end))
			continue;
		map_kernel(va, 0, (va - LAYOUT_KERNEL) | PRESENT | kernel_rights(va));
	}
}

/* The first 2 MiB in small pages: the kernel's code and constants are there, and are
 * not writable here either. */
static void map_direct(uint64_t top)
{
	uint64_t start = (uint64_t)kernel_start - LAYOUT_KERNEL, pa;
	uint64_t end = (uint64_t)kernel_rodata_end - LAYOUT_KERNEL;

	for (pa = 0; pa < LAYOUT_KERNEL_MAX; pa += LAYOUT_PAGE)
		map_kernel(LAYOUT_DIRECT + pa, 0,
			   pa | PRESENT | NO_EXEC |
				   (pa >= start && pa < end ? 0 : WRITABLE));
	for (; pa < top; pa += LARGE_SIZE)
		map_kernel(LAYOUT_DIRECT + pa, 1,
			   pa | PRESENT | WRITABLE | NO_EXEC | LARGE);
}

static void free_image_pages(void)
{
	for (uint64_t va = (uint64_t)kernel_stacks_start;
	     va < (uint64_t)kernel_boot_tables_end; va += LAYOUT_PAGE)
		if (is_guard(va) || va >= (uint64_t)kernel_boot_tables_start)
			page_free(va - LAYOUT_KERNEL);
}

void map_init(uint64_t top)
{
	uint64_t pa;

	if (page_alloc(&pa))
		panic("no memory for the kernel's page tables");
	top_table = page_address(pa);
	map_image();
	map_direct(top);
	x86_write_cr3(pa);
	free_image_pages();
}

void map_fixed(unsigned int n, uint64_t pa)
{
	uint64_t va = LAYOUT_FIXED_AT(n);

	map_kernel(va, 0, pa | PRESENT | WRITABLE | NO_EXEC);
	x86_invlpg(va);
}

void map_unfix(unsigned int n)
{
	map_kernel(LAYOUT_FIXED_AT(n), 0, 0);
	x86_invlpg(LAYOUT_FIXED_AT(n));
}

static uint64_t user_entry(uint64_t pa, unsigned int rights)
{
	uint64_t entry = pa | KEPT;

	if (rights)
		entry |= PRESENT | USER;
	if (rights & MAP_WRITE)
		entry |= WRITABLE;
	if (!(rights & MAP_EXEC) || rights & MAP_WRITE)
		entry |= NO_EXEC;
	return entry;
}

int map_user(uint64_t va, uint64_t pa, unsigned int rights)
{
	uint64_t *e = entry_at(va, 0, true);

	if (!e)
		return -ENOMEM;
	*e = user_entry(pa, rights);
	x86_invlpg(va);
	return 0;
}

bool map_lookup(uint64_t va, uint64_t *pa)
{
	uint64_t *e = entry_at(va, 0, false);

	if (!e || !(*e & KEPT))
		return false;
	*pa = *e & ADDRESS;
	return true;
}

void map_protect(uint64_t va, unsigned int rights)
{
	uint64_t *e = entry_at(va, 0, false);

	if (!e || !(*e & KEPT))
		return;
	*e = user_entry(*e & ADDRESS, rights);
	x86_invlpg(va);
}

bool map_remove(uint64_t va, uint64_t *pa)
{
	uint64_t *e = entry_at(va, 0, false);

	if (!e || !(*e & KEPT))
		return false;
	*pa = *e & ADDRESS;
	*e = 0;
	x86_invlpg(va);
	return true;
}

static bool is_empty(const uint64_t *table)
{
	for (unsigned int i = 0; i < ENTRIES; i++)
		if (table[i])
			return false;
	return true;
}

/* Only the lowest tables: the others are one for each GiB at most. */
void map_trim(uint64_t start, uint64_t end)
{
	uint64_t *e, pa;

	for (uint64_t va = start & ~(LARGE_SIZE - 1); va < end; va += LARGE_SIZE) {
		e = entry_at(va, 1, false);
		if (!e || !(*e & PRESENT) || !is_empty(table_at(*e)))
			continue;
		pa = *e & ADDRESS;
		*e = 0;
		x86_invlpg(va);
		/* The processor may hold the table in its own cache. */
		x86_write_cr3(x86_read_cr3());
		page_free(pa);
	}
}
