/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ops of the control socket (control.h).  Those that managers have a say in ask the
 * managers concerned, and are answered once all of them have told, or left, or did not in
 * time.  Meanwhile c->asking; control.c's timer and event bring it back.
 */
#ifndef VTPMD_CONTROL_OP_H
#define VTPMD_CONTROL_OP_H

#include "tools/vtpmd/control.h"

extern const struct control_handlers control_ops;

#endif
