/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include "stubdom/kernel/cpu.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/load.h"
#include "stubdom/kernel/map.h"
#include "stubdom/kernel/memory.h"
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/random.h"
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"

#define ARGUMENTS_MAX 32
#define RANDOM_BYTES  16

/*
 * Where the parts of the address space may begin, each at random and apart from the
 * others: the program (when it is static-pie) in the first 16 TiB above PROGRAM_LOW, the
 * heap up to 512 GiB above its end, the mappings' top in the 16 TiB below the lowest
 * place of the stack, and the stack's top in the highest 512 GiB.
 */
#define PROGRAM_LOW	0x100000000000ULL
#define PROGRAM_BITS	32 /* of pages, as the others */
#define HEAP_BITS	27
#define MAPPING_BITS	32
#define STACK_BITS	27
#define STACK_FINE_BITS 8 /* and of 16 bytes in its first page */

extern uint64_t boot_tsc;

uint64_t process_uptime(void)
{
	return time_now() - time_at(boot_tsc);
}

void process_end(unsigned int reason)
{
	memory_release_devices();
	file_close_all();
	panic_shutdown(reason);
}

void process_exit(int status)
{
	if (status)
		print_line("the program ended with status %d", status);
	process_end(status ? SHUTDOWN_crash : SHUTDOWN_poweroff);
}

void entry_user(uint64_t rip, uint64_t rsp) __attribute__((noreturn));

static uint64_t push(uint64_t *sp, const void *bytes, size_t n)
{
	*sp -= n;
	if (copy_to_user(*sp, bytes, n))
		panic("no memory for the program's stack");
	return *sp;
}

/* Splits at spaces; what is past ARGUMENTS_MAX words is one word with spaces. */
static unsigned int split(char *text, char **word)
{
	unsigned int n = 0;

	word[n++] = PROCESS_NAME;
	while (n < ARGUMENTS_MAX) {
		while (*text == ' ')
			text++;
		if (!*text)
			break;
		word[n++] = text;
		while (*text && (*text != ' ' || n == ARGUMENTS_MAX))
			text++;
		if (*text)
			*text++ = '\0';
	}
	return n;
}

static uint64_t push_text(uint64_t *sp, const char *text)
{
	return push(sp, text, strlen(text) + 1);
}

struct auxiliary {
	uint64_t type, value;
};

/* The stack as the System V ABI for x86-64 wants it at a program's start (3.4.1). */
static uint64_t make_stack(uint64_t sp, char *arguments, const struct elf_plan *plan,
			   uint64_t bias)
{
	char *word[ARGUMENTS_MAX], bytes[RANDOM_BYTES];
	uint64_t table[1 + ARGUMENTS_MAX + 2], size = 0;
	unsigned int n = split(arguments, word);

	random_bytes(bytes, sizeof(bytes));
	struct auxiliary extra[] = {
		{AT_PHDR, plan->headers + bias},
		{AT_PHENT, 56},
		{AT_PHNUM, plan->header_count},
		{AT_PAGESZ, PAGE_SIZE},
		{AT_BASE, 0},
		{AT_FLAGS, 0},
		{AT_ENTRY, plan->entry + bias},
		{AT_UID, 0},
		{AT_EUID, 0},
		{AT_GID, 0},
		{AT_EGID, 0},
		{AT_SECURE, 0},
		{AT_HWCAP, cpu_hwcap()},
		{AT_CLKTCK, 100},
		{AT_PLATFORM, push_text(&sp, "x86_64")},
		{AT_EXECFN, push_text(&sp, PROCESS_PATH)},
		{AT_RANDOM, push(&sp, bytes, sizeof(bytes))},
		{AT_NULL, 0},
	};
	table[size++] = n;
	for (unsigned int i = 0; i < n; i++)
		table[size++] = push_text(&sp, word[i]);
	table[size++] = 0;
	table[size++] = 0; /* no environment */
	sp &= ~15ULL;
	if ((size * sizeof(table[0]) + sizeof(extra)) % 16)
		sp -= 8;
	(void)push(&sp, extra, sizeof(extra));
	return push(&sp, table, size * sizeof(table[0]));
}

static uint64_t pick(unsigned int bits)
{
	return random_word() >> (64 - bits);
}

static uint64_t pick_pages(unsigned int bits)
{
	return pick(bits) * PAGE_SIZE;
}

void process_run(uint64_t pa, size_t size, char *arguments)
{
	uint64_t lowest = LAYOUT_USER_TOP - (PAGE_SIZE << STACK_BITS) - MEMORY_STACK_MAX;
	uint64_t top = LAYOUT_USER_TOP - pick_pages(STACK_BITS);
	uint64_t bottom = top - MEMORY_STACK_MAX, bias, sp;
	struct elf_plan plan;
	const char *why;

	if (elf_check(page_address(pa), size, &plan, &why))
		panic("%s", why);
	bias = plan.movable ? PROGRAM_LOW + pick_pages(PROGRAM_BITS) : 0;
	memory_init(lowest - PAGE_SIZE - pick_pages(MAPPING_BITS));
	if (load_program(&plan, pa, size, bias))
		panic("no memory to load the program: give the domain more");
	memory_set_break(plan.high + bias + pick_pages(HEAP_BITS));
	if (memory_add(bottom, top, MAP_READ | MAP_WRITE, REGION_STACK, false))
		panic("no place for the program's stack");
	sp = make_stack(top - pick(STACK_FINE_BITS) * 16, arguments, &plan, bias);
	map_check();
	entry_user(plan.entry + bias, sp);
}
