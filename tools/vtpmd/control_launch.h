/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl launch` asks for (control.h): before xl runs, when it does, and when it failed. */
#ifndef VTPMD_CONTROL_LAUNCH_H
#define VTPMD_CONTROL_LAUNCH_H

#include "tools/vtpmd/control.h"

#include <jansson.h>

void control_op_launch(struct control *c, struct vtpm *none, const json_t *request);
void control_op_launched(struct control *c, struct vtpm *none, const json_t *request);
void control_op_launch_failed(struct control *c, struct vtpm *none,
			      const json_t *request);

#endif
