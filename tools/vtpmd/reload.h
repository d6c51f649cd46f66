/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP, and what `vtpmctl host renew` asks for: host.json is new.  Every start and
 * every rekey reads it anew by itself; here it is looked at at once, and what failed
 * with the one of before is started again without waiting. */
#ifndef VTPMD_RELOAD_H
#define VTPMD_RELOAD_H

#include "compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/vtpmd.h"

/* On failure *e says what is wrong with it; nothing changes for vTPMs that run. */
int __must_check reload(struct vtpmd *d, struct error *e);

#endif
