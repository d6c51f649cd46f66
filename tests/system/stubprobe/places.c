/* SPDX-License-Identifier: Apache-2.0 */
/* Where the kernel put things, for a test that compares several starts; and what the C
 * library closed behind itself. */
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>
#include <elf.h>
#include "probe.h"

#define PAGE 4096UL

extern const Elf64_Ehdr __ehdr_start;

static void test_auxiliary(void)
{
	uint64_t start = (uint64_t)&__ehdr_start;

	probe_ok(getauxval(AT_PHDR) == start + __ehdr_start.e_phoff,
		 "AT_PHDR is where the program headers are");
	probe_ok(getauxval(AT_PHNUM) == __ehdr_start.e_phnum &&
			 getauxval(AT_PHENT) == sizeof(Elf64_Phdr),
		 "AT_PHNUM and AT_PHENT are theirs");
	probe_ok(getauxval(AT_ENTRY) == start + __ehdr_start.e_entry,
		 "AT_ENTRY has the place of this start");
	probe_ok(getauxval(AT_BASE) == 0 && getauxval(AT_PAGESZ) == PAGE,
		 "AT_BASE is 0: there is no interpreter");
}

void probe_places(void)
{
	const uint64_t *seed = (const uint64_t *)getauxval(AT_RANDOM);
	void *mapping = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char on_stack;

	test_auxiliary();
	probe_ok(mapping != MAP_FAILED && seed && seed[0] != seed[1],
		 "there is a mapping, and a seed");
	probe_say("places: code %lx heap %lx mapping %lx stack %lx seed %lx",
		  (uint64_t)&__ehdr_start, (uint64_t)sbrk(0), (uint64_t)mapping,
		  (uint64_t)&on_stack, seed[0]);
}
