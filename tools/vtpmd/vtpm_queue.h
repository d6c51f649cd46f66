/* SPDX-License-Identifier: Apache-2.0 */
/* When a vTPM is started that nobody waits for: after the host's start, and again after
 * the KMS or the TPM was away.  Private to vtpm*.c. */
#ifndef VTPMD_VTPM_QUEUE_H
#define VTPMD_VTPM_QUEUE_H

#include <event2/util.h>
#include "tools/vtpmd/vtpm.h"

/* As many of those that wait as may start now. */
void vtpm_start_queued(struct vtpmd *d);
/* It has settled: one more, if it was one of those that are started with the host. */
void vtpm_autostarted(struct vtpm *v);
/* It failed: sees whether time may mend that. */
void vtpm_try_again_later(struct vtpm *v);
/* Starts it again after so many seconds. */
void vtpm_start_after(struct vtpm *v, time_t seconds);
/* In how many seconds it may be started without an operator, as the start costs a write of
 * the host's TPM, or it was ready; 0: at once.  Once for each start. */
time_t vtpm_wear_pause(struct vtpm *v);
/* Of v->pause: the time has come. */
void vtpm_on_pause(evutil_socket_t fd, short what, void *ctx);

#endif
