/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope: the only form in which a vTPM's state leaves its manager.
 *
 * Every vTPM has a random 256-bit data key.  The HEADER carries it, wrapped once
 * in each key slot (as LUKS2 does); every state BLOB is encrypted under a key
 * derived from it.  All integers are big-endian.
 *
 * Header:
 *   "XVTPMHDR" | u16 version | u16 slot count | uuid[16] | u64 seq | u64 epoch
 *   | description | slots | mac[32]
 *   description: u16 policy (the kind of slot that opens this vTPM) | u8 flags
 *   | u8 TPM version (20, 12) | u8 localities | u8 PCR banks
 *   | the Names of its endorsement keys, in the order of enum envelope_ek:
 *     u16 n | n bytes; 0: not known, or a TPM 1.2
 *   slot: u16 kind | u16 id | u32 length | length bytes
 *   mac: HMAC-SHA256 over all that stands before it, under
 *   HKDF-SHA256(data key, info "xen-vtpm header mac 2").
 *   A header with a slot of a kind that its policy and flags do not name is none.
 *   version: 2; 3 when the policy is of a pool: a release that does not know these says
 *   that it does not know the version.
 *
 * The epoch is the number of the run of the manager that wrote the header or blob: vtpmd
 * gives each run a random one (tools/vtpmd/anchor.h).
 *
 * What is in a slot's bytes: lib/slot/slot.h.
 *
 * Blob:
 *   "XVTPMBLB" | u16 version 2 | u16 kind | uuid[16] | u64 seq | u64 epoch
 *   | salt[32] | u32 length | ciphertext | tag[16]
 *   key = HKDF-SHA256(data key, salt, info "xen-vtpm blob" | u16 version | u16 kind)
 *   AES-256-GCM, IV of zeroes (every key is used once), AAD: all that stands
 *   before the ciphertext.
 */
#ifndef XVTPM_SLOT_ENVELOPE_H
#define XVTPM_SLOT_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "include/channel.h"
#include "lib/error.h"

#define ENVELOPE_VERSION   2
#define ENVELOPE_KEY_SIZE  32
#define ENVELOPE_UUID_SIZE 16
#define ENVELOPE_SLOTS_MAX 8
#define ENVELOPE_SLOT_MAX  4096
#define ENVELOPE_NAME_MAX  50 /* a TPM2B_NAME of SHA-384 */
#define ENVELOPE_HEAD_SIZE 44 /* magic to epoch, alike in headers and blobs */
#define ENVELOPE_DESC_MAX  (6 + 3 * 2 + 34 + 34 + ENVELOPE_NAME_MAX)
#define ENVELOPE_HEADER_MAX                       \
	(ENVELOPE_HEAD_SIZE + ENVELOPE_DESC_MAX + \
	 ENVELOPE_SLOTS_MAX * (8 + ENVELOPE_SLOT_MAX) + 32)
#define ENVELOPE_BLOB_OVERHEAD 96 /* bytes that a blob is longer than its content */

/* Of a header whose policy is a pool's; what is derived has ENVELOPE_VERSION. */
#define ENVELOPE_VERSION_POOL 3

enum envelope_slot_kind {
	ENVELOPE_SLOT_HOST = 1,	    /* the host's TPM and the KMS, both needed */
	ENVELOPE_SLOT_KMS = 2,	    /* the KMS alone */
	ENVELOPE_SLOT_TPM = 3,	    /* the host's TPM alone */
	ENVELOPE_SLOT_RECOVERY = 4, /* an offline public key */
	ENVELOPE_SLOT_MIGRATE = 5,  /* a destination host's TPM and the KMS */
	ENVELOPE_SLOT_LOCAL = 6,    /* a key file beside the state: tests only */
	ENVELOPE_SLOT_OLD_KEY =
		7, /* lib/slot/previous_key.h: the data key is being replaced */
	/* as HOST and KMS, of a KMS that only gives its key out: S_kms is derived of it */
	ENVELOPE_SLOT_HOST_GET = 8,
	ENVELOPE_SLOT_KMS_GET = 9,
	/* as HOST and HOST_GET, of a pool: the TPM of each of its hosts derives S_tpm of a key
	 * that all of them have (docs/pool.md) */
	ENVELOPE_SLOT_POOL = 10,
	ENVELOPE_SLOT_POOL_GET = 11,
};

enum envelope_ek {
	ENVELOPE_EK_P256,
	ENVELOPE_EK_RSA2048,
	ENVELOPE_EK_P384,
	ENVELOPE_EKS,
};

struct envelope_name {
	uint16_t len; /* 0: not known */
	uint8_t bytes[ENVELOPE_NAME_MAX];
};

