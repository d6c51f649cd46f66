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

#include "include/compiler.h"
#include "tools/vtpmd/control_op.h"
#include "tools/vtpmd/vtpmd.h"

int __must_check control_open(struct vtpmd *d);
void control_close(struct vtpmd *d);

/* The last line of an answer, each kind of it once.  Private to control*.c. */

/* Any such line; it is taken over. */
void control_answer_with(struct control *c, json_t *line);
/* ... "uuid" */
void control_answer_ok(struct control *c, const uint8_t uuid[16]);
/* The same, once the host's TPM has the generations: what an operator did is not to be
 * undone by an older copy of the store. */
void control_answer_anchored(struct control *c, const uint8_t uuid[16]);
/* {"ok": false, ...}; word: a cause, as docs/formats.md lists them */
void control_answer_word(struct control *c, const char *word, const char *text);
/* e's sentence and cause; rc -EEXIST and -EBUSY have words of their own */
void control_answer_refuse(struct control *c, int rc, const struct error *e);
/* What vtpmctl does not send. */
void control_answer_malformed(struct control *c);
/* There is no vTPM c->name. */
void control_answer_no_such(struct control *c);

/*
 * The answer to an op that starts or stops a vTPM: CREATE, START, STOP, DELETE.
 * Private to control*.c.
 */

/* Answers when the vTPM has settled, which may be now; until then c is on its list of
 * waiters, and the client is told what goes on.  A DELETE removes the vTPM then. */
void control_settle(struct control *c, struct vtpm *v);

#endif
