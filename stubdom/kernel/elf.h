/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks the program's ELF file and plans how to map it.  Pure: reads the file,
 * changes nothing.  Accepted: x86-64, ET_EXEC or ET_DYN (static-pie), no interpreter,
 * no segment both writable and executable, no executable stack, no two segments
 * that share a page in memory or a byte in the file.
 */
#ifndef STUB_ELF_H
#define STUB_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/map.h"

#define ELF_SEGMENTS 16

struct elf_segment {
	uint64_t va;	 /* of the first byte, without the load bias */
	uint64_t memory; /* bytes in memory; those past `file` are zero */
	uint64_t offset; /* in the file; same place in its page as va */
	uint64_t file;	 /* bytes in the file, <= memory */
	unsigned int rights;
};

struct elf_plan {
	uint64_t entry;
	uint64_t headers; /* address of the program headers, for AT_PHDR */
	unsigned int header_count;
	bool movable;	    /* static-pie */
	uint64_t low, high; /* whole pages that the segments span */
	unsigned int count; /* segments, ascending */
	struct elf_segment segment[ELF_SEGMENTS];
};

/*
 * The contracts' words, for a file of `size` bytes; docs/proofs.md says what is proved.
 *   elf_rights_fit    not both writable and executable: MAP_READ is the lowest bit
 *   elf_segment_fits  a segment's bytes lie within the file, its memory within the lower half
 *                     of the program's addresses, and not both writable and executable
 *   elf_plan_holds    so does each segment of the plan
 *   elf_has_code      one of its segments is executable, and has the file's byte for the address
 */
/*@ predicate elf_rights_fit(integer rights) =
	0 <= rights < MAP_WRITE + MAP_EXEC;
    predicate elf_segment_fits(struct elf_segment *s, integer size) =
	s->offset + s->file <= size && 0 < s->memory && s->file <= s->memory &&
	s->va + s->memory <= LAYOUT_USER_TOP / 2 && elf_rights_fit(s->rights);
    predicate elf_shares_bytes(integer a, integer a_len, integer b, integer b_len) =
	a_len > 0 && b_len > 0 && a < b + b_len && b < a + a_len;
    predicate elf_plan_holds(struct elf_plan *plan, integer size) =
	plan->count <= ELF_SEGMENTS &&
	(\forall integer i; 0 <= i < plan->count ==>
		elf_segment_fits(&plan->segment[i], size) &&
		(plan->movable || plan->segment[i].va >= LAYOUT_USER_BOTTOM));
    predicate elf_code_at(struct elf_segment *s, integer at) =
	(s->rights & MAP_EXEC) != 0 && s->va <= at < s->va + s->file;
    predicate elf_has_code(struct elf_plan *plan, integer at) =
	\exists integer i; 0 <= i < plan->count && elf_code_at(&plan->segment[i], at);
*/

/* 0, or -ENOEXEC and *why, a sentence without its full stop. */
/*@ requires \valid_read((char *)file + (0 .. size - 1)) && \valid(plan) && \valid(why);
    requires \separated(plan, why, (char *)file + (0 .. size - 1));
    assigns *plan, *why;
    ensures \result == 0 || \result == -ENOEXEC;
    ensures \result == 0 ==> elf_plan_holds(plan, size) &&
	    elf_has_code(plan, plan->entry); */
int __must_check elf_check(const void *file, size_t size, struct elf_plan *plan,
			   const char **why);

#endif
