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

/* 0, or -ENOEXEC and *why, a sentence without its full stop. */
int __must_check elf_check(const void *file, size_t size, struct elf_plan *plan,
			   const char **why);

#endif
