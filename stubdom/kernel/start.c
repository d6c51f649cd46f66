/* SPDX-License-Identifier: Apache-2.0 */
/* From boot.S to the program: reads what Xen says of the domain, then makes each
 * part ready in the order in which they need one another. */
#include <stdbool.h>
#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/params.h>
#include "include/compiler.h"
#include "stubdom/kernel/console.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/cpu.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/grant.h"
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/platform.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/random.h"
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/xenstore.h"

#define MAGIC	    0x336ec578
#define TYPE_RAM    1
#define SPANS_MAX   16
#define COMMAND_MAX 1024
#define GIB	    0x40000000ULL
#define HOLE_START  0xf0000000ULL /* the local APIC and Xen's special pages are above */
#define HOLE_END    0x100000000ULL

/* What start_info says, copied: the pages that it is in become free memory. */
static struct {
	struct page_span ram[SPANS_MAX];
	unsigned int count;
	struct page_span module;
	char command[COMMAND_MAX];
} given;

extern char kernel_start[], kernel_end[];
extern uint64_t __stack_chk_guard;
void start_main(uint64_t info) __attribute__((noreturn));

/* Xen's builder has put it all into the first GiB, which boot.S has mapped. */
static const void *at(uint64_t pa, uint64_t n)
{
	if (!pa || pa >= GIB || n > GIB - pa)
		panic("start_info points to %lx, which is not in the first GiB", pa);
	return page_address(pa);
}

static void read_command(uint64_t pa)
{
	const char *from = at(pa, sizeof(given.command));
	size_t n = strlen(from);

	if (n >= sizeof(given.command))
		panic("the command line is longer than %d bytes", COMMAND_MAX - 1);
	memcpy(given.command, from, n + 1);
}

static void read_module(const struct hvm_start_info *info)
{
	const struct hvm_modlist_entry *m;

	if (!info->nr_modules)
		panic("no program: name it in the domain's configuration as ramdisk=");
	m = at(info->modlist_paddr, sizeof(*m));
	(void)at(m->paddr, m->size);
	given.module = (struct page_span){m->paddr, m->paddr + m->size};
}

static void read_memory(const struct hvm_start_info *info)
{
	const struct hvm_memmap_table_entry *e;

	if (info->version < 1 || !info->memmap_entries)
		panic("Xen gives no memory map");
	e = at(info->memmap_paddr, info->memmap_entries * sizeof(*e));
	for (uint32_t i = 0; i < info->memmap_entries; i++) {
		struct page_span span = {e[i].addr, e[i].addr + e[i].size};

		if (e[i].type != TYPE_RAM || given.count == SPANS_MAX ||
		    span.end <= span.start || span.start >= LAYOUT_DIRECT_MAX / 2)
			continue;
		if (span.end > LAYOUT_DIRECT_MAX / 2)
			span.end = LAYOUT_DIRECT_MAX / 2;
		given.ram[given.count++] = span;
	}
}

static struct page_span span_of(unsigned int param)
{
	uint64_t frame = platform_param(param);

	return (struct page_span){frame * PAGE_SIZE, (frame + !!frame) * PAGE_SIZE};
}

/* Fills the page allocator; returns the end of RAM, and how much there is of it. */
static uint64_t add_memory(uint64_t *size)
{
	struct page_span taken[] = {
		{(uint64_t)kernel_start - LAYOUT_KERNEL,
		 (uint64_t)kernel_end - LAYOUT_KERNEL},
		given.module,
		span_of(HVM_PARAM_CONSOLE_PFN),
		span_of(HVM_PARAM_STORE_PFN),
	};
	uint64_t top = LAYOUT_KERNEL_MAX;

	for (unsigned int i = 0; i < given.count; i++) {
		page_add(given.ram[i], taken, ARRAY_SIZE(taken));
		*size += given.ram[i].end - given.ram[i].start;
		if (given.ram[i].end > top)
			top = given.ram[i].end;
	}
	return top;
}

/* Frame numbers for shared pages: above RAM, and not in the hole below 4 GiB. */
static uint64_t above(uint64_t top)
{
	return top > HOLE_START && top < HOLE_END ? HOLE_END : top;
}

/* Until console_init(). */
static void write_xen_log(const char *text, size_t len)
{
	(void)hypercall_log(text, len);
}

static void __attribute__((noreturn, noinline)) run(uint64_t pa)
{
	const struct hvm_start_info *info = at(pa, sizeof(*info));
	uint64_t top, size = 0;

	if (info->magic != MAGIC)
		panic("Xen's start_info is not at %lx", pa);
	if (info->cmdline_paddr)
		read_command(info->cmdline_paddr);
	read_module(info);
	read_memory(info);
	top = add_memory(&size);
	map_init(top);
	platform_init(above(top));
	console_init();
	map_check();
	xenstore_init();
	grant_init();
	file_init();
	print_line("%lu KiB of memory, %lu free, program of %lu KiB", size / 1024,
		   page_count_free() * (PAGE_SIZE / 1024),
		   (given.module.end - given.module.start) / 1024);
	process_run(given.module.start, given.module.end - given.module.start,
		    given.command);
}

/* Without a canary of its own: this is what chooses it. */
void __attribute__((optimize("no-stack-protector"))) start_main(uint64_t info)
{
	hypercall_init();
	print_set_console(write_xen_log, NULL);
	cpu_init();
	random_init();
	__stack_chk_guard = random_word() & ~0xffULL;
	page_init((void *)LAYOUT_DIRECT);
	run(info);
}
