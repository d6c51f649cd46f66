/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running vTPM's part in a handover (tools/vtpmd/handover.h): as the source it judges the
 * destination, freezes, and exports; as the destination it proves itself, imports, and runs
 * when it is told so.  It gives nothing to a destination that it has not judged itself, and
 * executes no command while it is frozen, or before it is activated.
 */
#ifndef XVTPM_MANAGER_VTPM_MOVE_H
#define XVTPM_MANAGER_VTPM_MOVE_H

#include "stubdom/manager/eventlog.h"
#include "stubdom/manager/firmware.h"
#include "stubdom/manager/front.h"
#include "stubdom/manager/hostchan.h"
#include "stubdom/manager/keys.h"
#include "lib/move.h"

#include <openssl/evp.h>

/* Starts zeroed. */
struct vtpm_move {
	bool frozen;
	bool touched; /* it executed a command since it was activated */
	/* the generation of the state that this manager found, and began with; 0: it came from
	 * another host */
	uint64_t found;
	/* Source: what was judged good; NULL: nothing.  Destination: what was said. */
	uint8_t *offer, *accept;
	size_t offer_len, accept_len;
	EVP_PKEY *key; /* destination: of the import; NULL: none is waited for */
};

/* What of the vTPM moves. */
struct vtpm_move_parts {
	struct hostchan *chan;
	struct vtpm_keys keys;
	struct firmware *firmware;
	struct eventlog *log;
	uint64_t *on;
	bool *crb;
	struct fronts *fronts; /* held while it arrives */
};

/* Answers an EVENT_MOVE of a vTPM that is open. */
void vtpm_move_hear(struct vtpm_move *m, const struct vtpm_move_parts *p);
/* CONFIG_INCOMING: proves itself, imports, and waits for ACTIVATE: 0, and the engine is
 * open.  1: vtpmd stops it.  -errno, and *e. */
int __must_check vtpm_move_arrive(struct vtpm_move *m, const struct vtpm_move_parts *p,
				  struct error *e);
void vtpm_move_wipe(struct vtpm_move *m);

#endif
