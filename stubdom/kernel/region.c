/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/region.h"

#define GUARD 4096ULL

static struct region table[REGION_MAX];
static unsigned int count;

/* The contracts' words; docs/proofs.md says what is proved.
 *   table_holds   the regions are sorted, without overlap, in the program's half
 *   no_region_in  none of them has an address of [start, end) */
/*@ predicate is_users(integer start, integer end) =
	LAYOUT_USER_BOTTOM <= start < end <= LAYOUT_USER_TOP;
    predicate table_holds =
	count <= REGION_MAX &&
	(\forall integer i; 0 <= i < count ==> is_users(table[i].start, table[i].end)) &&
	(\forall integer i, j; 0 <= i < j < count ==> table[i].end <= table[j].start);
    predicate no_region_in(integer start, integer end) =
	\forall integer i; 0 <= i < count ==>
		table[i].end <= start || table[i].start >= end; */

/*@ assigns count;
    ensures table_holds && count == 0; */
void region_init(void)
{
	count = 0;
}

/* The first region that ends above the address. */
/*@ requires table_holds;
    assigns \nothing;
    ensures \result <= count;
    ensures \forall integer i; 0 <= i < \result ==> table[i].end <= address;
    ensures \forall integer i; \result <= i < count ==> table[i].end > address;
    ensures \forall integer i; \result < i < count ==> table[i].start > address; */
