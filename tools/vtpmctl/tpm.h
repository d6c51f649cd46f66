/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's TPM for `vtpmctl host`, over libtss2-esys.  What it seals, a manager
 * unseals with its own client (stubdom/manager/hosttpm): object attributes and
 * policies are the same in both.
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
#include "tools/vtpmctl/policykey.h"

#include <stdbool.h>
#include <tss2/tss2_common.h>
#include <tss2/tss2_esys.h>

#define TPM_TCTI	"device:/dev/tpmrm0"
#define TPM_OBJECT_MAX	1024 /* TPM2B_PUBLIC | TPM2B_PRIVATE */
#define TPM_NAME_SIZE	34
#define TPM_SECRET_SIZE 32

struct tpm {
	TSS2_TCTI_CONTEXT *tcti;  /* to the TPM */
	TSS2_TCTI_CONTEXT *again; /* around it, for esys */
	ESYS_CONTEXT *esys;
	ESYS_TR srk;   /* after tpm_srk_*() */
	ESYS_TR audit; /* a session for what is read; after the first tpm_audit() */
};

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

/* The session for a command that is only read from: HMAC, audit, salted to the storage
 * key.  ESYS_TR_NONE while there is none, before `host init`: then nothing says that the
 * answer is the TPM's. */
TSS2_RC tpm_audit(struct tpm *t, ESYS_TR *session);

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

/* What tpm.c, tpmnv.c, tpmseal.c, host_anchor.c and host_quote.c share. */

/* -EIO and "the host's TPM refused to DOING: what it said"; -ENODEV (CAUSE_TPM_UNREACHABLE)
 * when it said nothing. */
int tpmrc_set(struct error *e, TSS2_RC rc, const char *doing);

/* A session salted to the storage key; secrets cross the bus encrypted by it, and
 * nobody on the bus can answer in the TPM's place. */
TSS2_RC tpm_start_session(struct tpm *t, TPM2_SE type, TPMA_SESSION attributes,
			  ESYS_TR *session);
/* PolicyPCR, PolicyNV, and PolicyAuthorize with the approval's signature for this purpose.
 */
TSS2_RC tpmseal_policy(struct tpm *t, const struct hostconf *h,
		       enum approval_purpose purpose, const struct approval *a,
		       ESYS_TR session);
/* Loads a public part, and has the TPM check a signature of hash by it. */
/* *len: in, room; out, bytes of TPM2B_PUBLIC | TPM2B_PRIVATE. */
TSS2_RC tpmseal_marshal(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
			uint8_t *object, size_t *len);
/* Loads such an object under the storage key, in the session, and sets its authValue. */
TSS2_RC tpmseal_load(struct tpm *t, ESYS_TR session, const uint8_t *object, size_t len,
		     const uint8_t auth_value[HOSTCONF_AUTH_SIZE], ESYS_TR *out);
TSS2_RC tpmseal_load_public(struct tpm *t, const uint8_t public[POLICYKEY_PUBLIC_SIZE],
			    ESYS_TR *key);
TPMT_SIGNATURE tpmseal_signature(const struct approval_signature *s);

#endif
