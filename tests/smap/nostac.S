/* SPDX-License-Identifier: Apache-2.0 */
/* A copy_bytes() that forgets to lift SMAP: the suite has to see it. */
	.text
	.globl copy_bytes
copy_bytes:
	movq %rdx, %rcx
copy_fault:
	rep movsb
copy_done:
	movq %rcx, %rax
	ret

	.section .faults, "a", @progbits
	.quad copy_fault, copy_done

	.section .note.GNU-stack, "", @progbits
