/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vTPM that vtpmd started, in a stub domain or as a process: configured over
 * the host channel, unlocked, served to the guest until vtpmd says stop.
 */
#ifndef XVTPM_VTPM_H
#define XVTPM_VTPM_H

#include "include/compiler.h"
#include "lib/error.h"
#include "stubdom/manager/depriv.h"

#include <stdbool.h>

struct hostchan;

struct vtpm_place {
	bool stubdom;		 /* vchan, /proc/xen-stub; else the socket on fd 3 */
	bool no_xen;		 /* no guest: commands on unix_path, for tests */
	const char *unix_path;	 /* NULL: none */
	struct depriv_user user; /* of a process: who it becomes */
	struct hostchan *chan;	 /* of a stub domain: vtpm_offer() */
};

/* Offers vtpmd the host channel of a stub domain.  vtpmd needs a moment to come and to answer,
 * in which the caller can prepare what vtpm_run() needs. */
int __must_check vtpm_offer(struct vtpm_place *place, struct error *e);

/* Takes over place->chan.  Returns when it ends: 0 after STOP; else *e says why, and FAIL was
 * sent. */
int __must_check vtpm_run(const struct vtpm_place *place, struct error *e);

#endif
