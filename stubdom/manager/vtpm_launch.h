/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest that comes was started as.  Private to vtpm*.c. */
#ifndef XVTPM_VTPM_LAUNCH_H
#define XVTPM_VTPM_LAUNCH_H

#include <stdbool.h>
#include "eventlog.h"
#include "hostchan.h"

/* Asks vtpmd what was measured of domain domid, and measures it into the TPM, which was
 * just started.  0: it was, or, unless only, it was not and the log is empty.  -EPERM:
 * only, and it was not; other failures: it could not be done.  vtpmd's log has why. */
int __must_check vtpm_launch(struct hostchan *chan, uint32_t domid, bool only,
			     struct eventlog *log);

#endif
