/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TPM core's side of the driver.  A chip is registered from xtpm_chip_enroll() to
 * xtpm_chip_retire(), and outlives any number of rings and backends in between.  So does its
 * event log, which is read again from each backend.
 */
#ifndef XEN_TPMFRONT_CHIP_H
#define XEN_TPMFRONT_CHIP_H

#include "front.h"

/* Finds out which TPM this is, starts it and registers it as front->chip.  The ring
 * is started and the phase READY.  -EIO: no answer.  On failure nothing is left. */
int __must_check xtpm_chip_enroll(struct front *front);

/* Unregisters it; sends TPM2_Shutdown if there is a backend. */
void xtpm_chip_retire(struct front *front);

/* Before the guest is saved: lets the TPM save its state, and commands end. */
void xtpm_chip_suspend(struct front *front);

/* Another backend, or the same after a power cycle: starts the TPM with its saved
 * state, or without a saved state, and not at all if it runs.  The ring is
 * started and no command gets to it. */
int __must_check xtpm_chip_revive(struct front *front);

/* The core may use the chip again. */
void xtpm_chip_resume(struct front *front);

#endif
