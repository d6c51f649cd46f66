/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to an op that starts or stops a vTPM: CREATE, START, STOP, DELETE.
 * Private to control*.c.
 */
#ifndef VTPMD_CONTROL_SETTLE_H
#define VTPMD_CONTROL_SETTLE_H

#include "tools/vtpmd/control_op.h"

/* Answers when the vTPM has settled, which may be now; until then c is on its list of
 * waiters, and the client is told what goes on.  A DELETE removes the vTPM then. */
void control_settle(struct control *c, struct vtpm *v);

#endif
