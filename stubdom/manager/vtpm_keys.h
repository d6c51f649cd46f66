/* SPDX-License-Identifier: Apache-2.0 */
/* A running vTPM's header and data key: makes them, opens them, and makes them anew,
 * with the host's TPM and the KMS at the other end of the host channel. */
#ifndef XVTPM_VTPM_KEYS_H
#define XVTPM_VTPM_KEYS_H

#include "state.h"
#include "unlock.h"

struct hostchan;

struct vtpm_keys {
	struct hostchan *chan;
	const struct state_place *place; /* where the header is */
	struct unlock_config *config;	 /* its desc becomes that of the header */
	struct state *state;		 /* its keys */
	struct error *error;
};

/* The data key: of the stored header, or a new one with its header, as config says. */
int __must_check vtpm_keys_unlock(struct vtpm_keys *k);
/* The keys of another vTPM, whose header is at other->place, into other; what that says
 * becomes what the new one is. */
int __must_check vtpm_keys_open_other(struct vtpm_keys *k, struct state *other);
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

#endif
