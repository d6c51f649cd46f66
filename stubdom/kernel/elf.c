/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/elf.h>
#include "stubdom/kernel/elf.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/text.h"

#define HEADERS_MAX  32
#define PAGE_DOWN(v) ((v) / LAYOUT_PAGE * LAYOUT_PAGE)

struct image {
	const char *bytes;
	size_t size;
};

/* Copies n bytes at `offset` out, or fails when they are not all in the file. */
/*@ requires \valid_read(i) && \valid_read(i->bytes + (0 .. i->size - 1));
    requires \valid((char *)to + (0 .. n - 1));
    requires \separated((char *)to + (0 .. n - 1), i, i->bytes + (0 .. i->size - 1));
    assigns ((char *)to)[0 .. n - 1];
    ensures \result == 0 || \result == -ENOEXEC;
    ensures \result == 0 <==> offset + n <= i->size; */
static int take(const struct image *i, uint64_t offset, void *to, size_t n)
{
	if (offset > i->size || n > i->size - offset)
		return -ENOEXEC;
	memcpy(to, i->bytes + offset, n);
	return 0;
}

/* The two that take() fills in. */
/*@ requires \valid_read(i) && \valid_read(i->bytes + (0 .. i->size - 1));
    requires \valid(h) && \separated(h, i, i->bytes + (0 .. i->size - 1));
    assigns *h;
    ensures \result == 0 || \result == -ENOEXEC; */
static int take_header(const struct image *i, Elf64_Ehdr *h)
{
	return take(i, 0, h, sizeof(*h));
}

/*@ requires \valid_read(i) && \valid_read(i->bytes + (0 .. i->size - 1));
    requires \valid(p) && \separated(p, i, i->bytes + (0 .. i->size - 1));
    assigns *p;
    ensures \result == 0 || \result == -ENOEXEC; */
static int take_program_header(const struct image *i, uint64_t offset, Elf64_Phdr *p)
{
	return take(i, offset, p, sizeof(*p));
}

/*@ requires \valid_read(h);
    assigns \nothing;
    ensures \result == \null ==> 0 < h->e_phnum <= HEADERS_MAX; */
static const char *check_header(const Elf64_Ehdr *h)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
		return "the program is not an ELF file for x86-64";
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return "the program's ELF file is not an executable";
	if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum ||
	    h->e_phnum > HEADERS_MAX)
		return "the program has no program headers, or too many";
	return NULL;
}

/*@ requires \valid_read(p);
    assigns \nothing;
    ensures \result < 8 && ((p->p_flags & PF_W) == 0 || (p->p_flags & PF_X) == 0 ==>
			    elf_rights_fit(\result)); */
static unsigned int elf_rights_of(const Elf64_Phdr *p)
{
	unsigned int rights = 0;

	if (p->p_flags & PF_R)
		rights += MAP_READ;
	if (p->p_flags & PF_W)
		rights += MAP_WRITE;
	if (p->p_flags & PF_X)
		rights += MAP_EXEC;
	return rights;
}

/*@ predicate load_fits(Elf64_Phdr *p, integer size, integer movable) =
	p->p_filesz <= p->p_memsz && p->p_offset + p->p_filesz <= size &&
	p->p_vaddr + p->p_memsz <= LAYOUT_USER_TOP / 2 &&
	(movable != 0 || p->p_vaddr >= LAYOUT_USER_BOTTOM) &&
	((p->p_flags & PF_W) == 0 || (p->p_flags & PF_X) == 0); */
/*@ requires \valid_read(p);
    assigns \nothing;
    ensures \result == \null ==> load_fits(p, size, movable); */
