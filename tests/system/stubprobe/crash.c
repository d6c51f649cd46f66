/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to end badly: each must end the domain, with a cause and the place. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "probe.h"

#define KERNEL 0xffffffff80010000UL
#define DIRECT 0xffff800000100000UL

static void jump(uint64_t to)
{
	asm volatile("jmp *%0" ::"r"(to));
}

static void peek(uint64_t at)
{
	(void)*(volatile char *)at;
}

static void poke(uint64_t at)
{
	*(volatile char *)at = 1;
}

static void run_stack(void)
{
	volatile unsigned char code[16] = {0xc3}; /* ret */

	jump((uint64_t)code);
}

static void run_heap(void)
{
	unsigned char *code = malloc(16);

	code[0] = 0xc3;
	jump((uint64_t)code);
}

static int recurse(volatile int *at)
{
	volatile int room[256];

	room[0] = *at + 1;
	return room[0] ? recurse(room) + room[1] : 0;
}

static void null_read(void)
{
	peek(0);
}
static void null_jump(void)
{
	jump(0);
}
static void kernel_read(void)
{
	peek(KERNEL);
}
static void kernel_write(void)
{
	poke(DIRECT);
}
static void kernel_jump(void)
{
	jump(KERNEL);
}
static void code_write(void)
{
	poke((uint64_t)&code_write);
}
/* The table below is constant once the C library has moved its addresses. */
static void relro_write(void);
static void not_canonical(void)
{
	jump(0x8000000000000000UL);
}
static void invalid(void)
{
	asm volatile("ud2");
}
static void divide(void)
{
	asm volatile("div %0" ::"r"(0UL) : "rax", "rdx");
}
static void halt(void)
{
	asm volatile("hlt");
}
static void port(void)
{
	asm volatile("outb %%al, $0x80" ::: "memory");
}
static void interrupts(void)
{
	asm volatile("sti");
}
static void old_call(void)
{
	asm volatile("int $0x80" ::"a"(1));
}
static void single_step(void)
{
	asm volatile("pushfq; orl $0x100, (%rsp); popfq; nop");
}
static void step_into_call(void)
{
	asm volatile("pushfq; orl $0x100, (%%rsp); popfq; syscall" ::"a"(39)
		     : "rcx", "r11", "memory");
	asm volatile("ud2");
}
static void breakpoint(void)
{
	asm volatile("int3");
}
static void icebp(void)
{
	asm volatile(".byte 0xf1");
}
static void vectors(void)
{
	asm volatile("int $8");
}
static void fake_nmi(void)
{
	asm volatile("int $2");
}
static void fake_check(void)
{
	asm volatile("int $18");
}
/* UMIP: where the tables are is not the program's business. */
static void table_address(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) at;

	asm volatile("sgdt %0" : "=m"(at));
}
static void table_load(void)
{
	static const char at[10];

	asm volatile("lgdt %0" ::"m"(at));
}
static void control(void)
{
	asm volatile("mov %0, %%cr3" ::"r"(0UL));
}
static void model_register(void)
{
	asm volatile("rdmsr" ::"c"(0xc0000080) : "rax", "rdx");
}
static void old_entry(void)
{
	asm volatile("sysenter");
}
static void ring_0(void)
{
	asm volatile("push $0x10; push %%rsp; pushfq; push $0x8; lea 1f(%%rip), %%rax\n"
		     "push %%rax; iretq; 1:" ::
			     : "rax", "memory");
}
static void ring_0_return(void)
{
	asm volatile("push $0x8; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" ::
			     : "rax", "memory");
}
static void kernel_stack(void)
{
	asm volatile("mov $0x10, %%eax; mov %%eax, %%ss" ::: "rax");
}
static void not_canonical_write(void)
{
	poke(0x8000000000000000UL);
}
static void hypercall(void)
{
	asm volatile("vmcall");
}
static void stack(void)
{
	(void)recurse(&(volatile int){0});
}
/* A value that must not reach dom0's log, in every register but rsp, and in xmm0. */
#define SECRET 0x5ec2e7dec0de4badUL
#define FILL                                   \
	"mov %0, %%rax; movq %%rax, %%xmm0\n"  \
	"mov %%rax, %%rbx; mov %%rax, %%rcx\n" \
	"mov %%rax, %%rdx; mov %%rax, %%rsi\n" \
	"mov %%rax, %%rdi; mov %%rax, %%rbp\n" \
	"mov %%rax, %%r8; mov %%rax, %%r9\n"   \
	"mov %%rax, %%r10; mov %%rax, %%r11\n" \
	"mov %%rax, %%r12; mov %%rax, %%r13\n" \
	"mov %%rax, %%r14; mov %%rax, %%r15\n"

