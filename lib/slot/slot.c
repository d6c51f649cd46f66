/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/slot.h"
#include "lib/cursor.h"
#include "lib/slot/recovery.h"
#include "lib/slot/shares.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define LABEL_MAX 32
#define AAD_SIZE  22

/* The old data key's slot has no parts; the new data key is its secret. */
static int use_new_key(const struct slot_context *x, const struct slot_kind *k,
		       struct cursor *parts, struct slot_secret *s)
{
	if (!x->key)
		return -EOPNOTSUPP;
	memcpy(s->bytes, x->key, ENVELOPE_KEY_SIZE);
	s->len = ENVELOPE_KEY_SIZE;
	return 0;
}

static const struct slot_kind kinds[] = {
	{
		.kind = ENVELOPE_SLOT_HOST,
		.name = "host",
		.label = SHARES_LABEL,
		.is_policy = true,
		.is_offered = true,
		.has_tpm = true,
		.has_kms = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_KMS,
		.name = "kms",
		.label = SHARES_LABEL,
		.is_policy = true,
		.is_offered = true,
		.has_kms = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_TPM,
		.name = "tpm",
		.label = SHARES_LABEL,
		.is_policy = true,
		.is_offered = true,
		.has_tpm = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_LOCAL,
		.name = "local",
		.label = SHARES_LABEL,
		.is_policy = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_RECOVERY,
		.name = "recovery",
		.label = "xen-vtpm recovery",
		.is_extra = true,
		.seal = recovery_seal,
		.open = recovery_open,
	},
	{
		.kind = ENVELOPE_SLOT_OLD_KEY,
		.name = "old-key",
		.label = "xen-vtpm old key",
		.is_extra = true,
		.seal = use_new_key,
		.open = use_new_key,
	},
	{.kind = ENVELOPE_SLOT_MIGRATE, .name = "migrate"},
	{
		.kind = ENVELOPE_SLOT_HOST_GET,
		.name = "host-get",
		.label = SHARES_LABEL,
		.is_policy = true,
		.is_offered = true,
		.has_tpm = true,
		.has_kms = true,
		.is_get = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_KMS_GET,
		.name = "kms-get",
		.label = SHARES_LABEL,
		.is_policy = true,
		.is_offered = true,
		.has_kms = true,
		.is_get = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_POOL,
		.name = "pool",
		.label = SHARES_LABEL,
		.is_policy = true,
		.has_tpm = true,
		.has_kms = true,
		.is_pool = true,
		.seal = shares_seal,
		.open = shares_open,
	},
	{
		.kind = ENVELOPE_SLOT_POOL_GET,
		.name = "pool-get",
		.label = SHARES_LABEL,
		.is_policy = true,
		.has_tpm = true,
		.has_kms = true,
		.is_get = true,
		.is_pool = true,
		.seal = shares_seal,
		.open = shares_open,
	},
};

