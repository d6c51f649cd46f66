/* SPDX-License-Identifier: Apache-2.0 */
/* The ops of the control socket by which a vTPM's files go out and come in: backup and what
 * became of it, restore, verify, reseal, accept. */
#ifndef VTPMD_CONTROL_BACKUP_H
#define VTPMD_CONTROL_BACKUP_H

#include <jansson.h>

struct control;
struct vtpm;

void control_op_backup(struct control *c, struct vtpm *v, const json_t *request);
void control_op_backed_up(struct control *c, struct vtpm *v, const json_t *request);
void control_op_restore(struct control *c, struct vtpm *v, const json_t *request);
void control_op_verify(struct control *c, struct vtpm *v, const json_t *request);
void control_op_reseal(struct control *c, struct vtpm *v, const json_t *request);
void control_op_accept(struct control *c, struct vtpm *v, const json_t *request);

#endif
