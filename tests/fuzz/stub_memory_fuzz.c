/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub kernel's memory, regions, page tables and page allocator against a model of
 * the program's pages: which there are, with what rights, and what is in them.  Input: a
 * byte for each call, and the bytes that its arguments take.  After each call the page
 * tables are read as the processor would, and compared.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/mman.h>

/* In place of x86.h, whose instructions are the kernel's alone. */
#define STUB_X86_H
#include <stdint.h>
static inline void x86_write_cr3(uint64_t v)
{
	(void)v;
}
static inline uint64_t x86_read_cr3(void)
{
	return 0;
}
static inline void x86_invlpg(uint64_t va)
{
	(void)va;
}

#include "lib/cursor.h"
#include "stubdom/kernel/map.c"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/memory.h"

#define RAM_PAGES    640UL
#define DEVICES	     4U
#define DEVICE_PAGES 8U
#define PHYS_PAGES   (RAM_PAGES + 1 + DEVICES * DEVICE_PAGES)
#define CALL_PAGES   24 /* of a call's range, but for huge ones */
#define IMAGE	     0x400000UL
#define CODE_PAGES   3UL
#define DATA_PAGE    8UL /* the first of the image's two writable pages */
#define IMAGE_PAGES  10UL
#define BASE	     0x40000000UL /* where most mappings are asked for */
#define MAPPING_TOP  (BASE + 0x400000UL)
#define STACK	     (BASE + 0x500000UL)
#define STACK_PAGES  16UL
#define HUGE_PAGES   0x7fffffffUL
#define NO_FILE	     (-1UL)
#define SHADOW_MAX   2048U
#define BYTES(pages) ((uint64_t)(pages)*PAGE_SIZE)
#define PAGES_UP(n)  (((uint64_t)(n) + PAGE_SIZE - 1) / PAGE_SIZE)
#define TAG(pa)	     (((uint64_t *)page_address(pa))[1])

char kernel_start[1], kernel_text_end[1], kernel_rodata_end[1], kernel_end[1],
	kernel_stacks_start[1], kernel_stack_top[1], kernel_stack_df[1],
	kernel_stack_nmi[1], kernel_stack_mc[1], kernel_stack_db[1],
	kernel_boot_tables_start[1], kernel_boot_tables_end[1];

struct shadow {
	uint64_t va, tag; /* tag: what the program wrote into it; 0: nothing */
	unsigned int rights;
	bool image;
};

struct device {
	struct memory_device base; /* first */
	bool used;
	uint64_t start, size;
};

static struct shadow shadow[SHADOW_MAX];
static unsigned int shadow_count;
static struct device devices[DEVICES];
static struct cursor in;
static uint8_t *ram;
static uint64_t root, last_tag, break_at;

/* What the walk through the tables counts. */
static bool seen[PHYS_PAGES];
static uint64_t tables, pages;

static void require(bool holds, const char *what, uint64_t va)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s, at %lx\n", what, va);
	abort();
}

void panic(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	abort();
}

struct file *file_get(uint64_t fd)
{
	return NULL;
}

/* the model */

static struct shadow *shadow_find(uint64_t va)
{
	for (unsigned int i = 0; i < shadow_count; i++)
		if (shadow[i].va == va)
			return &shadow[i];
	return NULL;
}

static void shadow_set(uint64_t va, unsigned int rights, uint64_t tag, bool image)
{
	struct shadow *s = shadow_find(va);

	require(s || shadow_count < SHADOW_MAX, "the model has room", va);
	if (!s)
		s = &shadow[shadow_count++];
	*s = (struct shadow){va, tag, rights, image};
}

static void shadow_remove(uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < shadow_count;)
		if (shadow[i].va >= start && shadow[i].va < end)
			shadow[i] = shadow[--shadow_count];
		else
			i++;
}

/* Pages that the kernel has made, or taken, in a call that then failed. */
static void shadow_adopt(uint64_t start, uint64_t end)
{
	uint64_t pa;

	for (uint64_t va = start; va < end && va < LAYOUT_USER_TOP; va += PAGE_SIZE)
		if (!shadow_find(va) && map_lookup(va, &pa))
			shadow_set(va, region_at(va)->rights, 0, region_at(va)->image);
}

static void shadow_lose(uint64_t start, uint64_t end)
{
	uint64_t pa;

	for (unsigned int i = 0; i < shadow_count;)
		if (shadow[i].va >= start && shadow[i].va < end &&
		    !map_lookup(shadow[i].va, &pa) && !region_at(shadow[i].va))
			shadow[i] = shadow[--shadow_count];
		else
			i++;
}

/* the checks */

