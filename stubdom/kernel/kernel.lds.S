/* SPDX-License-Identifier: Apache-2.0 */
/* Four kinds of pages, so that none is both writable and executable, and
 * stacks apart, each above a page that start.c unmaps. */
#include "layout.h"

/* The physical address that the image is loaded at. */
#ifndef LOAD_ADDRESS
#define LOAD_ADDRESS 0x10000
#endif

OUTPUT_FORMAT(elf64-x86-64)
ENTRY(boot_entry)

PHDRS
{
	text PT_LOAD FLAGS(5);
	rodata PT_LOAD FLAGS(4);
	data PT_LOAD FLAGS(6);
	note PT_NOTE FLAGS(4);
}

SECTIONS
{
	. = LAYOUT_KERNEL + LOAD_ADDRESS;
	kernel_start = .;
	.text : AT(ADDR(.text) - LAYOUT_KERNEL) {
		*(.text.boot)
		*(.text .text.*)
		. = ALIGN(LAYOUT_PAGE);
	} :text
	kernel_text_end = .;
	.rodata : AT(ADDR(.rodata) - LAYOUT_KERNEL) {
		*(.rodata .rodata.*)
		. = ALIGN(16);
		kernel_faults_start = .;
		KEEP(*(.faults))
		kernel_faults_end = .;
	} :rodata
	.note : AT(ADDR(.note) - LAYOUT_KERNEL) { KEEP(*(.note.Xen)) } :rodata :note
	. = ALIGN(LAYOUT_PAGE);
	kernel_rodata_end = .;
	.data : AT(ADDR(.data) - LAYOUT_KERNEL) { *(.data .data.*) } :data
	.bss : AT(ADDR(.bss) - LAYOUT_KERNEL) {
		*(.bss .bss.* COMMON)
		. = ALIGN(LAYOUT_PAGE);
		kernel_stacks_start = .;
		*(.stacks)
		kernel_stacks_end = .;
		. = ALIGN(LAYOUT_PAGE);
		/* Only until the final tables are made; then ordinary memory. */
		kernel_boot_tables_start = .;
		*(.boot.tables)
		. = ALIGN(LAYOUT_PAGE);
		kernel_boot_tables_end = .;
	} :data
	kernel_end = .;
	ASSERT(kernel_end < LAYOUT_KERNEL + LAYOUT_KERNEL_MAX, "the kernel is too big")
	/DISCARD/ : { *(.comment) *(.eh_frame) *(.note.GNU-stack) *(.note.gnu.*) }
}
