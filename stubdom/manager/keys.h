/* SPDX-License-Identifier: Apache-2.0 */
/* A running vTPM's header and data key: makes them, opens them, and makes them again,
 * with the host's TPM and the KMS at the other end of the host channel. */
#ifndef XVTPM_MANAGER_KEYS_H
#define XVTPM_MANAGER_KEYS_H

#include "stubdom/manager/state.h"
#include "stubdom/manager/unlock.h"

struct hostchan;

struct vtpm_keys {
	struct hostchan *chan;
	struct unlock_config *config; /* its desc becomes that of the header */
	struct state *state;	      /* its place, keys and error */
};

/* The data key: of the stored header, or a new one with its header, as config says. */
int __must_check vtpm_keys_unlock(struct vtpm_keys *k);

/* Puts a header that says desc in the place of the stored one, and into config.  After a
 * failure the stored one may be either. */
int __must_check vtpm_keys_describe(struct vtpm_keys *k,
				    const struct envelope_desc *desc);
/* Answers EVENT_REKEY, deep: EVENT_REKEY_DEEP.  What was there stays, and opens as
 * before, until the new header is stored. */
void vtpm_keys_rekey(struct vtpm_keys *k, bool deep);
/* The state is open: goes on with a deep rekey that was interrupted.  When that fails,
 * the state stays as it is, and opens. */
void vtpm_keys_finish(struct vtpm_keys *k);

/*
 * A new vTPM that gets the state of another one (CONFIG_COPY_OF): opens that one's
 * header and state, which vtpmd has put beside its own, makes a data key and a header of
 * its own, and stores the state under them.  When the other one does not open, nothing
 * is made.
 */

/* In place of vtpm_keys_unlock(); afterwards the state is there to be opened. */
int __must_check vtpm_copy(struct vtpm_keys *k);

/* A new vTPM that gets a state of swtpm (CONFIG_SOURCE): opens it, and makes a data key and a
 * header.  In place of vtpm_keys_unlock(); engine_open() then begins with that state, and
 * stores it when libtpms has accepted it. */
int __must_check vtpm_take_source(struct vtpm_keys *k);

#endif
