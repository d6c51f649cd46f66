/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry that Xen jumps to: 32-bit protected mode, paging off, %ebx the
 * physical address of struct hvm_start_info (xen/arch-x86/hvm/start_info.h).
 * Makes tables that map the first GiB three times (identity, direct map, kernel),
 * enters long mode and calls start_main() on the kernel's stack.
 */
#include "layout.h"

#define PHYSICAL(x) ((x) - LAYOUT_KERNEL)
#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define PRESENT_WRITABLE 3
#define LARGE 0x80

	.section .note.Xen, "a", @note
	.align 4
	.long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.quad PHYSICAL(boot_entry)

	.section .text.boot, "ax", @progbits
	.code32
	.globl boot_entry
boot_entry:
	cld
	rdtsc
	movl %eax, PHYSICAL(boot_tsc)
	movl %edx, PHYSICAL(boot_tsc) + 4

	movl $PHYSICAL(boot_pdpt_low) + PRESENT_WRITABLE, %eax
	movl %eax, PHYSICAL(boot_pml4)
	movl %eax, PHYSICAL(boot_pml4) + 256 * 8
	movl $PHYSICAL(boot_pdpt_high) + PRESENT_WRITABLE, PHYSICAL(boot_pml4) + 511 * 8
	movl $PHYSICAL(boot_pd) + PRESENT_WRITABLE, %eax
	movl %eax, PHYSICAL(boot_pdpt_low)
	movl %eax, PHYSICAL(boot_pdpt_high) + 510 * 8
	xorl %ecx, %ecx
	movl $PRESENT_WRITABLE + LARGE, %eax
1:	movl %eax, PHYSICAL(boot_pd)(, %ecx, 8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $512, %ecx
	jb 1b

	movl %cr4, %eax
	orl $0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl %eax, %cr4
	movl $PHYSICAL(boot_pml4), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER */
	rdmsr
	orl $0x901, %eax		/* NXE, LME, SCE */
	wrmsr
	movl $0x80010033, %eax		/* PG, WP, NE, ET, MP, PE */
	movl %eax, %cr0
	lgdt PHYSICAL(boot_gdt_pointer)
	ljmp $LAYOUT_KERNEL_CS, $PHYSICAL(boot_64)

	.code64
boot_64:
	movabsq $boot_high, %rax
	jmp *%rax
boot_high:
	movl $LAYOUT_KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	leaq kernel_stack_top(%rip), %rsp
	xorl %ebp, %ebp
	movl %ebx, %edi
	call start_main
	ud2

	.align 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.long PHYSICAL(boot_gdt)

	.section .data
	.align 8
	.globl boot_tsc
boot_tsc:
	.quad 0

/* A guard page stands below each stack. */
	.macro STACK name, size
	.skip LAYOUT_PAGE
	.skip \size
	.globl \name
\name:
	.endm

	.section .stacks, "aw", @nobits
	.align LAYOUT_PAGE
	STACK kernel_stack_top, LAYOUT_STACK_SIZE
	STACK kernel_stack_df, LAYOUT_PAGE
	STACK kernel_stack_nmi, LAYOUT_PAGE
	STACK kernel_stack_mc, LAYOUT_PAGE
	STACK kernel_stack_db, LAYOUT_PAGE

	.section .boot.tables, "aw", @nobits
	.align LAYOUT_PAGE
boot_pml4:
	.skip LAYOUT_PAGE
boot_pdpt_low:
	.skip LAYOUT_PAGE
boot_pdpt_high:
	.skip LAYOUT_PAGE
boot_pd:
	.skip LAYOUT_PAGE

	.section .note.GNU-stack, "", @progbits
