/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/kernel/hypercall.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/x86.h"

#define LEAF_FIRST 0x40000000
#define LEAF_LAST  0x40010000
#define LEAF_STEP  0x100
#define ENTRY_SIZE 32

/* Xen writes the code; it must be in the executable part of the kernel. */
asm(".section .text.hypercall, \"ax\", @progbits\n"
    ".balign 4096\n"
    "hypercall_page: .skip 4096, 0xf4\n"
    ".previous\n");
extern char hypercall_page[];

uint64_t hypercall_count;

void hypercall_init(void)
{
	uint32_t leaf[4];

	for (uint32_t base = LEAF_FIRST; base < LEAF_LAST; base += LEAF_STEP) {
		x86_cpuid(base, 0, leaf);
		/* "XenVMMXenVMM" */
		if (leaf[1] != 0x566e6558 || leaf[2] != 0x65584d4d ||
		    leaf[3] != 0x4d4d566e)
			continue;
		x86_cpuid(base + 2, 0, leaf);
		x86_wrmsr(leaf[1], (uint64_t)hypercall_page - LAYOUT_KERNEL);
		return;
	}
	/* Without Xen nothing can be said, nor the domain be ended. */
	__builtin_trap();
}

long hypercall_call(unsigned int number, uint64_t a, uint64_t b, uint64_t c)
{
	long rc;

	hypercall_count++;
	asm volatile("call *%[entry]"
		     : "=a"(rc), "+D"(a), "+S"(b), "+d"(c)
		     : [entry] "r"(hypercall_page + number * ENTRY_SIZE)
		     : "rcx", "r8", "r9", "r10", "r11", "memory");
	return rc;
}
