/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all key slots of a header have in common: their kinds, and the data key that each
 * carries under a key encryption key (KEK) of its own.
 *
 * KEK = HKDF-SHA256(secret, no salt, info label | u16 version | uuid | u16 slot id | context)
 * wrapped, tag: the key under AES-256-GCM with the KEK; AAD: u16 version | uuid
 * | u16 kind | u16 slot id.  What the secret is, and the label, each kind's file says.
 */
#ifndef XVTPM_SLOT_SLOT_H
#define XVTPM_SLOT_SLOT_H

#include "include/compiler.h"
#include "lib/crypt.h"
#include "lib/slot/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slot_kind {
	uint16_t kind;	       /* enum envelope_slot_kind */
	const char *name;      /* as `vtpmctl show` and --policy have it */
	bool is_policy;	       /* a vTPM can be created with it */
	bool has_tpm, has_kms; /* whose halves of the secret it needs */
};

/* NULL: there is no such kind. */
const struct slot_kind *slot_kind_find(uint16_t kind);
/* NULL: no policy has this name. */
const struct slot_kind *slot_kind_of_policy(const char *name);
/* "unknown": there is no such kind. */
const char *slot_kind_name(uint16_t kind);

/* The index of the header's first slot of this kind; slot_count: it has none. */
uint16_t slot_find(const struct envelope_header *h, uint16_t kind);
/* An id that no slot of the header has. */
uint16_t slot_free_id(const struct envelope_header *h);

/* What a KEK is made of. */
struct slot_secret {
	const char *label;
	const uint8_t *bytes;
	size_t len;
	const uint8_t *context; /* what else it is bound to; NULL: nothing */
	size_t context_len;	/* up to SLOT_CONTEXT_MAX */
};

#define SLOT_CONTEXT_MAX (2 * CRYPT_HASH_SIZE)

struct slot_wrapped {
	uint8_t iv[CRYPT_IV_SIZE], wrapped[ENVELOPE_KEY_SIZE], tag[CRYPT_TAG_SIZE];
};

/* Encrypts the data key for a slot, whose kind and id stand.  0; -EIO, -EINVAL */
int __must_check slot_wrap(const struct envelope_slot *slot, const uint8_t uuid[16],
			   const struct slot_secret *secret,
			   const uint8_t data_key[ENVELOPE_KEY_SIZE],
			   struct slot_wrapped *out);
/* The reverse.  -EBADMSG: the secret does not fit, or something was altered. */
int __must_check slot_unwrap(const struct envelope_slot *slot, const uint8_t uuid[16],
			     const struct slot_secret *secret,
			     const struct slot_wrapped *in,
			     uint8_t data_key[ENVELOPE_KEY_SIZE]);

struct cursor;
void slot_put_wrapped(struct cursor *c, const struct slot_wrapped *w);
void slot_get_wrapped(struct cursor *c, struct slot_wrapped *w);

#endif
