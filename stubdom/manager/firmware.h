/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager in the place of a machine's firmware: what is done to the TPM between
 * its power-on and the first command of a guest.
 *
 *   _TPM_Init -> TPM2_Startup(CLEAR) -> the clock -> platformAuth := random -> the guest
 *
 * The first command after a power cycle is not the guest's: one that could choose would
 * send Startup(STATE) after a Shutdown(STATE) and an intended crash, and carry the PCRs
 * of a good boot over to a bad kernel (TPM 2.0 Part 1, 12.2.3).  And Linux' own driver,
 * which takes a Xen vTPM for a TPM 1.2, would send none.  A guest's own Startup gets
 * TPM_RC_INITIALIZE: runs already.
 *
 * The platform hierarchy is the machine's maker's (Part 1, 13.3), and here that is
 * the manager: its authorization is known to nobody else, and a new one each time.
 */
#ifndef XVTPM_FIRMWARE_H
#define XVTPM_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"

#define FIRMWARE_AUTH_SIZE 32

struct firmware {
	/* platformAuth, once it runs; for command_auth() */
	uint8_t platform_auth[FIRMWARE_AUTH_SIZE];
	size_t platform_auth_len; /* 0: the empty one, before the TPM is handed over */
};

/* After a power-on.  -errno: no guest may be let near this TPM. */
int __must_check firmware_start(struct firmware *f);
/* Says why a start failed with rc, which it returns: the TPM, or the store. */
int firmware_failed(int rc, struct error *e);
void firmware_wipe(struct firmware *f);

#endif
