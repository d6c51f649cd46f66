/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_HOST_ANCHOR_H
#define XVTPM_VTPMCTL_HOST_ANCHOR_H

#include "lib/hostconf.h"
#include "tools/vtpmctl/tpm.h"

/*
 * The anchor of this host's store: 32 bytes in one ordinary NV index of the TPM, the
 * SHA-256 of vtpmd's table of all vTPMs' generations (tools/vtpmd/anchor.h), or the random
 * one-time value h->anchor_adopt, when there is no table yet: then, and only then, vtpmd
 * takes the store as it finds it, if h->anchor_take_store says so; else a vtpmd that runs
 * anchors what it knows, and another one starts no vTPM.
 *
 * The index is written under PolicyAuthorize(host policy key, APPROVAL_ANCHOR) and
 * PolicySigned(anchor key): by a host in an approved boot state, and by who can read
 * host.json, which has the anchor key's private part.  An authValue would not do: it is not
 * part of the Name.  Anyone who has the owner's authorization can remove the index, and make
 * another; but one with other attributes or another policy has another Name than the
 * pinned one, and one with the same has never been written.  Reading is free, in a session that is salted to the
 * pinned storage key, so that an interposer on the bus cannot answer for the TPM.
 *
 * All need the storage key (tpm_srk_pinned()).  An index that is gone, or another one:
 * -ENOENT, CAUSE_ROLLED_BACK.
 */

/* In the owner's range (TCG Registry of Reserved TPM 2.0 Handles, 2.2.2); its last
 * bytes are those of the storage key's handle. */
#define TPMANCHOR_INDEX 0x01805654u
#define TPMANCHOR_SIZE	32

/* Makes the index, with a new one-time value in it, and notes both in *h, and an anchor
 * key if it has none; an index that is in place keeps its value (*made: false), unless it
 * is to have one again.  One of another policy is replaced. */
int __must_check tpmanchor_make(struct tpm *t, struct hostconf *h, bool anew, bool *made,
				struct error *e);
int __must_check tpmanchor_read(struct tpm *t, const struct hostconf *h,
				uint8_t value[TPMANCHOR_SIZE], struct error *e);

#endif