static void check_content(const struct shadow *s, uint64_t pa, bool device)
{
	const uint64_t *words = page_address(pa);

	require(words[1] == s->tag, "a page has what the program wrote", s->va);
	for (unsigned int i = 2; !device && i < PAGE_SIZE / sizeof(*words); i++)
		require(!words[i], "and else zeroes", s->va);
}

static void check_entry(uint64_t va, uint64_t entry)
{
	const struct region *r = region_at(va);
	const struct shadow *s = shadow_find(va);
	bool executable = !(entry & NO_EXEC);

	require(entry & KEPT, "an entry is a page of the program's", va);
	require(r, "a page is in a region", va);
	require(s, "a page is one that the program has", va);
	require(s->rights == r->rights, "a region has the rights that were asked", va);
	require(!!(entry & PRESENT) == !!r->rights, "a page shows when it may", va);
	require(!!(entry & WRITABLE) == !!(r->rights & MAP_WRITE),
		"writable as its region", va);
	require(!executable || !(entry & WRITABLE), "none is writable and executable",
		va);
	require(!executable || (r->rights & MAP_EXEC && s->image),
		"only the image is executable", va);
	check_content(s, entry & ADDRESS, r->kind == REGION_DEVICE);
}

static void walk(uint64_t table, unsigned int level, uint64_t base)
{
	const uint64_t *entry = page_address(table);

	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t va = base | (uint64_t)i << (12 + 9 * level);
		uint64_t n = (entry[i] & ADDRESS) / PAGE_SIZE;

		if (!entry[i])
			continue;
		require(n < PHYS_PAGES && !seen[n], "a frame is used once", va);
		seen[n] = true;
		if (level) {
			tables++;
			walk(entry[i] & ADDRESS, level - 1, va);
		} else {
			pages += n <= RAM_PAGES;
			check_entry(va, entry[i]);
		}
	}
}

static void check_regions(void)
{
	const struct region *r, *last = NULL;
	uint64_t pa;

	for (unsigned int i = 0; (r = region_entry(i)); last = r, i++) {
		require(r->start < r->end && !((r->start | r->end) % PAGE_SIZE),
			"a region has whole pages", r->start);
		require(!last || last->end <= r->start, "regions are in order", r->start);
		if (r->kind != REGION_MEMORY || !r->rights)
			continue;
		for (uint64_t va = r->start; va < r->end; va += PAGE_SIZE)
			require(map_lookup(va, &pa),
				"memory is there before it is touched", va);
	}
}

static void check_all(void)
{
	memset(seen, 0, sizeof(seen));
	tables = 1;
	pages = 0;
	seen[root / PAGE_SIZE] = true;
	walk(root, 3, 0);
	require(page_count_free() + tables + pages == RAM_PAGES, "no page is lost", 0);
	check_regions();
	for (unsigned int i = 0; i < shadow_count; i++)
		require(region_at(shadow[i].va), "what the program has is there",
			shadow[i].va);
}

/* The program writes to some of its pages. */
static void touch_pages(void)
{
	uint64_t pa;

	for (unsigned int i = 0; i < shadow_count; i += 3)
		if (shadow[i].rights & MAP_WRITE && map_lookup(shadow[i].va, &pa))
			shadow[i].tag = TAG(pa) = ++last_tag;
}

/* the calls */

static uint64_t some_address(void)
{
	uint8_t a = cursor_u8(&in);

	if (a & 0x80 && shadow_count)
		return shadow[a % shadow_count].va + BYTES(cursor_u8(&in) % 8);
	if (a == 0x7f)
		return LAYOUT_USER_TOP - BYTES(cursor_u8(&in) % 4);
	if (a == 0x7e)
		return -PAGE_SIZE;
	return BASE + BYTES(a % 64);
}

static uint64_t some_size(void)
{
	return BYTES(cursor_u8(&in) % CALL_PAGES);
}

static unsigned int rights_asked(uint64_t prot)
{
	return (prot & (PROT_READ | PROT_WRITE) ? MAP_READ : 0) |
	       (prot & PROT_WRITE ? MAP_WRITE : 0) | (prot & PROT_EXEC ? MAP_EXEC : 0);
}

static uint64_t pages_to_map(void)
{
	uint8_t n = cursor_u8(&in) % 40;

	return n == 39 ? RAM_PAGES + 60 : n == 38 ? HUGE_PAGES : n;
}

