/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ops that managers have a say in.  Private to control*.c.
 *
 * Each asks the managers concerned, and is answered once all of them have told, or left,
 * or did not in time.  Meanwhile c->asking; control.c's timer and event bring it back.
 */
#ifndef VTPMD_CONTROL_ASK_H
#define VTPMD_CONTROL_ASK_H

#include "tools/vtpmd/control_op.h"

/* SHOW, LIST, and, as it depends on whether a guest is there, STOP and DELETE. */
void control_ask(struct control *c, struct vtpm *v, const json_t *request);
void control_ask_resume(struct control *c, struct vtpm *v, const json_t *request);
/* "deep": true for a new data key */
void control_ask_rekey(struct control *c, struct vtpm *v, const json_t *request);
/* "nonce": hex, "pcrs": a mask -> "evidence" */
void control_ask_attest(struct control *c, struct vtpm *v, const json_t *request);
/* "certificates": as cert_install() takes them */
void control_ask_certify(struct control *c, struct vtpm *v, const json_t *request);

/* A manager told, or left, or c's time is over: perhaps all have by now; then c->answer
 * follows from the loop. */
void control_ask_status(struct control *c);
/* Of c->answer. */
void control_ask_answer(struct control *c);

#endif
