/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ops of `vtpmctl launch`.  Private to control*.c.
 *   launch: "uuid" (of the guest's domain), "vtpms": [NAME, ...], "measurements": hex of
 *           lib/measure.h -> "lease": the file that xl has to keep locked
 *   launched: the same uuid and vtpms, "restore": true for a saved guest, once it is locked: when the guest comes, these
 *           vTPMs serve measured guests only, until they are stopped
 *   launch-failed: "uuid": xl did not create it; what that launch changed is put back
 */
#ifndef VTPMD_CONTROL_LAUNCH_H
#define VTPMD_CONTROL_LAUNCH_H

#include "tools/vtpmd/control_op.h"

void control_launch(struct control *c, struct vtpm *none, const json_t *request);
void control_launched(struct control *c, struct vtpm *none, const json_t *request);
void control_launch_failed(struct control *c, struct vtpm *none, const json_t *request);

#endif
