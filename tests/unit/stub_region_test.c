/* SPDX-License-Identifier: Apache-2.0 */
/* Regions against a plain array of pages that does the same. */
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "stubdom/kernel/layout.h"
#include "stubdom/kernel/region.h"

#define PAGE  4096UL
#define PAGES 64
#define BASE  0x100000UL

static int model[PAGES]; /* rights plus 1; 0: free */

static uint64_t at(unsigned int page)
{
	return BASE + page * PAGE;
}

static void compare(void)
{
	uint64_t end = 0;
	struct region *r;

	for (unsigned int i = 0; i < PAGES; i++) {
		r = region_at(at(i) + 5);
		assert_int_equal(r ? (int)r->rights + 1 : 0, model[i]);
		assert_int_equal(region_is_free(at(i), at(i + 1)), !model[i]);
		assert_int_equal(region_is_mapped(at(i), at(i + 1)), !!model[i]);
	}
	for (unsigned int i = 0; (r = region_entry(i)); i++) {
		assert_true(r->start >= end && r->start < r->end);
		end = r->end;
	}
}

static void add(unsigned int from, unsigned int to, unsigned int rights)
{
	struct region r = {.start = at(from), .end = at(to), .rights = rights};
	bool is_free = true;

	for (unsigned int i = from; i < to; i++)
		is_free &= !model[i];
	assert_int_equal(region_add(&r), is_free ? 0 : -EINVAL);
	for (unsigned int i = from; is_free && i < to; i++)
		model[i] = (int)rights + 1;
}

static void remove_pages(unsigned int from, unsigned int to)
{
	assert_int_equal(region_cut(at(from), at(to)), 0);
	region_remove(at(from), at(to));
	memset(&model[from], 0, (to - from) * sizeof(model[0]));
}

static void protect(unsigned int from, unsigned int to, unsigned int rights)
{
	assert_int_equal(region_cut(at(from), at(to)), 0);
	region_set_rights(at(from), at(to), rights);
	for (unsigned int i = from; i < to; i++)
		if (model[i])
			model[i] = (int)rights + 1;
}

static void like_an_array(void **state)
{
	region_init();
	memset(model, 0, sizeof(model));
	srandom(1);
	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int from = (unsigned int)random() % PAGES;
		unsigned int to = from + 1 + (unsigned int)random() % (PAGES - from);

		switch (random() % 3) {
		case 0:
			add(from, to, (unsigned int)random() % 4);
			break;
		case 1:
			remove_pages(from, to);
			break;
		default:
			protect(from, to, (unsigned int)random() % 4);
		}
		compare();
	}
}

static void gaps_keep_their_distance(void **state)
{
	struct region r = {.start = at(10), .end = at(20)};
	uint64_t gap;

	region_init();
	assert_int_equal(region_gap(PAGE, BASE, BASE + 2 * PAGE), 0);
	assert_int_equal(region_gap(PAGE, BASE, BASE + 3 * PAGE), at(1));
	assert_int_equal(region_gap(-PAGE, BASE, at(PAGES)), 0);
	assert_int_equal(region_add(&r), 0);
	gap = region_gap(40 * PAGE, BASE, at(PAGES));
	assert_int_equal(gap, at(23));
	assert_int_equal(region_gap(43 * PAGE, BASE, at(PAGES)), 0);
	gap = region_gap(5 * PAGE, BASE, at(24));
	assert_int_equal(gap, at(4));
	assert_int_equal(region_gap(9 * PAGE, BASE, at(24)), 0);
}

static void many(void **state)
{
	struct region r = {0};
	int rc = 0;

	region_init();
	for (unsigned int i = 0; !rc && i < 2 * REGION_MAX; i++) {
		r.start = BASE + 2 * i * PAGE;
		r.end = r.start + PAGE;
		rc = region_add(&r);
	}
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(region_cut(BASE + 100, BASE + 200), -ENOMEM);
	assert_true(region_is_mapped(BASE, BASE + PAGE));
}

static void only_in_the_program_s_half(void **state)
{
	struct region r = {.start = LAYOUT_USER_BOTTOM - PAGE,
			   .end = LAYOUT_USER_BOTTOM + PAGE};

	region_init();
	assert_int_equal(region_add(&r), -EINVAL);
	r.start = LAYOUT_USER_TOP - PAGE;
	r.end = LAYOUT_USER_TOP + PAGE;
	assert_int_equal(region_add(&r), -EINVAL);
	assert_null(region_entry(0));
	r.end = LAYOUT_USER_TOP;
	assert_int_equal(region_add(&r), 0);
	r.start = LAYOUT_USER_BOTTOM;
	r.end = LAYOUT_USER_BOTTOM + PAGE;
	assert_int_equal(region_add(&r), 0);
	assert_ptr_equal(region_at(LAYOUT_USER_BOTTOM), region_entry(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(like_an_array),
		cmocka_unit_test(gaps_keep_their_distance),
		cmocka_unit_test(many),
		cmocka_unit_test(only_in_the_program_s_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
