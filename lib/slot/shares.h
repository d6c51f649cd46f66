/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key slots that this host opens: of the kinds host, kms and tpm, by the key shares
 * S_tpm, which the host's TPM has sealed, and S_kms, which the KMS has encrypted; of the kinds
 * host-get and kms-get, whose S_kms is derived of a key that the KMS gives out; and of the
 * kind local, by a key file beside the state.
 *
 * Parts (an absent one has length 0): u16 n | the KMS part | u16 n | the TPM part
 *   KMS part:  u16 n | key id text | iv[12] | u16 n | ciphertext | tag[16]
 *     of the kinds host-get and kms-get:
 *              u16 n | key id text | nonce[32] | check[16]
 *   TPM part:  srk name: u16 n | bytes | TPM2B_PUBLIC | TPM2B_PRIVATE
 *     of the kinds pool and pool-get:
 *              u32 version of the pool key | nonce[32]
 * Secret: S_tpm || S_kms, of those that the kind needs; or the key file's bytes.
 * With both, the sealed object's authValue is derived from S_kms: without the KMS, the
 * TPM's share is shut.
 * Of the kinds pool and pool-get no part is one host's: each host of the pool has its TPM
 * compute S_tpm = HMAC(pool key, SHARES_POOL_LABEL | u32 version | uuid | nonce), which vtpmd
 * lets a manager ask for its own uuid alone (tools/vtpmd/tpm_filter.h).
 */
#ifndef XVTPM_SLOT_SHARES_H
#define XVTPM_SLOT_SHARES_H

#include "lib/kms.h"
#include "lib/slot/slot.h"

#define SHARES_LABEL	  "xen-vtpm kek"
#define SHARES_OBJECT_MAX 1024
#define SHARES_POOL_LABEL "xen-vtpm pool share"
/* What the pool key authenticates */
#define SHARES_POOL_SIZE \
	(sizeof(SHARES_POOL_LABEL) - 1 + 4 + ENVELOPE_UUID_SIZE + SLOT_SHARE_SIZE)

/* The parts, parsed.  Which are there follows from the kind. */
struct shares {
	struct kms_wrapped kms; /* or, of a kind that is_get: */
	struct kms_derived given;
	uint8_t srk_name[34]; /* of the TPM that it was sealed to */
	uint8_t object[SHARES_OBJECT_MAX];
	size_t object_len;
	/* or, of a kind that is_pool: */
	uint32_t version;
	uint8_t nonce[SLOT_SHARE_SIZE];
};

void shares_encode(const struct slot_kind *k, const struct shares *s, struct cursor *out);
/* -EBADMSG */
int __must_check shares_parse(const struct slot_kind *k, struct cursor *in,
			      struct shares *s);

/* Writes what the pool key authenticates for a slot. */
void shares_pool_data(uint32_t version, const uint8_t uuid[ENVELOPE_UUID_SIZE],
		      const uint8_t nonce[SLOT_SHARE_SIZE],
		      uint8_t out[SHARES_POOL_SIZE]);
/* The version of the pool key that a header's slot was made with; 0: it has no such slot. */
uint32_t shares_pool_version(const uint8_t *header, size_t len);

/* The rows' functions. */
int __must_check shares_seal(const struct slot_context *x, const struct slot_kind *k,
			     struct cursor *parts, struct slot_secret *s);
int __must_check shares_open(const struct slot_context *x, const struct slot_kind *k,
			     struct cursor *parts, struct slot_secret *s);

#endif
