/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a request, each kind of it once.  Private to peer*.c. */
#ifndef VTPMD_PEER_ANSWER_H
#define VTPMD_PEER_ANSWER_H

#include "tools/vtpmd/peer_serve.h"

/* Nothing but success, or rc and its sentence. */
void peer_answer(struct peer *p, const struct channel_frame *f, int rc);
void peer_answer_malformed(struct peer *p, const struct channel_frame *f);
/* Sends what was written to out, which is freed.  rc, or -EMSGSIZE: why there is
 * nothing. */
int peer_answer_written(struct peer *p, const struct channel_frame *f, uint8_t *out,
			const struct cursor *w, int rc, const char *why);

#endif
