/* SPDX-License-Identifier: Apache-2.0 */
/* The tables as a guest reads them: offsets by the TCG ACPI Specification 1.3, 7.3,
 * and not by the struct that wrote them. */
#include "unit.h"
#include "frontend/crb/crb.h"
#include "tools/vtpmd/acpi.h"

#include <errno.h>
#include <string.h>

#define HEADER 36 /* of every ACPI table */
#define TPM2   76 /* with parameters and log */

static uint8_t bytes[8192];
static size_t len;

static uint64_t little(size_t at, size_t size)
{
	uint64_t v = 0;

	while (size--)
		v = v << 8 | bytes[at + size];
	return v;
}

static uint8_t sum(size_t at, size_t size)
{
	uint8_t s = 0;

	while (size--)
		s = (uint8_t)(s + bytes[at++]);
	return s;
}

static bool contains(size_t at, const char *text)
{
	return memmem(bytes + at, len - at, text, strlen(text));
}

static int setup(void **ctx)
{
	memset(bytes, 0xee, sizeof(bytes));
	return acpi_tables(bytes, sizeof(bytes), &len);
}

static void the_tpm2_table(void **ctx)
{
	assert_memory_equal(bytes, "TPM2", 4);
	assert_int_equal(little(4, 4), TPM2);
	assert_int_equal(little(8, 1), 4);
	assert_int_equal(sum(0, TPM2), 0);
	assert_int_equal(little(36, 2), 0); /* platform class: client */
	assert_int_equal(little(38, 2), 0);
	assert_int_equal(little(40, 8), 0xFED40040); /* control area */
	assert_int_equal(little(48, 4), 7);	     /* start method: CRB */
	assert_int_equal(little(52, 8), 0);	     /* parameters: method 7 has none */
	assert_int_equal(little(60, 4), 0);
	assert_int_equal(little(64, 4), 0x10000); /* log area: length, address */
	assert_int_equal(little(68, 8), 0xFED50000);
}

static void the_log_is_beside_the_registers(void **ctx)
{
	uint64_t log = little(68, 8), area = little(64, 4);

	assert_true(log >= CRB_BASE + 5 * 0x1000);
	assert_true(log + area <= 0x100000000ull);
	assert_true(CRB_BUFFER + 4096 <= log || CRB_BUFFER >= log + area);
}

static void the_ssdt(void **ctx)
{
	assert_memory_equal(bytes + TPM2, "SSDT", 4);
	assert_int_equal(TPM2 + little(TPM2 + 4, 4), len);
	assert_int_equal(sum(TPM2, len - TPM2), 0);
	assert_true(contains(TPM2 + HEADER, "MSFT0101"));
	assert_true(contains(TPM2 + HEADER, "_DSM"));
}

static void little_room(void **ctx)
{
	uint8_t few[TPM2];
	size_t n;

	assert_int_equal(acpi_tables(few, sizeof(few), &n), -ENOSPC);
	assert_int_equal(acpi_tables(bytes, len - 1, &n), -ENOSPC);
	assert_int_equal(acpi_tables(bytes, len, &n), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_tpm2_table, setup),
		cmocka_unit_test_setup(the_log_is_beside_the_registers, setup),
		cmocka_unit_test_setup(the_ssdt, setup),
		cmocka_unit_test_setup(little_room, setup),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
