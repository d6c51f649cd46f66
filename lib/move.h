/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two hosts say to each other about a vTPM that moves (tools/vtpmd/handover.h has the
 * order), and what the destination's TPM signs for.  Big-endian; B is u16 length | bytes,
 * L u32 length | bytes.
 *
 * Message:  u8 enum handover_kind | txid[16] | uuid[16] | L body
 *
 * OFFER     B "xen-vtpm offer 1" | nonce[32], the source's | u64 generation
 *           | u64 epoch | B name | L description, JSON: vtpm.json's, of vtpmd for vtpmd;
 *           and of a guest that was launched {"launch": {"uuid": UUID, "list": HEX}}, what
 *           was measured of it (lib/measure.h); of one that was saved, when the vTPM moves
 *           alone, {"saved": {"uuid": UUID, "on": the power-on that it left it at}}
 * ACCEPT    B "xen-vtpm accept 1" | B public key that the importing manager made for it,
 *           SubjectPublicKeyInfo (DER, P-256) | L proof, JSON as the host's part of evidence:
 *           "ak", "quote", "signature", "pcrs": {"sha256": {...}}, "binding"
 * EXPORT    L what the manager sealed | L what the TPM's board in domain 0 has, of an HVM
 *           guest (tools/vtpmd/move_board.h), else empty.  The first is
 *           L header, with one key slot, for that public key | L blob, under that header's
 *           data key: lib/slot/envelope.h.  In it are the TLVs of enum move_tlv.
 * ASK       16 random bytes;  KEPT  those of the ASK that it answers
 * The others have no body; REFUSE has a sentence, UTF-8.
 *
 * The proof's quote has for its qualifyingData the SHA-256 of the binding:
 *   B "xen-vtpm migration 1" | B SHA-256(OFFER) | uuid[16] | B SHA-256(public key)
 *   | B SHA-256 of the stub domain's kernel; empty: a process | B SHA-256 of the manager
 */
#ifndef XVTPM_LIB_MOVE_H
#define XVTPM_LIB_MOVE_H

#include "include/compiler.h"
#include "lib/binding.h"
#include "lib/crypt.h"
#include "lib/cursor.h"

#define MOVE_OFFER_LABEL   "xen-vtpm offer 1"
#define MOVE_ACCEPT_LABEL  "xen-vtpm accept 1"
#define MOVE_BINDING_LABEL "xen-vtpm migration 1"
#define MOVE_NONCE_SIZE	   32
#define MOVE_NAME_MAX	   64
#define MOVE_KEY_MAX	   160
#define MOVE_BINDING_MAX   256
#define MOVE_OFFER_MAX	   (128 * 1024)
#define MOVE_ACCEPT_MAX	   32768
#define MOVE_MESSAGE_MAX   (512 * 1024)
#define MOVE_BOARD_MAX	   16384

/* What a manager at the destination has executed since the vTPM came: its answer to
 * CHANNEL_MOVE_DEACTIVATE, a u8. */
enum move_touch {
	MOVE_UNTOUCHED = 0, /* no command */
	MOVE_TOUCHED = 1,
	/* no command, but it is not the manager that imported it, and what that executed is not
	 * known.  u64 follows: the generation of the state that it found. */
	MOVE_ANEW = 2,
};

#define MOVE_TOUCH_MAX 9

/* Inside of an EXPORT: u16 tag | u32 length | value. */
enum move_tlv {
	MOVE_TRANSCRIPT = 1, /* SHA-256(L OFFER | L ACCEPT) */
	MOVE_PERMANENT = 2,  /* libtpms's, as the store has it */
	MOVE_VOLATILE = 3,   /* libtpms's */
	MOVE_LOG = 4,	     /* of the guest's launch; absent: it has none */
	MOVE_POWER_ON = 5,   /* u64, of the TPM: CHANNEL_GUEST */
	MOVE_CRB = 6,	     /* u8, 1: the guest's firmware has the platform hierarchy */
	MOVE_PLATFORM_AUTH = 7,
};

struct move_message {
	uint8_t kind; /* enum handover_kind */
	uint8_t txid[16], uuid[16];
	struct binding_part body;
};

struct move_offer {
	uint8_t nonce[MOVE_NONCE_SIZE];
	uint64_t seq, epoch;
	struct binding_part name, description;
};

struct move_accept {
	struct binding_part key, proof;
};

struct move_export {
	struct binding_part header, blob;
};

/* The body of an EXPORT. */
struct move_parcel {
	struct binding_part sealed, board;
};

struct move_binding {
	uint8_t offer[CRYPT_HASH_SIZE], uuid[16], key[CRYPT_HASH_SIZE];
	struct binding_part kernel, manager;
};

/* Each encoder: *len is room in, bytes out; -EMSGSIZE.  Each decoder reads all of buf, and
 * the parts point into it; -EBADMSG. */
int __must_check move_message_encode(const struct move_message *m, uint8_t *out,
				     size_t *len);
int __must_check move_message_decode(const uint8_t *buf, size_t len,
				     struct move_message *m);
int __must_check move_offer_encode(const struct move_offer *o, uint8_t *out, size_t *len);
int __must_check move_offer_decode(const uint8_t *buf, size_t len, struct move_offer *o);
int __must_check move_accept_encode(const struct move_accept *a, uint8_t *out,
				    size_t *len);
int __must_check move_accept_decode(const uint8_t *buf, size_t len,
				    struct move_accept *a);
int __must_check move_export_encode(const struct move_export *x, uint8_t *out,
				    size_t *len);
int __must_check move_export_decode(const uint8_t *buf, size_t len,
				    struct move_export *x);
int __must_check move_parcel_encode(const struct move_parcel *x, uint8_t *out,
				    size_t *len);
int __must_check move_parcel_decode(const uint8_t *buf, size_t len,
				    struct move_parcel *x);
int __must_check move_binding_encode(const struct move_binding *b, uint8_t *out,
				     size_t *len);
int __must_check move_binding_decode(const uint8_t *buf, size_t len,
				     struct move_binding *b);

/* Of what was said before an EXPORT: MOVE_TRANSCRIPT. */
int __must_check move_transcript(struct binding_part offer, struct binding_part accept,
				 uint8_t out[CRYPT_HASH_SIZE]);

#endif
