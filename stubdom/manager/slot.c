/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/slot.h"
#include "stubdom/manager/unlock.h"
#include "include/channel.h"
#include "lib/cursor.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
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

#define TEXT_MAX 65536 /* certificates with their chain */

/* A text of at most TEXT_MAX bytes, terminated; refuses a second one. */
static void take_text(struct cursor *v, size_t len, char **out)
{
	const uint8_t *p = cursor_bytes(v, len);

	if (*out || !p || !len || len > TEXT_MAX || memchr(p, 0, len) ||
	    !(*out = strndup((const char *)p, len)))
		cursor_fail(v);
}

static void take_name(struct cursor *v, size_t len, struct unlock_config *c)
{
	if (len >= sizeof(c->name)) {
		cursor_fail(v);
		return;
	}
	cursor_copy(v, c->name, len);
	c->name[len] = '\0';
}

static void take_approval(struct cursor *v, size_t len, struct hosttpm_config *c)
{
	if (c->approvals == UNLOCK_APPROVALS_MAX) {
		cursor_fail(v);
		return;
	}
	c->approval[c->approvals] = cursor_bytes(v, len);
	c->approval_len[c->approvals++] = len;
}

static void take_cert(struct cursor *v, size_t len, struct unlock_config *c)
{
	if (c->certs == UNLOCK_CERTS_MAX || len < 4) {
		cursor_fail(v);
		return;
	}
	c->cert[c->certs].index = cursor_u32(v);
	c->cert[c->certs].der = cursor_bytes(v, len - 4);
	c->cert[c->certs++].len = len - 4;
}

static void take_slot_version(struct cursor *v, bool *tpm12)
{
	uint8_t version = cursor_u8(v);

	*tpm12 = version == 12;
	if (version != 12 && version != 20)
		cursor_fail(v);
}

static void take_slot(struct cursor *v, uint16_t tag, struct unlock_config *c)
{
	size_t len = cursor_left(v);

	switch (tag) {
	case CONFIG_UUID:
		cursor_copy(v, c->uuid, sizeof(c->uuid));
		break;
	case CONFIG_NAME:
		take_name(v, len, c);
		break;
	case CONFIG_CREATE:
		c->create = cursor_u8(v) != 0;
		break;
	case CONFIG_POLICY:
		c->desc.policy = cursor_u16(v);
		break;
	case CONFIG_COPY_OF:
		cursor_copy(v, c->copy_of, sizeof(c->copy_of));
		c->is_copy = true;
		break;
	case CONFIG_LOCALITIES:
		c->desc.localities = cursor_u8(v);
		break;
	case CONFIG_MEASURED:
		c->desc.measured = cursor_u8(v) != 0;
		break;
	case CONFIG_PCR_BANKS:
		c->desc.pcr_banks = cursor_u8(v);
		break;
	case CONFIG_TPM_VERSION:
		take_slot_version(v, &c->desc.tpm12);
		break;
	case CONFIG_EPOCH:
		c->epoch = cursor_u64(v);
		break;
	case CONFIG_SRK_HANDLE:
		c->tpm.srk_handle = cursor_u32(v);
		break;
	case CONFIG_SRK_NAME:
		cursor_copy(v, c->tpm.srk_name, sizeof(c->tpm.srk_name));
		break;
	case CONFIG_POLICY_KEY:
		c->tpm.policy_key = cursor_bytes(v, len);
		c->tpm.policy_key_len = len;
		break;
	case CONFIG_APPROVAL:
		take_approval(v, len, &c->tpm);
		break;
	case CONFIG_COUNTER_NAME:
		cursor_copy(v, c->tpm.counter_name, sizeof(c->tpm.counter_name));
		break;
	case CONFIG_HOST_AUTH:
		cursor_copy(v, c->tpm.auth, sizeof(c->tpm.auth));
		break;
	case CONFIG_KMS_ADDRESS:
		take_text(v, len, &c->kms_address);
		break;
	case CONFIG_KMS_CA:
		take_text(v, len, &c->kms_ca);
		break;
	case CONFIG_KMS_CERT:
		take_text(v, len, &c->kms_cert);
		break;
	case CONFIG_KMS_KEY_SEALED:
		c->kms_key_sealed = cursor_bytes(v, len);
		c->kms_key_sealed_len = len;
		break;
	case CONFIG_RECOVERY_KEY:
		c->recovery_key = cursor_bytes(v, len);
		c->recovery_key_len = len;
		break;
	case CONFIG_CERTIFICATE:
		take_cert(v, len, c);
		break;
	case CONFIG_KMS_KEY_ID:
		take_text(v, len, &c->kms_key_id);
		break;
	default: /* of a newer vtpmd */
		(void)cursor_bytes(v, len);
	}
}

int unlock_config_parse(const uint8_t *tlvs, size_t len, struct unlock_config *c,
			struct error *e)
{
	struct cursor cur = cursor_reader(tlvs, len), value;
	static const uint8_t none[sizeof(c->uuid)];
	uint16_t tag;

	memset(c, 0, sizeof(*c));
	while (cursor_left(&cur)) {
		tag = cursor_u16(&cur);
		value = cursor_sub(&cur, cursor_u32(&cur));
		take_slot(&value, tag, c);
		if (!cursor_done(&value))
			cursor_fail(&cur);
	}
	if (cursor_ok(&cur) && memcmp(c->uuid, none, sizeof(none)))
		return 0;
	unlock_config_free(c);
	return error_set(
		e, -EBADMSG, CAUSE_CHANNEL,
		"vtpmd sent a configuration that makes no sense: install vtpmd and "
		"the vTPM manager of one version");
}

void unlock_config_free(struct unlock_config *c)
{
	free(c->kms_address);
	free(c->kms_ca);
	free(c->kms_cert);
	free(c->kms_key_id);
	OPENSSL_cleanse(c, sizeof(*c));
}
