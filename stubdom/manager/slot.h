/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a key slot (lib/slot/envelope.h) and the key that opens it.  No I/O.
 */
#ifndef XVTPM_MANAGER_SLOT_H
#define XVTPM_MANAGER_SLOT_H

#include "include/compiler.h"
#include "lib/crypt.h"
#include "lib/slot/envelope.h"
#include "lib/slot/slot.h"
#include "lib/kms.h"
#include "stubdom/manager/hosttpm.h"

#include <stdbool.h>

#define UNLOCK_SECRET_SIZE 32

/* A slot, parsed.  Which parts are there follows from the kind. */
struct unlock_slot {
	struct kms_wrapped kms;
	uint8_t srk_name[34]; /* of the TPM that it was sealed to */
	uint8_t object[HOSTTPM_OBJECT_MAX];
	size_t object_len;
	struct slot_wrapped key;
};

/* The secrets that make the KEK: of those that the kind asks for, all. */
struct unlock_secrets {
	uint8_t tpm[UNLOCK_SECRET_SIZE], kms[UNLOCK_SECRET_SIZE];
	uint8_t local[UNLOCK_SECRET_SIZE]; /* a key file; ENVELOPE_SLOT_LOCAL */
};

bool unlock_slot_needs_tpm(uint16_t kind);
bool unlock_slot_needs_kms(uint16_t kind);

/* Fills out->data and len from *s, for out->kind. -ENOSPC */
int __must_check unlock_slot_encode(const struct unlock_slot *s,
				    struct envelope_slot *out);
/* -EBADMSG, CAUSE_HEADER_CORRUPT */
int __must_check unlock_slot_parse(const struct envelope_slot *in, struct unlock_slot *s,
				   struct error *e);
/* Wraps and unwraps the data key. unwrap: -EBADMSG, CAUSE_HEADER_CORRUPT */
int __must_check unlock_slot_wrap(const struct envelope_slot *slot,
				  const uint8_t uuid[16],
				  const struct unlock_secrets *secrets,
				  const uint8_t data_key[ENVELOPE_KEY_SIZE],
				  struct unlock_slot *s);
int __must_check unlock_slot_unwrap(const struct envelope_slot *slot,
				    const uint8_t uuid[16],
				    const struct unlock_secrets *secrets,
				    const struct unlock_slot *s,
				    uint8_t data_key[ENVELOPE_KEY_SIZE], struct error *e);

#endif
