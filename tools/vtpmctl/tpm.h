/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's TPM for `vtpmctl host`: what it has and is set up with over libtss2-esys;
 * what is made under the storage key, and what needs an approval, with the managers' own
 * client.
 *
 * Anyone who is on the TPM's bus, or in place of a relay, may answer in its place.  So what
 * is believed is read in sessions that are salted to the storage key, whose Name host.json
 * pins (tpm_srk_pinned()): the response's HMAC says that it is the TPM's.
 *
 * Failures: -ENODEV (CAUSE_TPM_UNREACHABLE), -EXDEV (CAUSE_TPM_REPLACED), else
 * -EIO (CAUSE_TPM_REFUSED) with what the TPM said.
 */
#ifndef XVTPM_TPM_H
#define XVTPM_TPM_H

#include "lib/error.h"
#include "lib/hostconf.h"
#include "stubdom/manager/hosttpm.h"
#include "tools/vtpmctl/policykey.h"

#include <stdbool.h>
#include <tss2/tss2_common.h>
#include <tss2/tss2_esys.h>

#define TPM_TCTI      "device:/dev/tpmrm0"
#define TPM_NAME_SIZE 34

struct tpm {
	const char *name; /* of the TCTI */
	TSS2_TCTI_CONTEXT
	*tcti; /* to the TPM; NULL between the tries of a busy one on a socket */
	TSS2_TCTI_CONTEXT *again; /* around it, for esys */
	ESYS_CONTEXT *esys;
	ESYS_TR srk; /* after tpm_srk_*() */
	/* a session for what is read; from tpm_audit() on, until another session is started, or
	 * what tpm_transport() gives finds that the TPM has no memory, or tpm_rest() */
	ESYS_TR audit;
};

/* *t may not move, and tcti has to stay, until tpm_close(). */
int __must_check tpm_open(struct tpm *t, const char *tcti, struct error *e);
void tpm_close(struct tpm *t);

/* Makes the storage primary at the handle, or finds that it is there; refuses an
 * object there that is not it.  *made: it was not there before. */
int __must_check tpm_srk_make(struct tpm *t, uint32_t handle, uint8_t name[TPM_NAME_SIZE],
			      bool *made, struct error *e);
/* Reads what is at the handle; -ENOENT (CAUSE_TPM_REPLACED) when nothing is. */
int __must_check tpm_srk_find(struct tpm *t, uint32_t handle, uint8_t name[TPM_NAME_SIZE],
			      struct error *e);

/* The same; refuses a TPM whose storage key has another Name than the pinned one. */
int __must_check tpm_srk_pinned(struct tpm *t, uint32_t handle,
				const uint8_t pinned[TPM_NAME_SIZE], struct error *e);

/* Removes it from its handle, after tpm_srk_pinned(). */
int __must_check tpm_srk_remove(struct tpm *t, uint32_t handle, struct error *e);

/* The session for a command that is only read from: HMAC, audit, salted to the storage
 * key.  ESYS_TR_NONE before `host init`: then nothing says that the
 * answer is the TPM's. */
TSS2_RC tpm_audit(struct tpm *t, ESYS_TR *session);

/* Gives that session back, before something else is waited for: the next reading has another one. */
void tpm_rest(struct tpm *t);

/* Whether a persistent object, or an NV index, is at the handle. */
int __must_check tpm_handle_used(struct tpm *t, uint32_t handle, bool *used,
				 struct error *e);
/* -EIO: it has none, or not one of SHA-256. */
int __must_check tpm_name(struct tpm *t, ESYS_TR object, uint8_t name[TPM_NAME_SIZE]);

/* Fills the values of the SHA-256 bank's PCRs; all others are zeroed. */
int __must_check tpm_pcrs(struct tpm *t, uint32_t pcrs,
			  uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE],
			  struct error *e);
/* PolicyPCR in a trial session: the TPM's own idea of the digest, now, in one moment. */
int __must_check tpm_policy_digest(struct tpm *t, uint32_t pcrs,
				   uint8_t digest[APPROVAL_HASH_SIZE], struct error *e);

/* The client that managers have of the host's TPM (stubdom/manager/hosttpm.h), here: its
 * configuration, without approvals, and the way to the TPM.  h has to outlive *c. */
void tpm_hosttpm_config(const struct hostconf *h, struct hosttpm_config *c);
struct tpm2_transport tpm_transport(struct tpm *t);

/* What tpm.c, tpmnv.c, host_anchor.c and host_quote.c share. */

/* -EIO and "the host's TPM refused to DOING: what it said"; -ENODEV (CAUSE_TPM_UNREACHABLE)
 * when it said nothing. */
int tpmrc_set(struct error *e, TSS2_RC rc, const char *doing);

/* A session salted to the storage key; secrets cross the bus encrypted by it, and
 * an interposer on the bus cannot answer for the TPM. */
TSS2_RC tpm_start_session(struct tpm *t, TPM2_SE type, TPMA_SESSION attributes,
			  ESYS_TR *session);

#endif
