/* SPDX-License-Identifier: Apache-2.0 */
#include "unlock_slot.h"
#include "lib/cursor.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>

bool unlock_slot_needs_tpm(uint16_t kind)
{
	return kind == ENVELOPE_SLOT_HOST || kind == ENVELOPE_SLOT_TPM;
}

bool unlock_slot_needs_kms(uint16_t kind)
{
	return kind == ENVELOPE_SLOT_HOST || kind == ENVELOPE_SLOT_KMS;
}

static void put_kms(struct cursor *c, const struct kms_wrapped *w)
{
	size_t len = strnlen(w->key_id, sizeof(w->key_id));

	cursor_put_u16(c, (uint16_t)len);
	cursor_put(c, w->key_id, len);
	cursor_put(c, w->iv, sizeof(w->iv));
	cursor_put_u16(c, sizeof(w->ct));
	cursor_put(c, w->ct, sizeof(w->ct));
	cursor_put(c, w->tag, sizeof(w->tag));
}

int unlock_slot_encode(const struct unlock_slot *s, struct envelope_slot *out)
{
	struct cursor c = cursor_writer(out->data, sizeof(out->data));
	size_t mark;

	mark = cursor_mark_u16(&c);
	if (unlock_slot_needs_kms(out->kind))
		put_kms(&c, &s->kms);
	cursor_patch_u16(&c, mark);
	mark = cursor_mark_u16(&c);
	if (unlock_slot_needs_tpm(out->kind)) {
		cursor_put_u16(&c, sizeof(s->srk_name));
		cursor_put(&c, s->srk_name, sizeof(s->srk_name));
		cursor_put(&c, s->object, s->object_len);
	}
	cursor_patch_u16(&c, mark);
	cursor_put(&c, s->iv, sizeof(s->iv));
	cursor_put(&c, s->wrapped, sizeof(s->wrapped));
	cursor_put(&c, s->tag, sizeof(s->tag));
	if (!cursor_ok(&c))
		return -ENOSPC;
	out->len = (uint16_t)c.pos;
	return 0;
}

static bool parse_kms(struct cursor *c, struct kms_wrapped *w)
{
	uint16_t len = cursor_u16(c);

	if (!len || len >= sizeof(w->key_id))
		return false;
	cursor_copy(c, w->key_id, len);
	cursor_copy(c, w->iv, sizeof(w->iv));
	if (cursor_u16(c) != sizeof(w->ct))
		return false;
	cursor_copy(c, w->ct, sizeof(w->ct));
	cursor_copy(c, w->tag, sizeof(w->tag));
	return cursor_done(c) && strlen(w->key_id) == len;
}

static bool parse_tpm(struct cursor *c, struct unlock_slot *s)
{
	if (cursor_u16(c) != sizeof(s->srk_name))
		return false;
	cursor_copy(c, s->srk_name, sizeof(s->srk_name));
	s->object_len = cursor_left(c);
	if (!s->object_len || s->object_len > sizeof(s->object))
		return false;
	cursor_copy(c, s->object, s->object_len);
	return cursor_done(c);
}

int unlock_slot_parse(const struct envelope_slot *in, struct unlock_slot *s,
		      struct error *e)
{
	struct cursor c = cursor_reader(in->data, in->len), kms, tpm;
	bool ok;

	memset(s, 0, sizeof(*s));
	kms = cursor_sub(&c, cursor_u16(&c));
	tpm = cursor_sub(&c, cursor_u16(&c));
	cursor_copy(&c, s->iv, sizeof(s->iv));
	cursor_copy(&c, s->wrapped, sizeof(s->wrapped));
	cursor_copy(&c, s->tag, sizeof(s->tag));
	ok = cursor_done(&c);
	ok = ok && (unlock_slot_needs_kms(in->kind) ? parse_kms(&kms, &s->kms)
						    : cursor_done(&kms));
	ok = ok &&
	     (unlock_slot_needs_tpm(in->kind) ? parse_tpm(&tpm, s) : cursor_done(&tpm));
	if (ok)
		return 0;
	return error_set(
		e, -EBADMSG, CAUSE_HEADER_CORRUPT,
		"key slot %u of the vTPM's header is corrupt: restore the header "
		"from its previous generation or a backup",
		in->id);
}

/* KEK = HKDF-SHA256(S_tpm || S_kms, info) */
static int derive_kek(const struct envelope_slot *slot, const uint8_t uuid[16],
		      const struct unlock_secrets *secrets, uint8_t kek[CRYPT_KEY_SIZE])
{
	static const char label[] = "xen-vtpm kek";
	uint8_t info[sizeof(label) - 1 + 20], ikm[2 * UNLOCK_SECRET_SIZE];
	struct cursor c = cursor_writer(info, sizeof(info));
	struct cursor k = cursor_writer(ikm, sizeof(ikm));
	int rc;

	cursor_put(&c, label, sizeof(label) - 1);
	cursor_put_u16(&c, ENVELOPE_VERSION);
	cursor_put(&c, uuid, 16);
	cursor_put_u16(&c, slot->id);
	if (unlock_slot_needs_tpm(slot->kind))
		cursor_put(&k, secrets->tpm, sizeof(secrets->tpm));
	if (unlock_slot_needs_kms(slot->kind))
		cursor_put(&k, secrets->kms, sizeof(secrets->kms));
	if (slot->kind == ENVELOPE_SLOT_LOCAL)
		cursor_put(&k, secrets->local, sizeof(secrets->local));
	rc = k.pos ? crypt_hkdf(ikm, k.pos, NULL, 0, info, sizeof(info), kek) : -EINVAL;
	OPENSSL_cleanse(ikm, sizeof(ikm));
	return rc;
}

int unlock_slot_wrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		     const struct unlock_secrets *secrets,
		     const uint8_t data_key[ENVELOPE_KEY_SIZE], struct unlock_slot *s)
{
	uint8_t kek[CRYPT_KEY_SIZE], aad[ENVELOPE_AAD_SIZE];
	int rc;

	envelope_slot_aad(slot, uuid, aad);
	rc = crypt_random(s->iv, sizeof(s->iv));
	if (!rc)
		rc = derive_kek(slot, uuid, secrets, kek);
	if (!rc)
		rc = crypt_gcm_seal(kek, s->iv, aad, sizeof(aad), data_key,
				    ENVELOPE_KEY_SIZE, s->wrapped, s->tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	return rc;
}

int unlock_slot_unwrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		       const struct unlock_secrets *secrets, const struct unlock_slot *s,
		       uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	uint8_t kek[CRYPT_KEY_SIZE], aad[ENVELOPE_AAD_SIZE];
	int rc;

	envelope_slot_aad(slot, uuid, aad);
	rc = derive_kek(slot, uuid, secrets, kek);
	if (!rc)
		rc = crypt_gcm_open(kek, s->iv, aad, sizeof(aad), s->wrapped,
				    ENVELOPE_KEY_SIZE, data_key, s->tag);
	OPENSSL_cleanse(kek, sizeof(kek));
	if (rc == -EBADMSG)
		return error_set(e, rc, CAUSE_HEADER_CORRUPT,
				 "key slot %u of the vTPM's header does not fit its "
				 "secrets: restore the header from its previous "
				 "generation or a backup",
				 slot->id);
	return rc ? error_crypto(e, rc, "AES-256-GCM") : 0;
}
