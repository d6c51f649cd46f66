/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a guest's own firmware, which the guest hands over.  It is worth what the PCRs
 * are: with firmware that measures, each step of the boot is in them before it can do
 * anything; a guest that boots another can extend what it likes.  Which firmware it was the
 * host vouches for when `vtpmctl launch` started the guest, and a policy names it ("image").
 * One that does not has to say so ("unbound"), and a verdict says it, too.
 */
#ifndef VERIFY_FIRMWARE_H
#define VERIFY_FIRMWARE_H

#include "tools/vtpm-verify/policy.h"
#include "tools/vtpm-verify/side.h"
#include "tools/vtpm-verify/verdict.h"

/* Refuses a log that is not of the kind that the policy wants; one of firmware that
 * contradicts itself, has no end of the firmware's part in each of PCRs 0 to 7, or goes on
 * behind ExitBootServices; and one of a boot without the Secure Boot that the policy wants. */
void judge_firmware(const struct policy *p, const struct side *vtpm, struct verdict *v);

/* A policy that accepts this boot, and otherwise what p does: "firmware" and "events" of the
 * side's log, which was accepted by p; to be released.  NULL: there is no memory. */
json_t *firmware_policy(const struct policy *p, const struct side *vtpm);

#endif
