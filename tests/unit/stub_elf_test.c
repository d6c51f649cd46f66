/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stubdom/kernel/elf.h"
#include "stubdom/kernel/map.h"

#define LOADS 2

/* A program of two segments, code and data, each a page of the file. */
struct program {
	Elf64_Ehdr head;
	Elf64_Phdr load[LOADS + 1];
	char rest[3 * 4096];
};

static struct program *make(void)
{
	struct program *p = calloc(1, sizeof(*p));

	p->head = (Elf64_Ehdr){.e_type = ET_EXEC,
			       .e_machine = EM_X86_64,
			       .e_phoff = sizeof(Elf64_Ehdr),
			       .e_phentsize = sizeof(Elf64_Phdr),
			       .e_phnum = LOADS,
			       .e_entry = 0x400800};
	memcpy(p->head.e_ident, ELFMAG, SELFMAG);
	p->head.e_ident[EI_CLASS] = ELFCLASS64;
	p->head.e_ident[EI_DATA] = ELFDATA2LSB;
	p->load[0] = (Elf64_Phdr){.p_type = PT_LOAD,
				  .p_flags = PF_R | PF_X,
				  .p_vaddr = 0x400000,
				  .p_filesz = 0x1000,
				  .p_memsz = 0x1000};
	p->load[1] = (Elf64_Phdr){.p_type = PT_LOAD,
				  .p_flags = PF_R | PF_W,
				  .p_offset = 0x1000,
				  .p_vaddr = 0x402000,
				  .p_filesz = 0x800,
				  .p_memsz = 0x3000};
	return p;
}

static int check(struct program *p, struct elf_plan *plan, const char **why)
{
	return elf_check(p, sizeof(*p), plan, why);
}

static void plans(void **state)
{
	struct program *p = make();
	struct elf_plan plan;
	const char *why;

	assert_int_equal(check(p, &plan, &why), 0);
	assert_int_equal(plan.count, 2);
	assert_int_equal(plan.entry, 0x400800);
	assert_int_equal(plan.headers, 0x400000 + sizeof(Elf64_Ehdr));
	assert_int_equal(plan.low, 0x400000);
	assert_int_equal(plan.high, 0x405000);
	assert_int_equal(plan.segment[1].rights, MAP_READ | MAP_WRITE);
	free(p);
}

static void each_cut(void **state)
{
	struct program *p = make();
	struct elf_plan plan;
	const char *why;
	char *part;

	for (size_t n = 0; n < 0x1800; n += n < 200 ? 1 : 64) {
		part = malloc(n + 1);
		memcpy(part, p, n);
		assert_int_equal(elf_check(part, n, &plan, &why), -ENOEXEC);
		assert_non_null(why);
		free(part);
	}
	free(p);
}

#define REFUSED(change)                                            \
	do {                                                       \
		struct program *p = make();                        \
		struct elf_plan plan;                              \
		const char *why = NULL;                            \
		change;                                            \
		assert_int_equal(check(p, &plan, &why), -ENOEXEC); \
		assert_non_null(why);                              \
		free(p);                                           \
	} while (0)

static void bad_headers(void **state)
{
	REFUSED(p->head.e_ident[0] = 0);
	REFUSED(p->head.e_ident[EI_CLASS] = ELFCLASS32);
	REFUSED(p->head.e_machine = EM_386);
	REFUSED(p->head.e_type = ET_REL);
	REFUSED(p->head.e_phnum = 0);
	REFUSED(p->head.e_phnum = 0xffff);
	REFUSED(p->head.e_phentsize = 1);
	REFUSED(p->head.e_phoff = UINT64_MAX - 8);
	REFUSED(p->head.e_phoff = sizeof(*p) - 8);
	REFUSED(p->head.e_entry = 0x402000);
	REFUSED(p->head.e_entry = 0);
}

static void bad_segments(void **state)
{
	REFUSED(p->load[0].p_flags |= PF_W);
	REFUSED(p->load[1].p_filesz = 0x4000);
	REFUSED(p->load[1].p_memsz = UINT64_MAX);
	REFUSED(p->load[1].p_vaddr = 0xffffffff80012000);
	REFUSED(p->load[1].p_vaddr = 0x402008);
	REFUSED(p->load[1].p_vaddr = 0x400000);
	REFUSED(p->load[1].p_vaddr = 0x300000);
	REFUSED(p->load[1].p_offset = 0);
	REFUSED(p->load[1].p_offset = UINT64_MAX & ~0xfffUL);
	REFUSED(p->load[0].p_vaddr = 0);
	REFUSED(p->load[1].p_type = PT_INTERP);
	REFUSED(p->load[1] = ((Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_X}));
}

static void any_byte(void **state)
{
	struct elf_plan plan;
	const char *why;

	srandom(2);
	for (int i = 0; i < 50000; i++) {
		struct program *p = make();

		for (int n = 0; n < 3; n++)
			((unsigned char *)p)[(size_t)random() % 232] =
				(unsigned char)random();
		if (!check(p, &plan, &why)) {
			assert_true(plan.count <= ELF_SEGMENTS);
			for (unsigned int n = 0; n < plan.count; n++)
				assert_true(plan.segment[n].offset +
						    plan.segment[n].file <=
					    sizeof(*p));
		}
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),       cmocka_unit_test(each_cut),
		cmocka_unit_test(bad_headers), cmocka_unit_test(bad_segments),
		cmocka_unit_test(any_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
