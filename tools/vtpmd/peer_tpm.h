/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHANNEL_TPM: one manager's way to the host's TPM.  It is open while its vTPM starts
 * (from HELLO to READY or FAIL) and while it makes new key slots (from EVENT_REKEY to
 * REKEYED), for PEER_TPM_S at most; when it shuts, the TPM's file is closed, and with it
 * the kernel flushes what the manager left in the TPM.  What is sent is judged by
 * tpm_filter.h and slowed down by a bucket of the vTPM's,
 * which is full for what an operator asks for.  Private to peer*.c.
 */
#ifndef VTPMD_PEER_TPM_H
#define VTPMD_PEER_TPM_H

#include "tools/vtpmd/peer_serve.h"

/* 0 or -ENOMEM */
int __must_check peer_tpm_init(struct peer *p);
void peer_tpm_end(struct peer *p);
void peer_tpm(struct peer *p, const struct channel_frame *f, struct cursor *c);
void peer_tpm_close(struct peer *p);

#endif
