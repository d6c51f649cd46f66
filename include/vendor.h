/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of our own to a vTPM, which the manager answers before the TPM sees them.
 * They have the V bit, TPM 2.0 Part 2, 8.9 (TPMA_CC), take no sessions (tag
 * TPM_ST_NO_SESSIONS) and no handles, and are answered as Part 1, 18 says: errors are
 * ordinary TPM_RCs.  They work whether the TPM was started or not.
 *
 * Linux passes them through /dev/tpm0 and, as they are not among TPM_CAP_COMMANDS, not
 * through /dev/tpmrm0.
 *
 * XVTPM_CC_READ_LOG   u32 offset -> u32 total | TPM2B bytes
 *   The event log of this guest's launch (stubdom/manager/eventlog.h), from offset on,
 *   at most VENDOR_CHUNK bytes at once; none when offset is total.  total 0: the guest
 *   was not measured.  TPM_RC_VALUE, parameter 1: offset is past the end.
 *
 * XVTPM_CC_ATTEST   TPM2B nonce | u32 PCRs | TPM2B user data -> u32 total
 *   Makes evidence of this vTPM and its host (docs/attestation.md), for
 *   XVTPM_CC_READ_EVIDENCE, and drops the previous one.  The nonce is the verifier's,
 *   16 to 64 bytes; bit n of PCRs: PCR n of every bank; the user data, 0 to 64 bytes, is
 *   what the caller wants to have signed with it.  The manager quotes, with an attestation
 *   key that only the manager can use.  TPM_RC_RETRY: too many in too short a time for this
 *   vTPM, or for the host's TPM; TPM_RC_DISABLED: the host cannot quote;
 *   TPM_RC_OBJECT_MEMORY: the guest has left no place in the TPM for the attestation key.
 *
 * XVTPM_CC_READ_EVIDENCE   u32 offset -> u32 total | TPM2B bytes
 *   As XVTPM_CC_READ_LOG.
 */
#ifndef XVTPM_VENDOR_H
#define XVTPM_VENDOR_H

#include "lib/tpm2/types.h"

#define XVTPM_CC_VENDOR	       0x20000000u /* the V bit */
#define XVTPM_CC_READ_LOG      0x20005601u
#define XVTPM_CC_ATTEST	       0x20005602u
#define XVTPM_CC_READ_EVIDENCE 0x20005603u

#define VENDOR_CHUNK 2048

#endif
