/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From configuration to data key: opens a stored header's slot, or makes a new
 * vTPM's data key and header.  Talks to the host's TPM (hosttpm) and to the KMS
 * (lib/kms) through the two transports that it is given, never to the store.
 */
#ifndef XVTPM_UNLOCK_H
#define XVTPM_UNLOCK_H

#include "lib/kms.h"
#include "lib/slot/slot.h"
#include "stubdom/manager/hosttpm.h"

#include <stdbool.h>

#define UNLOCK_APPROVALS_MAX 16
#define UNLOCK_CERTS_MAX     4
#define UNLOCK_POOL_KEYS_MAX 16
#define UNLOCK_KEY_OVERHEAD  (HOSTTPM_OBJECT_MAX + CRYPT_IV_SIZE + 2 + CRYPT_TAG_SIZE)

/* The CONFIG TLVs of include/channel.h, parsed.  Pointers point into the TLVs;
 * the kms texts are terminated copies owned by the struct. */
struct unlock_config {
	uint8_t uuid[16];
	char name[64];
	uint16_t unknown; /* a tag that may not be skipped */
	bool create;
	bool is_copy; /* of the vTPM copy_of */
	uint8_t copy_of[16];
	bool has_source;  /* swtpm's state, to be taken over */
	bool keeps_certs; /* that came with it */
	uint64_t epoch;	  /* of this run */
	bool incoming;	  /* its state comes from another host ... */
	bool alone;	  /* ... and no guest with it */
	bool leased;	  /* it answers while its host's lease lasts: lease.h */
	bool watchdog;	  /* and Xen ends it where it would answer later */
	bool trial;	  /* nobody gets it: it is to be opened, and closed again */
	/* of a vTPM that is to be made; else its header's, once that is open */
	struct envelope_desc desc;
	struct hosttpm_config tpm; /* srk handle and name, policy key, approvals */
	char *kms_address, *kms_ca, *kms_cert, *kms_key_id; /* NULL: no KMS */
	struct kms_token *token; /* of struct kms_config; NULL: nobody asks */
	const uint8_t *kms_key_sealed;
	size_t kms_key_sealed_len;
	/* the pool keys that are this host's, the newest last; in_pool: slots shall be of them */
	bool in_pool;
	unsigned int pool_keys;
	struct {
		uint32_t version;
		struct tpm2_bytes object;
	} pool_key[UNLOCK_POOL_KEYS_MAX];
	const uint8_t *recovery_key; /* NULL: none */
	size_t recovery_key_len;
	/* vtpmd keeps the endorsement keys' witness (include/ekwitness.h); n 0: it has none */
	bool keeps_witness;
	struct tpm2_bytes ek_witness;
	unsigned int certs;
	struct {
		uint32_t index;
		const uint8_t *der;
		size_t len;
	} cert[UNLOCK_CERTS_MAX];
};

/* -EBADMSG with CAUSE_CHANNEL when the TLVs do not parse; -EPROTO with CAUSE_VERSION when
 * one is unknown that may not be skipped. */
int __must_check unlock_config_parse(const uint8_t *tlvs, size_t len,
				     struct unlock_config *c, struct error *e);
void unlock_config_free(struct unlock_config *c);

/* What all that follows works with; each sets *error, which may not be NULL. */
struct unlock {
	const struct unlock_config *config;
	struct tpm2_transport tpm;
	struct kms_stream kms;
	struct error *error;
	/* the KMS's key is not to come here: vtpmctl in domain 0 */
	bool keeps_key_away;
};

/* 32 random bytes: OpenSSL's, with the host TPM's GetRandom mixed in when there is one. */
int __must_check unlock_random(const struct unlock *u, uint8_t out[32]);
/* Makes a data key and its header with one slot of config->desc.policy. */
int __must_check unlock_create(const struct unlock *u, uint8_t data_key[32],
			       uint8_t *header, size_t *header_len);
/* Makes a header for a data key that is there: as config->desc says, with one slot of its
 * policy, in the form of unlock_policy(), and one for the recovery key if there is one. */
int __must_check unlock_seal(const struct unlock *u, const uint8_t data_key[32],
			     uint64_t seq, uint8_t *header, size_t *header_len);
/* Whether the header lacks a slot for the configured recovery key: 1, and out is the
 * header with it, its generation in *seq; 0: nothing is to do. */
int __must_check unlock_amend(const struct unlock *u, const uint8_t *header,
			      size_t header_len, const uint8_t data_key[32], uint8_t *out,
			      size_t *out_len, uint64_t *seq);
/* The policy of the configuration in the form that it has here (slot_kind_of_place()): in a pool
 * of which this host has no key it stays as it is. */
uint16_t unlock_policy(const struct unlock_config *c);
/* Whether a header that this host opens is to have another slot here: it came into the pool or
 * out of it, or was made with an older pool key. */
bool unlock_is_old(const struct unlock_config *c, const uint8_t *header,
		   size_t header_len);
/* Opens the first slot of the header's policy that this host can open; verifies the
 * header's MAC; *desc is what it says.  When none opens, *error tells why the slot of the
 * host's own kind did not. */
int __must_check unlock_open(const struct unlock *u, const uint8_t *header,
			     size_t header_len, uint8_t data_key[32],
			     struct envelope_desc *desc);

/*
 * The KMS half of a slot.  Each call unseals this host's client key by the TPM,
 * uses it for one exchange, and wipes it.
 */

/* Seals the client's key (PEM) as include/channel.h lays it out, and opens it once, which
 * takes an approved boot state.  *len: in, room, of which UNLOCK_KEY_OVERHEAD is for what
 * is not the PEM; out, bytes. */
int __must_check unlock_kms_seal_key(const struct unlock *u, const char *key_pem,
				     uint8_t *out, size_t *len);
/* The same with the key that is sealed in *from's configuration. */
int __must_check unlock_kms_move_key(const struct unlock *from, const struct unlock *to,
				     uint8_t *out, size_t *len);
int __must_check unlock_kms_wrap(const struct unlock *u,
				 const uint8_t secret[KMS_SECRET_SIZE],
				 struct kms_wrapped *out);
int __must_check unlock_kms_unwrap(const struct unlock *u, const struct kms_wrapped *in,
				   uint8_t secret[KMS_SECRET_SIZE]);
int __must_check unlock_kms_derive(const struct unlock *u, bool is_new,
				   struct kms_derived *d,
				   uint8_t secret[KMS_SECRET_SIZE]);
/* Whether the KMS has its key for unlock_kms_derive(), which is not asked for. */
int __must_check unlock_kms_probe(const struct unlock *u);

#endif
