/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key slot that an offline key opens: the data key, encrypted to an EC public key
 * whose private half lies in a safe (ECIES: ephemeral ECDH, HKDF-SHA256, AES-256-GCM).
 *
 * Slot: key id[32] | u16 n | ephemeral public key | iv[12] | wrapped[32] | tag[16]
 *   key id: SHA-256 of the recovery key's SubjectPublicKeyInfo (DER)
 *   ephemeral public key: SubjectPublicKeyInfo (DER), on the same curve
 *   KEK = HKDF-SHA256(ECDH, no salt, info "xen-vtpm recovery" | u16 envelope version
 *         | uuid | u16 slot id | key id | SHA-256(ephemeral public key))
 *   AAD: u16 version | uuid | u16 kind | u16 slot id
 */
#ifndef XVTPM_SLOT_RECOVERY_H
#define XVTPM_SLOT_RECOVERY_H

#include <stdbool.h>
#include <openssl/evp.h>
#include "lib/crypt.h"
#include "lib/slot/envelope.h"

#define RECOVERY_PUBLIC_MAX 256 /* a SubjectPublicKeyInfo of P-521 has 158 bytes */

/* Whether a SubjectPublicKeyInfo is one that can be used: P-256, P-384, P-521, X25519. */
bool recovery_public_ok(const uint8_t *public, size_t len);
/* The key that a slot of kind RECOVERY is for. -EBADMSG */
int __must_check recovery_slot_key(const struct envelope_slot *slot,
				   uint8_t key_id[CRYPT_HASH_SIZE]);
int __must_check recovery_key_id(const uint8_t *public, size_t len,
				 uint8_t key_id[CRYPT_HASH_SIZE]);
/* Fills slot->data and len; kind and id are the caller's.  -EINVAL: no such key */
int __must_check recovery_wrap(const uint8_t *public, size_t len, const uint8_t uuid[16],
			       const uint8_t data_key[ENVELOPE_KEY_SIZE],
			       struct envelope_slot *slot);
/* -ENOKEY: the slot is for another key; -EBADMSG: it was altered. */
int __must_check recovery_unwrap(EVP_PKEY *key, const uint8_t uuid[16],
				 const struct envelope_slot *slot,
				 uint8_t data_key[ENVELOPE_KEY_SIZE]);

#endif
