/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables of an HVM guest's TPM: TPM2, revision 4, and an SSDT with the device
 * MSFT0101 (tpm.asl).  Source: TCG ACPI Specification 1.3, 7.3. */
#ifndef VTPMD_ACPI_H
#define VTPMD_ACPI_H

#include "include/compiler.h"

#include <stddef.h>
#include <stdint.h>

/* The area of the firmware's event log, RAM of the guest. */
#define ACPI_LOG_ADDR 0xFED50000u
#define ACPI_LOG_SIZE 0x10000u

/* Writes the tables, one after the other.  -ENOSPC */
int __must_check acpi_tables(uint8_t *out, size_t room, size_t *len);

#endif
