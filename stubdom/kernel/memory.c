/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <asm/mman.h>
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/text.h"

#define MREMAP_MAYMOVE 1
#define PAGE_UP(v)     (((v) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))
#define PAGE_DOWN(v)   ((v) & ~(PAGE_SIZE - 1))

static uint64_t map_top, break_start, break_now;

void memory_init(uint64_t top)
{
	region_init();
	map_top = top;
}

void memory_set_break(uint64_t start)
{
	break_start = break_now = start;
}

/* Whole pages inside the program's half. */
static bool is_range(uint64_t start, uint64_t size)
{
	return !(start % PAGE_SIZE) && size && size <= LAYOUT_USER_TOP &&
	       start >= LAYOUT_USER_BOTTOM && start <= LAYOUT_USER_TOP - PAGE_UP(size);
}

static int fill(uint64_t start, uint64_t end, unsigned int rights)
{
	uint64_t pa;
	int rc;

	for (uint64_t va = start; va < end; va += PAGE_SIZE) {
		if (map_lookup(va, &pa))
			continue;
		rc = page_alloc_user(&pa);
		if (rc)
			return rc;
		rc = map_user(va, pa, rights);
		if (rc) {
			page_free(pa);
			return rc;
		}
	}
	return 0;
}

static void empty(uint64_t start, uint64_t end, bool ours)
{
	uint64_t pa;

	for (uint64_t va = start; va < end; va += PAGE_SIZE)
		if (map_remove(va, &pa) && ours)
			page_free(pa);
	map_trim(start, end);
}

int memory_add(uint64_t start, uint64_t end, unsigned int rights, enum region_kind kind,
	       bool image)
{
	struct region r = {.start = start,
			   .end = end,
			   .rights = rights,
			   .kind = kind,
			   .image = image};
	int rc = 0;

	/* Asked first: a huge request would else fill all of memory to no end. */
	if (rights && kind == REGION_MEMORY &&
	    (end - start) / PAGE_SIZE > page_count_free())
		return -ENOMEM;
	rc = region_add(&r);
	if (rc || !rights || kind != REGION_MEMORY)
		return rc;
	rc = fill(start, end, rights);
	if (!rc)
		return 0;
	empty(start, end, true);
	/* The new region may have been merged with a neighbour. */
	if (!region_cut(start, end))
		region_remove(start, end);
	return rc;
}

int memory_add_image(uint64_t start, uint64_t end, unsigned int rights)
{
	struct region r = {.start = start, .end = end, .rights = rights, .image = true};

	return region_add(&r);
}

static uint64_t place_memory(uint64_t hint, uint64_t size)
{
	if (hint && is_range(hint, size) && region_is_free(hint, hint + size))
		return hint;
	return region_gap(size, break_start, map_top);
}

int memory_add_device(uint64_t hint, uint64_t size, unsigned int rights,
		      struct memory_device *d, uint64_t *start)
{
	struct region r = {.rights = rights, .kind = REGION_DEVICE, .object = d};

	r.start = place_memory(PAGE_DOWN(hint), size);
	if (!r.start)
		return -ENOMEM;
	r.end = r.start + size;
	*start = r.start;
	return region_add(&r);
}

void memory_drop_device(uint64_t start, uint64_t size)
{
	empty(start, start + size, false);
	region_remove(start, start + size);
}

int memory_grow_stack(uint64_t at)
{
	struct region *r = region_at(at);

	if (!r || r->kind != REGION_STACK || !r->rights)
		return -EFAULT;
	return fill(PAGE_DOWN(at), PAGE_DOWN(at) + PAGE_SIZE, r->rights);
}

static void drop_region(struct region *r)
{
	struct memory_device *d = r->kind == REGION_DEVICE ? r->object : NULL;
	uint64_t start = r->start, end = r->end;

	empty(start, end, !d);
	region_remove(start, end);
	if (d)
		d->release(d);
}

