/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From configuration to data key: opens a stored header's slot, or makes a new
 * vTPM's data key and header.  Talks to the host's TPM (hosttpm) and to the KMS
 * (lib/kms) through the two transports that it is given, never to the store.
 */
#ifndef XVTPM_UNLOCK_H
#define XVTPM_UNLOCK_H

#include "lib/slot/envelope.h"
#include "lib/kms.h"
#include "stubdom/manager/hosttpm.h"
#include "stubdom/manager/slot.h"

#include <stdbool.h>

#define UNLOCK_APPROVALS_MAX 16
#define UNLOCK_CERTS_MAX     4

/* The CONFIG TLVs of include/channel.h, parsed.  Pointers point into the TLVs;
 * the kms texts are terminated copies owned by the struct. */
struct unlock_config {
	uint8_t uuid[16];
	char name[64];
	bool create;
	bool is_copy; /* of the vTPM copy_of */
	uint8_t copy_of[16];
	uint64_t epoch; /* of this run */
	/* of a vTPM that is to be made; else its header's, once that is open */
	struct envelope_desc desc;
	struct hosttpm_config tpm; /* srk handle and name, policy key, approvals */
	char *kms_address, *kms_ca, *kms_cert, *kms_key_id; /* NULL: no KMS */
	const uint8_t *kms_key_sealed;
	size_t kms_key_sealed_len;
	const uint8_t *recovery_key; /* NULL: none */
	size_t recovery_key_len;
	unsigned int certs;
	struct {
		uint32_t index;
		const uint8_t *der;
		size_t len;
	} cert[UNLOCK_CERTS_MAX];
};

/* -EBADMSG with CAUSE_CHANNEL when the TLVs do not parse. */
int __must_check unlock_config_parse(const uint8_t *tlvs, size_t len,
				     struct unlock_config *c, struct error *e);
void unlock_config_free(struct unlock_config *c);

/* A data key (entropy: OpenSSL's, with the host TPM's GetRandom mixed in when there is
 * one). */
int __must_check unlock_new_key(const struct unlock_config *c,
				const struct hosttpm_transport *tpm, uint8_t data_key[32],
				struct error *e);
/* Makes a data key and its header with one slot of c->desc.policy. */
int __must_check unlock_create(const struct unlock_config *c,
			       const struct hosttpm_transport *tpm,
			       const struct kms_stream *kms, uint8_t data_key[32],
			       uint8_t *header, size_t *header_len, struct error *e);
/* A header for a data key that is there: as c->desc says, with one slot of its policy,
 * and one for the recovery key if there is one. */
int __must_check unlock_seal(const struct unlock_config *c,
			     const struct hosttpm_transport *tpm,
			     const struct kms_stream *kms, const uint8_t data_key[32],
			     uint64_t seq, uint8_t *header, size_t *header_len,
			     struct error *e);
/* Whether the header lacks a slot for the configured recovery key: 1, and out is the
 * header with it, its generation in *seq; 0: nothing is to do. */
int __must_check unlock_amend(const struct unlock_config *c, const uint8_t *header,
			      size_t header_len, const uint8_t data_key[32], uint8_t *out,
			      size_t *out_len, uint64_t *seq, struct error *e);
/* Opens the first slot of the header's policy that this host can open; verifies the
 * header's MAC; *desc is what it says.  When none opens, *e tells why the slot of the
 * host's own kind did not. */
int __must_check unlock_open(const struct unlock_config *c,
			     const struct hosttpm_transport *tpm,
			     const struct kms_stream *kms, const uint8_t *header,
			     size_t header_len, uint8_t data_key[32],
			     struct envelope_desc *desc, struct error *e);

/*
 * The KMS half of a slot.  Each call unseals this host's client key by the TPM,
 * uses it for one exchange, and wipes it.
 */

int __must_check unlock_kms_wrap(const struct unlock_config *c,
				 const struct hosttpm_transport *tpm,
				 const struct kms_stream *kms,
				 const uint8_t secret[UNLOCK_SECRET_SIZE],
				 struct kms_wrapped *out, struct error *e);
int __must_check unlock_kms_unwrap(const struct unlock_config *c,
				   const struct hosttpm_transport *tpm,
				   const struct kms_stream *kms,
				   const struct kms_wrapped *in,
				   uint8_t secret[UNLOCK_SECRET_SIZE], struct error *e);

#endif
