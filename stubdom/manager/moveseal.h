/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXPORT (lib/move.h): what a vTPM is and holds, PCRs, sessions and objects too, encrypted
 * to a key that the destination's manager made, for one transfer.
 *
 * It is a header of its own (lib/slot/envelope.h), with the vTPM's description, and one key
 * slot of the kind "recovery", which carries a random key to that public key by ECIES; and
 * under the random key a blob of TLVs (enum move_tlv).  The transcript in it is that of the
 * OFFER and the ACCEPT: an export for one answer is none for another.
 */
#ifndef XVTPM_MANAGER_MOVESEAL_H
#define XVTPM_MANAGER_MOVESEAL_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/move.h"
#include "lib/slot/envelope.h"

#include <openssl/evp.h>

/* What moves.  The parts point into the caller's buffers, or into raw. */
struct moveseal {
	uint8_t uuid[16];
	uint64_t seq, epoch; /* of the last permanent state, at the source */
	struct envelope_desc desc;
	struct binding_part permanent, volatile_state, log, platform_auth;
	uint64_t on; /* the TPM's power-on */
	bool crb;
	uint8_t *raw; /* of one that was opened: moveseal_wipe() */
	size_t raw_len;
};

/* A new key for one import.  public: SubjectPublicKeyInfo.  -EIO */
int __must_check moveseal_key(EVP_PKEY **key, uint8_t public[MOVE_KEY_MAX], size_t *len);

/* Encrypts *m to the key of accept.  *out is malloc()ed.  Sets *e. */
int __must_check moveseal_seal(const struct moveseal *m, struct binding_part offer,
			       struct binding_part accept, uint8_t **out, size_t *len,
			       struct error *e);
/* Opens an export for m->uuid by the private key of accept.  -EBADMSG: it is none, or was
 * changed; -EXDEV: it is another vTPM's, or of another transfer.  Sets *e. */
int __must_check moveseal_open(struct moveseal *m, EVP_PKEY *key,
			       struct binding_part offer, struct binding_part accept,
			       const uint8_t *buf, size_t len, struct error *e);
void moveseal_wipe(struct moveseal *m);

#endif
