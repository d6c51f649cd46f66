/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl pool` asks for (control.h). */
#ifndef VTPMD_CONTROL_POOL_H
#define VTPMD_CONTROL_POOL_H

#include "tools/vtpmd/control.h"

#include <jansson.h>

void control_op_pool(struct control *c, struct vtpm *none, const json_t *request);
void control_op_pool_accept(struct control *c, struct vtpm *none, const json_t *request);
/* "to": "pool" or "folder".  Begins the move, or tells of it: vtpmctl asks until it is over. */
void control_op_pool_move(struct control *c, struct vtpm *none, const json_t *request);

#endif
