/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/slot.h"
#include "lib/cursor.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

bool unlock_slot_needs_tpm(uint16_t kind)
{
	const struct slot_kind *k = slot_kind_find(kind);

	return k && k->has_tpm;
}

bool unlock_slot_needs_kms(uint16_t kind)
{
	const struct slot_kind *k = slot_kind_find(kind);

	return k && k->has_kms;
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
	slot_put_wrapped(&c, &s->key);
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
	slot_get_wrapped(&c, &s->key);
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

/* S_tpm || S_kms; returns how many bytes. */
static size_t put_secrets(const struct unlock_secrets *secrets, uint16_t kind,
			  uint8_t out[2 * UNLOCK_SECRET_SIZE])
{
	struct cursor c = cursor_writer(out, 2 * UNLOCK_SECRET_SIZE);

	if (unlock_slot_needs_tpm(kind))
		cursor_put(&c, secrets->tpm, sizeof(secrets->tpm));
	if (unlock_slot_needs_kms(kind))
		cursor_put(&c, secrets->kms, sizeof(secrets->kms));
	if (kind == ENVELOPE_SLOT_LOCAL)
		cursor_put(&c, secrets->local, sizeof(secrets->local));
	return c.pos;
}

int unlock_slot_wrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		     const struct unlock_secrets *secrets,
		     const uint8_t data_key[ENVELOPE_KEY_SIZE], struct unlock_slot *s)
{
	uint8_t bytes[2 * UNLOCK_SECRET_SIZE];
	const struct slot_secret secret = {
		.label = "xen-vtpm kek",
		.bytes = bytes,
		.len = put_secrets(secrets, slot->kind, bytes),
	};
	int rc = slot_wrap(slot, uuid, &secret, data_key, &s->key);

	OPENSSL_cleanse(bytes, sizeof(bytes));
	return rc;
}

int unlock_slot_unwrap(const struct envelope_slot *slot, const uint8_t uuid[16],
		       const struct unlock_secrets *secrets, const struct unlock_slot *s,
		       uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e)
{
	uint8_t bytes[2 * UNLOCK_SECRET_SIZE];
	const struct slot_secret secret = {
		.label = "xen-vtpm kek",
		.bytes = bytes,
		.len = put_secrets(secrets, slot->kind, bytes),
	};
	int rc = slot_unwrap(slot, uuid, &secret, &s->key, data_key);

	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (rc == -EBADMSG)
		return error_set(e, rc, CAUSE_HEADER_CORRUPT,
				 "key slot %u of the vTPM's header does not fit its "
				 "secrets: restore the header from its previous "
				 "generation or a backup",
				 slot->id);
	return rc ? error_crypto(e, rc, "AES-256-GCM") : 0;
}
