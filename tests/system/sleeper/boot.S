/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sector that a BIOS loads to 0x7c00 and runs, its measured part at most 440 bytes.
 * Reads what lies behind it on the disk to 0x7e00, enters 32-bit protected mode without
 * paging or interrupts, and calls sleeper_main(false).  The firmware jumps to sleeper_waking,
 * in real mode again, when the machine wakes; that calls sleeper_main(true).
 */
#define SECTORS 120 /* all within the segment 0x7e0, and below 0x17000 */
#define PE	1

	.section .boot, "ax", @progbits
	.code16
	.globl boot_entry
boot_entry:
	ljmp $0, $1f
1:	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movw $packet, %si
	movb $0x42, %ah		/* extended read of the disk that %dl names */
	int $0x13
	jc 3f
	xorl %ebx, %ebx
	jmp 4f

	/* ACPI, 16.3.1: CS is the vector's address / 16 */
	.balign 16
	.globl sleeper_waking
sleeper_waking:
	ljmp $0, $2f
2:	movl $1, %ebx
4:	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdt table
	movl %cr0, %eax
	orl $PE, %eax
	movl %eax, %cr0
	ljmp $8, $5f

3:	hlt
	jmp 3b

	.code32
5:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $stack_end, %esp
	cld
	pushl $0
	pushl %ebx
	call sleeper_main

	.balign 4
packet:
	.byte 16, 0
	.word SECTORS
	.word 0, 0x7e0		/* offset, segment */
	.quad 1			/* the first sector */
descriptors:
	.quad 0
	.quad 0x00cf9a000000ffff	/* 8: code, 4 GiB */
	.quad 0x00cf92000000ffff	/* 16: data */
table:
	.word . - descriptors - 1
	.long descriptors

	.org boot_entry + 510
	.byte 0x55, 0xaa
