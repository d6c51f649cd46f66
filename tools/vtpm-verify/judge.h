/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on evidence, by a policy: every reason there is, not the first alone. */
#ifndef VERIFY_JUDGE_H
#define VERIFY_JUDGE_H

#include <time.h>
#include "tools/vtpm-verify/evidence.h"
#include "tools/vtpm-verify/policy.h"
#include "tools/vtpm-verify/side.h"
#include "tools/vtpm-verify/verdict.h"

struct judge {
	const struct policy *policy;
	const uint8_t *nonce; /* that the verifier sent */
	size_t nonce_len;
	const uint8_t *user; /* user data that it expects */
	size_t user_len;     /* 0: none */
	time_t at;	     /* when certificates have to be valid */
};

void judge(const struct judge *j, const struct evidence *e, struct verdict *v);

/* The parts, for judge.c: what the policy says about the host, and about the guest. */
void judge_host(const struct policy *p, const struct side *host, const uint8_t uuid[16],
		struct verdict *v);
void judge_guest(const struct policy *p, const struct side *vtpm, struct verdict *v);

#endif
