/* SPDX-License-Identifier: Apache-2.0 */
/* Answers EVENT_ATTEST.  Private to vtpm*.c. */
#ifndef XVTPM_VTPM_ATTEST_H
#define XVTPM_VTPM_ATTEST_H

#include "attest.h"
#include "hostchan.h"

/* For `vtpmctl attest`: the guest has no part in it, and keeps what it may be reading. */
void vtpm_attest(struct hostchan *chan, const struct attest *guest);

#endif
