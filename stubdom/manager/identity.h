/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this TPM is: the manager in the place of the TPM's maker, who knows the public
 * parts of its endorsement keys.  Their Names stand in the vTPM's header (lib/slot/envelope.h),
 * and at each start every key that can be made has to have its Name.
 *
 * A new TPM has all of them made, and keeps the RSA-2048 one, which takes long, at the
 * handle where others look for it, as swtpm_setup does.  Later starts make the others
 * again, and look at the kept one.
 *
 * What a guest can do: TPM2_Clear and EvictControl remove the kept key; it is kept again
 * at the next start, when ownerAuth and endorsementAuth are empty.  With an
 * endorsementAuth of its own nothing can be made here: these keys are not known to be
 * equal, and what the header says stands, since the state is authenticated under it.
 *
 * A key follows from the endorsement seed and its template (lib/tpm2/marshal.h) alone: it is
 * the same each time, and TPM2_Clear leaves it as it is.  Only TPM2_ChangeEPS would change
 * it, which takes the platform's authorization, and nobody has that but the manager
 * (firmware.h).
 */
#ifndef XVTPM_IDENTITY_H
#define XVTPM_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/slot/envelope.h"
#include "lib/error.h"

/* Where swtpm and others keep the RSA key: TCG Registry of Reserved TPM 2.0 Handles and
 * Localities. */
#define IDENTITY_RSA2048_HANDLE 0x81010001u

struct identity_keys {
	uint8_t publics[1024]; /* TPM2B_PUBLICs of all that were made */
	size_t len;
	bool changed; /* Names were added */
};

/* The TPM runs, and no guest has it.  Compares its keys with their Names, and fills in
 * the Names that are not known.  made: the TPM is new, and all has to succeed; else only
 * a key with another Name is an error: -EPERM (CAUSE_WRONG_VTPM). */
int __must_check identity_find(struct identity_keys *keys,
			       struct envelope_name names[ENVELOPE_EKS], bool made,
			       struct error *e);

#endif
