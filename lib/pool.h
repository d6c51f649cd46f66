/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: the hosts to which vTPMs may be moved, signed by the host policy key, which
 * host.json pins, and to which the TPM's part of each vTPM's key slots is bound.  `vtpmctl
 * peer` writes it; managers get it as CONFIG_POOL.  Big-endian; B is u16 length | bytes.
 *
 *   B "xen-vtpm pool 1"
 *   u64 number               grows with each list; ms since 1970, unless that is not more
 *   u8 n | n * image         what a manager there may be started from
 *     B SHA-256 of the stub domain's kernel; empty: a process of domain 0
 *     B SHA-256 of the manager
 *   u8 n | n * host
 *     B name | B address     HOST:PORT, lib/text.h
 *     B Name                 of its attestation key
 *     B Name                 of its storage key
 *     u8 n | n * state       its approved boot states, one of which it has to be in
 *       u8 count | count * (u8 PCR, ascending | SHA-256 bank value[32])
 *   TPMT_SIGNATURE           ECDSA P-256, SHA-256, of all before it
 *
 * With pool keys (docs/pool.md), which an older release does not read, the label is "xen-vtpm
 * pool 2", and before the signature stand
 *
 *   u8 n | n * storage key   to which pool keys may be encrypted
 *     B Name | B TPMT_PUBLIC
 *   u8 n | n * pool key      those that key slots may need, the newest last
 *     u32 version            from 1, ascending
 *     u8 n | n * holder
 *       B Name               of its storage key
 *       B share              lib/tpm2/duplicate.h: an HMAC key, for that TPM in a boot state
 *                            that is approved
 *       B kept               the same as sealed data, for that TPM, which the policy key alone
 *                            opens; empty in all but the newest
 */
#ifndef XVTPM_LIB_POOL_H
#define XVTPM_LIB_POOL_H

#include "include/compiler.h"
#include "lib/binding.h"
#include "lib/cursor.h"
#include "lib/tpm2/quote.h"

#define POOL_LABEL	"xen-vtpm pool 1"
#define POOL_LABEL_KEYS "xen-vtpm pool 2"
#define POOL_MAX	65536
#define POOL_HOSTS_MAX	64
#define POOL_IMAGES_MAX 16
#define POOL_STATES_MAX 16
#define POOL_NAME_MAX	64
#define POOL_PCRS	24
#define POOL_KEYS_MAX	16  /* pool keys that are known at a time */
#define POOL_PUBLIC_MAX 128 /* of a storage key on P-256 */

/* Points into what was parsed. */
struct pool {
	uint64_t number;
	unsigned int images, hosts;
	struct cursor image, host; /* of pool_next_*(): copies of them walk */
	bool has_keys;		   /* it is of the second form */
	unsigned int storages, keys;
	struct cursor storage, key;
	struct cursor tail; /* all that the second form has more */
	size_t signed_len;
	struct tpm2_bytes signature;
};

struct pool_image {
	struct binding_part kernel, manager;
};

struct pool_host {
	struct binding_part name, address, ak, srk;
	unsigned int states;
	struct cursor state;
};

struct pool_state {
	uint32_t pcrs;
	const uint8_t *value[POOL_PCRS]; /* 32 bytes; NULL: not in */
};

struct pool_storage {
	struct binding_part name, public;
};

struct pool_key {
	uint32_t version;
	unsigned int holders;
	struct cursor holder;
};

struct pool_holder {
	struct binding_part name, share, kept;
};

/* Reads all of buf; of the signature its form alone.  -EBADMSG: it is no pool. */
int __must_check pool_parse(const uint8_t *buf, size_t len, struct pool *p);
/* The same, of one that this policy key (TPMT_PUBLIC) signed.  -EACCES: it did not. */
int __must_check pool_open(const uint8_t *buf, size_t len, const uint8_t *policy_key,
			   size_t policy_key_len, struct pool *p);

/* Of a pool that was parsed; false: there is no further one. */
bool pool_next_image(struct cursor *c, struct pool_image *i);
bool pool_next_host(struct cursor *c, struct pool_host *h);
bool pool_next_state(struct cursor *c, struct pool_state *s);
bool pool_next_storage(struct cursor *c, struct pool_storage *s);
bool pool_next_key(struct cursor *c, struct pool_key *k);
bool pool_next_holder(struct cursor *c, struct pool_holder *h);
/* The newest pool key; false: none. */
bool pool_newest_key(const struct pool *p, struct pool_key *k);
/* What a key has for the storage key of this Name; false: nothing. */
bool pool_find_holder(const struct pool_key *k, const uint8_t *name, size_t len,
		      struct pool_holder *h);
/* The host with this attestation key; false: none. */
bool pool_find_ak(const struct pool *p, const uint8_t *name, size_t len,
		  struct pool_host *h);

#endif
