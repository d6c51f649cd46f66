/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measured launch, from the TPM's side: what vtpmd knows about a guest goes into
 * the PCRs and into the event log before the guest's first command, as a machine's
 * firmware does it.  Of an HVM guest, whose own firmware measures, it is the firmware
 * that libxl gives to it: this goes into the log alone, which the host's quote binds.
 */
#ifndef XVTPM_LAUNCH_H
#define XVTPM_LAUNCH_H

#include "eventlog.h"

/* Extends each event of the list (lib/measure.h) into all banks that the TPM has, and
 * writes the log; of a record it writes the log, and sends the TPM nothing.  -EBADMSG: no such list; -EREMOTEIO: the TPM refused; else what the
 * engine or the log said.  After a failure no guest may be let near this TPM. */
int __must_check launch_measure(const uint8_t *list, size_t len, struct eventlog *log);

#endif
