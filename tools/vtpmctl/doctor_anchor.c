/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an older store would be noticed: the TPM's anchor, and the table that it is
 * the hash of. */
#include "tools/vtpmctl/doctor.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/tpmanchor.h"
#include "lib/crypt.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a file of the store has this hash. */
static bool has_hash(const char *store, const char *name, const uint8_t *hash)
{
	uint8_t own[CRYPT_HASH_SIZE];
	struct crypt_part part = {0};
	char path[PATH_MAX], *text = NULL;
	bool same = false;

	if (snprintf(path, sizeof(path), "%s/%s", store, name) >= (int)sizeof(path) ||
	    file_read(path, &text, &part.n, NULL))
		return false;
	part.p = text;
	if (!crypt_sha256(&part, 1, own))
		same = !memcmp(own, hash, sizeof(own));
	free(text);
	return same;
}

enum finding doctor_anchor(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t value[TPMANCHOR_SIZE];

	if (!d->tpm_pinned)
		return doctor_say(d, SKIPPED, DOCTOR_NO_TPM);
	if (!d->conf.anchor_index)
		return doctor_say(d, WARN,
				  "an older state that is put back into the store is not "
				  "noticed: `vtpmctl host anchor --init`");
	if (tpmanchor_read(&d->tpm, &d->conf, value, &e))
		return doctor_say(d, BAD, "%s", e.text);
	if (!memcmp(value, d->conf.anchor_adopt, sizeof(value)))
		return doctor_say(
			d, WARN,
			"the TPM's anchor is ready, and the store is not anchored "
			"yet: vtpmd does that when it starts");
	if (!has_hash(d->store, "anchor", value) &&
	    !has_hash(d->store, "anchor.prev", value))
		return doctor_say(
			d, BAD,
			"%s/anchor is not the table that the TPM has the hash of: "
			"when vtpmd has another store, give --store DIR; else bring "
			"it back, or see docs/errors.md, rolled-back",
			d->store);
	return doctor_say(d, FINE, "the TPM has the hash of the store's generations");
}