uint16_t slot_kind_of_place(uint16_t kind, bool in_pool)
{
	static const uint16_t pairs[][2] = {
		{ENVELOPE_SLOT_HOST, ENVELOPE_SLOT_POOL},
		{ENVELOPE_SLOT_HOST_GET, ENVELOPE_SLOT_POOL_GET},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (kind == pairs[i][0] || kind == pairs[i][1])
			return pairs[i][in_pool];
	return kind;
}

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
		if (kinds[i].is_offered && !strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

const struct slot_kind *slot_kind_named(const char *name)
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

static int derive_kek(const struct slot_context *x, const struct slot_kind *k,
		      uint16_t id, const struct slot_secret *s,
		      uint8_t kek[CRYPT_KEY_SIZE])
{
	uint8_t info[LABEL_MAX + 20 + SLOT_CONTEXT_MAX];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, k->label, strlen(k->label));
	cursor_put_u16(&c, ENVELOPE_VERSION);
	cursor_put(&c, x->uuid, ENVELOPE_UUID_SIZE);
	cursor_put_u16(&c, id);
	cursor_put(&c, s->context, s->context_len);
	if (!cursor_ok(&c) || !s->len)
		return -EINVAL;
	return crypt_hkdf(s->bytes, s->len, NULL, 0, info, c.pos, kek);
}

/* What the wrapped data key is bound to. */
static void bind_slot(const struct slot_context *x, const struct envelope_slot *slot,
		      uint8_t aad[AAD_SIZE])
{
	struct cursor c = cursor_writer(aad, AAD_SIZE);

	cursor_put_u16(&c, ENVELOPE_VERSION);
	cursor_put(&c, x->uuid, ENVELOPE_UUID_SIZE);
	cursor_put_u16(&c, slot->kind);
	cursor_put_u16(&c, slot->id);
}

static int not_usable(const struct slot_context *x, uint16_t kind)
{
	return error_set(x->error, -EOPNOTSUPP, CAUSE_NOT_CONFIGURED,
			 "there is no way to use a key slot of the kind %s here",
			 slot_kind_name(kind));
}

int slot_seal(const struct slot_context *x, struct envelope_slot *slot,
	      const uint8_t data_key[ENVELOPE_KEY_SIZE])
{
	const struct slot_kind *k = slot_kind_find(slot->kind);
	struct cursor c = cursor_writer(slot->data, sizeof(slot->data));
	uint8_t kek[CRYPT_KEY_SIZE], aad[AAD_SIZE], iv[CRYPT_IV_SIZE];
	uint8_t wrapped[ENVELOPE_KEY_SIZE], tag[CRYPT_TAG_SIZE];
	struct slot_secret s = {.len = 0};
	int rc;

	if (!k || !k->seal)
		return not_usable(x, slot->kind);
	bind_slot(x, slot, aad);
	rc = k->seal(x, k, &c, &s);
	if (!rc)
		rc = crypt_random(iv, sizeof(iv));
	if (!rc)
		rc = derive_kek(x, k, slot->id, &s, kek);
	if (!rc)
		rc = crypt_gcm_seal(kek, iv, aad, sizeof(aad), data_key,
				    ENVELOPE_KEY_SIZE, wrapped, tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	OPENSSL_cleanse(&s, sizeof(s));
	if (rc == -EIO)
		return error_crypto(x->error, rc, "the key slot");
	cursor_put(&c, iv, sizeof(iv));
	cursor_put(&c, wrapped, sizeof(wrapped));
	cursor_put(&c, tag, sizeof(tag));
	if (!rc && !cursor_ok(&c))
		rc = -ENOSPC;
	slot->len = rc ? 0 : (uint16_t)c.pos;
	return rc ? error_set(x->error, rc, CAUSE_INTERNAL,
			      "the key slot could not be made")
		  : 0;
}

int slot_put(const struct slot_context *x, struct envelope_header *h, uint16_t kind,
	     const uint8_t data_key[ENVELOPE_KEY_SIZE])
{
	uint16_t id = 1, i = slot_find(h, kind);

	if (i == ENVELOPE_SLOTS_MAX)
		return error_set(x->error, -ENOSPC, CAUSE_INTERNAL,
				 "the header has no room for a slot of the kind %s",
				 slot_kind_name(kind));
	if (i == h->slot_count) {
		while (slot_id_taken(h, id))
			id++;
		h->slots[i].kind = kind;
		h->slots[i].id = id;
		h->slot_count++;
	}
	return slot_seal(x, &h->slots[i], data_key);
}

int slot_open(const struct slot_context *x, const struct envelope_slot *slot,
	      uint8_t data_key[ENVELOPE_KEY_SIZE])
{
	const struct slot_kind *k = slot_kind_find(slot->kind);
	struct cursor c = cursor_reader(slot->data, slot->len), parts;
	uint8_t kek[CRYPT_KEY_SIZE], aad[AAD_SIZE];
	const uint8_t *iv, *wrapped, *tag;
	struct slot_secret s = {.len = 0};
	int rc = -EBADMSG;

	if (!k || !k->open)
		return not_usable(x, slot->kind);
	if (slot->len >= SLOT_WRAPPED_SIZE) {
		parts = cursor_sub(&c, slot->len - SLOT_WRAPPED_SIZE);
		rc = k->open(x, k, &parts, &s);
		if (!rc && !cursor_done(&parts))
			rc = -EBADMSG;
	}
	if (rc == -EBADMSG)
		error_set(x->error, rc, CAUSE_HEADER_CORRUPT,
			  "key slot %u of the vTPM's header is corrupt: restore the "
			  "header from its previous generation or a backup",
			  slot->id);
	if (rc == -EOPNOTSUPP)
		not_usable(x, slot->kind);
	if (rc == -EIO) /* a sentence that is there already stays */
		error_crypto(x->error, rc, "the key slot");
	if (rc)
		goto out;
	iv = cursor_bytes(&c, CRYPT_IV_SIZE);
	wrapped = cursor_bytes(&c, ENVELOPE_KEY_SIZE);
	tag = cursor_bytes(&c, CRYPT_TAG_SIZE);
	bind_slot(x, slot, aad);
	rc = derive_kek(x, k, slot->id, &s, kek);
	if (!rc)
		rc = crypt_gcm_open(kek, iv, aad, sizeof(aad), wrapped, ENVELOPE_KEY_SIZE,
				    data_key, tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	if (rc == -EBADMSG)
		error_set(x->error, rc, CAUSE_HEADER_CORRUPT,
			  "key slot %u of the vTPM's header does not fit its secrets: "
			  "restore the header from its previous generation or a backup",
			  slot->id);
	else if (rc)
		error_crypto(x->error, rc, "AES-256-GCM");
out:
	OPENSSL_cleanse(&s, sizeof(s));
	return rc;
}
