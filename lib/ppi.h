/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers behind the ACPI methods of physical presence and of memory clearing
 * (tools/vtpmd/tpm.asl), a page that is trapped as the TPM's are: 32 bits each, which are written as a
 * whole and aligned; anything else is ignored, and reads as 0.
 * Source: TCG PC Client Platform Physical Presence Interface 1.30, 2.1 and table 2; TCG
 * Platform Reset Attack Mitigation 1.10, 6.
 *
 * A request is not acted on here: vtpmd keeps it, and the vTPM's manager executes it before
 * the next start of a guest.
 */
#ifndef XVTPM_LIB_PPI_H
#define XVTPM_LIB_PPI_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define PPI_BASE 0xFED46000u
#define PPI_SIZE 0x1000u

enum ppi_register {
	PPI_REQUEST = 0x00,  /* the pending operation; write: function 2 or 7 */
	PPI_ASK = 0x04,	     /* write: an operation; read: enum ppi_answer about it */
	PPI_LAST = 0x08,     /* the operation that was executed last ... */
	PPI_RESPONSE = 0x0c, /* ... and what came of it */
	PPI_MEMORY = 0x10,   /* MemoryOverwriteRequest */
};

/* The answers of function 8. */
enum ppi_answer {
	PPI_NOT_IMPLEMENTED = 0,
	PPI_BLOCKED = 2,
	PPI_NO_USER_NEEDED = 4,
};

/* Of function 5, beside TPM response codes. */
#define PPI_RESPONSE_ABORTED 0xfffffff0u
#define PPI_RESPONSE_FAILED  0xfffffff1u

/* What vtpmd tells the guest. */
struct ppi_told {
	uint32_t allowed;	 /* --ppi allow */
	uint32_t last, response; /* PPI_LAST, PPI_RESPONSE */
};

/* What the guest wrote. */
struct ppi_state {
	uint32_t request, ask, memory;
};

struct ppi {
	struct ppi_state *s;
	const volatile struct ppi_told *told;
};

/* Whether the operation is TPM2_Clear: 5, and those that a TPM 1.2 had more steps for. */
bool ppi_is_clear(uint32_t operation);
/* The guest's access at PPI_BASE + at, of size bytes, 1 to 8. */
uint64_t ppi_read(const struct ppi *p, uint32_t at, unsigned int size);
void ppi_write(struct ppi *p, uint32_t at, unsigned int size, uint64_t value);

#endif