static void call_mmap(void)
{
	static const uint64_t kinds[] = {0, 0, MAP_FIXED, MAP_FIXED_NOREPLACE};
	uint64_t hint = some_address(), size = BYTES(pages_to_map());
	uint64_t prot = cursor_u8(&in) % 8, kind = cursor_u8(&in) % ARRAY_SIZE(kinds);
	uint64_t at = kind ? hint : 0;
	unsigned int rights = rights_asked(prot);
	long rc;

	/* 8 TiB of address space without memory would take this model minutes. */
	if (size == BYTES(HUGE_PAGES) && !prot)
		return;
	rc = memory_mmap(at, size, prot, MAP_ANONYMOUS | kinds[kind], NO_FILE, 0);
	if (rc < 0) {
		/* MAP_FIXED has unmapped what was there. */
		if (kinds[kind] == MAP_FIXED)
			shadow_lose(at, at + size);
		return;
	}
	require(!(prot & PROT_EXEC), "no executable memory is given", at);
	require(!kinds[kind] || (uint64_t)rc == at, "MAP_FIXED is where it was asked",
		at);
	for (uint64_t va = (uint64_t)rc; va < (uint64_t)rc + size; va += PAGE_SIZE) {
		require(kinds[kind] == MAP_FIXED || !shadow_find(va),
			"a mapping replaces none", va);
		shadow_remove(va, va + PAGE_SIZE);
		if (rights)
			shadow_set(va, rights, 0, false);
	}
}

static void call_munmap(void)
{
	uint64_t at = some_address(), size = some_size();

	size -= size && cursor_u8(&in) & 1;
	if (!memory_munmap(at, size))
		shadow_remove(at, at + BYTES(PAGES_UP(size)));
}

static void call_mprotect(void)
{
	uint64_t at = some_address(), size = some_size(), prot = cursor_u8(&in) % 8;
	unsigned int rights = rights_asked(prot);
	long rc = memory_mprotect(at, size, prot);

	if (rc) {
		/* It fills a PROT_NONE range before it changes the rights. */
		shadow_adopt(at, at + size);
		return;
	}
	for (uint64_t va = at; va < at + size; va += PAGE_SIZE) {
		struct shadow *s = shadow_find(va);
		const struct region *r = region_at(va);

		require(r, "mprotect of nothing fails", va);
		require(!s || !(rights & MAP_EXEC) || s->rights & MAP_EXEC,
			"nothing becomes executable", va);
		if (s)
			s->rights = rights;
		else if (r->kind == REGION_MEMORY && rights)
			shadow_set(va, rights, 0, r->image);
	}
}

static void call_mremap(void)
{
	uint64_t at = some_address(), old = some_size();
	uint64_t size = BYTES(cursor_u8(&in) % 60), flags = cursor_u8(&in) % 3;
	const struct region *r = region_at(at);
	unsigned int rights = r ? r->rights : 0, count = 0;
	struct shadow moved[CALL_PAGES];
	long rc;

	for (uint64_t va = at; va < at + old; va += PAGE_SIZE)
		if (shadow_find(va))
			moved[count++] = *shadow_find(va);
	rc = memory_mremap(at, old, size, flags);
	if (rc < 0)
		return;
	shadow_remove(at, at + old);
	for (uint64_t n = 0; rights && n < size; n += PAGE_SIZE)
		shadow_set((uint64_t)rc + n, rights, 0, false);
	for (unsigned int i = 0; i < count; i++)
		if (moved[i].va - at < size)
			shadow_set((uint64_t)rc + (moved[i].va - at), moved[i].rights,
				   moved[i].tag, false);
}

/* It may clear some pages, and then find one that it must not. */
static void call_madvise(void)
{
	uint64_t at = some_address(), size = some_size(), pa;
	uint64_t advice = cursor_u8(&in) & 1 ? MADV_DONTNEED : MADV_FREE;
	long rc = memory_madvise(at, size, advice);

	for (unsigned int i = 0; advice == MADV_DONTNEED && i < shadow_count; i++) {
		struct shadow *s = &shadow[i];

		if (s->va < at || s->va >= at + size || !map_lookup(s->va, &pa))
			continue;
		require(rc || !TAG(pa), "MADV_DONTNEED clears", s->va);
		require(!TAG(pa) || TAG(pa) == s->tag, "or leaves alone", s->va);
		s->tag = TAG(pa);
	}
}

static void call_brk(void)
{
	uint64_t to = break_at + (uint64_t)(cursor_u8(&in) % 32) * 2048 - 16 * 1024;
	uint64_t now = (uint64_t)memory_brk(to);
	uint64_t from = BYTES(PAGES_UP(break_at)), end = BYTES(PAGES_UP(now));

	require(now == to || now == break_at, "the break is the old or the new one", now);
	for (uint64_t va = from; va < end; va += PAGE_SIZE)
		shadow_set(va, MAP_READ | MAP_WRITE, 0, false);
	if (end < from)
		shadow_remove(end, from);
	break_at = now;
}

static void release_device(struct memory_device *base)
{
	struct device *d = (struct device *)base;

	require(d->used, "a device's mapping is released once", d->start);
	d->used = false;
	shadow_remove(d->start, d->start + d->size);
}

