/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this TPM is: the manager in the place of the TPM's maker, who knows the public
 * parts of its endorsement keys and tells them to vtpmd.
 *
 * A new TPM has all of them made, and keeps the RSA-2048 one, which takes long, at the
 * handle where others look for it, as swtpm_setup does.  Later starts make the cheap
 * P-256 one again, which has to be the one that vtpmd knows (it keeps what it was told
 * first); the others only when vtpmd does not know them yet.
 *
 * What a guest can do: TPM2_Clear and EvictControl remove the kept key; it is kept again
 * at the next start, when ownerAuth and endorsementAuth are empty.  With an
 * endorsementAuth of its own nothing can be made here, and what vtpmd knows stands.
 */
#ifndef XVTPM_IDENTITY_H
#define XVTPM_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"

struct identity_ops {
	void *ctx;
	/* TPM2B_PUBLICs; *known: how many vtpmd keeps of this vTPM.  -EPERM: it keeps
	 * others. */
	int (*tell)(void *ctx, const uint8_t *keys, size_t len, uint32_t *known);
};

/* The TPM runs, and no guest has it.  made: it is new, and all has to succeed; else
 * only other keys than those that vtpmd knows are an error. */
int __must_check identity_report(const struct identity_ops *ops, bool made,
				 struct error *e);

#endif
