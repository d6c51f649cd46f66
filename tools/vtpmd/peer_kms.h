/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manager's way to the KMS: its requests, one at a time (p->kms_type), and the calls of
 * tunnel.h that they become.  Private to peer*.c.
 */
#ifndef VTPMD_PEER_KMS_H
#define VTPMD_PEER_KMS_H

#include "tools/vtpmd/peer_serve.h"

/* CHANNEL_KMS_OPEN, _SEND, _RECV */
void peer_kms(struct peer *p, const struct channel_frame *f, struct cursor *c);
void peer_kms_close(struct peer *p, const struct channel_frame *f, struct cursor *c);
/* Completion of the tunnel's calls. */
void peer_kms_answered(void *ctx, int rc, const uint8_t *data, size_t len);

#endif
