/* SPDX-License-Identifier: Apache-2.0 */
/*
 * size_t copy_bytes(void *to, const void *from, size_t n): for pointers of the
 * program, checked by user.c to lie in its half.  Returns the bytes NOT copied: a
 * fault at the address in .faults resumes at the address beside it (trap.c).
 */
	.text
	.globl copy_bytes
copy_bytes:
	movq %rdx, %rcx
	cmpb $0, cpu_smap(%rip)
	je 1f
	stac
1:
copy_fault:
	rep movsb
copy_done:
	cmpb $0, cpu_smap(%rip)
	je 2f
	clac
2:	movq %rcx, %rax
	ret

	.section .faults, "a", @progbits
	.quad copy_fault, copy_done

	.section .note.GNU-stack, "", @progbits
