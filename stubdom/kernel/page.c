/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/text.h"

struct link {
	uint64_t next; /* physical, 0: the last */
};

static char *base;
static struct page_span ranges[PAGE_RANGES]; /* never used yet */
static unsigned int range_count;
static uint64_t list; /* given back; page 0 is never ours */
static uint64_t free_count, total;

void page_init(void *at)
{
	base = at;
	range_count = 0;
	list = 0;
	free_count = 0;
	total = 0;
}

void *page_address(uint64_t pa)
{
	return base + pa;
}

static void add_range(uint64_t start, uint64_t end)
{
	if (start < PAGE_SIZE)
		start = PAGE_SIZE;
	start = (start + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	end &= ~(PAGE_SIZE - 1);
	if (start >= end || range_count == PAGE_RANGES)
		return;
	ranges[range_count++] = (struct page_span){start, end};
	free_count += (end - start) / PAGE_SIZE;
	total += (end - start) / PAGE_SIZE;
}

/* The taken span that starts first among those that end above `at`. */
static const struct page_span *next_taken(uint64_t at, const struct page_span *taken,
					  unsigned int n)
{
	const struct page_span *first = NULL;

	for (unsigned int i = 0; i < n; i++)
		if (taken[i].start < taken[i].end && taken[i].end > at &&
		    (!first || taken[i].start < first->start))
			first = &taken[i];
	return first;
}

void page_add(struct page_span ram, const struct page_span *taken, unsigned int n)
{
	uint64_t at = ram.start;
	const struct page_span *t;

	while (at < ram.end) {
		t = next_taken(at, taken, n);
		if (!t || t->start >= ram.end)
			break;
		if (t->start > at)
			add_range(at, t->start);
		at = t->end;
	}
	if (at < ram.end)
		add_range(at, ram.end);
}

int page_alloc(uint64_t *pa)
{
	unsigned int i = 0;

	*pa = list;
	if (list) {
		list = ((struct link *)page_address(list))->next;
	} else {
		while (i < range_count && ranges[i].start == ranges[i].end)
			i++;
		if (i == range_count)
			return -ENOMEM;
		*pa = ranges[i].start;
		ranges[i].start += PAGE_SIZE;
	}
	free_count--;
	memset(page_address(*pa), 0, PAGE_SIZE);
	return 0;
}

int page_alloc_user(uint64_t *pa)
{
	return free_count > PAGE_RESERVE ? page_alloc(pa) : -ENOMEM;
}

void page_free(uint64_t pa)
{
	if (!pa || pa % PAGE_SIZE || pa == list)
		panic("page %lx was freed and cannot have been", pa);
	((struct link *)page_address(pa))->next = list;
	list = pa;
	free_count++;
	if (free_count > total)
		total = free_count;
}

uint64_t page_count_free(void)
{
	return free_count;
}

uint64_t page_count_total(void)
{
	return total;
}
