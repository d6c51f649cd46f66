/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to end badly: each must end the domain, with a cause and the registers. */
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
static void hypercall(void)
{
	asm volatile("vmcall");
}
static void stack(void)
{
	(void)recurse(&(volatile int){0});
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

static void wait(void)
{
	for (;;)
		sleep(1);
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
	{"hypercall", hypercall},
	{"stack", stack},
	{"abort", abort},
	{"status", leave},
	{"clean", clean},
	{"flags", flags},
	{"wait", wait},
};

void probe_crash(const char *way)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(way, ways[i].name))
			ways[i].run();
}
