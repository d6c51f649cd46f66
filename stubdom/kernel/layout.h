/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address space.
 *
 *   0x0000000000010000 .. LAYOUT_USER_TOP   the program, in ring 3
 *   LAYOUT_DIRECT + p                       all RAM at p, writable, never executable
 *   LAYOUT_KERNEL + p                       the kernel's image, loaded at p (kernel.lds.S)
 *   LAYOUT_FIXED + n * 4096                 pages shared with Xen and peers, below
 *
 * Nothing is mapped at the identity: the program may be linked anywhere.
 * Also included by assembly and by the linker script.
 */
#ifndef STUB_LAYOUT_H
#define STUB_LAYOUT_H

#define LAYOUT_PAGE	   4096
#define LAYOUT_DIRECT	   0xffff800000000000
#define LAYOUT_DIRECT_MAX  0x8000000000 /* 512 GiB: one entry of the top table */
#define LAYOUT_KERNEL	   0xffffffff80000000
#define LAYOUT_KERNEL_MAX  0x200000 /* one table of 4 KiB pages */
#define LAYOUT_FIXED	   0xffffffffc0000000
#define LAYOUT_USER_BOTTOM 0x10000
#define LAYOUT_USER_TOP	   0x7ffffffff000
#define LAYOUT_STACK_SIZE  16384

/* Pages of LAYOUT_FIXED. */
#define LAYOUT_SHARED_INFO 1
#define LAYOUT_CONSOLE	   3
#define LAYOUT_XENSTORE	   5
#define LAYOUT_GRANT_TABLE 7
#define LAYOUT_TEMPORARY   9

#define LAYOUT_FIXED_AT(n) (LAYOUT_FIXED + (n)*LAYOUT_PAGE)

/* Segments, in the order that SYSCALL and SYSRET ask for. */
#define LAYOUT_KERNEL_CS 0x08
#define LAYOUT_KERNEL_DS 0x10
#define LAYOUT_USER_DS	 0x1b
#define LAYOUT_USER_CS	 0x23
#define LAYOUT_TSS	 0x28

#endif
