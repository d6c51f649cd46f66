/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include "stubdom/kernel/load.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/text.h"

#define PAGE_UP(v)   (((v) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))
#define PAGE_DOWN(v) ((v) & ~(PAGE_SIZE - 1))

struct file_image {
	uint64_t pa;
	size_t size;
};

/* The page of memory at va is all from the file, and is a page there too. */
static bool is_in_place(const struct elf_segment *s, const struct file_image *file,
			uint64_t va)
{
	uint64_t end = s->va + s->file;

	return !(va % PAGE_SIZE) && va >= s->va && va < end && end - va >= PAGE_SIZE &&
	       !((file->pa + s->offset + (va - s->va)) % PAGE_SIZE);
}

static int copy_page(const struct elf_segment *s, const struct file_image *file,
		     uint64_t va, uint64_t *pa)
{
	uint64_t from = va > s->va ? va : s->va;
	uint64_t end = s->va + s->file;
	int rc = page_alloc_user(pa);

	if (end > va + PAGE_SIZE)
		end = va + PAGE_SIZE;
	if (!rc && from < end)
		memcpy((char *)page_address(*pa) + (from - va),
		       (char *)page_address(file->pa) + s->offset + (from - s->va),
		       end - from);
	return rc;
}

/* The pages that hold bytes of the file, then those that are zero. */
static int load_segment(const struct elf_segment *s, const struct file_image *file,
			uint64_t bias)
{
	uint64_t start = PAGE_DOWN(s->va), middle = PAGE_UP(s->va + s->file);
	uint64_t end = PAGE_UP(s->va + s->memory), pa;
	int rc = 0;

	if (!s->file)
		middle = start;
	if (middle > start)
		rc = memory_add_image(start + bias, middle + bias, s->rights);
	for (uint64_t va = start; !rc && va < middle; va += PAGE_SIZE) {
		if (is_in_place(s, file, va))
			pa = file->pa + s->offset + (va - s->va);
		else
			rc = copy_page(s, file, va, &pa);
		if (!rc)
			rc = map_user(va + bias, pa, s->rights);
	}
	if (!rc && end > middle)
		rc = memory_add(middle + bias, end + bias, s->rights, REGION_MEMORY,
				true);
	return rc;
}

static bool is_used(const struct elf_plan *plan, const struct file_image *file,
		    uint64_t offset)
{
	for (unsigned int i = 0; i < plan->count; i++) {
		const struct elf_segment *s = &plan->segment[i];

		if (offset >= s->offset &&
		    is_in_place(s, file, s->va + (offset - s->offset)))
			return true;
	}
	return false;
}

/* Whole pages only: the module's first and last may hold what is not its own. */
static void free_rest(const struct elf_plan *plan, const struct file_image *file)
{
	uint64_t pa = PAGE_UP(file->pa);

	for (; pa + PAGE_SIZE <= PAGE_UP(file->pa + file->size); pa += PAGE_SIZE)
		if (!is_used(plan, file, pa - file->pa))
			page_free(pa);
}

int load_program(const struct elf_plan *plan, uint64_t pa, size_t size, uint64_t bias)
{
	struct file_image file = {pa, size};
	int rc = 0;

	for (unsigned int i = 0; !rc && i < plan->count; i++)
		rc = load_segment(&plan->segment[i], &file, bias);
	if (!rc)
		free_rest(plan, &file);
	return rc;
}
