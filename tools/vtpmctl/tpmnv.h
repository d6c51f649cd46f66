/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NV indexes of the host's TPM that are pinned by their Names: the anchor and the
 * counter of revocations.  All need the storage key (tpm_srk_pinned()).
 *
 * A Name has an index's handle, attributes, policy and size, and that it was written; not
 * its authValue.  Anyone who has the owner's authorization can make an index of the same Name
 * again, with an authValue of his own.
 */
#ifndef XVTPM_TPMNV_H
#define XVTPM_TPMNV_H

#include "tools/vtpmctl/tpm.h"

/* The Name that it has once it is written (Part 1, 16): not before. */
int __must_check tpmnv_written_name(const TPMS_NV_PUBLIC *public,
				    uint8_t name[TPM_NAME_SIZE]);
/* The index as the TPM has it.  -ENOENT: nothing is there; -EXDEV: it has another Name;
 * for both, *e is the caller's to set. */
int __must_check tpmnv_find(struct tpm *t, uint32_t index,
			    const uint8_t name[TPM_NAME_SIZE], ESYS_TR *nv,
			    struct error *e);
/* Makes it, with this authValue, which crosses the bus encrypted; NULL: none. */
int __must_check tpmnv_define(struct tpm *t, const TPMS_NV_PUBLIC *public,
			      const TPM2B_AUTH *auth, ESYS_TR *nv, struct error *e);
/* What is at the handle already: *nv and *written if it can stay; *nv is ESYS_TR_NONE when
 * nothing is there, or when it was ours, of another policy, and is removed now.  -EXDEV,
 * CAUSE_TPM_REFUSED: another program's */
int __must_check tpmnv_take(struct tpm *t, const TPMS_NV_PUBLIC *wanted, ESYS_TR *nv,
			    bool *written, struct error *e);

/* Removes it, whatever it is; *nv is ESYS_TR_NONE then. */
int __must_check tpmnv_remove(struct tpm *t, ESYS_TR *nv, struct error *e);

/* Makes the counter with h->auth, or finds that it is there, and pins its Name in *h.  One
 * with another authValue is replaced, which ends all approvals, too. */
int __must_check tpmcounter_make(struct tpm *t, struct hostconf *h, struct error *e);
/* -ENOENT, CAUSE_TPM_REFUSED: it is gone, or another one. */
int __must_check tpmcounter_read(struct tpm *t, const struct hostconf *h,
				 uint64_t *number, struct error *e);
int __must_check tpmcounter_increment(struct tpm *t, const struct hostconf *h,
				      struct error *e);

#endif
