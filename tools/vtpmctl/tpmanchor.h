/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The anchor of this host's store: 32 bytes in one ordinary NV index of the TPM, the
 * SHA-256 of vtpmd's table of all vTPMs' generations (tools/vtpmd/anchor.h), or
 * zeroes, when there is no table yet: then vtpmd takes the store as it finds it.
 *
 * The index is written under PolicyAuthorize(host policy key) alone: by a host in an
 * approved boot state.  Whoever boots something else, and has the owner's
 * authorization, can remove the index, and make another; but one with other
 * attributes or another policy has another Name than the pinned one, and one with the
 * same has never been written.  Reading is free, in a session that is salted to the
 * pinned storage key, so that nobody on the bus answers in the TPM's place.
 *
 * All need the storage key (tpm_srk_pinned()).  An index that is gone, or another one:
 * -ENOENT, CAUSE_ROLLED_BACK.
 */
#ifndef XVTPM_TPMANCHOR_H
#define XVTPM_TPMANCHOR_H

#include "tools/vtpmctl/hostconf.h"
#include "tools/vtpmctl/tpm.h"

/* In the owner's range (TCG Registry of Reserved TPM 2.0 Handles, 2.2.2); its last
 * bytes are those of the storage key's handle. */
#define TPMANCHOR_INDEX 0x01805654u
#define TPMANCHOR_SIZE	32

/* Makes the index, with zeroes in it, and notes it in *h; one that is in place keeps
 * its value (*made: false), one of another policy key is replaced. */
int __must_check tpmanchor_make(struct tpm *t, struct hostconf *h, bool *made,
				struct error *e);
int __must_check tpmanchor_read(struct tpm *t, const struct hostconf *h,
				uint8_t value[TPMANCHOR_SIZE], struct error *e);
/* -EPERM, CAUSE_PCRS_CHANGED: the boot state is not an approved one. */
int __must_check tpmanchor_write(struct tpm *t, const struct hostconf *h,
				 const uint8_t value[TPMANCHOR_SIZE], struct error *e);

#endif
