/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this TPM is: the manager in the place of the TPM's maker, who knows the public
 * parts of its endorsement keys.  Their Names stand in the vTPM's header (lib/slot/envelope.h),
 * and at each start every key that can be made has to have its Name.
 *
 * A new TPM has all of them made, and keeps the RSA-2048 one, which takes long, at the
 * handle where others look for it, as swtpm_setup does.
 *
 * To make the two of elliptic curves takes as long as all else that a start does by itself.
 * So the start that made all of them leaves a witness with vtpmd, and later ones compare that
 * (include/ekwitness.h).  If it is another one, or there is none, all keys are made, and
 * compared with their Names; those of elliptic curves, at least, where the RSA one is kept.
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
#include "lib/tpm2/marshal.h"

/* Where swtpm and others keep the RSA key: TCG Registry of Reserved TPM 2.0 Handles and
 * Localities. */
#define IDENTITY_RSA2048_HANDLE 0x81010001u

struct identity_keys {
	/* for CHANNEL_IDENTITY: TPM2B_PUBLICs of all that were made, and if there are all
	 * the witness, when it is asked for */
	uint8_t publics[1024];
	size_t len;
	bool changed; /* Names were added */
};

struct identity_options {
	bool is_new;	    /* the TPM: making its keys has to succeed */
	bool wants_witness; /* vtpmd keeps it ... */
	struct tpm2_bytes
		witness; /* ... and has this one, and all keys; n 0: it has none */
};

/* The TPM runs, and no guest has it.  Compares its keys with their Names, and fills in
 * the Names that are not known.  Of a TPM that is not new only a key with another Name
 * is an error: -EPERM (CAUSE_WRONG_VTPM). */
int __must_check identity_find(struct identity_keys *keys,
			       struct envelope_name names[ENVELOPE_EKS],
			       const struct identity_options *options, struct error *e);

#endif
