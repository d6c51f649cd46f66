/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include "stubdom/kernel/region.h"
#include "stubdom/kernel/text.h"

#define GUARD 4096ULL

static struct region table[REGION_MAX];
static unsigned int count;

void region_init(void)
{
	count = 0;
}

/* The first region that ends above the address. */
static unsigned int find_region(uint64_t address)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (table[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct region *region_at(uint64_t address)
{
	unsigned int i = find_region(address);

	return i < count && table[i].start <= address ? &table[i] : NULL;
}

struct region *region_entry(unsigned int n)
{
	return n < count ? &table[n] : NULL;
}

bool region_is_free(uint64_t start, uint64_t end)
{
	unsigned int i = find_region(start);

	return i == count || table[i].start >= end;
}

bool region_is_mapped(uint64_t start, uint64_t end)
{
	for (unsigned int i = find_region(start); i < count && table[i].start <= start;
	     i++) {
		start = table[i].end;
		if (start >= end)
			return true;
	}
	return start >= end;
}

uint64_t region_gap(uint64_t size, uint64_t bottom, uint64_t top)
{
	uint64_t end = top - GUARD, below;

	if (size > top - bottom || size + 2 * GUARD > top - bottom)
		return 0;
	for (unsigned int i = find_region(end); i + 1 > 0; i--) {
		/* The gap below region i, and above region i - 1. */
		if (i < count && table[i].start < end + GUARD)
			end = table[i].start > GUARD ? table[i].start - GUARD : 0;
		below = i ? table[i - 1].end : bottom;
		if (below < bottom)
			below = bottom;
		if (end > below && end - below >= size + GUARD)
			return end - size;
		if (!i)
			break;
	}
	return 0;
}

static void insert(unsigned int at, const struct region *r)
{
	memmove(&table[at + 1], &table[at], (count - at) * sizeof(table[0]));
	table[at] = *r;
	count++;
}

static void erase(unsigned int at, unsigned int n)
{
	count -= n;
	memmove(&table[at], &table[at + n], (count - at) * sizeof(table[0]));
}

static bool alike(const struct region *a, const struct region *b)
{
	return a->end == b->start && a->rights == b->rights && a->kind == b->kind &&
	       a->kind == REGION_MEMORY && a->image == b->image;
}

static void merge(uint64_t start, uint64_t end)
{
	for (unsigned int i = find_region(start ? start - 1 : 0);
	     i + 1 < count && table[i].start <= end;) {
		if (!alike(&table[i], &table[i + 1])) {
			i++;
			continue;
		}
		table[i].end = table[i + 1].end;
		erase(i + 1, 1);
	}
}

int region_add(const struct region *r)
{
	if (r->start >= r->end || !region_is_free(r->start, r->end))
		return -EINVAL;
	if (count == REGION_MAX)
		return -ENOMEM;
	insert(find_region(r->start), r);
	merge(r->start, r->end);
	return 0;
}

static int cut_at(uint64_t address)
{
	struct region *r = region_at(address), upper;

	if (!r || r->start == address)
		return 0;
	if (count == REGION_MAX)
		return -ENOMEM;
	upper = *r;
	upper.start = address;
	r->end = address;
	insert((unsigned int)(r - table) + 1, &upper);
	return 0;
}

int region_cut(uint64_t start, uint64_t end)
{
	int rc = cut_at(start);

	if (rc)
		return rc;
	rc = cut_at(end);
	/* Nothing has changed for the caller. */
	if (rc)
		merge(start, end);
	return rc;
}

void region_remove(uint64_t start, uint64_t end)
{
	unsigned int first = find_region(start), n = 0;

	while (first + n < count && table[first + n].start < end)
		n++;
	erase(first, n);
}

void region_set_rights(uint64_t start, uint64_t end, unsigned int rights)
{
	for (unsigned int i = find_region(start); i < count && table[i].start < end; i++)
		table[i].rights = rights;
	merge(start, end);
}
