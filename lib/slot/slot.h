/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key slots of a header: the table of their kinds, and the data key that each carries
 * under a key encryption key (KEK) of its own.
 *
 * Slot: the parts of its kind | iv[12] | wrapped[32] | tag[16]
 *   KEK = HKDF-SHA256(secret, no salt, info label | u16 version | uuid | u16 slot id | context)
 *   wrapped, tag: the data key under AES-256-GCM with the KEK
 *   AAD: u16 version | uuid | u16 kind | u16 slot id
 * A kind's row has the label; the kind's file says what the parts, the secret and the
 * context are.
 */
#ifndef XVTPM_SLOT_SLOT_H
#define XVTPM_SLOT_SLOT_H

#include "include/compiler.h"
#include "lib/crypt.h"
#include "lib/slot/envelope.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_SHARE_SIZE	  32
#define SLOT_SECRET_MAX	  66 /* an ECDH on P-521 */
#define SLOT_CONTEXT_MAX  (2 * CRYPT_HASH_SIZE)
#define SLOT_WRAPPED_SIZE (CRYPT_IV_SIZE + ENVELOPE_KEY_SIZE + CRYPT_TAG_SIZE)

struct cursor;
struct kms_wrapped; /* lib/kms.h */
struct kms_derived;
struct unlock; /* stubdom/manager/unlock.h */

/* What seals and opens the key shares of the kinds host, kms and tpm.  auth is NULL or the
 * object's authValue; object_len is room in, bytes out.  Each sets u->error. */
struct slot_host {
	int (*random)(const struct unlock *u, uint8_t share[SLOT_SHARE_SIZE]);
	int (*tpm_seal)(const struct unlock *u, const uint8_t *auth,
			const uint8_t share[SLOT_SHARE_SIZE], uint8_t *object,
			size_t *object_len);
	int (*tpm_unseal)(const struct unlock *u, const uint8_t *auth,
			  const uint8_t *object, size_t object_len,
			  uint8_t share[SLOT_SHARE_SIZE]);
	int (*kms_wrap)(const struct unlock *u, const uint8_t share[SLOT_SHARE_SIZE],
			struct kms_wrapped *out);
	int (*kms_unwrap)(const struct unlock *u, const struct kms_wrapped *in,
			  uint8_t share[SLOT_SHARE_SIZE]);
	/* is_new: fills d; else d says what to derive of */
	int (*kms_derive)(const struct unlock *u, bool is_new, struct kms_derived *d,
			  uint8_t share[SLOT_SHARE_SIZE]);
	/* *version: of the pool key; 0: the newest, which it becomes */
	int (*pool_derive)(const struct unlock *u, uint32_t *version,
			   const uint8_t nonce[SLOT_SHARE_SIZE],
			   uint8_t share[SLOT_SHARE_SIZE]);
};

/* What slots are sealed and opened with.  A kind needs the members of its line only. */
struct slot_context {
	const uint8_t *uuid; /* of the vTPM */
	struct error *error; /* or NULL */
	/* host, kms, tpm: */
	const struct slot_host *host;
	const struct unlock *unlock; /* for its functions */
	const uint8_t *srk_name;     /* of this host's storage key */
	/* recovery: the public key (SubjectPublicKeyInfo, DER) seals, the private one opens */
	const uint8_t *recovery_key;
	size_t recovery_key_len;
	EVP_PKEY *recovery_private;
	/* local: the key file's 32 bytes; old-key: the new data key */
	const uint8_t *key;
};

/* What the KEK is derived of. */
struct slot_secret {
	uint8_t bytes[SLOT_SECRET_MAX];
	size_t len;
	uint8_t context[SLOT_CONTEXT_MAX]; /* what else it is bound to */
	size_t context_len;
};

/* A kind of key slot; a new one is a row in slot.c, a number in envelope.h, and a file. */
struct slot_kind {
	uint16_t kind;	       /* enum envelope_slot_kind */
	const char *name;      /* as `vtpmctl show` and --policy have it */
	const char *label;     /* of its KEK */
	bool is_policy;	       /* a header may name it as its policy */
	bool is_offered;       /* `vtpmctl create --policy` takes it */
	bool is_extra;	       /* may stand in a header beside its policy's */
	bool has_tpm, has_kms; /* whose key shares it needs */
	bool is_get;	       /* S_kms is derived of a key that the KMS gives out */
	bool is_pool;	       /* S_tpm is derived of a key that a pool's hosts have */
	/* Makes a secret, and writes the parts that lead to it.  0 or -errno; sets x->error when
	 * there is more to say than that the slot could not be made. */
	int (*seal)(const struct slot_context *x, const struct slot_kind *k,
		    struct cursor *parts, struct slot_secret *s);
	/* Checks and reads all of the parts, and finds the secret.  -EBADMSG: they are corrupt */
	int (*open)(const struct slot_context *x, const struct slot_kind *k,
		    struct cursor *parts, struct slot_secret *s);
};

/* NULL: there is no such kind. */
/*@ assigns \nothing;
    ensures \result == \null || (\valid_read(\result) && \result->kind == kind); */
const struct slot_kind *slot_kind_find(uint16_t kind);
/* NULL: no policy has this name. */
const struct slot_kind *slot_kind_of_policy(const char *name);
/* The kind that a header may have as its policy; NULL: there is none of this name. */
const struct slot_kind *slot_kind_named(const char *name);
/* What a slot of this kind becomes in a pool whose hosts have a key, and in a folder: of host
 * and host-get, pool and pool-get, and back; any other stays. */
uint16_t slot_kind_of_place(uint16_t kind, bool in_pool);
/* "unknown": there is no such kind. */
const char *slot_kind_name(uint16_t kind);

/* The index of the header's first slot of this kind; slot_count: it has none. */
uint16_t slot_find(const struct envelope_header *h, uint16_t kind);

/* Fills a slot, whose kind and id are set, with the data key.  Sets x->error. */
int __must_check slot_seal(const struct slot_context *x, struct envelope_slot *slot,
			   const uint8_t data_key[ENVELOPE_KEY_SIZE]);
/* Seals the data key in the header's slot of this kind, which is replaced, or added.
 * -ENOSPC: the header is full.  Sets x->error. */
int __must_check slot_put(const struct slot_context *x, struct envelope_header *h,
			  uint16_t kind, const uint8_t data_key[ENVELOPE_KEY_SIZE]);
/* Gets the data key out of a slot.  -EBADMSG: the secret does not fit, or the slot was
 * altered; -EOPNOTSUPP: there is no way to open its kind; what the kind says.  Sets
 * x->error. */
int __must_check slot_open(const struct slot_context *x, const struct envelope_slot *slot,
			   uint8_t data_key[ENVELOPE_KEY_SIZE]);

#endif
