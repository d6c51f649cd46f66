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
 * the manager: only it knows the authorization, which is a new one each time.
 */
#ifndef XVTPM_FIRMWARE_H
#define XVTPM_FIRMWARE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/tpm2/cmd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIRMWARE_AUTH_SIZE 32
#define FIRMWARE_AUTH_MAX  64 /* of a digest that TPM2B_AUTH holds, Part 2, 10.4.5 */

struct firmware {
	/* platformAuth, once it runs */
	uint8_t platform_auth[FIRMWARE_AUTH_MAX];
	size_t platform_auth_len; /* 0: the empty one, before the TPM is handed over */
};

/* After a power-on.  -errno: no guest may be let near this TPM. */
int __must_check firmware_start(struct firmware *f);
/* _TPM_Init, for a guest whose own firmware starts the TPM: by TPM2_Startup(STATE), too, which
 * finds nothing of what a guest before it saved. */
int __must_check firmware_leave(struct firmware *f);
/* A TPM that was just powered on: TPM2_ClearControl(NO) and TPM2_Clear by the platform, which
 * a guest requested by physical presence, and powers it on again.  *code: the TPM's response,
 * 0 is done.  -errno: it could not be stored. */
int __must_check firmware_clear(uint32_t *code);
/* Says why a start failed with rc, which it returns: the TPM, or the store. */
int firmware_failed(int rc, struct error *e);
void firmware_wipe(struct firmware *f);
/*
 * A command of an HVM guest that the TPM executed, with its response.  The guest's firmware
 * sets platformAuth (TPM2_HierarchyChangeAuth, with a password and in plain, before it starts
 * the operating system) and forgets it; the manager, which makes the attestation key in
 * that hierarchy, keeps it in *f.  What is set in an encrypted session it does not get to
 * know (attest.h: then the key is of another hierarchy).
 */
void firmware_observe(struct firmware *f, const uint8_t *cmd, size_t len,
		      const uint8_t *rsp, size_t rsp_len);
/* Whether a command of an HVM guest is refused, who holds the platform hierarchy as its firmware,
 * or its root where that leaves it open: what would give the TPM another identity, take from its
 * owner all that is in it (who clears it by TPM_RH_LOCKOUT), or put an NV index in the place of
 * an EK certificate that nobody can delete. */
bool firmware_withholds(const uint8_t *cmd, size_t len);
/* platformAuth; it points into *f. */
struct tpm2_auth firmware_auth(const struct firmware *f);

/*
 * The clock of a TPM 2.0 after a crash.  Without a TPM2_Shutdown it starts at the value
 * that was stored last, and is not safe: a response may have had a later one
 * (Part 1, 36.3.2).  Here it does not go back: it is set to a value above any in a response.
 */

/*
 * The PCR banks of a TPM 2.0.  TPM2_PCR_Allocate asks for the platform's authorization, which an
 * HVM guest's firmware may leave to its root: he could take PCRs from a bank, or a whole one, for
 * good.  What he allocated ends with this run of the vTPM.
 */

/* Starts a TPM that was just powered on; when it has other banks than these (bit n: the
 * n-th of SHA-1, SHA-256, SHA-384, SHA-512), or not all PCRs of them, allocates them, and powers
 * it on again.  The TPM keeps them.  0: none were chosen; those that it has, and SHA-256.
 * -errno */
int __must_check firmware_banks(uint8_t banks);
/* Whether a TPM that runs has all PCRs of SHA-256, and of no other bank a part.  -errno */
int __must_check firmware_banks_are_whole(bool *are);

/*
 * The manager in the place of a machine's firmware, for a TPM 1.2.
 *
 *   TPM_Init -> TPM_Startup(ST_CLEAR) -> enabled and activated
 *     -> once in its life: endorsement key, NV lock, presence set for good
 *     -> no physical presence until the next power-on -> the guest
 *
 * The guest gets a TPM that it can own.  Physical presence is the manager's alone: no
 * guest can clear the TPM without the owner's authorization.  A guest that disables or
 * deactivates its TPM finds it enabled and active after the next power cycle: there is
 * no set-up menu in which somebody could do it.
 */

/* After a power-on; once more, it does nothing.  -errno: no guest may be let near this TPM. */
int __must_check firmware12_start(void);

#endif
