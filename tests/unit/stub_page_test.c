/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stubdom/kernel/page.h"
#include "stubdom/kernel/panic.h"

#define PAGES 256

static char *memory;

void panic(const char *format, ...)
{
	mock_assert(0, format, __FILE__, __LINE__);
	abort();
}

static int setup(void **state)
{
	memory = aligned_alloc(PAGE_SIZE, PAGES * PAGE_SIZE);
	memset(memory, 0xff, PAGES * PAGE_SIZE);
	page_init(memory);
	return 0;
}

static int teardown(void **state)
{
	free(memory);
	return 0;
}

static struct page_span pages(uint64_t from, uint64_t to)
{
	return (struct page_span){from * PAGE_SIZE, to * PAGE_SIZE};
}

static void leaves_out_what_is_taken(void **state)
{
	struct page_span taken[] = {pages(20, 30), pages(100, 300), {50000, 50001}};
	bool seen[PAGES] = {0};
	uint64_t pa, n = 0;

	page_add(pages(0, PAGES), taken, 3);
	while (!page_alloc(&pa)) {
		pa /= PAGE_SIZE;
		assert_true(pa && pa < 100 && pa != 12 && (pa < 20 || pa >= 30));
		assert_false(seen[pa]);
		seen[pa] = true;
		n++;
	}
	assert_int_equal(n, 99 - 10 - 1);
	assert_int_equal(page_count_free(), 0);
}

static void gives_zeroes_again_and_again(void **state)
{
	static const char zero[4096];
	uint64_t pa;

	page_add(pages(1, 3), NULL, 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(page_alloc(&pa), 0);
		assert_memory_equal(page_address(pa), zero, sizeof(zero));
		memset(page_address(pa), 0x55, PAGE_SIZE);
		page_free(pa);
	}
	assert_int_equal(page_count_free(), 2);
}

static void keeps_a_reserve(void **state)
{
	uint64_t pa, n = 0;

	page_add(pages(1, PAGES), NULL, 0);
	while (!page_alloc_user(&pa))
		n++;
	assert_int_equal(n, PAGES - 1 - PAGE_RESERVE);
	assert_int_equal(page_alloc(&pa), 0);
}

static void odd_ranges(void **state)
{
	page_add((struct page_span){1, 2}, NULL, 0);
	page_add((struct page_span){8000, 4000}, NULL, 0);
	assert_int_equal(page_count_free(), 0);
	page_add((struct page_span){4095, 4 * PAGE_SIZE - 1}, NULL, 0);
	assert_int_equal(page_count_free(), 2);
}

static void bad_frees_panic(void **state)
{
	uint64_t pa;

	page_add(pages(1, 4), NULL, 0);
	assert_int_equal(page_alloc(&pa), 0);
	page_free(pa);
	expect_assert_failure(page_free(pa));
	expect_assert_failure(page_free(0));
	expect_assert_failure(page_free(PAGE_SIZE + 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leaves_out_what_is_taken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(gives_zeroes_again_and_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(keeps_a_reserve, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_frees_panic, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
