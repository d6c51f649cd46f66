/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's part of deep quotes.  What the host's TPM signs for is composed here, of what
 * vtpmd knows itself about the manager that asks (lib/binding.h): a manager can say which
 * key in its TPM it vouches for, and nothing about who it is or what it runs.
 *
 * The quote is a child's, `vtpmctl host quote`, so that the loop does not wait for a TPM; one
 * at a time.  Each vTPM has one place in the queue and, when it was served, goes to the end, after all
 * who wait: it waits for one quote of each other vTPM at most.  Each has a bucket of its
 * own, and none is shared, which one could drain.  EAGAIN: this vTPM asks too
 * often, or its turn did not come while its manager waits.  What `vtpmctl attest` asks for
 * is not counted, so that a guest cannot use up its operator's.
 */
#ifndef VTPMD_QUOTE_H
#define VTPMD_QUOTE_H

#include "tools/vtpmd/vtpm.h"

struct quote;

/* d->quote; -ENOMEM */
int __must_check quote_init(struct vtpmd *d);
void quote_end(struct vtpmd *d);
/* Answers CHANNEL_QUOTE for a vTPM (struct peer_owner). */
int quote_on_peer(void *ctx, uint32_t id, const uint8_t *request, size_t len,
		  const char **why);
/* The vTPM's peer goes away: drops its request. */
void quote_forget(struct vtpm *v);

#endif
