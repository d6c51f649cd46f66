/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions that C lacks, and the bits that they take (Intel SDM 3A). */
#ifndef STUB_X86_H
#define STUB_X86_H

#include <stdint.h>

#define X86_CR4_MCE	   (1u << 6)
#define X86_CR4_OSFXSR	   (1u << 9)
#define X86_CR4_OSXMMEXCPT (1u << 10)
#define X86_CR4_UMIP	   (1u << 11)
#define X86_CR4_SMEP	   (1u << 20)
#define X86_CR4_SMAP	   (1u << 21)

#define X86_CR0_WP   (1u << 16)
#define X86_EFER_NXE (1u << 11)

#define X86_MSR_EFER  0xc0000080
#define X86_MSR_STAR  0xc0000081
#define X86_MSR_LSTAR 0xc0000082
#define X86_MSR_CSTAR 0xc0000083
#define X86_MSR_FMASK 0xc0000084
#define X86_MSR_FS    0xc0000100

#define X86_FLAGS_RESERVED 0x2
#define X86_FLAGS_SYSCALL  0x257fd5 /* cleared at SYSCALL: all but bit 1 and RF */

static inline void x86_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	asm volatile("cpuid"
		     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
		     : "a"(leaf), "c"(sub));
}

static inline void x86_wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
		     : "memory");
}

static inline uint64_t x86_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t x86_rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t x86_read_cr2(void)
{
	uint64_t v;

	asm volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}

static inline uint64_t x86_read_cr0(void)
{
	uint64_t v;

	asm volatile("mov %%cr0, %0" : "=r"(v));
	return v;
}

static inline uint64_t x86_read_cr3(void)
{
	uint64_t v;

	asm volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

static inline void x86_write_cr3(uint64_t v)
{
	asm volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}

static inline uint64_t x86_read_cr4(void)
{
	uint64_t v;

	asm volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

static inline void x86_write_cr4(uint64_t v)
{
	asm volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}

static inline void x86_invlpg(uint64_t va)
{
	asm volatile("invlpg (%0)" ::"r"(va) : "memory");
}

/* 0 and *v, or -1 when the processor had nothing ready. */
static inline int x86_rdrand(uint64_t *v)
{
	uint8_t ok;

	asm volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok)::"cc");
	return ok ? 0 : -1;
}

static inline int x86_rdseed(uint64_t *v)
{
	uint8_t ok;

	asm volatile("rdseed %0; setc %1" : "=r"(*v), "=qm"(ok)::"cc");
	return ok ? 0 : -1;
}

#endif