/* What a vTPM is, as its header says under its MAC. */
struct envelope_desc {
	uint16_t policy;	       /* enum envelope_slot_kind */
	bool measured;		       /* serves guests of `vtpmctl launch` only */
	bool recovery;		       /* a recovery slot belongs to it */
	bool tpm12;		       /* a TPM 1.2; else a TPM 2.0 */
	uint8_t localities, pcr_banks; /* as CONFIG_LOCALITIES, CONFIG_PCR_BANKS */
	struct envelope_name ek[ENVELOPE_EKS];
};

struct envelope_slot {
	uint16_t kind;
	uint16_t id;
	uint16_t len;
	uint8_t data[ENVELOPE_SLOT_MAX];
};

struct envelope_header {
	uint8_t uuid[ENVELOPE_UUID_SIZE];
	uint64_t seq; /* grows by one with every change of the header */
	uint64_t epoch;
	struct envelope_desc desc;
	uint16_t slot_count;
	struct envelope_slot slots[ENVELOPE_SLOTS_MAX];
};

/* What headers and blobs begin with, in clear. */
struct envelope_head {
	uint16_t second; /* a header's slot count, a blob's kind */
	uint8_t uuid[ENVELOPE_UUID_SIZE];
	uint64_t seq, epoch;
};

/*
 * The contracts, which `make prove` proves for every input (docs/proofs.md):
 *   envelope_desc_fits    the Names lie within their room, localities and banks exist
 *   envelope_header_fits  there are slots, as many as there is room for, each within its room
 *                         (envelope_slots_fit) and with an id of its own; a recovery slot stands in none but a
 *                         header that says so
 */
/*@ predicate envelope_desc_fits(struct envelope_desc *d) =
	0 < d->localities <= 0x1f && d->pcr_banks <= 0x0f &&
	\forall integer i; 0 <= i < ENVELOPE_EKS ==> d->ek[i].len <= ENVELOPE_NAME_MAX;
    predicate envelope_slots_fit(struct envelope_header *h, integer n) =
	(\forall integer i; 0 <= i < n ==> h->slots[i].kind != 0) &&
	(\forall integer i; 0 <= i < n ==> h->slots[i].len <= ENVELOPE_SLOT_MAX) &&
	(\forall integer i; 0 <= i < n ==> h->slots[i].kind == ENVELOPE_SLOT_RECOVERY ==>
		h->desc.recovery || h->desc.policy == ENVELOPE_SLOT_RECOVERY) &&
	(\forall integer i, j; 0 <= i < j < n ==> h->slots[i].id != h->slots[j].id);
    predicate envelope_header_fits(struct envelope_header *h) =
	0 < h->slot_count <= ENVELOPE_SLOTS_MAX && envelope_desc_fits(&h->desc) &&
	envelope_slots_fit(h, h->slot_count);
*/

/* Reads the head of a stored object (enum channel_object) of any version, without a key.
 * -EBADMSG: it is not that object. */
/*@ requires \valid_read(buf + (0 .. len - 1)) && \valid(h);
    requires \separated(h, buf + (0 .. len - 1));
    assigns *h;
    ensures \result == 0 || \result == -EBADMSG; */
int __must_check envelope_head_parse(uint16_t object, const uint8_t *buf, size_t len,
				     struct envelope_head *h);
/* Reads the kinds of a header's key slots, at most room; returns their number. */
/*@ requires \valid_read(buf + (0 .. len - 1)) && \valid(kinds + (0 .. room - 1));
    requires \separated(kinds + (0 .. room - 1), buf + (0 .. len - 1));
    assigns kinds[0 .. room - 1];
    ensures \result <= room; */
size_t envelope_slot_kinds(const uint8_t *buf, size_t len, uint16_t *kinds, size_t room);
/* Whether a header belongs to a deep rekey that is not finished (lib/slot/previous_key.h). */
/*@ requires \valid_read(header + (0 .. len - 1));
    assigns \nothing; */
bool envelope_has_old_key(const uint8_t *header, size_t len);

/* Whether a Name is one that this endorsement key can have, or none. */
/*@ requires \valid_read(name);
    assigns \nothing;
    ensures \result ==> name->len <= ENVELOPE_NAME_MAX; */
bool envelope_name_ok(enum envelope_ek which, const struct envelope_name *name);

/* Writes and MACs *h. *len: in, room in out; out, bytes. 0 or -ENOSPC, -EIO. */
/*@ requires \valid_read(h) && \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires \valid(len) && out != \null && \valid(out + (0 .. *len - 1));
    requires \separated(len, h, data_key + (0 .. ENVELOPE_KEY_SIZE - 1), out + (0 .. *len - 1));
    assigns *len, out[0 .. *len - 1];
    ensures \result == 0 ==> *len <= \old(*len); */
