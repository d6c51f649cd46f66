/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key slot that an offline key opens: the data key, encrypted to an EC public key
 * whose private half lies in a safe (ECIES: ephemeral ECDH, HKDF-SHA256, AES-256-GCM).
 *
 * Parts: key id[32] | u16 n | ephemeral public key
 *   key id: SHA-256 of the recovery key's SubjectPublicKeyInfo (DER)
 *   ephemeral public key: SubjectPublicKeyInfo (DER), on the same curve
 * Secret: the ECDH.  Context: key id | SHA-256(ephemeral public key)
 */
#ifndef XVTPM_SLOT_RECOVERY_H
#define XVTPM_SLOT_RECOVERY_H

#include "lib/slot/slot.h"

#define RECOVERY_PUBLIC_MAX 256 /* a SubjectPublicKeyInfo of P-521 has 158 bytes */

/* Whether a SubjectPublicKeyInfo is one that can be used: P-256, P-384, P-521, X25519. */
bool recovery_public_ok(const uint8_t *public, size_t len);
/* The key that a slot of kind RECOVERY is for. -EBADMSG */
int __must_check recovery_slot_key(const struct envelope_slot *slot,
				   uint8_t key_id[CRYPT_HASH_SIZE]);
int __must_check recovery_key_id(const uint8_t *public, size_t len,
				 uint8_t key_id[CRYPT_HASH_SIZE]);
/* The row's functions.  seal: -EINVAL: no usable public key.  open: -ENOKEY: the slot is
 * for another key. */
int __must_check recovery_seal(const struct slot_context *x, const struct slot_kind *k,
			       struct cursor *parts, struct slot_secret *s);
int __must_check recovery_open(const struct slot_context *x, const struct slot_kind *k,
			       struct cursor *parts, struct slot_secret *s);

#endif