static const char *check_load(const Elf64_Phdr *p, size_t size, bool movable)
{
	uint64_t bottom = movable ? 0 : LAYOUT_USER_BOTTOM;

	if (p->p_filesz > p->p_memsz || p->p_offset > size ||
	    p->p_filesz > size - p->p_offset)
		return "a segment of the program lies outside its file";
	if (p->p_vaddr < bottom || p->p_vaddr >= LAYOUT_USER_TOP / 2 ||
	    p->p_memsz > LAYOUT_USER_TOP / 2 - p->p_vaddr)
		return "a segment of the program lies outside its half of the addresses";
	if ((p->p_vaddr ^ p->p_offset) & (LAYOUT_PAGE - 1))
		return "a segment of the program is not aligned with its file";
	if (p->p_flags & PF_W && p->p_flags & PF_X)
		return "a segment of the program is both writable and executable";
	return NULL;
}

/*@ requires \valid_read(s) && \valid_read(p);
    requires s->offset + s->file <= SIZE_MAX && p->p_offset + p->p_filesz <= SIZE_MAX;
    assigns \nothing;
    ensures \result <==> elf_shares_bytes(s->offset, s->file, p->p_offset, p->p_filesz); */
static bool share_bytes(const struct elf_segment *s, const Elf64_Phdr *p)
{
	return s->file && p->p_filesz && s->offset < p->p_offset + p->p_filesz &&
	       p->p_offset < s->offset + s->file;
}

/*@ requires \valid(plan) && \valid_read(p) && \separated(plan, p);
    requires elf_plan_holds(plan, size) && plan->count < ELF_SEGMENTS;
    requires load_fits(p, size, plan->movable) && p->p_memsz > 0;
    assigns plan->count, plan->segment[plan->count];
    ensures elf_plan_holds(plan, size) && plan->count == \old(plan->count) + 1; */
static void append_load(struct elf_plan *plan, const Elf64_Phdr *p, size_t size)
{
	struct elf_segment *s = &plan->segment[plan->count];

	s->va = p->p_vaddr;
	s->memory = p->p_memsz;
	s->offset = p->p_offset;
	s->file = p->p_filesz;
	s->rights = elf_rights_of(p);
	/*@ assert s->va == p->p_vaddr && s->memory == p->p_memsz &&
		   s->offset == p->p_offset && s->file == p->p_filesz; */
	/*@ assert load_fits(p, size, plan->movable) && p->p_memsz > 0; */
	/*@ assert elf_segment_fits(s, size); */
	/*@ assert elf_plan_holds(plan, size); */
	plan->count++;
}

/*@ requires \valid(plan) && \valid_read(p) && \separated(plan, p);
    requires elf_plan_holds(plan, size) && p->p_memsz > 0;
    assigns plan->low, plan->high, plan->count, plan->segment[0 .. ELF_SEGMENTS - 1];
    ensures elf_plan_holds(plan, size);
    ensures plan->count == \old(plan->count) + (\result == \null ? 1 : 0); */
static const char *add_load(struct elf_plan *plan, const Elf64_Phdr *p, size_t size)
{
	const char *why = check_load(p, size, plan->movable);

	if (why)
		return why;
	if (plan->count == ELF_SEGMENTS)
		return "the program has too many segments";
	if (plan->count && PAGE_DOWN(p->p_vaddr) < plan->high)
		return "two segments of the program share a page or are not in order";
	/*@ loop invariant i <= plan->count;
	    loop assigns i;
	    loop variant plan->count - i; */
	for (unsigned int i = 0; i < plan->count; i++)
		if (share_bytes(&plan->segment[i], p))
			return "two segments of the program share bytes of its file";
	if (!plan->count)
		plan->low = PAGE_DOWN(p->p_vaddr);
	plan->high = PAGE_DOWN(p->p_vaddr + p->p_memsz + LAYOUT_PAGE - 1);
	append_load(plan, p, size);
	return NULL;
}

/*@ requires \valid(plan) && \valid_read(p) && \separated(plan, p);
    requires elf_plan_holds(plan, size);
    assigns plan->low, plan->high, plan->count, plan->segment[0 .. ELF_SEGMENTS - 1];
    ensures elf_plan_holds(plan, size); */
static const char *add(struct elf_plan *plan, const Elf64_Phdr *p, size_t size)
{
	switch (p->p_type) {
	case PT_LOAD:
		return p->p_memsz ? add_load(plan, p, size) : NULL;
	case PT_INTERP:
		return "the program is not linked statically";
	case PT_GNU_STACK:
		return p->p_flags & PF_X ? "the program asks for an executable stack"
					 : NULL;
	default:
		return NULL;
	}
}

