/* SPDX-License-Identifier: Apache-2.0 */
/* One TPM's part of the evidence, the virtual one's or the host's: parsed, and checked
 * as far as no policy is needed. */
#ifndef VERIFY_SIDE_H
#define VERIFY_SIDE_H

#include "tools/vtpm-verify/eventlog.h"
#include "tools/vtpm-verify/evidence.h"
#include "tools/vtpm-verify/signature.h"
#include "tools/vtpm-verify/verdict.h"

struct side {
	const char *who; /* "vTPM", "host" */
	bool whole_log;	 /* all PCRs that the log extends have to be quoted */
	/* TPM_RH of which the attestation key is a primary; 0: the policy pins its Name */
	uint32_t hierarchy;
	const struct evidence_side *e;
	struct public ak;
	struct quote quote;
	struct signature signature;
	struct eventlog log; /* if e->log is there */
};

/* false: it does not parse, *v says what, and nothing more can be said. */
bool __must_check side_open(struct side *s, const char *who,
			    const struct evidence_side *e, struct verdict *v);
void side_close(struct side *s);
/* The key's attributes and hierarchy, the signature, the PCRs' digest, and that the log
 * leads to the PCRs. */
void side_check(const struct side *s, struct verdict *v);
/* The PCR's value as it was quoted; NULL: it was not. */
const uint8_t *side_pcr(const struct side *s, const struct tpmalg *alg, unsigned int pcr);

#endif
