/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start takes before a vTPM's manager is there: its folder and the lease on it,
 * host.json, the anchor, and a body; or the body that an earlier vtpmd left.  Private to
 * vtpm*.c; vtpm_start() and vtpm_adopt() are in vtpm.h.
 */
#ifndef VTPMD_VTPM_START_H
#define VTPMD_VTPM_START_H

#include "tools/vtpmd/vtpm.h"

/* Seconds; a KMS or a TPM that hangs is given up by the manager before. */
#define VTPM_START_S 180

/* What a start needs of the store and the anchor; of all that start together, before the
 * TPM is written, once.  v->begun; on failure vtpm_start_failed() follows. */
int __must_check vtpm_start_begin(struct vtpm *v, struct error *e);
/* The lease is given back, and *e is the vTPM's error; the state is for the caller to
 * set. */
void vtpm_start_failed(struct vtpm *v, const struct error *e);
/* Starts the manager of one that has begun.  -EAGAIN: the TPM has not yet what it is to
 * have; on another failure all is as after vtpm_start_failed(). */
int __must_check vtpm_start_body(struct vtpm *v, struct error *e);

/* When a vTPM is started that nobody waits for: after the host's start, and again after
 * the KMS or the TPM was away. */

/* As many of those that wait as may start now. */
void vtpm_start_queued(struct vtpmd *d);
/* In how many seconds it may be started without an operator, as the start costs a write of
 * the host's TPM, or it was ready; 0: at once.  Once for each start. */
time_t vtpm_wear_pause(struct vtpm *v);
/* Starts it again after so many seconds. */
void vtpm_start_after(struct vtpm *v, time_t seconds);
/* It failed: sees whether time may mend that. */
void vtpm_try_again_later(struct vtpm *v);
/* Of v->pause: the time has come. */
void vtpm_on_pause(evutil_socket_t fd, short what, void *ctx);

#endif
