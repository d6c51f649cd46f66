/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of physical presence, against the answers of TCG PC Client Platform Physical
 * Presence Interface 1.30, 2.1 and table 2. */
#include "tests/unit/unit.h"
#include "lib/ppi.h"

#include <string.h>

static struct ppi_told told;
static struct ppi_state state;
static struct ppi ppi = {&state, &told};

static int setup(void **ctx)
{
	told = (struct ppi_told){.allowed = 1, .last = 22, .response = 0x101};
	memset(&state, 0, sizeof(state));
	return 0;
}

static uint32_t rd(uint32_t at)
{
	return (uint32_t)ppi_read(&ppi, at, 4);
}

static uint32_t ask(uint32_t operation)
{
	ppi_write(&ppi, PPI_ASK, 4, operation);
	return rd(PPI_ASK);
}

static uint32_t request(uint32_t operation)
{
	ppi_write(&ppi, PPI_REQUEST, 4, operation);
	return rd(PPI_REQUEST);
}

static bool clears(uint32_t operation)
{
	return operation == 5 || operation == 14 || operation == 21 || operation == 22;
}

/* Each operation that the specification has, with and without leave. */
static void the_table_of_operations(void **ctx)
{
	for (unsigned int allowed = 0; allowed < 2; allowed++)
		for (uint32_t op = 0; op < 256; op++) {
			uint32_t want = !op ? PPI_NO_USER_NEEDED : PPI_NOT_IMPLEMENTED;

			told.allowed = allowed;
			if (clears(op))
				want = allowed ? PPI_NO_USER_NEEDED : PPI_BLOCKED;
			assert_int_equal(ask(op), want);
			(void)request(0);
			assert_int_equal(request(op), clears(op) && allowed ? op : 0);
		}
}

static void a_request_can_be_taken_back(void **ctx)
{
	assert_int_equal(request(5), 5);
	assert_int_equal(request(24), 5); /* ChangeEPS: ignored */
	told.allowed = 0;
	assert_int_equal(request(14), 5);
	assert_int_equal(request(0), 0);
}

static void what_was_executed_is_read_only(void **ctx)
{
	ppi_write(&ppi, PPI_LAST, 4, 7);
	ppi_write(&ppi, PPI_RESPONSE, 4, 7);
	assert_int_equal(rd(PPI_LAST), 22);
	assert_int_equal(rd(PPI_RESPONSE), 0x101);
}

static void memory_is_a_register(void **ctx)
{
	ppi_write(&ppi, PPI_MEMORY, 4, 0x11);
	assert_int_equal(rd(PPI_MEMORY), 0x11);
}

/* Sizes and places that ASL never uses change nothing, and read as 0. */
static void hostile_accesses(void **ctx)
{
	struct ppi_state before;

	(void)request(5);
	(void)ask(5);
	before = state;
	for (uint32_t at = 0; at < PPI_SIZE + 8; at++)
		for (unsigned int size = 0; size < 10; size++) {
			bool good = size == 4 && at % 4 == 0 && at <= PPI_MEMORY;

			if (good)
				continue;
			ppi_write(&ppi, at, size, 0x0e0e0e0e0e0e0e0e);
			assert_memory_equal(&state, &before, sizeof(state));
			assert_int_equal(ppi_read(&ppi, at, size), 0);
		}
	assert_int_equal(ask(UINT32_MAX), PPI_NOT_IMPLEMENTED);
	assert_int_equal(request(UINT32_MAX), 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_table_of_operations, setup),
		cmocka_unit_test_setup(a_request_can_be_taken_back, setup),
		cmocka_unit_test_setup(what_was_executed_is_read_only, setup),
		cmocka_unit_test_setup(memory_is_a_register, setup),
		cmocka_unit_test_setup(hostile_accesses, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
