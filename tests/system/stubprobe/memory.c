/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings, the heap and the stack. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "probe.h"

#define PAGE 4096UL

static void *map(void *at, size_t size, int prot, int flags)
{
	return mmap(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static uint64_t free_kib(void)
{
	struct probe_figures f = {0};

	(void)probe_figures(&f);
	return f.free_kib;
}

static void test_map(void)
{
	uint64_t before = free_kib();
	char *p = map(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, 0);
	bool zero = true;

	probe_ok(p != MAP_FAILED, "mmap gives memory");
	for (size_t i = 0; i < 16 * PAGE; i++)
		zero &= !p[i];
	probe_ok(zero, "new memory is zero");
	memset(p, 0xa5, 16 * PAGE);
	probe_ok(!munmap(p + 4 * PAGE, 4 * PAGE), "a hole can be unmapped");
	probe_ok(p[0] == (char)0xa5 && p[8 * PAGE] == (char)0xa5, "its sides stay");
	probe_ok(map(p + 4 * PAGE, PAGE, PROT_READ, MAP_FIXED) == p + 4 * PAGE &&
			 !p[4 * PAGE],
		 "the hole can be filled again, with zeroes");
	probe_ok(map(p, PAGE, PROT_READ, MAP_FIXED_NOREPLACE) == MAP_FAILED &&
			 errno == EEXIST,
		 "MAP_FIXED_NOREPLACE replaces nothing");
	probe_ok(!munmap(p, 16 * PAGE) && !munmap(p, PAGE), "munmap twice is no error");
	probe_ok(free_kib() + 16 >= before, "unmapped memory is free again");
}

static void test_refused(void)
{
	char *p = map(NULL, PAGE, PROT_READ | PROT_WRITE, 0);

	probe_ok(map(NULL, PAGE, PROT_READ | PROT_EXEC, 0) == MAP_FAILED,
		 "no executable memory by mmap");
	probe_ok(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == -1 && errno == EACCES,
		 "none by mprotect");
	probe_ok(mprotect((void *)((uint64_t)&test_map & ~(PAGE - 1)), PAGE,
			  PROT_READ | PROT_WRITE | PROT_EXEC) == -1,
		 "code never becomes writable and executable");
	probe_ok(map(NULL, 1UL << 46, PROT_READ, 0) == MAP_FAILED && errno == ENOMEM,
		 "64 TiB: ENOMEM");
	probe_ok(map(NULL, -PAGE, PROT_READ, 0) == MAP_FAILED && errno == ENOMEM,
		 "nearly 2^64 bytes: ENOMEM");
	probe_ok(map((void *)0xffff800000000000, PAGE, PROT_READ, MAP_FIXED) ==
			 MAP_FAILED,
		 "nothing at the kernel's addresses");
	probe_ok(map((void *)0, PAGE, PROT_READ, MAP_FIXED) == MAP_FAILED,
		 "nothing at NULL");
	probe_ok(munmap((void *)1, PAGE) == -1 && errno == EINVAL, "munmap(1): EINVAL");
	munmap(p, PAGE);
}

static void test_protect(void)
{
	char *p = map(NULL, 3 * PAGE, PROT_NONE, 0);

	probe_ok(!mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), "PROT_NONE opens");
	p[PAGE] = 'x';
	probe_ok(!mprotect(p + PAGE, PAGE, PROT_NONE) && write(1, p + PAGE, 1) == -1 &&
			 errno == EFAULT,
		 "and is closed again, to the kernel's copies as well");
	probe_ok(!mprotect(p, 3 * PAGE, PROT_READ) && p[PAGE] == 'x' && !p[0],
		 "what was in it is kept");
	probe_ok(read(open("/proc/xen-stub", 0), p, 8) == -1 && errno == EFAULT,
		 "the kernel does not write to read-only memory");
	munmap(p, 3 * PAGE);
}

static void test_heap(void)
{
	char *start = sbrk(0), *p;

	probe_ok(sbrk(10 * (long)PAGE) == start, "brk grows");
	memset(start, 1, 10 * PAGE);
	probe_ok(!brk(start) && sbrk(0) == start, "brk shrinks");
	probe_ok(sbrk(1L << 40) == (void *)-1 && errno == ENOMEM, "brk by 1 TiB: ENOMEM");
	p = malloc(300 * 1024);
	memset(p, 7, 300 * 1024);
	p = realloc(p, 700 * 1024);
	probe_ok(p && p[299 * 1024] == 7, "realloc moves pages (mremap)");
	free(p);
}

static char deep(unsigned int n)
{
	volatile char room[1024];

	room[0] = (char)n;
	return n ? (char)(deep(n - 1) + room[0]) : room[0];
}

/* Takes all there is, writes to it, and gives it back. */
static void test_exhaustion(void)
{
	uint64_t before = free_kib(), step = (before / 128 + 63) / 64 * 64 * 1024;
	char *first = NULL, *p;
	uint64_t n = 0;

	while ((p = map(NULL, step, PROT_READ | PROT_WRITE, 0)) != MAP_FAILED) {
		memcpy(p, &first, sizeof(first));
		first = p;
		n++;
	}
	probe_ok(errno == ENOMEM && n > 4, "memory ends with ENOMEM");
	probe_say("%lu of %lu KiB could be had", n * step / 1024, before);
	probe_ok(n * step / 1024 * 10 > before * 8, "nearly all of it could be had");
	probe_ok(write(1, "# the console still works\n", 26) == 26,
		 "and the kernel goes on");
	while (first) {
		p = first;
		memcpy(&first, p, sizeof(first));
		munmap(p, step);
	}
	probe_ok(free_kib() + 32 >= before, "all of it is free again");
}

void probe_memory(void)
{
	test_map();
	test_refused();
	test_protect();
	test_heap();
	(void)deep(300);
	probe_ok(true, "the stack grows to 300 KiB");
	test_exhaustion();
}
