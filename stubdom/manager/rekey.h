/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new data key for a vTPM that runs, in steps of which each leaves something that
 * opens at the last acknowledged state:
 *
 *   header        blobs              what opens them
 *   1. old        old key            the old header
 *   2. new + old  old key            put the header: the new key, and by it the old one
 *   3. new + old  new key            put each blob again, as its next generation
 *   4. new        new key            put the header without the old key
 *
 * Between 2 and 4 a blob may be under either key; what is written meanwhile is under
 * the new one.  Anyone who opens such a header goes on with rekey_finish().  Step 4 makes
 * the place forget its previous generations (tools/vtpmd/store.h).
 */
#ifndef XVTPM_REKEY_H
#define XVTPM_REKEY_H

#include "state.h"

struct unlock; /* stubdom/manager/unlock.h */

/* Where a new data key and a header for it come from: unlock_random(), unlock_seal(), with
 * the host's TPM and KMS. */
struct rekey_source {
	const struct unlock *unlock;
	int (*key)(const struct unlock *u, uint8_t data_key[ENVELOPE_KEY_SIZE]);
	/* header has room for ENVELOPE_HEADER_MAX bytes */
	int (*header)(const struct unlock *u, const uint8_t data_key[ENVELOPE_KEY_SIZE],
		      uint64_t seq, uint8_t *header, size_t *len);
};

/* Finishes an interrupted deep rekey, then puts a header with new slots for the same data
 * key. */
int __must_check rekey_slots(struct state *s, const struct rekey_source *source,
			     struct error *e);
/* All steps.  When it fails before step 2 nothing has changed; later, s->has_old tells
 * that rekey_finish() is still to do, and the vTPM goes on. */
int __must_check rekey_run(struct state *s, const struct rekey_source *source,
			   struct error *e);
/* Steps 3 and 4, if s->has_old. */
int __must_check rekey_finish(struct state *s, struct error *e);
/* Whether the header of s->data_key says that there is an old key: into s. */
int __must_check rekey_find(struct state *s, const uint8_t *header, size_t len,
			    struct error *e);

#endif
