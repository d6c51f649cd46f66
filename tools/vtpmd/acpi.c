/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/acpi.h"
#include "frontend/crb/crb.h"

#include <errno.h>
#include <string.h>

#include "tpm.hex" /* tpm_aml_code, of tpm.asl by iasl */

#define METHOD_CRB	 7
#define CONTROL_AREA	 (CRB_BASE + 0x40)
#define TPM2_REVISION	 4
#define PLATFORM_CLIENT	 0
#define CREATOR_REVISION 1

struct tpm2 {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6];
	char oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
	uint16_t platform_class;
	uint16_t reserved;
	uint64_t control_area;
	uint32_t start_method;
	uint8_t parameters[12];
	uint32_t log_length;
	uint64_t log_address;
} __attribute__((packed));

_Static_assert(sizeof(struct tpm2) == 76, "TPM2 table with a log");

int acpi_tables(uint8_t *out, size_t room, size_t *len)
{
	struct tpm2 t = {
		.signature = {'T', 'P', 'M', '2'},
		.length = sizeof(t),
		.revision = TPM2_REVISION,
		.oem = {'X', 'V', 'T', 'P', 'M', 0},
		.oem_table = {'C', 'R', 'B', 0},
		.oem_revision = 1,
		.creator = {'X', 'V', 'T', 'P'},
		.creator_revision = CREATOR_REVISION,
		.platform_class = PLATFORM_CLIENT,
		.control_area = CONTROL_AREA,
		.start_method = METHOD_CRB,
		.log_length = ACPI_LOG_SIZE,
		.log_address = ACPI_LOG_ADDR,
	};
	uint8_t bytes[sizeof(t)], sum = 0;

	if (room < sizeof(t) + sizeof(tpm_aml_code))
		return -ENOSPC;
	memcpy(bytes, &t, sizeof(t));
	for (size_t i = 0; i < sizeof(bytes); i++)
		sum = (uint8_t)(sum + bytes[i]);
	t.checksum = (uint8_t)-sum;
	memcpy(out, &t, sizeof(t));
	memcpy(out + sizeof(t), tpm_aml_code, sizeof(tpm_aml_code));
	*len = sizeof(t) + sizeof(tpm_aml_code);
	return 0;
}