/* Both must be in memory: the entry in code, the headers for the C library. */
/*@ predicate has_bytes_at(struct elf_segment *s, integer at, integer n) =
	s->va <= at && at + n <= s->va + s->file; */
/*@ requires \valid(plan) && \valid_read(h) && \separated(plan, h);
    requires \exists integer size; size <= SIZE_MAX && elf_plan_holds(plan, size);
    requires plan->headers == 0;
    assigns plan->headers;
    ensures \result == \null ==> elf_has_code(plan, h->e_entry);
    ensures \result == \null ==> \exists integer i; 0 <= i < plan->count &&
	    has_bytes_at(&plan->segment[i], plan->headers, h->e_phnum * sizeof(Elf64_Phdr)); */
static const char *check_places(struct elf_plan *plan, const Elf64_Ehdr *h)
{
	uint64_t length = h->e_phnum * sizeof(Elf64_Phdr);
	bool entry = false;

	/*@ loop invariant i <= plan->count;
	    loop invariant entry ==> \exists integer j;
		    0 <= j < i && elf_code_at(&plan->segment[j], h->e_entry);
	    loop invariant plan->headers == 0 || \exists integer j;
		    0 <= j < i && has_bytes_at(&plan->segment[j], plan->headers, length);
	    loop assigns i, entry, plan->headers;
	    loop variant plan->count - i; */
	for (unsigned int i = 0; i < plan->count; i++) {
		const struct elf_segment *s = &plan->segment[i];

		if (s->rights & MAP_EXEC && h->e_entry >= s->va &&
		    h->e_entry - s->va < s->file)
			entry = true;
		if (h->e_phoff >= s->offset && length <= s->file &&
		    h->e_phoff - s->offset <= s->file - length)
			plan->headers = s->va + (h->e_phoff - s->offset);
	}
	if (!entry)
		return "the program's entry is not in its code";
	return plan->headers ? NULL : "the program's headers are in none of its segments";
}

/*@ requires \valid(plan) && \valid_read(h) && \separated(plan, h);
    assigns *plan;
    ensures \forall integer size; size >= 0 ==> elf_plan_holds(plan, size);
    ensures plan->headers == 0 && plan->count == 0 && plan->entry == h->e_entry; */
static void begin_plan(struct elf_plan *plan, const Elf64_Ehdr *h)
{
	plan->entry = h->e_entry;
	plan->headers = 0;
	plan->header_count = h->e_phnum;
	plan->movable = h->e_type == ET_DYN;
	plan->low = 0;
	plan->high = 0;
	plan->count = 0;
}

int elf_check(const void *file, size_t size, struct elf_plan *plan, const char **why)
{
	struct image image = {file, size};
	Elf64_Ehdr h;
	Elf64_Phdr p;

	*why = "the program's file is cut short";
	if (take_header(&image, &h))
		return -ENOEXEC;
	*why = check_header(&h);
	if (*why)
		return -ENOEXEC;
	begin_plan(plan, &h);
	/*@ loop invariant i <= h.e_phnum && elf_plan_holds(plan, size);
	    loop assigns i, p, *why, plan->low, plan->high, plan->count,
			 plan->segment[0 .. ELF_SEGMENTS - 1];
	    loop variant h.e_phnum - i; */
	for (unsigned int i = 0; i < h.e_phnum; i++) {
		/* A sum that wraps is far past any file's end, or was refused: */
		if (h.e_phoff > size ||
		    take_program_header(&image, h.e_phoff + i * sizeof(p), &p)) {
			*why = "the program's headers lie outside its file";
			return -ENOEXEC;
		}
		*why = add(plan, &p, size);
		if (*why)
			return -ENOEXEC;
	}
	*why = check_places(plan, &h);
	/*@ assert plan->entry == h.e_entry; */
	return *why ? -ENOEXEC : 0;
}
