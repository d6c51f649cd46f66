/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's address space: regions and page tables together.  Memory is given
 * when it is asked for, not when it is touched, so that running out is -ENOMEM and
 * never a crash later; only the stack grows by touch.  Nothing becomes executable
 * after the start.
 */
#ifndef STUB_MEMORY_H
#define STUB_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include "include/compiler.h"
#include "stubdom/kernel/region.h"

#define MEMORY_STACK_MAX (512 * 1024)

struct file;

/* Pages that a device's mmap() shows; the region's object. */
struct memory_device {
	/* The pages are no longer mapped. */
	void (*release)(struct memory_device *d);
};

/* Empty; mappings are placed below `top`, which is above all of them. */
void memory_init(uint64_t top);
/* Where brk() starts. */
void memory_set_break(uint64_t start);
/* Fresh zeroed pages over [start, end), which must be free. */
int __must_check memory_add(uint64_t start, uint64_t end, unsigned int rights,
			    enum region_kind kind, bool image);
/* A region of the image over pages that the caller maps. */
int __must_check memory_add_image(uint64_t start, uint64_t end, unsigned int rights);
/* A place for n bytes that a device then fills with map_user(): 0 or -ENOMEM. */
int __must_check memory_add_device(uint64_t hint, uint64_t size, unsigned int rights,
				   struct memory_device *d, uint64_t *start);
/* Undoes memory_add_device(), without calling release(). */
void memory_drop_device(uint64_t start, uint64_t size);
/* After a fault at `at`: 0, -EFAULT (not the stack), -ENOMEM. */
int __must_check memory_grow_stack(uint64_t at);
/* Releases every device's mapping: the end of the program. */
void memory_release_devices(void);

/* The system calls. */
long memory_mmap(uint64_t at, uint64_t size, uint64_t prot, uint64_t flags, uint64_t fd,
		 uint64_t offset);
long memory_munmap(uint64_t at, uint64_t size);
long memory_mprotect(uint64_t at, uint64_t size, uint64_t prot);
long memory_mremap(uint64_t at, uint64_t old, uint64_t size, uint64_t flags);
long memory_madvise(uint64_t at, uint64_t size, uint64_t advice);
long memory_brk(uint64_t to);

#endif