/* A device's mapping goes as a whole, or not at all. */
static int check_devices(uint64_t start, uint64_t end)
{
	struct region *r;

	for (unsigned int i = 0; (r = region_entry(i)); i++)
		if (r->kind == REGION_DEVICE && r->start < end && r->end > start &&
		    (r->start < start || r->end > end))
			return -EINVAL;
	return 0;
}

static int unmap(uint64_t start, uint64_t end)
{
	struct region *r;
	int rc = check_devices(start, end);

	if (!rc)
		rc = region_cut(start, end);
	if (rc)
		return rc;
	for (unsigned int i = 0; (r = region_entry(i)) && r->start < end;)
		if (r->end <= start)
			i++;
		else
			drop_region(r);
	return 0;
}

void memory_release_devices(void)
{
	struct region *r;

	for (unsigned int i = 0; (r = region_entry(i));)
		if (r->kind == REGION_DEVICE)
			drop_region(r);
		else
			i++;
}

static unsigned int memory_rights_of(uint64_t prot)
{
	return (prot & (PROT_READ | PROT_WRITE) ? MAP_READ : 0) |
	       (prot & PROT_WRITE ? MAP_WRITE : 0);
}

static long map_memory(uint64_t at, uint64_t size, unsigned int rights, uint64_t flags)
{
	int rc;

	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (!is_range(at, size))
			return at % PAGE_SIZE ? -EINVAL : -ENOMEM;
		if (!region_is_free(at, at + size)) {
			if (flags & MAP_FIXED_NOREPLACE)
				return -EEXIST;
			rc = unmap(at, at + size);
			if (rc)
				return rc;
		}
	} else {
		at = place_memory(PAGE_DOWN(at), size);
		if (!at)
			return -ENOMEM;
	}
	rc = memory_add(at, at + size, rights, REGION_MEMORY, false);
	return rc ? rc : (long)at;
}

