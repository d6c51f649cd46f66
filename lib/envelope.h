/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope: the only form in which a vTPM's state leaves its manager.
 *
 * Every vTPM has a random 256-bit data key.  The HEADER carries it, wrapped once
 * in each key slot (as LUKS2 does); every state BLOB is encrypted under a key
 * derived from it.  All integers are big-endian.
 *
 * Header:
 *   "XVTPMHDR" | u16 version 1 | u16 slot count | uuid[16] | u64 seq
 *   | slots | mac[32]
 *   slot: u16 kind | u16 id | u32 length | length bytes
 *   mac: HMAC-SHA256 over all that stands before it, under
 *   HKDF-SHA256(data key, info "xen-vtpm header mac 1").
 *
 * A slot's bytes (kinds HOST, TPM, KMS; an absent part has length 0):
 *   u16 n | the KMS part | u16 n | the TPM part | iv[12] | wrapped[32] | tag[16]
 *   KMS part:  u16 n | key id text | iv[12] | u16 n | ciphertext | tag[16]
 *   TPM part:  srk name: u16 n | bytes | TPM2B_PUBLIC | TPM2B_PRIVATE
 *   wrapped/tag: the data key under AES-256-GCM with the KEK,
 *   AAD: u16 version | uuid | u16 kind | u16 slot id
 *   KEK = HKDF-SHA256(S_tpm || S_kms, no salt,
 *                     info "xen-vtpm kek" | u16 version | uuid | u16 slot id)
 *
 * Blob:
 *   "XVTPMBLB" | u16 version 1 | u16 kind | uuid[16] | u64 seq | salt[32]
 *   | u32 length | ciphertext | tag[16]
 *   key = HKDF-SHA256(data key, salt, info "xen-vtpm blob" | u16 version | u16 kind)
 *   AES-256-GCM, IV of zeroes (every key is used once), AAD: all that stands
 *   before the ciphertext.
 */
#ifndef XVTPM_ENVELOPE_H
#define XVTPM_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "lib/error.h"

#define ENVELOPE_VERSION       1
#define ENVELOPE_KEY_SIZE      32
#define ENVELOPE_UUID_SIZE     16
#define ENVELOPE_AAD_SIZE      22
#define ENVELOPE_SLOTS_MAX     8
#define ENVELOPE_SLOT_MAX      4096
#define ENVELOPE_HEADER_MAX    (68 + ENVELOPE_SLOTS_MAX * (8 + ENVELOPE_SLOT_MAX))
#define ENVELOPE_BLOB_OVERHEAD 88 /* bytes that a blob is longer than its content */

enum envelope_slot_kind {
	ENVELOPE_SLOT_HOST = 1,	    /* the host's TPM and the KMS, both needed */
	ENVELOPE_SLOT_KMS = 2,	    /* the KMS alone */
	ENVELOPE_SLOT_TPM = 3,	    /* the host's TPM alone */
	ENVELOPE_SLOT_RECOVERY = 4, /* an offline public key */
	ENVELOPE_SLOT_MIGRATE = 5,  /* a destination host's TPM and the KMS */
	ENVELOPE_SLOT_LOCAL = 6,    /* a key file beside the state: tests only */
	ENVELOPE_SLOT_OLD_KEY = 7,  /* lib/oldkey.h: the data key is being replaced */
};

struct envelope_slot {
	uint16_t kind;
	uint16_t id;
	uint16_t len;
	uint8_t data[ENVELOPE_SLOT_MAX];
};

struct envelope_header {
	uint8_t uuid[ENVELOPE_UUID_SIZE];
	uint64_t seq; /* grows by one with every change of the slots */
	uint16_t slot_count;
	struct envelope_slot slots[ENVELOPE_SLOTS_MAX];
};

/* Writes and MACs *h. *len: in, room in out; out, bytes. 0 or -ENOSPC, -EIO. */
int __must_check envelope_header_seal(const struct envelope_header *h,
				      const uint8_t data_key[ENVELOPE_KEY_SIZE],
				      uint8_t *out, size_t *len);
/* Reads a header without a key: nothing in *h is authenticated yet.
 * -EBADMSG (CAUSE_HEADER_CORRUPT), -EPROTONOSUPPORT (CAUSE_VERSION). */
int __must_check envelope_header_parse(const uint8_t *buf, size_t len,
				       struct envelope_header *h, struct error *e);
/* Checks the MAC with the data key that a slot gave. -EBADMSG. */
int __must_check envelope_header_verify(const uint8_t *buf, size_t len,
					const uint8_t data_key[ENVELOPE_KEY_SIZE],
					struct error *e);

/* What a slot's wrapped data key is bound to: u16 version | uuid | u16 kind | u16 id. */
void envelope_slot_aad(const struct envelope_slot *slot,
		       const uint8_t uuid[ENVELOPE_UUID_SIZE],
		       uint8_t aad[ENVELOPE_AAD_SIZE]);

/* Seals plain into out (len + ENVELOPE_BLOB_OVERHEAD bytes). */
int __must_check envelope_blob_seal(const uint8_t data_key[ENVELOPE_KEY_SIZE],
				    const uint8_t uuid[ENVELOPE_UUID_SIZE], uint16_t kind,
				    uint64_t seq, const uint8_t *plain, size_t len,
				    uint8_t *out, size_t *out_len);
/* Opens a blob; plain has room for len bytes. Checks uuid (-EXDEV,
 * CAUSE_WRONG_VTPM), kind and tag (-EBADMSG, CAUSE_BLOB_CORRUPT), version. */
int __must_check envelope_blob_open(const uint8_t data_key[ENVELOPE_KEY_SIZE],
				    const uint8_t uuid[ENVELOPE_UUID_SIZE], uint16_t kind,
				    const uint8_t *buf, size_t len, uint64_t *seq,
				    uint8_t *plain, size_t *plain_len, struct error *e);

#endif
