/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager's requests for its own vTPM's objects.  Private to peer*.c.
 *
 * A state that the disk does not take is kept in p->put and tried again until the disk
 * does; the answer, and the guest, wait for that.  Only one waits at a time.
 */
#ifndef VTPMD_PEER_STORE_H
#define VTPMD_PEER_STORE_H

#include "tools/vtpmd/peer_serve.h"

void peer_store_get(struct peer *p, const struct channel_frame *f, struct cursor *c);
void peer_store_put(struct peer *p, const struct channel_frame *f, struct cursor *c);
/* The manager is gone, and what waits with it. */
void peer_store_end(struct peer *p);

#endif
