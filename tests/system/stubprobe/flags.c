/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own flags: AC lifts SMAP, DF turns string instructions round, NT breaks
 * IRET.  None may reach the kernel, and all are the program's again afterwards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "probe.h"

#define PAGE 4096UL
#define DF   0x400UL
#define NT   0x4000UL
#define AC   0x40000UL
#define ID   0x200000UL

struct answer {
	long rc;
	uint64_t flags; /* after the call */
};

/* With DF and AC set no C may run: one piece of assembly sets, calls and clears. */
static struct answer call_with(uint64_t flags, long number, uint64_t a, uint64_t b,
			       uint64_t c)
{
	struct answer r;

	asm volatile("pushfq\n"
		     "mov (%%rsp), %%rbx\n"
		     "or %[flags], (%%rsp)\n"
		     "popfq\n"
		     "syscall\n"
		     "pushfq\n"
		     "pop %[after]\n"
		     "push %%rbx\n"
		     "popfq\n"
		     : "=&a"(r.rc), [after] "=&r"(r.flags)
		     : "0"(number), "D"(a), "S"(b), "d"(c), [flags] "r"(flags)
		     : "rbx", "rcx", "r11", "memory", "cc");
	return r;
}

/* Touches a page with these flags set; returns what it reads there. */
static uint8_t touch_with(uint64_t flags, volatile uint8_t *at)
{
	uint64_t byte;

	asm volatile("pushfq\n"
		     "mov (%%rsp), %%rbx\n"
		     "or %[flags], (%%rsp)\n"
		     "popfq\n"
		     "movzbl (%[at]), %k[byte]\n"
		     "push %%rbx\n"
		     "popfq\n"
		     : [byte] "=&r"(byte)
		     : [at] "r"(at), [flags] "r"(flags)
		     : "rbx", "memory", "cc");
	return (uint8_t)byte;
}

/* The stack's lower pages are made when they are first touched. */
static uint64_t untouched_stack(unsigned int kib)
{
	return ((uint64_t)__builtin_frame_address(0) - kib * 1024UL) & ~(PAGE - 1);
}

static void test_calls(uint64_t flags, const char *name)
{
	static uint8_t buf[1024];
	struct answer r = call_with(flags, SYS_getpid, 0, 0, 0);
	uint8_t any = 0;

	probe_ok(r.rc == 1 && (r.flags & flags) == flags, "getpid with %s, which stays",
		 name);
	memset(buf, 0, sizeof(buf));
	buf[300] = 7;
	r = call_with(flags, SYS_getrandom, (uint64_t)buf, 256, 0);
	for (int i = 200; i < 256; i++)
		any |= buf[i];
	probe_ok(r.rc == 256 && any && buf[256] == 0 && buf[300] == 7,
		 "getrandom with %s fills its buffer, forwards", name);
	r = call_with(flags, SYS_write, 1, (uint64_t) "# a line\n", 9);
	probe_ok(r.rc == 9, "write with %s", name);
	r = call_with(flags, SYS_uname, 0xffff800000100000, 0, 0);
	probe_ok(r.rc == -EFAULT, "uname to the kernel's memory with %s", name);
}

static void test_faults(uint64_t flags, const char *name, unsigned int kib)
{
	struct answer r;

	probe_ok(touch_with(flags, (uint8_t *)untouched_stack(kib)) == 0,
		 "the stack grows with %s", name);
	r = call_with(flags, SYS_uname, untouched_stack(kib + 40), 0, 0);
	probe_ok(r.rc == 0, "it grows under the kernel's copy with %s", name);
}

static void test_hidden(uint64_t flags, const char *name)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t edge = (uint64_t)p + PAGE;

	probe_ok(!mprotect(p + PAGE, PAGE, PROT_NONE), "a page is hidden");
	probe_ok(call_with(flags, SYS_getrandom, edge - 100, 200, 0).rc == -EFAULT,
		 "getrandom over its edge with %s", name);
	probe_ok(call_with(flags, SYS_write, 1, edge, 8).rc == -EFAULT,
		 "write from it with %s", name);
	probe_ok(call_with(flags, SYS_uname, (uint64_t)&test_hidden, 0, 0).rc == -EFAULT,
		 "uname onto the code with %s", name);
	munmap(p, 2 * PAGE);
}

void probe_flags(void)
{
	static const struct {
		uint64_t flags;
		const char *name;
	} sets[] = {
		{0, "no flag"}, {AC, "AC"}, {DF, "DF"},
		{NT, "NT"},	{ID, "ID"}, {AC | DF | NT | ID, "all"},
	};

	for (unsigned int i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		test_calls(sets[i].flags, sets[i].name);
		test_faults(sets[i].flags, sets[i].name, 40 + 80 * i);
		test_hidden(sets[i].flags, sets[i].name);
	}
}
