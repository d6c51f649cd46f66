/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/shares.h"
#include "lib/cursor.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

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

static void put_given(struct cursor *c, const struct kms_derived *d)
{
	size_t len = strnlen(d->key_id, sizeof(d->key_id));

	cursor_put_u16(c, (uint16_t)len);
	cursor_put(c, d->key_id, len);
	cursor_put(c, d->nonce, sizeof(d->nonce));
	cursor_put(c, d->check, sizeof(d->check));
}

void shares_encode(const struct slot_kind *k, const struct shares *s, struct cursor *out)
{
	size_t mark = cursor_mark_u16(out);

	if (k->is_get)
		put_given(out, &s->given);
	else if (k->has_kms)
		put_kms(out, &s->kms);
	cursor_patch_u16(out, mark);
	mark = cursor_mark_u16(out);
	if (k->is_pool) {
		cursor_put_u32(out, s->version);
		cursor_put(out, s->nonce, sizeof(s->nonce));
	} else if (k->has_tpm) {
		cursor_put_u16(out, sizeof(s->srk_name));
		cursor_put(out, s->srk_name, sizeof(s->srk_name));
		cursor_put(out, s->object, s->object_len);
	}
	cursor_patch_u16(out, mark);
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

static bool parse_given(struct cursor *c, struct kms_derived *d)
{
	uint16_t len = cursor_u16(c);

	if (!len || len >= sizeof(d->key_id))
		return false;
	cursor_copy(c, d->key_id, len);
	cursor_copy(c, d->nonce, sizeof(d->nonce));
	cursor_copy(c, d->check, sizeof(d->check));
	return cursor_done(c) && strlen(d->key_id) == len;
}

static bool parse_kms_part(const struct slot_kind *k, struct cursor *c, struct shares *s)
{
	if (k->is_get)
		return parse_given(c, &s->given);
	return k->has_kms ? parse_kms(c, &s->kms) : cursor_done(c);
}

static bool parse_pool(struct cursor *c, struct shares *s)
{
	s->version = cursor_u32(c);
	cursor_copy(c, s->nonce, sizeof(s->nonce));
	return cursor_done(c) && s->version;
}

static bool parse_tpm(struct cursor *c, struct shares *s)
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

static bool parse_tpm_part(const struct slot_kind *k, struct cursor *c, struct shares *s)
{
	if (k->is_pool)
		return parse_pool(c, s);
	return k->has_tpm ? parse_tpm(c, s) : cursor_done(c);
}

int shares_parse(const struct slot_kind *k, struct cursor *in, struct shares *s)
{
	struct cursor kms = cursor_sub(in, cursor_u16(in));
	struct cursor tpm = cursor_sub(in, cursor_u16(in));

	memset(s, 0, sizeof(*s));
	return cursor_done(in) && parse_kms_part(k, &kms, s) && parse_tpm_part(k, &tpm, s)
		       ? 0
		       : -EBADMSG;
}

/* Derives the authValue of the sealed object from S_kms. */
static int derive_auth(const uint8_t *uuid, const uint8_t kms[SLOT_SHARE_SIZE],
		       uint8_t auth[CRYPT_HASH_SIZE])
{
	static const char label[] = "xen-vtpm tpm auth";
	uint8_t info[sizeof(label) - 1 + ENVELOPE_UUID_SIZE];
	struct cursor c = cursor_writer(info, sizeof(info));

	cursor_put(&c, label, sizeof(label) - 1);
	cursor_put(&c, uuid, ENVELOPE_UUID_SIZE);
	return crypt_hkdf(kms, SLOT_SHARE_SIZE, NULL, 0, info, sizeof(info), auth);
}

/* Where S_kms is in the secret: behind S_tpm, if there is one.  Sets the secret's length. */
static uint8_t *kms_share(const struct slot_kind *k, struct slot_secret *s)
{
	s->len = (k->has_tpm && k->has_kms ? 2 : 1) * SLOT_SHARE_SIZE;
	return s->bytes + (k->has_tpm ? SLOT_SHARE_SIZE : 0);
}

/* Whether the context has what the kind's secret comes from; a key file's is set at once. */
static bool has_source(const struct slot_context *x, const struct slot_kind *k,
		       struct slot_secret *s)
{
	if (k->has_tpm || k->has_kms)
		return x->host;
	if (x->key)
		memcpy(s->bytes, x->key, SLOT_SHARE_SIZE);
	return x->key;
}

static int new_kms_share(const struct slot_context *x, const struct slot_kind *k,
			 struct shares *w, uint8_t share[SLOT_SHARE_SIZE])
{
	int rc;

	if (k->is_get)
		return x->host->kms_derive(x->unlock, true, &w->given, share);
	rc = x->host->random(x->unlock, share);
	return rc ? rc : x->host->kms_wrap(x->unlock, share, &w->kms);
}

void shares_pool_data(uint32_t version, const uint8_t uuid[ENVELOPE_UUID_SIZE],
		      const uint8_t nonce[SLOT_SHARE_SIZE], uint8_t out[SHARES_POOL_SIZE])
{
	struct cursor c = cursor_writer(out, SHARES_POOL_SIZE);

	cursor_put(&c, SHARES_POOL_LABEL, sizeof(SHARES_POOL_LABEL) - 1);
	cursor_put_u32(&c, version);
	cursor_put(&c, uuid, ENVELOPE_UUID_SIZE);
	cursor_put(&c, nonce, SLOT_SHARE_SIZE);
}

uint32_t shares_pool_version(const uint8_t *header, size_t len)
{
	struct envelope_header *h = malloc(sizeof(*h));
	const struct slot_kind *k;
	struct shares *s = malloc(sizeof(*s));
	uint32_t version = 0;
	struct cursor c;
	uint16_t i;

	if (h && s && !envelope_header_parse(header, len, h, NULL)) {
		k = slot_kind_find(h->desc.policy);
		i = slot_find(h, h->desc.policy);
		if (k && k->is_pool && i < h->slot_count &&
		    h->slots[i].len >= SLOT_WRAPPED_SIZE) {
			c = cursor_reader(h->slots[i].data,
					  h->slots[i].len - SLOT_WRAPPED_SIZE);
			version = shares_parse(k, &c, s) ? 0 : s->version;
		}
	}
	free(s);
	free(h);
	return version;
}

/* A new S_tpm: sealed in this host's TPM, or derived of the newest pool key. */
static int new_tpm_share(const struct slot_context *x, const struct slot_kind *k,
			 const uint8_t *auth, struct shares *w,
			 uint8_t share[SLOT_SHARE_SIZE])
{
	int rc;

	if (k->is_pool) /* a nonce is no secret */
		rc = RAND_bytes(w->nonce, sizeof(w->nonce)) == 1 ? 0 : -EIO;
	else
		rc = x->host->random(x->unlock, share);

	if (rc)
		return rc;
	if (k->is_pool)
		return x->host->pool_derive(x->unlock, &w->version, w->nonce, share);
	memcpy(w->srk_name, x->srk_name, sizeof(w->srk_name));
	return x->host->tpm_seal(x->unlock, auth, share, w->object, &w->object_len);
}

int shares_seal(const struct slot_context *x, const struct slot_kind *k,
		struct cursor *parts, struct slot_secret *s)
{
	uint8_t *kms = kms_share(k, s), *tpm = s->bytes, auth[CRYPT_HASH_SIZE];
	struct shares w = {.object_len = sizeof(w.object)};
	int rc = has_source(x, k, s) ? 0 : -EOPNOTSUPP;

	if (!rc && k->has_kms)
		rc = new_kms_share(x, k, &w, kms);
	if (!rc && k->has_tpm && k->has_kms)
		rc = derive_auth(x->uuid, kms, auth);
	if (!rc && k->has_tpm)
		rc = new_tpm_share(x, k, k->has_kms ? auth : NULL, &w, tpm);
	if (!rc)
		shares_encode(k, &w, parts);
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}

/* S_tpm of a slot. */
static int find_tpm_share(const struct slot_context *x, const struct slot_kind *k,
			  const uint8_t *auth, struct shares *w,
			  uint8_t share[SLOT_SHARE_SIZE])
{
	if (k->is_pool)
		return x->host->pool_derive(x->unlock, &w->version, w->nonce, share);
	return x->host->tpm_unseal(x->unlock, auth, w->object, w->object_len, share);
}

int shares_open(const struct slot_context *x, const struct slot_kind *k,
		struct cursor *parts, struct slot_secret *s)
{
	uint8_t *kms = kms_share(k, s), *tpm = s->bytes, auth[CRYPT_HASH_SIZE];
	struct shares w;
	int rc = shares_parse(k, parts, &w);

	if (!rc && !has_source(x, k, s))
		rc = -EOPNOTSUPP;
	if (!rc && k->has_tpm && !k->is_pool &&
	    memcmp(w.srk_name, x->srk_name, sizeof(w.srk_name)))
		rc = error_set(
			x->error, -EXDEV, CAUSE_TPM_REPLACED,
			"this vTPM is sealed to another TPM than this host's: start "
			"it on its own host; nothing was changed");
	if (!rc && k->is_get)
		rc = x->host->kms_derive(x->unlock, false, &w.given, kms);
	else if (!rc && k->has_kms)
		rc = x->host->kms_unwrap(x->unlock, &w.kms, kms);
	if (!rc && k->has_tpm && k->has_kms)
		rc = derive_auth(x->uuid, kms, auth);
	if (!rc && k->has_tpm)
		rc = find_tpm_share(x, k, k->has_kms ? auth : NULL, &w, tpm);
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}
