/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on evidence, by a policy: every reason there is, not the first alone. */
#ifndef VERIFY_JUDGE_H
#define VERIFY_JUDGE_H

#include "include/compiler.h"
#include "tools/vtpm-verify/evidence.h"
#include "tools/vtpm-verify/policy.h"
#include "tools/vtpm-verify/side.h"
#include "tools/vtpm-verify/verdict.h"
#include "lib/tpm2/quote.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

struct judge {
	const struct policy *policy;
	const uint8_t *nonce; /* that the verifier sent */
	size_t nonce_len;
	const uint8_t *user;  /* user data that it expects */
	size_t user_len;      /* 0: none */
	time_t at;	      /* when certificates have to be valid */
	json_t **policy_made; /* NULL: none is wanted; else it is that of this boot */
	bool is_first;	      /* the policy is this evidence's own: first.h */
};

void judge(const struct judge *j, const struct evidence *e, struct verdict *v);

void judge_guest(const struct policy *p, const struct side *vtpm, struct verdict *v);

#endif