static uint64_t device_page(unsigned int i, unsigned int n)
{
	return BYTES(RAM_PAGES + 1 + i * DEVICE_PAGES + n);
}

static void map_device(unsigned int i, unsigned int count)
{
	struct device *d = &devices[i];
	unsigned int n;

	*d = (struct device){
		.base.release = release_device, .used = true, .size = BYTES(count)};
	if (memory_add_device(some_address(), d->size, MAP_READ | MAP_WRITE, &d->base,
			      &d->start)) {
		d->used = false;
		return;
	}
	for (n = 0; n < count; n++)
		if (map_user(d->start + BYTES(n), device_page(i, n),
			     MAP_READ | MAP_WRITE))
			break;
	if (n < count) {
		memory_drop_device(d->start, d->size);
		d->used = false;
		return;
	}
	for (n = 0; n < count; n++) {
		TAG(device_page(i, n)) = ++last_tag;
		shadow_set(d->start + BYTES(n), MAP_READ | MAP_WRITE, last_tag, false);
	}
}

static void call_device(void)
{
	unsigned int i = cursor_u8(&in) % DEVICES, n = 1 + cursor_u8(&in) % DEVICE_PAGES;

	if (!devices[i].used)
		map_device(i, n);
	else if (n & 1)
		require(!memory_munmap(devices[i].start, devices[i].size),
			"a device's whole mapping can go", devices[i].start);
}

static void call_stack(void)
{
	uint64_t at = STACK + BYTES(cursor_u8(&in) % (STACK_PAGES + 2));

	if (!memory_grow_stack(at) && !shadow_find(at))
		shadow_set(at, region_at(at)->rights, 0, false);
}

static void (*const calls[])(void) = {
	call_mmap,   call_mmap,	  call_mmap,	call_munmap, call_mprotect, call_mprotect,
	call_mremap, call_mremap, call_madvise, call_brk,    call_device,   call_stack,
};

/* As load.c does it: code, and writable zeroes; then the break and the stack. */
static void start_program(void)
{
	uint64_t pa;

	require(!memory_add_image(IMAGE, IMAGE + BYTES(CODE_PAGES), MAP_READ | MAP_EXEC),
		"the code has a region", IMAGE);
	for (uint64_t va = IMAGE; va < IMAGE + BYTES(CODE_PAGES); va += PAGE_SIZE) {
		require(!page_alloc(&pa) && !map_user(va, pa, MAP_READ | MAP_EXEC),
			"the code is mapped", va);
		shadow_set(va, MAP_READ | MAP_EXEC, 0, true);
	}
	break_at = IMAGE + BYTES(IMAGE_PAGES);
	require(!memory_add(IMAGE + BYTES(DATA_PAGE), break_at, MAP_READ | MAP_WRITE,
			    REGION_MEMORY, true),
		"the data is mapped", IMAGE);
	for (uint64_t va = IMAGE + BYTES(DATA_PAGE); va < break_at; va += PAGE_SIZE)
		shadow_set(va, MAP_READ | MAP_WRITE, 0, true);
	memory_set_break(break_at);
	require(!memory_add(STACK, STACK + BYTES(STACK_PAGES), MAP_READ | MAP_WRITE,
			    REGION_STACK, false),
		"the stack has a place", STACK);
}

/* Memory that was used before is full of what must not be seen. */
static void start_machine(void)
{
	struct page_span all = {PAGE_SIZE, BYTES(RAM_PAGES + 1)};

	if (!ram)
		ram = aligned_alloc(PAGE_SIZE, BYTES(PHYS_PAGES));
	memset(ram, 0xa5, BYTES(RAM_PAGES + 1));
	memset(ram + BYTES(RAM_PAGES + 1), 0, BYTES(DEVICES * DEVICE_PAGES));
	page_init(ram);
	page_add(all, NULL, 0);
	require(!page_alloc(&root), "there is a page", 0);
	top_table = page_address(root);
	memory_init(MAPPING_TOP);
	memset(devices, 0, sizeof(devices));
	shadow_count = 0;
	start_program();
	check_all();
}

static void end_program(void)
{
	const struct region *r;

	memory_release_devices();
	for (unsigned int i = 0; i < DEVICES; i++)
		require(!devices[i].used, "devices are released", devices[i].start);
	while ((r = region_entry(0)))
		require(!memory_munmap(r->start, r->end - r->start),
			"all can be unmapped", r->start);
	shadow_count = 0;
	check_all();
	require(!pages, "no page stays", 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = cursor_reader(data, size);
	start_machine();
	while (cursor_left(&in)) {
		calls[cursor_u8(&in) % ARRAY_SIZE(calls)]();
		check_all();
		touch_pages();
	}
	end_program();
	return 0;
}
