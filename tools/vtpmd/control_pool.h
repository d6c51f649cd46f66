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
/* {"list": HEX}: the newest signed list of hosts, for migrate-receive; null: none, or no pool. */
void control_op_pool_list(struct control *c, struct vtpm *none, const json_t *request);
/* "question": HEX, of another host -> {"answer": HEX} (lib/witness.h), once it is known what the
 * host's TPM has. */
void control_op_pool_witness(struct control *c, struct vtpm *none, const json_t *request);

#endif