long memory_mmap(uint64_t at, uint64_t size, uint64_t prot, uint64_t flags, uint64_t fd,
		 uint64_t offset)
{
	struct file *file;

	if (!size || offset % PAGE_SIZE)
		return -EINVAL;
	if (size > LAYOUT_USER_TOP)
		return -ENOMEM;
	if (prot & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	/* Only the ELF file's own code is executable. */
	if (prot & PROT_EXEC)
		return -EACCES;
	size = PAGE_UP(size);
	if (flags & MAP_ANONYMOUS)
		return map_memory(at, size, memory_rights_of(prot), flags);
	file = file_get(fd);
	if (!file)
		return -EBADF;
	if (!file->ops->mmap || flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return -ENODEV;
	return file->ops->mmap(file, at, size, memory_rights_of(prot), offset);
}

long memory_munmap(uint64_t at, uint64_t size)
{
	if (!is_range(at, size))
		return -EINVAL;
	return unmap(at, at + PAGE_UP(size));
}

/* Keeps what is executable so, and never beside writing. */
static int check_rights(uint64_t start, uint64_t end, uint64_t prot)
{
	struct region *r;

	for (unsigned int i = 0; (r = region_entry(i)); i++) {
		if (r->start >= end || r->end <= start)
			continue;
		if (prot & PROT_EXEC && (prot & PROT_WRITE || !(r->rights & MAP_EXEC)))
			return -EACCES;
		if (r->kind == REGION_DEVICE)
			return -EACCES;
	}
	return 0;
}

long memory_mprotect(uint64_t at, uint64_t size, uint64_t prot)
{
	uint64_t end = at + PAGE_UP(size);
	unsigned int rights = memory_rights_of(prot) | (prot & PROT_EXEC ? MAP_EXEC : 0);
	struct region *r;
	int rc;

	if (prot & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC) || at % PAGE_SIZE)
		return -EINVAL;
	if (!size)
		return 0;
	if (!is_range(at, size) || !region_is_mapped(at, end))
		return -ENOMEM;
	rc = check_rights(at, end, prot);
	if (!rc)
		rc = region_cut(at, end);
	/* A PROT_NONE range gets its pages when it is opened. */
	for (unsigned int i = 0; !rc && rights && (r = region_entry(i)); i++)
		if (r->start >= at && r->end <= end && r->kind == REGION_MEMORY)
			rc = fill(r->start, r->end, r->rights);
	if (rc)
		return rc;
	for (uint64_t va = at; va < end; va += PAGE_SIZE)
		map_protect(va, rights);
	region_set_rights(at, end, rights);
	return 0;
}

static int move(uint64_t from, uint64_t to, uint64_t size, unsigned int rights)
{
	uint64_t pa;
	int rc;

	for (uint64_t n = 0; n < size; n += PAGE_SIZE) {
		if (!map_lookup(from + n, &pa))
			continue;
		rc = map_user(to + n, pa, rights);
		if (rc) {
			empty(to, to + n, false);
			return rc;
		}
	}
	empty(from, from + size, false);
	return 0;
}

static long move_region(const struct region *old, uint64_t at, uint64_t size,
			uint64_t new_size)
{
	struct region r = *old;
	uint64_t to = region_gap(new_size, break_start, map_top);
	int rc;

	if (!to)
		return -ENOMEM;
	/* The new tail first: it is what can fail for want of memory. */
	rc = memory_add(to + size, to + new_size, r.rights, REGION_MEMORY, false);
	if (rc)
		return rc;
	r.start = to;
	r.end = to + size;
	rc = region_cut(at, at + size);
	if (!rc)
		rc = region_add(&r);
	if (!rc) {
		rc = move(at, to, size, r.rights);
		if (!rc) {
			region_remove(at, at + size);
			return (long)to;
		}
		if (!region_cut(to, to + size))
			region_remove(to, to + size);
	}
	(void)unmap(to + size, to + new_size);
	return rc;
}

long memory_mremap(uint64_t at, uint64_t old, uint64_t size, uint64_t flags)
{
	struct region *r;
	int rc;

	if (flags & ~(uint64_t)MREMAP_MAYMOVE || !size || !is_range(at, old))
		return -EINVAL;
	if (size > LAYOUT_USER_TOP)
		return -ENOMEM;
	old = PAGE_UP(old);
	size = PAGE_UP(size);
	r = region_at(at);
	if (!r || r->end < at + old || r->kind != REGION_MEMORY || r->image)
		return -EFAULT;
	if (size <= old) {
		rc = size < old ? unmap(at + size, at + old) : 0;
		return rc ? rc : (long)at;
	}
	if (is_range(at, size) && region_is_free(at + old, at + size)) {
		rc = memory_add(at + old, at + size, r->rights, REGION_MEMORY, false);
		return rc ? rc : (long)at;
	}
	return flags & MREMAP_MAYMOVE ? move_region(r, at, old, size) : -ENOMEM;
}

long memory_madvise(uint64_t at, uint64_t size, uint64_t advice)
{
	struct region *r;
	uint64_t pa;

	if (!size)
		return at % PAGE_SIZE ? -EINVAL : 0;
	if (!is_range(at, size))
		return -EINVAL;
	if (!region_is_mapped(at, at + PAGE_UP(size)))
		return -ENOMEM;
	if (advice != MADV_DONTNEED)
		return 0;
	for (uint64_t va = at; va < at + size; va += PAGE_SIZE) {
		r = region_at(va);
		if (r->kind == REGION_DEVICE || r->image)
			return -EINVAL;
		if (map_lookup(va, &pa))
			memset(page_address(pa), 0, PAGE_SIZE);
	}
	return 0;
}

long memory_brk(uint64_t to)
{
	uint64_t old = PAGE_UP(break_now), new = PAGE_UP(to);

	if (to < break_start || to > LAYOUT_USER_TOP / 2)
		return (long)break_now;
	if (new > old &&
	    (!region_is_free(old, new) ||
	     memory_add(old, new, MAP_READ | MAP_WRITE, REGION_MEMORY, false)))
		return (long)break_now;
	if (new < old && unmap(new, old))
		return (long)break_now;
	break_now = to;
	return (long)to;
}
