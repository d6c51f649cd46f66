/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/oldkey.h"
#include "lib/crypt.h"
#include "lib/cursor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#define SLOT_SIZE (CRYPT_IV_SIZE + ENVELOPE_KEY_SIZE + CRYPT_TAG_SIZE)

static int derive_old_key_kek(const struct envelope_slot *slot, const uint8_t uuid[16],
			      const uint8_t *data_key, uint8_t kek[CRYPT_KEY_SIZE])
{
	static const char label[] = "xen-vtpm old key";
	uint8_t info[sizeof(label) - 1 + 20];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, label, sizeof(label) - 1);
	cursor_put_u16(&c, ENVELOPE_VERSION);
	cursor_put(&c, uuid, 16);
	cursor_put_u16(&c, slot->id);
	return crypt_hkdf(data_key, ENVELOPE_KEY_SIZE, NULL, 0, info, sizeof(info), kek);
}

static int wrap(struct envelope_slot *slot, const uint8_t uuid[16],
		const uint8_t *data_key, const uint8_t *old_key)
{
	uint8_t kek[CRYPT_KEY_SIZE], aad[ENVELOPE_AAD_SIZE], *iv = slot->data;
	uint8_t *wrapped = iv + CRYPT_IV_SIZE, *tag = wrapped + ENVELOPE_KEY_SIZE;
	int rc = crypt_random(iv, CRYPT_IV_SIZE);

	slot->len = SLOT_SIZE;
	envelope_slot_aad(slot, uuid, aad);
	if (!rc)
		rc = derive_old_key_kek(slot, uuid, data_key, kek);
	if (!rc)
		rc = crypt_gcm_seal(kek, iv, aad, sizeof(aad), old_key, ENVELOPE_KEY_SIZE,
				    wrapped, tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	return rc;
}

static int unwrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		  const uint8_t *data_key, uint8_t *old_key)
{
	uint8_t kek[CRYPT_KEY_SIZE], aad[ENVELOPE_AAD_SIZE];
	struct cursor c = cursor_reader(slot->data, slot->len);
	const uint8_t *iv = cursor_bytes(&c, CRYPT_IV_SIZE);
	const uint8_t *wrapped = cursor_bytes(&c, ENVELOPE_KEY_SIZE);
	const uint8_t *tag = cursor_bytes(&c, CRYPT_TAG_SIZE);
	int rc = cursor_done(&c) ? 0 : -EBADMSG;

	envelope_slot_aad(slot, uuid, aad);
	if (!rc)
		rc = derive_old_key_kek(slot, uuid, data_key, kek);
	if (!rc)
		rc = crypt_gcm_open(kek, iv, aad, sizeof(aad), wrapped, ENVELOPE_KEY_SIZE,
				    old_key, tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	return rc;
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

/* Its index; slot_count: there is none. */
static uint16_t find(const struct envelope_header *h)
{
	uint16_t i = 0;

	while (i < h->slot_count && h->slots[i].kind != ENVELOPE_SLOT_OLD_KEY)
		i++;
	return i;
}

static bool old_key_id_taken(const struct envelope_header *h, uint16_t id)
{
	uint16_t i;

	for (i = 0; i < h->slot_count; i++)
		if (h->slots[i].id == id)
			return true;
	return false;
}

static uint16_t free_id(const struct envelope_header *h)
{
	uint16_t id = 1;

	while (old_key_id_taken(h, id))
		id++;
	return id;
}

int oldkey_add(uint8_t *header, size_t *len, const uint8_t data_key[ENVELOPE_KEY_SIZE],
	       const uint8_t old_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct envelope_header *h;
	struct envelope_slot *slot;
	int rc = parse_old_key(header, *len, data_key, &h, e);

	if (rc)
		return rc;
	if (h->slot_count == ENVELOPE_SLOTS_MAX || find(h) < h->slot_count) {
		free(h);
		return error_set(e, -ENOSPC, CAUSE_INTERNAL,
				 "the header has no room for a slot with the old data "
				 "key");
	}
	slot = &h->slots[h->slot_count];
	slot->kind = ENVELOPE_SLOT_OLD_KEY;
	slot->id = free_id(h);
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

int oldkey_find(const uint8_t *header, size_t len,
		const uint8_t data_key[ENVELOPE_KEY_SIZE],
		uint8_t old_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	struct envelope_header *h;
	uint16_t i;
	int rc = parse_old_key(header, len, data_key, &h, e);

	if (rc)
		return rc;
	i = find(h);
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

int oldkey_drop(const uint8_t *header, size_t len,
		const uint8_t data_key[ENVELOPE_KEY_SIZE], uint64_t epoch, uint8_t *out,
		size_t *out_len, uint64_t *seq, struct error *e)
{
	struct envelope_header *h;
	uint16_t i;
	int rc = parse_old_key(header, len, data_key, &h, e);

	if (rc)
		return rc;
	i = find(h);
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
