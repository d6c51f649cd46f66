/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness for systemd: vtpmd is ready when each vTPM that starts with the host runs or
 * has failed, so that the guests, which xendomains.service starts after it, find theirs.
 * One that hangs is not waited for: vtpmd is ready, too, when none has settled for half a
 * minute.
 */
#ifndef VTPMD_READY_H
#define VTPMD_READY_H

#include "compiler.h"
#include "tools/vtpmd/vtpmd.h"

#define READY_S 30 /* without progress */

/* d->autostart is known.  -ENOMEM */
int __must_check ready_begin(struct vtpmd *d);
/* Tells systemd that one more autostarted vTPM left the starting state. */
void ready_progress(struct vtpmd *d);
/* host.json is being read again, and was. */
void ready_reloading(struct vtpmd *d);
void ready_reloaded(struct vtpmd *d);
void ready_end(struct vtpmd *d);

#endif
