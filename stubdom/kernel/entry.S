/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way into the kernel and out of it: exceptions, SYSCALL, and the first
 * step into the program.  All of them build struct trap_frame (trap.h).
 * One processor and no interrupts: there is no need for GS, nor for nesting.
 */
#include "layout.h"

	.macro SAVE
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	.endm

	.macro RESTORE
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	.endm

	.text
/* One stub for each vector, 16 bytes apart; 8, 10-14, 17, 21, 29 and 30 come
 * with an error code. */
	.align 16
	.globl entry_vectors
entry_vectors:
	.set vector, 0
	.rept 32
	.align 16
	.if !((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
	pushq $0
	.endif
	pushq $vector
	jmp exception
	.set vector, vector + 1
	.endr

exception:
	SAVE
	cld
	/* A program may set AC, which lifts SMAP. */
	cmpb $0, cpu_smap(%rip)
	je 1f
	clac
1:
	movq %rsp, %rdi
	xorl %ebp, %ebp
	call trap_exception
	RESTORE
	addq $16, %rsp
	iretq

/*
 * SYSCALL: %rcx is the program's RIP, %r11 its RFLAGS, interrupts are off and
 * %rsp is still the program's.  SYSRET with an RIP that is not canonical faults in
 * ring 0 on the program's stack on some processors: such an RIP ends the program.
 */
	.align 16
	.globl entry_syscall
entry_syscall:
	movq %rsp, user_rsp(%rip)
	leaq kernel_stack_top(%rip), %rsp
	pushq $LAYOUT_USER_DS
	pushq user_rsp(%rip)
	pushq %r11
	pushq $LAYOUT_USER_CS
	pushq %rcx
	pushq $0
	pushq $0x100
	SAVE
	cld
	movq %rsp, %rdi
	xorl %ebp, %ebp
	call syscall_entry
	RESTORE
	movq 16(%rsp), %rcx
	movq 32(%rsp), %r11
	testq %rcx, %rcx
	js 1f
	shrq $47, %rcx
	jnz 1f
	movq 16(%rsp), %rcx
	movq 40(%rsp), %rsp
	sysretq
1:	subq $15 * 8, %rsp
	movq %rsp, %rdi
	call trap_bad_return
	ud2

/* void entry_user(uint64_t rip, uint64_t rsp): never returns. */
	.globl entry_user
entry_user:
	pushq $LAYOUT_USER_DS
	pushq %rsi
	pushq $2			/* IF is off: no interrupt is ever delivered */
	pushq $LAYOUT_USER_CS
	pushq %rdi
	xorl %eax, %eax
	xorl %ebx, %ebx
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %edi, %edi
	xorl %ebp, %ebp
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	xorl %r12d, %r12d
	xorl %r13d, %r13d
	xorl %r14d, %r14d
	xorl %r15d, %r15d
	iretq

	.bss
	.align 8
user_rsp:
	.skip 8

	.section .note.GNU-stack, "", @progbits
