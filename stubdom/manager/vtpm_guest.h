/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a guest that comes gets this TPM, and as what.  Private to vtpm*.c. */
#ifndef XVTPM_VTPM_GUEST_H
#define XVTPM_VTPM_GUEST_H

#include <stdbool.h>
#include "eventlog.h"
#include "hostchan.h"

struct vtpm_guest {
	struct hostchan *chan;
	struct eventlog *log; /* of its launch */
	bool only;	      /* measured guests only, as the header says */
	bool tpm12;	      /* into which nothing is measured */
	/* _TPM_Init, and what a machine's firmware does then */
	int (*power_on)(void *ctx);
	void *ctx;
};

/* Asks vtpmd about domain domid, and starts the TPM anew if the domain is new, with what
 * was measured of it.  *on: the TPM's power-on, or
 * what the manager drew when it started; 0: a start for a guest failed.  After a failure the guest is
 * refused, with *why for its xenstore; vtpmd's log has it, too, once it is there. */
int __must_check vtpm_guest_adopt(const struct vtpm_guest *g, uint32_t domid,
				  uint64_t *on, const char **why);

#endif
