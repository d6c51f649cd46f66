/* SPDX-License-Identifier: Apache-2.0 */
/* A policy to begin with: of evidence that somebody knows to be good. */
#ifndef VERIFY_FIRST_H
#define VERIFY_FIRST_H

#include "tools/vtpm-verify/evidence.h"
#include "tools/vtpm-verify/policy.h"
#include "tools/vtpm-verify/side.h"

#include <jansson.h>

/* The policy that accepts this host in this boot state, this kernel and manager, and these
 * endorsement keys; of what the guest booted it says nothing.  NULL: the evidence does not
 * parse. */
json_t *first_policy(const struct evidence *e);
/* The policy with the events of the launch's log, if there is one; NULL: out of memory. */
json_t *first_launch(const struct policy *p, const struct side *vtpm);

#endif
