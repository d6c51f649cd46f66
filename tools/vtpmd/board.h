/* SPDX-License-Identifier: Apache-2.0 */
/* What an HVM guest has on its board besides the registers of its TPM: RAM for the command
 * buffer and for the firmware's event log, and the ACPI tables, which hvmloader copies. */
#ifndef VTPMD_BOARD_H
#define VTPMD_BOARD_H

#include "tools/vtpmd/xen.h"

/* Makes them for a domain that has not run yet.  -ENOMEM, -ENOSPC, -EIO, and *what: for
 * which. */
int __must_check board_furnish(struct xen *x, uint32_t domid, const char **what);

#endif
