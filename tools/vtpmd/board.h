/* SPDX-License-Identifier: Apache-2.0 */
/* What an HVM guest has on its board besides the registers of its TPM: RAM for the command
 * buffer and for the firmware's event log, and the ACPI tables, which hvmloader copies. */
#ifndef VTPMD_BOARD_H
#define VTPMD_BOARD_H

#include "frontend/crb/saved.h"
#include "tools/vtpmd/xen.h"

/* Makes them for a domain that has not run yet, or goes on with that: b is kept where it
 * outlives this process, and says where.  -ENOMEM, -ENOSPC, -EIO, and *what: for which. */
int __must_check board_furnish(struct xen *x, uint32_t domid, struct saved_board *b,
			       const char **what);
/* Whether a domain has the page of the command buffer. */
bool board_is_there(struct xen *x, uint32_t domid);

#endif
