/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl rekey` asks for (control.h), and what it waits for. */
#ifndef VTPMD_CONTROL_REKEY_H
#define VTPMD_CONTROL_REKEY_H

#include "tools/vtpmd/control.h"

#include <jansson.h>

/* "deep": true for a new data key */
void control_op_rekey(struct control *c, struct vtpm *v, const json_t *request);
/* The manager has answered, is gone, or has not for REKEY_LOOK_MS. */
void control_on_rekeyed(struct control *c, struct vtpm *v);

#endif
