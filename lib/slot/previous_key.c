/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/previous_key.h"
#include "lib/cursor.h"
#include "lib/slot/slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct slot_secret secret_of(const uint8_t *data_key)
{
	return (struct slot_secret){
		.label = "xen-vtpm old key",
		.bytes = data_key,
		.len = ENVELOPE_KEY_SIZE,
	};
}

static int wrap(struct envelope_slot *slot, const uint8_t uuid[16],
		const uint8_t *data_key, const uint8_t *old_key)
{
	const struct slot_secret secret = secret_of(data_key);
	struct cursor c = cursor_writer(slot->data, sizeof(slot->data));
	struct slot_wrapped w;
	int rc = slot_wrap(slot, uuid, &secret, old_key, &w);

	slot_put_wrapped(&c, &w);
	slot->len = (uint16_t)c.pos;
	return rc;
}

static int unwrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		  const uint8_t *data_key, uint8_t *old_key)
{
	const struct slot_secret secret = secret_of(data_key);
	struct cursor c = cursor_reader(slot->data, slot->len);
	struct slot_wrapped w;

	slot_get_wrapped(&c, &w);
	return cursor_done(&c) ? slot_unwrap(slot, uuid, &secret, &w, old_key) : -EBADMSG;
}

/* The header, once data_key has authenticated it; the caller frees it. */
static int parse_old_key(const uint8_t *header, size_t len, const uint8_t *data_key,
			 struct envelope_header **out, struct error *e)
{
	struct envelope_header *h = malloc(sizeof(*h));
	int rc;

	if (!h)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "out of memory");
	rc = envelope_header_parse(header, len, h, e);
	if (!rc)
		rc = envelope_header_verify(header, len, data_key, e);
	if (rc)
		free(h);
	else
		*out = h;
	return rc;
}

int previous_key_add(uint8_t *header, size_t *len,
		     const uint8_t data_key[ENVELOPE_KEY_SIZE],
		     const uint8_t old_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct envelope_header *h;
	struct envelope_slot *slot;
	int rc = parse_old_key(header, *len, data_key, &h, e);

	if (rc)
		return rc;
	if (h->slot_count == ENVELOPE_SLOTS_MAX ||
	    slot_find(h, ENVELOPE_SLOT_OLD_KEY) < h->slot_count) {
		free(h);
		return error_set(e, -ENOSPC, CAUSE_INTERNAL,
				 "the header has no room for a slot with the old data "
				 "key");
	}
	slot = &h->slots[h->slot_count];
	slot->kind = ENVELOPE_SLOT_OLD_KEY;
	slot->id = slot_free_id(h);
	h->slot_count++;
	rc = wrap(slot, h->uuid, data_key, old_key);
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
	struct envelope_header *h;
	uint16_t i;
	int rc = parse_old_key(header, len, data_key, &h, e);

	if (rc)
		return rc;
	i = slot_find(h, ENVELOPE_SLOT_OLD_KEY);
	rc = i == h->slot_count ? 0 : unwrap(&h->slots[i], h->uuid, data_key, old_key);
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
	int rc = parse_old_key(header, len, data_key, &h, e);

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
