/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (0600), for vtpmctl.  One JSON object a line; a request is
 *   {"op": "create|start|stop|delete|show", "name": NAME, ...} or {"op": "list"}
 *   create: "policy" ("host"), "memory" (8, MiB), "placement" (vtpmd's default)
 *   "measured": true, for measured guests only; launch, launched: control_launch.h
 *   resume, backup, rekey, accept: a name alone; restore, reseal: backup.h
 *   stop, delete: "force": true, also when a guest is connected
 * Its answer is any number of {"progress": SENTENCE}, then one of
 *   {"ok": true, "uuid": UUID}   create, start, stop, delete
 *   {"ok": true, "vtpm": {...}}, {"ok": true, "vtpms": [...]}   show, list
 *   {"ok": false, "error": SENTENCE, "cause": WORD}
 * WORD is one of lib/error.h's, "no-such-vtpm", "exists" or "busy".
 */
#ifndef VTPMD_CONTROL_H
#define VTPMD_CONTROL_H

#include "tools/vtpmd/vtpmd.h"
#include "compiler.h"

int __must_check control_open(struct vtpmd *d);
void control_close(struct vtpmd *d);

#endif
