/* SPDX-License-Identifier: Apache-2.0 */
/* A running vTPM's header: makes it, opens it, and makes it anew, with the host's TPM
 * and the KMS at the other end of the host channel. */
#ifndef XVTPM_VTPM_KEYS_H
#define XVTPM_VTPM_KEYS_H

#include "state.h"
#include "unlock.h"

struct hostchan;

struct vtpm_keys {
	struct hostchan *chan;
	const struct state_place *place; /* where the header is */
	const struct unlock_config *config;
	uint8_t *data_key; /* ENVELOPE_KEY_SIZE */
	struct error *error;
};

/* The data key: of the stored header, or a new one with its header, as config says. */
int __must_check vtpm_keys_unlock(struct vtpm_keys *k);
/* Answers EVENT_REKEY.  What was there stays, and opens as before, until the new header
 * is stored. */
void vtpm_keys_rekey(struct vtpm_keys *k);

#endif
