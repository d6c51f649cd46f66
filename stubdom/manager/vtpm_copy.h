/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new vTPM that gets the state of another one (CONFIG_COPY_OF): opens that one's
 * header and state, which vtpmd has put beside its own, makes a data key and a header of
 * its own, and stores the state under them.  When the other one does not open, nothing
 * is made.
 */
#ifndef XVTPM_VTPM_COPY_H
#define XVTPM_VTPM_COPY_H

#include "vtpm_keys.h"

/* In place of vtpm_keys_unlock(); afterwards the state is there to be opened. */
int __must_check vtpm_copy(struct vtpm_keys *k);

#endif
