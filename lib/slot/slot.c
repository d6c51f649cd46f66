/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/slot.h"
#include "lib/cursor.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define LABEL_MAX 32

static const struct slot_kind kinds[] = {
	{.kind = ENVELOPE_SLOT_HOST,
	 .name = "host",
	 .is_policy = true,
	 .has_tpm = true,
	 .has_kms = true},
	{.kind = ENVELOPE_SLOT_KMS, .name = "kms", .is_policy = true, .has_kms = true},
	{.kind = ENVELOPE_SLOT_TPM, .name = "tpm", .is_policy = true, .has_tpm = true},
	{.kind = ENVELOPE_SLOT_RECOVERY, .name = "recovery"},
	{.kind = ENVELOPE_SLOT_MIGRATE, .name = "migrate"},
	{.kind = ENVELOPE_SLOT_LOCAL, .name = "local"},
	{.kind = ENVELOPE_SLOT_OLD_KEY, .name = "old-key"},
};

const struct slot_kind *slot_kind_find(uint16_t kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return &kinds[i];
	return NULL;
}

const struct slot_kind *slot_kind_of_policy(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].is_policy && !strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

const char *slot_kind_name(uint16_t kind)
{
	const struct slot_kind *k = slot_kind_find(kind);

	return k ? k->name : "unknown";
}

uint16_t slot_find(const struct envelope_header *h, uint16_t kind)
{
	uint16_t i = 0;

	while (i < h->slot_count && h->slots[i].kind != kind)
		i++;
	return i;
}

static bool slot_id_taken(const struct envelope_header *h, uint16_t id)
{
	for (uint16_t i = 0; i < h->slot_count; i++)
		if (h->slots[i].id == id)
			return true;
	return false;
}

uint16_t slot_free_id(const struct envelope_header *h)
{
	uint16_t id = 1;

	while (slot_id_taken(h, id))
		id++;
	return id;
}

static int derive_kek(const struct envelope_slot *slot, const uint8_t uuid[16],
		      const struct slot_secret *s, uint8_t kek[CRYPT_KEY_SIZE])
{
	uint8_t info[LABEL_MAX + 20 + SLOT_CONTEXT_MAX];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, s->label, strlen(s->label));
	cursor_put_u16(&c, ENVELOPE_VERSION);
	cursor_put(&c, uuid, 16);
	cursor_put_u16(&c, slot->id);
	if (s->context)
		cursor_put(&c, s->context, s->context_len);
	if (!cursor_ok(&c) || !s->len)
		return -EINVAL;
	return crypt_hkdf(s->bytes, s->len, NULL, 0, info, c.pos, kek);
}

int slot_wrap(const struct envelope_slot *slot, const uint8_t uuid[16],
	      const struct slot_secret *secret, const uint8_t data_key[ENVELOPE_KEY_SIZE],
	      struct slot_wrapped *out)
{
	uint8_t kek[CRYPT_KEY_SIZE], aad[ENVELOPE_AAD_SIZE];
	int rc = crypt_random(out->iv, sizeof(out->iv));

	envelope_slot_aad(slot, uuid, aad);
	if (!rc)
		rc = derive_kek(slot, uuid, secret, kek);
	if (!rc)
		rc = crypt_gcm_seal(kek, out->iv, aad, sizeof(aad), data_key,
				    ENVELOPE_KEY_SIZE, out->wrapped, out->tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	return rc;
}

int slot_unwrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		const struct slot_secret *secret, const struct slot_wrapped *in,
		uint8_t data_key[ENVELOPE_KEY_SIZE])
{
	uint8_t kek[CRYPT_KEY_SIZE], aad[ENVELOPE_AAD_SIZE];
	int rc = derive_kek(slot, uuid, secret, kek);

	envelope_slot_aad(slot, uuid, aad);
	if (!rc)
		rc = crypt_gcm_open(kek, in->iv, aad, sizeof(aad), in->wrapped,
				    ENVELOPE_KEY_SIZE, data_key, in->tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	return rc;
}

void slot_put_wrapped(struct cursor *c, const struct slot_wrapped *w)
{
	cursor_put(c, w->iv, sizeof(w->iv));
	cursor_put(c, w->wrapped, sizeof(w->wrapped));
	cursor_put(c, w->tag, sizeof(w->tag));
}

void slot_get_wrapped(struct cursor *c, struct slot_wrapped *w)
{
	cursor_copy(c, w->iv, sizeof(w->iv));
	cursor_copy(c, w->wrapped, sizeof(w->wrapped));
	cursor_copy(c, w->tag, sizeof(w->tag));
}
