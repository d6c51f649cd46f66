/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ops that make a vTPM.  Private to control*.c.
 *   create: "policy", "memory", "placement", "measured": control.h;
 *           "tpm": "2.0" or "1.2"; "localities", "pcr_banks": masks
 *   clone:  "to": the new one's name, "identity": "new" or "copy"
 */
#ifndef VTPMD_CONTROL_CREATE_H
#define VTPMD_CONTROL_CREATE_H

#include "tools/vtpmd/control_op.h"

void control_create(struct control *c, struct vtpm *none, const json_t *request);
/* A new vTPM as another one; its state, too, when the identity is to be the same. */
void control_clone(struct control *c, struct vtpm *source, const json_t *request);

#endif
