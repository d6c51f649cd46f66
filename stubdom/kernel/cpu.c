/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/kernel/cpu.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/x86.h"

#define VECTORS	       32
#define VECTOR_BYTES   16
#define GATE_INTERRUPT 0x8e00
#define GATE_USER      0x6000

/* Interrupt stacks, by their number in a gate. */
enum stack { STACK_SAME, STACK_DF, STACK_NMI, STACK_MC, STACK_DB };

struct gate {
	uint16_t low, segment, flags, middle;
	uint32_t high, zero;
} __attribute__((packed));

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, iomap;
} __attribute__((packed));

struct pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

bool cpu_smap;

extern char entry_vectors[], entry_syscall[], kernel_stack_top[], kernel_stack_df[],
	kernel_stack_nmi[], kernel_stack_mc[], kernel_stack_db[];

static struct gate gates[VECTORS];
static struct tss tss;
static uint64_t segments[] = {
	0,
	0x00af9b000000ffff, /* kernel code */
	0x00cf93000000ffff, /* kernel data */
	0x00cff3000000ffff, /* user data */
	0x00affb000000ffff, /* user code */
	0,		    /* the task state, two entries */
	0,
};

static void set_gate(unsigned int vector, enum stack stack)
{
	uint64_t at = (uint64_t)entry_vectors + vector * VECTOR_BYTES;

	gates[vector] = (struct gate){.low = (uint16_t)at,
				      .segment = LAYOUT_KERNEL_CS,
				      .flags = (uint16_t)(GATE_INTERRUPT | stack),
				      .middle = (uint16_t)(at >> 16),
				      .high = (uint32_t)(at >> 32)};
}

static void load_tables(void)
{
	uint64_t at = (uint64_t)&tss;
	struct pointer gdt = {sizeof(segments) - 1, (uint64_t)segments};
	struct pointer idt = {sizeof(gates) - 1, (uint64_t)gates};

	tss.rsp[0] = (uint64_t)kernel_stack_top;
	tss.ist[STACK_DF - 1] = (uint64_t)kernel_stack_df;
	tss.ist[STACK_NMI - 1] = (uint64_t)kernel_stack_nmi;
	tss.ist[STACK_MC - 1] = (uint64_t)kernel_stack_mc;
	tss.ist[STACK_DB - 1] = (uint64_t)kernel_stack_db;
	tss.iomap = sizeof(tss); /* no port is the program's */
	segments[LAYOUT_TSS / 8] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 |
				   0x89ULL << 40 | (at >> 24 & 0xff) << 56;
	segments[LAYOUT_TSS / 8 + 1] = at >> 32;

	for (unsigned int i = 0; i < VECTORS; i++)
		set_gate(i, STACK_SAME);
	set_gate(1, STACK_DB);
	set_gate(2, STACK_NMI);
	set_gate(8, STACK_DF);
	set_gate(18, STACK_MC);
	gates[3].flags |= GATE_USER; /* INT3 and INTO are the program's own */
	gates[4].flags |= GATE_USER;

	asm volatile("lgdt %0; lidt %1; ltr %w2" ::"m"(gdt), "m"(idt), "r"(LAYOUT_TSS)
		     : "memory");
}

static void set_protections(void)
{
	uint32_t top[4], first[4], leaf[4] = {0};
	uint64_t cr4 = x86_read_cr4();

	x86_cpuid(0, 0, top);
	x86_cpuid(1, 0, first);
	/* A machine check is a panic that says so; without this bit, a triple fault. */
	if (first[3] & 1u << 7)
		cr4 |= X86_CR4_MCE;
	if (top[0] >= 7)
		x86_cpuid(7, 0, leaf);
	if (leaf[1] & 1u << 7)
		cr4 |= X86_CR4_SMEP;
	if (leaf[1] & 1u << 20)
		cr4 |= X86_CR4_SMAP;
	if (leaf[2] & 1u << 2)
		cr4 |= X86_CR4_UMIP;
	x86_write_cr4(cr4);
	cpu_smap = cr4 & X86_CR4_SMAP;
}

void cpu_init(void)
{
	load_tables();
	set_protections();
	/* SYSCALL loads CS from bits 32-47, SS from the next entry; SYSRET loads
	 * SS from bits 48-63 plus 8 and CS plus 16, with ring 3. */
	x86_wrmsr(X86_MSR_STAR, (uint64_t)LAYOUT_KERNEL_CS << 32 |
					(uint64_t)(LAYOUT_KERNEL_DS | 3) << 48);
	x86_wrmsr(X86_MSR_LSTAR, (uint64_t)entry_syscall);
	x86_wrmsr(X86_MSR_FMASK, X86_FLAGS_SYSCALL);
}

static bool has(uint32_t leaf, unsigned int word, unsigned int bit)
{
	uint32_t top[4], out[4];

	x86_cpuid(0, 0, top);
	if (top[0] < leaf)
		return false;
	x86_cpuid(leaf, 0, out);
	return out[word] >> bit & 1;
}

bool cpu_has_rdrand(void)
{
	return has(1, 2, 30);
}

bool cpu_has_rdseed(void)
{
	return has(7, 1, 18);
}

uint32_t cpu_hwcap(void)
{
	uint32_t out[4];

	x86_cpuid(1, 0, out);
	return out[3];
}
