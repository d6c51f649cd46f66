/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of a TPM 2.0 after a crash.  Without a TPM2_Shutdown it starts at the value
 * that was stored last, and says that it is not safe: it may have told a later one
 * (Part 1, 36.3.2).  Here it does not go back: it is set to what cannot have been told.
 */
#ifndef XVTPM_FIRMWARE_CLOCK_H
#define XVTPM_FIRMWARE_CLOCK_H

#include "command.h"

/* After TPM2_Startup, while platformAuth is the empty one.  -errno */
int __must_check firmware_clock(struct command *c);

#endif
