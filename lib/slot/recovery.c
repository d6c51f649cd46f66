/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/recovery.h"
#include "lib/cursor.h"

#include <errno.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

struct parts {
	uint8_t key_id[CRYPT_HASH_SIZE];
	const uint8_t *ephemeral;
	size_t ephemeral_len;
};

static bool is_usable(const EVP_PKEY *key)
{
	char group[32] = "";

	if (EVP_PKEY_is_a(key, "X25519"))
		return true;
	return EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	       (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1") ||
		!strcmp(group, "secp521r1"));
}

/* NULL unless all of the bytes are one usable public key. */
static EVP_PKEY *read_public(const uint8_t *public, size_t len)
{
	const uint8_t *p = public;
	EVP_PKEY *key;

	if (!len || len > RECOVERY_PUBLIC_MAX)
		return NULL;
	key = d2i_PUBKEY(NULL, &p, (long)len);
	if (key && p == public + len && is_usable(key))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

bool recovery_public_ok(const uint8_t *public, size_t len)
{
	EVP_PKEY *key = read_public(public, len);

	EVP_PKEY_free(key);
	return key != NULL;
}

int recovery_key_id(const uint8_t *public, size_t len, uint8_t key_id[CRYPT_HASH_SIZE])
{
	const struct crypt_part part = {public, len};

	return crypt_sha256(&part, 1, key_id);
}

static int encode_public(EVP_PKEY *key, uint8_t out[RECOVERY_PUBLIC_MAX], size_t *len)
{
	uint8_t *p = out;
	int n = i2d_PUBKEY(key, NULL);

	if (n <= 0 || n > RECOVERY_PUBLIC_MAX || i2d_PUBKEY(key, &p) != n)
		return -EIO;
	*len = (size_t)n;
	return 0;
}

/* Derives the secret, and its context, by ECDH. */
static int agree(EVP_PKEY *own, EVP_PKEY *peer, const struct parts *p,
		 struct slot_secret *s)
{
	const struct crypt_part ephemeral = {p->ephemeral, p->ephemeral_len};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	bool ok;

	s->len = sizeof(s->bytes);
	ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	     EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	     EVP_PKEY_derive(ctx, s->bytes, &s->len) == 1;
	EVP_PKEY_CTX_free(ctx);
	if (!ok)
		return -EBADMSG;
	s->context_len = 2 * CRYPT_HASH_SIZE;
	memcpy(s->context, p->key_id, CRYPT_HASH_SIZE);
	return crypt_sha256(&ephemeral, 1, s->context + CRYPT_HASH_SIZE);
}

/* A new key on the curve of another. */
static EVP_PKEY *new_ephemeral(EVP_PKEY *like)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(like, NULL);
	EVP_PKEY *key = NULL;

	if (EVP_PKEY_is_a(like, "X25519"))
		key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	else if (ctx && EVP_PKEY_keygen_init(ctx) == 1)
		(void)EVP_PKEY_keygen(ctx, &key);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static int parse_recovery(struct cursor *c, struct parts *p)
{
	cursor_copy(c, p->key_id, sizeof(p->key_id));
	p->ephemeral_len = cursor_u16(c);
	p->ephemeral = cursor_bytes(c, p->ephemeral_len);
	return cursor_done(c) ? 0 : -EBADMSG;
}

int recovery_slot_key(const struct envelope_slot *slot, uint8_t key_id[CRYPT_HASH_SIZE])
{
	struct cursor c = cursor_reader(slot->data, slot->len), own;
	struct parts p;

	if (slot->kind != ENVELOPE_SLOT_RECOVERY || slot->len < SLOT_WRAPPED_SIZE)
		return -EBADMSG;
	own = cursor_sub(&c, slot->len - SLOT_WRAPPED_SIZE);
	if (parse_recovery(&own, &p))
		return -EBADMSG;
	memcpy(key_id, p.key_id, sizeof(p.key_id));
	return 0;
}

static int make_parts(const struct slot_context *x, EVP_PKEY *peer, struct cursor *out,
		      struct slot_secret *s)
{
	uint8_t ephemeral[RECOVERY_PUBLIC_MAX];
	struct parts p = {.ephemeral = ephemeral};
	EVP_PKEY *own = new_ephemeral(peer);
	int rc = own ? encode_public(own, ephemeral, &p.ephemeral_len) : -EIO;

	if (!rc)
		rc = recovery_key_id(x->recovery_key, x->recovery_key_len, p.key_id);
	if (!rc)
		rc = agree(own, peer, &p, s);
	EVP_PKEY_free(own);
	if (rc)
		return rc;
	cursor_put(out, p.key_id, sizeof(p.key_id));
	cursor_put_u16(out, (uint16_t)p.ephemeral_len);
	cursor_put(out, p.ephemeral, p.ephemeral_len);
	return 0;
}

int recovery_seal(const struct slot_context *x, const struct slot_kind *k,
		  struct cursor *parts, struct slot_secret *s)
{
	EVP_PKEY *peer = read_public(x->recovery_key, x->recovery_key_len);
	int rc = peer ? make_parts(x, peer, parts, s) : -EINVAL;

	EVP_PKEY_free(peer);
	if (rc == -EIO)
		return error_crypto(x->error, rc, "the recovery slot");
	return rc ? error_set(x->error, rc, CAUSE_NOT_CONFIGURED,
			      "the recovery key in host.json cannot be used: run "
			      "`vtpmctl host init --recovery-key` with an EC public key")
		  : 0;
}

static bool is_for(const struct parts *p, EVP_PKEY *key)
{
	uint8_t public[RECOVERY_PUBLIC_MAX], key_id[CRYPT_HASH_SIZE];
	size_t len;

	return key && is_usable(key) && !encode_public(key, public, &len) &&
	       !recovery_key_id(public, len, key_id) &&
	       !memcmp(key_id, p->key_id, sizeof(key_id));
}

int recovery_open(const struct slot_context *x, const struct slot_kind *k,
		  struct cursor *parts, struct slot_secret *s)
{
	EVP_PKEY *peer;
	struct parts p;
	int rc;

	if (parse_recovery(parts, &p))
		return -EBADMSG;
	if (!is_for(&p, x->recovery_private))
		return -ENOKEY;
	peer = read_public(p.ephemeral, p.ephemeral_len);
	rc = peer ? agree(x->recovery_private, peer, &p, s) : -EBADMSG;
	EVP_PKEY_free(peer);
	return rc;
}
