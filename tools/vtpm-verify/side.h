/* SPDX-License-Identifier: Apache-2.0 */
/* One TPM's part of the evidence, the virtual one's or the host's: parsed, and checked
 * as far as no policy is needed. */
#ifndef VERIFY_SIDE_H
#define VERIFY_SIDE_H

#include "tools/vtpm-verify/evidence.h"

struct side {
	const char *who; /* "vTPM", "host" */
	bool whole_log;	 /* all PCRs that the log extends have to be quoted */
	/* the attestation key is a primary one, of the platform hierarchy, or of the null one
	 * (stubdom/manager/attest.h); else the policy pins its Name */
	bool is_primary;
	const struct evidence_side *e;
	struct tpm2_key ak;
	struct tpm2_attest quote;
	struct tpm2_signature signature;
	struct eventlog log;	/* if e->log is there */
	struct eventlog record; /* if e->record is there */
};

#endif
