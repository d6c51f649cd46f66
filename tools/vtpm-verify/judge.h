/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on evidence, by a policy: every reason there is, not the first alone. */
#ifndef VERIFY_JUDGE_H
#define VERIFY_JUDGE_H

#include "include/compiler.h"
#include "tools/vtpm-verify/evidence.h"
#include "tools/vtpm-verify/policy.h"
#include "lib/tpm2/quote.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* Why evidence is refused: any number of reasons, each a word for programs and a
 * sentence for people.  None: it is accepted. */

#define VERDICT_REASONS 64

struct verdict {
	size_t reasons; /* more than VERDICT_REASONS are counted, not kept */
	struct {
		const char *word;
		char text[400];
	} reason[VERDICT_REASONS];
	/* what was found, for anyone who reads the verdict; "": not known */
	char host[64], vtpm[37];
};

void verdict_add(struct verdict *v, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void verdict_print(const struct verdict *v, bool json, FILE *to);

/* One TPM's part of the evidence, the virtual one's or the host's: parsed, and checked
 * as far as no policy is needed. */

struct side {
	const char *who; /* "vTPM", "host" */
	bool whole_log;	 /* all PCRs that the log extends have to be quoted */
	/* TPM_RH of which the attestation key is a primary; 0: the policy pins its Name */
	uint32_t hierarchy;
	const struct evidence_side *e;
	struct tpm2_key ak;
	struct tpm2_attest quote;
	struct tpm2_signature signature;
	struct eventlog log; /* if e->log is there */
};

struct judge {
	const struct policy *policy;
	const uint8_t *nonce; /* that the verifier sent */
	size_t nonce_len;
	const uint8_t *user; /* user data that it expects */
	size_t user_len;     /* 0: none */
	time_t at;	     /* when certificates have to be valid */
};

void judge(const struct judge *j, const struct evidence *e, struct verdict *v);

void judge_guest(const struct policy *p, const struct side *vtpm, struct verdict *v);

#endif