int __must_check envelope_header_seal(const struct envelope_header *h,
				      const uint8_t data_key[ENVELOPE_KEY_SIZE],
				      uint8_t *out, size_t *len);
/* Reads a header without a key: nothing in *h is authenticated yet.
 * -EBADMSG (CAUSE_HEADER_CORRUPT), -EPROTONOSUPPORT (CAUSE_VERSION). */
/*@ requires \valid_read(buf + (0 .. len - 1)) && \valid(h);
    requires e == \null || \valid(e);
    requires \separated(h, e, buf + (0 .. len - 1));
    assigns *h, *e;
    ensures \result == 0 || \result == -EBADMSG || \result == -EPROTONOSUPPORT;
    ensures \result == 0 ==> envelope_header_fits(h); */
int __must_check envelope_header_parse(const uint8_t *buf, size_t len,
				       struct envelope_header *h, struct error *e);
/* Checks the MAC with the data key that a slot gave. -EBADMSG. */
/*@ requires \valid_read(buf + (0 .. len - 1));
    requires \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires e == \null || \valid(e);
    assigns *e; */
int __must_check envelope_header_verify(const uint8_t *buf, size_t len,
					const uint8_t data_key[ENVELOPE_KEY_SIZE],
					struct error *e);
/* Parses a header, which the caller frees, and checks its MAC. */
/*@ requires \valid_read(buf + (0 .. len - 1)) && \valid(h);
    requires \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires e == \null || \valid(e);
    requires \separated(h, e, buf + (0 .. len - 1));
    assigns *h, *e;
    ensures \result == 0 ==> \valid(*h) && envelope_header_fits(*h); */
int __must_check envelope_header_open(const uint8_t *buf, size_t len,
				      const uint8_t data_key[ENVELOPE_KEY_SIZE],
				      struct envelope_header **h, struct error *e);

/* Whose a blob is, and which. */
struct envelope_blob {
	const uint8_t *uuid;
	uint16_t kind;
	uint64_t seq, epoch;
};

/* Seals plain into out (len + ENVELOPE_BLOB_OVERHEAD bytes). */
/*@ requires \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires \valid_read(blob) && \valid_read(blob->uuid + (0 .. ENVELOPE_UUID_SIZE - 1));
    requires \valid_read(plain + (0 .. len - 1)) && \valid(out_len);
    requires \valid(out + (0 .. len + ENVELOPE_BLOB_OVERHEAD - 1));
    requires \separated(out + (0 .. len + ENVELOPE_BLOB_OVERHEAD - 1), blob, out_len,
			blob->uuid + (0 .. ENVELOPE_UUID_SIZE - 1),
			data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    assigns out[0 .. len + ENVELOPE_BLOB_OVERHEAD - 1], *out_len;
    ensures \result == 0 ==> *out_len == len + ENVELOPE_BLOB_OVERHEAD; */
int __must_check envelope_blob_seal(const uint8_t data_key[ENVELOPE_KEY_SIZE],
				    const struct envelope_blob *blob,
				    const uint8_t *plain, size_t len, uint8_t *out,
				    size_t *out_len);
/* Opens a blob; plain has room for len bytes. Checks blob's uuid (-EXDEV,
 * CAUSE_WRONG_VTPM), kind and tag (-EBADMSG, CAUSE_BLOB_CORRUPT), version; sets its seq and epoch. */
/*@ requires \valid_read(data_key + (0 .. ENVELOPE_KEY_SIZE - 1));
    requires \valid(blob) && \valid_read(blob->uuid + (0 .. ENVELOPE_UUID_SIZE - 1));
    requires \valid_read(buf + (0 .. len - 1)) && \valid(plain + (0 .. len - 1));
    requires \valid(plain_len) && (e == \null || \valid(e));
    requires \separated(plain + (0 .. len - 1), buf + (0 .. len - 1), blob,
			blob->uuid + (0 .. ENVELOPE_UUID_SIZE - 1), plain_len, e);
    assigns blob->seq, blob->epoch, plain[0 .. len - 1], *plain_len, *e;
    ensures \result == 0 ==> *plain_len == len - ENVELOPE_BLOB_OVERHEAD; */
int __must_check envelope_blob_open(const uint8_t data_key[ENVELOPE_KEY_SIZE],
				    struct envelope_blob *blob, const uint8_t *buf,
				    size_t len, uint8_t *plain, size_t *plain_len,
				    struct error *e);

#endif