static unsigned int find_region(uint64_t address)
{
	unsigned int low = 0, high = count;

	/*@ loop invariant low <= high <= count;
	    loop invariant \forall integer i; 0 <= i < low ==> table[i].end <= address;
	    loop invariant \forall integer i; high <= i < count ==> table[i].end > address;
	    loop assigns low, high;
	    loop variant high - low; */
	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (table[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	/*@ assert \forall integer i; low < i < count ==> table[low].end <= table[i].start; */
	return low;
}

/*@ requires table_holds;
    assigns \nothing;
    ensures \result == \null ? no_region_in(address, address + 1) :
	    \valid(\result) && \result->start <= address < \result->end;
    ensures \result == \null || (\exists integer i; 0 <= i < count && \result == &table[i]); */
struct region *region_at(uint64_t address)
{
	unsigned int i = find_region(address);

	return i < count && table[i].start <= address ? &table[i] : NULL;
}

/*@ requires table_holds;
    assigns \nothing;
    ensures n < count ? \result == &table[n] && \valid(\result) : \result == \null; */
struct region *region_entry(unsigned int n)
{
	return n < count ? &table[n] : NULL;
}

/*@ requires table_holds && start <= end;
    assigns \nothing;
    ensures \result && start < end ==> no_region_in(start, end); */
bool region_is_free(uint64_t start, uint64_t end)
{
	unsigned int i = find_region(start);

	return i == count || table[i].start >= end;
}

/*@ requires table_holds;
    assigns \nothing; */
bool region_is_mapped(uint64_t start, uint64_t end)
{
	/*@ loop invariant i <= count;
	    loop assigns i, start;
	    loop variant count - i; */
	for (unsigned int i = find_region(start); i < count && table[i].start <= start;
	     i++) {
		start = table[i].end;
		if (start >= end)
			return true;
	}
	return start >= end;
}

/*@ requires table_holds && bottom <= top <= LAYOUT_USER_TOP;
    assigns \nothing;
    ensures \result == 0 || (bottom + GUARD <= \result && \result + size + GUARD <= top);
    ensures \result == 0 || no_region_in(\result, \result + size); */
uint64_t region_gap(uint64_t size, uint64_t bottom, uint64_t top)
{
	uint64_t end = top - GUARD, below;

	if (size > top - bottom || size + 2 * GUARD > top - bottom)
		return 0;
	/*@ loop invariant 0 <= i <= count && end <= top - GUARD;
	    loop invariant \forall integer j; i < j < count ==> table[j].start >= end;
	    loop assigns i, end, below;
	    loop variant i; */
	for (unsigned int i = find_region(end);; i--) {
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

/*@ requires table_holds && count < REGION_MAX && at <= count;
    requires \valid_read(r) && \separated(r, &table[0 .. REGION_MAX - 1], &count);
    requires is_users(r->start, r->end);
    requires \forall integer i; 0 <= i < at ==> table[i].end <= r->start;
    requires \forall integer i; at <= i < count ==> r->end <= table[i].start;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds; */
static void insert(unsigned int at, const struct region *r)
{
	/*@ loop invariant at <= i <= count;
	    loop invariant \forall integer j; 0 <= j <= i && j < count ==>
		    table[j].start == \at(table[j].start, Pre) &&
		    table[j].end == \at(table[j].end, Pre);
	    loop invariant \forall integer j; i < j <= count ==>
		    table[j].start == \at(table[j - 1].start, Pre) &&
		    table[j].end == \at(table[j - 1].end, Pre);
	    loop assigns i, table[0 .. REGION_MAX - 1];
	    loop variant i; */
	for (unsigned int i = count; i > at; i--)
		table[i] = table[i - 1];
	table[at] = *r;
	/*@ assert table[at].start == r->start && table[at].end == r->end; */
	/*@ assert \forall integer j; 0 <= j < at ==>
		    table[j].start == \at(table[j].start, Pre) &&
		    table[j].end == \at(table[j].end, Pre); */
	/*@ assert \forall integer j; at < j <= count ==>
		    table[j].start == \at(table[j - 1].start, Pre) &&
		    table[j].end == \at(table[j - 1].end, Pre); */
	count++;
}

/*@ requires table_holds && at + n <= count;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds && count == \old(count) - n;
    ensures \forall integer i; 0 <= i < at ==>
	    table[i].start == \old(table[i].start) && table[i].end == \old(table[i].end);
    ensures \forall integer i; at <= i < count ==>
	    table[i].start == \old(table[i + n].start) &&
	    table[i].end == \old(table[i + n].end); */
static void erase(unsigned int at, unsigned int n)
{
	count -= n;
	/*@ loop invariant at <= i && (i <= count || i == at);
	    loop invariant \forall integer j; 0 <= j < at || i <= j < REGION_MAX ==>
		    table[j].start == \at(table[j].start, Pre) &&
		    table[j].end == \at(table[j].end, Pre);
	    loop invariant \forall integer j; at <= j < i ==>
		    table[j].start == \at(table[j + n].start, Pre) &&
		    table[j].end == \at(table[j + n].end, Pre);
	    loop assigns i, table[0 .. REGION_MAX - 1];
	    loop variant count - i; */
	for (unsigned int i = at; i < count; i++)
		table[i] = table[i + n];
}

/*@ requires \valid_read(a) && \valid_read(b);
    assigns \nothing;
    ensures \result ==> a->end == b->start; */
static bool alike(const struct region *a, const struct region *b)
{
	return a->end == b->start && a->rights == b->rights && a->kind == b->kind &&
	       a->kind == REGION_MEMORY && a->image == b->image;
}

/*@ requires table_holds;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds; */
static void merge(uint64_t start, uint64_t end)
{
	/*@ loop invariant table_holds && i <= count;
	    loop assigns i, count, table[0 .. REGION_MAX - 1];
	    loop variant count - i; */
	for (unsigned int i = find_region(start ? start - 1 : 0);
	     i + 1 < count && table[i].start <= end;) {
		uint64_t last = table[i + 1].end;

		if (!alike(&table[i], &table[i + 1])) {
			i++;
			continue;
		}
		erase(i + 1, 1);
		table[i].end = last;
	}
}

/*@ requires table_holds;
    requires \valid_read(r) && \separated(r, &table[0 .. REGION_MAX - 1], &count);
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds;
    ensures \result == 0 || \result == -EINVAL || \result == -ENOMEM;
    ensures \result == 0 ==> is_users(r->start, r->end); */
int region_add(const struct region *r)
{
	if (r->start < LAYOUT_USER_BOTTOM || r->end > LAYOUT_USER_TOP ||
	    r->start >= r->end || !region_is_free(r->start, r->end))
		return -EINVAL;
	if (count == REGION_MAX)
		return -ENOMEM;
	insert(find_region(r->start), r);
	merge(r->start, r->end);
	return 0;
}

/*@ requires table_holds;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds;
    ensures \result == 0 || \result == -ENOMEM; */
static int cut_at(uint64_t address)
{
	unsigned int i = find_region(address);
	struct region upper;

	if (i == count || table[i].start >= address)
		return 0;
	if (count == REGION_MAX)
		return -ENOMEM;
	upper = table[i];
	upper.start = address;
	table[i].end = address;
	insert(i + 1, &upper);
	return 0;
}

/*@ requires table_holds;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds;
    ensures \result == 0 || \result == -ENOMEM; */
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

/*@ requires table_holds;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds && no_region_in(start, end); */
void region_remove(uint64_t start, uint64_t end)
{
	unsigned int first = find_region(start), n = 0;

	/*@ loop invariant first + n <= count;
	    loop assigns n;
	    loop variant count - n; */
	while (first + n < count && table[first + n].start < end)
		n++;
	erase(first, n);
}

/*@ requires table_holds;
    assigns count, table[0 .. REGION_MAX - 1];
    ensures table_holds; */
void region_set_rights(uint64_t start, uint64_t end, unsigned int rights)
{
	/*@ loop invariant table_holds;
	    loop assigns i, table[0 .. REGION_MAX - 1].rights;
	    loop variant count - i; */
	for (unsigned int i = find_region(start); i < count && table[i].start < end; i++)
		table[i].rights = rights;
	merge(start, end);
}