static void secret_invalid(void)
{
	asm volatile(FILL "ud2" ::"i"(SECRET));
}
static void secret_fault(void)
{
	asm volatile(FILL "push $0x1000; pop %%rax; mov %%rbx, (%%rax)" ::"i"(SECRET));
}
/* A system call of that number is refused, and may be told of. */
static void secret_call(void)
{
	asm volatile(FILL "syscall; ud2" ::"i"(SECRET));
}
static void leave(void)
{
	exit(3);
}
static void clean(void)
{
	exit(0);
}

/* A system call that is the last instruction below the top, were it to be mapped. */
static void flags(void)
{
	asm volatile(
		"pushfq; orl $0x40400, (%%rsp); popfq; syscall; pushfq; cld; popfq" ::"a"(
			39)
		: "rcx", "r11", "memory");
	exit(0);
}

/* An exception with the program's AC, DF and NT set. */
static void flags_invalid(void)
{
	asm volatile("pushfq; orl $0x44400, (%rsp); popfq; ud2");
}

static void wait(void)
{
	for (;;)
		sleep(1);
}

/* Stands still for 3 s, with a watchdog of 1 s. */
static void outlive(bool lifted)
{
	static const uint32_t one = 1, none;
	int fd = open("/dev/xen/watchdog", O_WRONLY);

	probe_ok(write(fd, &one, sizeof(one)) == sizeof(one), "a watchdog of 1 s");
	if (lifted)
		probe_ok(write(fd, &none, sizeof(none)) == sizeof(none), "it is lifted");
	sleep(3);
	probe_say("it lives");
	exit(0);
}

static void outlive_watchdog(void)
{
	outlive(false);
}

static void outlive_lifted(void)
{
	outlive(true);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{"null-read", null_read},
	{"null-jump", null_jump},
	{"kernel-read", kernel_read},
	{"kernel-write", kernel_write},
	{"kernel-jump", kernel_jump},
	{"code-write", code_write},
	{"relro-write", relro_write},
	{"run-stack", run_stack},
	{"run-heap", run_heap},
	{"not-canonical", not_canonical},
	{"invalid", invalid},
	{"divide", divide},
	{"halt", halt},
	{"port", port},
	{"interrupts", interrupts},
	{"old-call", old_call},
	{"single-step", single_step},
	{"step-into-call", step_into_call},
	{"breakpoint", breakpoint},
	{"icebp", icebp},
	{"vectors", vectors},
	{"fake-nmi", fake_nmi},
	{"fake-check", fake_check},
	{"table-address", table_address},
	{"table-load", table_load},
	{"control", control},
	{"model-register", model_register},
	{"old-entry", old_entry},
	{"ring-0", ring_0},
	{"ring-0-return", ring_0_return},
	{"kernel-stack", kernel_stack},
	{"not-canonical-write", not_canonical_write},
	{"hypercall", hypercall},
	{"stack", stack},
	{"abort", abort},
	{"secret-invalid", secret_invalid},
	{"secret-fault", secret_fault},
	{"secret-call", secret_call},
	{"status", leave},
	{"clean", clean},
	{"flags", flags},
	{"flags-invalid", flags_invalid},
	{"wait", wait},
	{"watchdog", outlive_watchdog},
	{"watchdog-lifted", outlive_lifted},
};

static void relro_write(void)
{
	poke((uint64_t)&ways[0].run);
}

void probe_crash(const char *way)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(way, ways[i].name))
			ways[i].run();
}
