/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/slot/recovery.h"
#include "lib/cursor.h"
#include "lib/slot/slot.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

#define SHARED_MAX 66 /* P-521 */
struct parts {
	uint8_t key_id[CRYPT_HASH_SIZE];
	const uint8_t *ephemeral;
	size_t ephemeral_len;
	struct slot_wrapped key;
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

static int agree(EVP_PKEY *own, EVP_PKEY *peer, uint8_t shared[SHARED_MAX], size_t *len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	bool ok;

	*len = SHARED_MAX;
	ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	     EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	     EVP_PKEY_derive(ctx, shared, len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok ? 0 : -EBADMSG;
}

/* Agrees on the secret, with the slot's ephemeral key or for it; wraps the data key with it
 * or, open, unwraps it. */
static int crypt_key(EVP_PKEY *own, EVP_PKEY *peer, const uint8_t uuid[16],
		     const struct envelope_slot *slot, struct parts *p, bool open,
		     uint8_t *data_key)
{
	const struct crypt_part ephemeral = {p->ephemeral, p->ephemeral_len};
	uint8_t shared[SHARED_MAX], context[2 * CRYPT_HASH_SIZE];
	struct slot_secret secret = {
		.label = "xen-vtpm recovery",
		.bytes = shared,
		.context = context,
		.context_len = sizeof(context),
	};
	int rc = crypt_sha256(&ephemeral, 1, context + CRYPT_HASH_SIZE);

	memcpy(context, p->key_id, CRYPT_HASH_SIZE);
	if (!rc)
		rc = agree(own, peer, shared, &secret.len);
	if (!rc)
		rc = open ? slot_unwrap(slot, uuid, &secret, &p->key, data_key)
			  : slot_wrap(slot, uuid, &secret, data_key, &p->key);
	OPENSSL_cleanse(shared, sizeof(shared));
	return rc;
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

static int encode(const struct parts *p, struct envelope_slot *slot)
{
	struct cursor c = cursor_writer(slot->data, sizeof(slot->data));

	cursor_put(&c, p->key_id, sizeof(p->key_id));
	cursor_put_u16(&c, (uint16_t)p->ephemeral_len);
	cursor_put(&c, p->ephemeral, p->ephemeral_len);
	slot_put_wrapped(&c, &p->key);
	slot->len = (uint16_t)c.pos;
	return cursor_ok(&c) ? 0 : -ENOSPC;
}

static int parse_recovery(const struct envelope_slot *slot, struct parts *p)
{
	struct cursor c = cursor_reader(slot->data, slot->len);

	cursor_copy(&c, p->key_id, sizeof(p->key_id));
	p->ephemeral_len = cursor_u16(&c);
	p->ephemeral = cursor_bytes(&c, p->ephemeral_len);
	slot_get_wrapped(&c, &p->key);
	return cursor_done(&c) ? 0 : -EBADMSG;
}

int recovery_slot_key(const struct envelope_slot *slot, uint8_t key_id[CRYPT_HASH_SIZE])
{
	struct parts p;

	if (slot->kind != ENVELOPE_SLOT_RECOVERY || parse_recovery(slot, &p))
		return -EBADMSG;
	memcpy(key_id, p.key_id, sizeof(p.key_id));
	return 0;
}

int recovery_wrap(const uint8_t *public, size_t len, const uint8_t uuid[16],
		  const uint8_t data_key[ENVELOPE_KEY_SIZE], struct envelope_slot *slot)
{
	uint8_t ephemeral[RECOVERY_PUBLIC_MAX], key[ENVELOPE_KEY_SIZE];
	struct parts p = {.ephemeral = ephemeral};
	EVP_PKEY *peer = read_public(public, len), *own;
	int rc;

	if (!peer)
		return -EINVAL;
	own = new_ephemeral(peer);
	rc = own ? encode_public(own, ephemeral, &p.ephemeral_len) : -EIO;
	if (!rc)
		rc = recovery_key_id(public, len, p.key_id);
	memcpy(key, data_key, sizeof(key));
	if (!rc)
		rc = crypt_key(own, peer, uuid, slot, &p, false, key);
	if (!rc)
		rc = encode(&p, slot);
	OPENSSL_cleanse(key, sizeof(key));
	EVP_PKEY_free(own);
	EVP_PKEY_free(peer);
	return rc;
}

static bool is_for(const struct parts *p, EVP_PKEY *key)
{
	uint8_t public[RECOVERY_PUBLIC_MAX], key_id[CRYPT_HASH_SIZE];
	size_t len;

	return is_usable(key) && !encode_public(key, public, &len) &&
	       !recovery_key_id(public, len, key_id) &&
	       !memcmp(key_id, p->key_id, sizeof(key_id));
}

int recovery_unwrap(EVP_PKEY *key, const uint8_t uuid[16],
		    const struct envelope_slot *slot, uint8_t data_key[ENVELOPE_KEY_SIZE])
{
	EVP_PKEY *peer;
	struct parts p;
	int rc;

	if (slot->kind != ENVELOPE_SLOT_RECOVERY || parse_recovery(slot, &p))
		return -EBADMSG;
	if (!is_for(&p, key))
		return -ENOKEY;
	peer = read_public(p.ephemeral, p.ephemeral_len);
	rc = peer ? crypt_key(key, peer, uuid, slot, &p, true, data_key) : -EBADMSG;
	EVP_PKEY_free(peer);
	return rc;
}
