/* SPDX-License-Identifier: Apache-2.0 */
/* How a vTPM's life meets what its manager says.  Private to vtpm*.c. */
#ifndef VTPMD_VTPM_PEER_H
#define VTPMD_VTPM_PEER_H

#include "tools/vtpmd/vtpm.h"

extern const struct peer_owner vtpm_peer_owner;

void vtpm_enter(struct vtpm *v, enum vtpm_state state);
/* Whoever waits for managers' answers looks again. */
void vtpm_told(struct vtpm *v);
/* id: of the event, for the journal; or NULL */
void vtpm_progress(struct vtpm *v, const char *text, const char *id);
void vtpm_set_timer(struct vtpm *v, int seconds);
void vtpm_note_trouble(struct vtpm *v, const char *text);
void vtpm_on_fail(void *ctx, uint32_t cause, const char *text);
void vtpm_on_peer_gone(void *ctx);

#endif
