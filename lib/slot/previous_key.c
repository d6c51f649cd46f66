/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/previous_key.h"
#include "lib/slot/slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int previous_key_add(uint8_t *header, size_t *len,
		     const uint8_t data_key[ENVELOPE_KEY_SIZE],
		     const uint8_t old_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct slot_context x = {.key = data_key, .error = e};
	struct envelope_header *h;
	int rc = envelope_header_open(header, *len, data_key, &h, e);

	if (rc)
		return rc;
	x.uuid = h->uuid;
	if (slot_find(h, ENVELOPE_SLOT_OLD_KEY) < h->slot_count)
		rc = error_set(e, -ENOSPC, CAUSE_INTERNAL,
			       "the header has a slot with an old data key already");
	else
		rc = slot_put(&x, h, ENVELOPE_SLOT_OLD_KEY, old_key);
	*len = ENVELOPE_HEADER_MAX;
	if (!rc)
		rc = envelope_header_seal(h, data_key, header, len);
	free(h);
	return rc ? error_set(e, rc, CAUSE_INTERNAL,
			      "the slot with the old data key could not be made")
		  : 0;
}

int previous_key_find(const uint8_t *header, size_t len,
		      const uint8_t data_key[ENVELOPE_KEY_SIZE],
		      uint8_t old_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct slot_context x = {.key = data_key};
	struct envelope_header *h;
	uint16_t i;
	int rc = envelope_header_open(header, len, data_key, &h, e);

	if (rc)
		return rc;
	x.uuid = h->uuid;
	i = slot_find(h, ENVELOPE_SLOT_OLD_KEY);
	rc = i == h->slot_count ? 0 : slot_open(&x, &h->slots[i], old_key);
	if (rc)
		error_set(e, rc, CAUSE_HEADER_CORRUPT,
			  "the slot with the old data key is corrupt: restore the "
			  "header from a backup");
	else if (i < h->slot_count)
		rc = 1;
	free(h);
	return rc;
}

int previous_key_drop(const uint8_t *header, size_t len,
		      const uint8_t data_key[ENVELOPE_KEY_SIZE], uint64_t epoch,
		      uint8_t *out, size_t *out_len, uint64_t *seq, struct error *e)
{
	struct envelope_header *h;
	uint16_t i;
	int rc = envelope_header_open(header, len, data_key, &h, e);

	if (rc)
		return rc;
	i = slot_find(h, ENVELOPE_SLOT_OLD_KEY);
	if (i == h->slot_count) {
		free(h);
		return 0;
	}
	for (h->slot_count--; i < h->slot_count; i++)
		h->slots[i] = h->slots[i + 1];
	*seq = ++h->seq;
	h->epoch = epoch;
	*out_len = ENVELOPE_HEADER_MAX;
	rc = envelope_header_seal(h, data_key, out, out_len);
	free(h);
	return rc ? error_set(e, rc, CAUSE_INTERNAL, "the header could not be made") : 1;
}
