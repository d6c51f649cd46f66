/* SPDX-License-Identifier: Apache-2.0 */
/* The page tables as the processor sees them, read back: no bug of map.c's, nor of
 * the loader's, can leave a page both writable and executable. */
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/x86.h"

#define ENTRIES	 512
#define PRESENT	 (1ULL << 0)
#define WRITABLE (1ULL << 1)
#define USER	 (1ULL << 2)
#define LARGE	 (1ULL << 7)
#define NO_EXEC	 (1ULL << 63)
#define ADDRESS	 0x000ffffffffff000ULL
#define SIGN	 (1ULL << 47)

static void check_page(uint64_t va, uint64_t entry)
{
	if (entry & WRITABLE && !(entry & NO_EXEC))
		panic("the page at %lx is writable and executable", va);
	if (va & SIGN && entry & USER)
		panic("the kernel's page at %lx is open to the program", va);
	if (va & SIGN && !(entry & NO_EXEC) && va < LAYOUT_KERNEL)
		panic("the page at %lx is executable and not the kernel's code", va);
}

static void check_table(uint64_t table, unsigned int level, uint64_t base)
{
	const uint64_t *entry = page_address(table);

	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t va = base | (uint64_t)i << (12 + 9 * level);

		if (!(entry[i] & PRESENT))
			continue;
		if (level == 3 && va & SIGN)
			va |= ~(SIGN - 1);
		if (!level || entry[i] & LARGE)
			check_page(va, entry[i]);
		else
			check_table(entry[i] & ADDRESS, level - 1, va);
	}
}

void map_check(void)
{
	if (!(x86_rdmsr(X86_MSR_EFER) & X86_EFER_NXE))
		panic("the processor does not know NX pages");
	if (!(x86_read_cr0() & X86_CR0_WP))
		panic("the processor lets the kernel write to constant pages");
	check_table(x86_read_cr3() & ADDRESS, 3, 0);
}
