/* SPDX-License-Identifier: Apache-2.0 */
/* The last line of an answer, each kind of it once.  Private to control*.c. */
#ifndef VTPMD_CONTROL_ANSWER_H
#define VTPMD_CONTROL_ANSWER_H

#include "tools/vtpmd/control_op.h"

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

#endif
