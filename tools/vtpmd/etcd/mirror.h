/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host knows of a pool's vTPMs: all values below one prefix of etcd, kept in
 * memory, and by a watch as they are there.  Keys, behind the prefix:
 *
 *   alive/HOST     the lease of HOST
 *   pool           the list of the hosts, signed: lib/pool.h
 *   v/UUID/owner   who may write: struct mirror_owner, attached to its host's lease
 *   v/UUID/gen     of the last transaction: MIRROR_GEN_SIZE bytes, which all compare
 *   v/UUID/host    who had it last
 *   v/UUID/NAME    a value: header, permall, vtpm.json, ...; without vtpm.json it is none of the
 *                  pool's vTPMs: "released" is its description while host has it (pool_move.h)
 *
 * Bounded: MIRROR_BYTES_MAX and MIRROR_PLACES_MAX, whatever a server sends.
 */
#ifndef VTPMD_ETCD_MIRROR_H
#define VTPMD_ETCD_MIRROR_H

#include "tools/vtpmd/etcd/proto.h"

#include <stdbool.h>
#include <stdint.h>

#define MIRROR_NAME_MAX	  40
#define MIRROR_HOST_MAX	  64
#define MIRROR_PLACES_MAX 65536
#define MIRROR_BYTES_MAX  (1024UL * 1024 * 1024)
#define MIRROR_ID_SIZE	  16
/* a transaction's id, header's and permall's generations, and the SHA-256 of each */
#define MIRROR_GEN_SIZE (MIRROR_ID_SIZE + 8 + 8 + 32 + 32)

struct mirror_value {
	struct mirror_value *next;
	char name[MIRROR_NAME_MAX];
	uint8_t *buf;
	size_t len;
	unsigned int round; /* of the snapshot that had it */
};

struct place_op;

/* A vTPM of the pool. */
struct place {
	struct place *next;
	uint8_t uuid[16];
	struct mirror_value *values;
	int64_t owner_mod; /* 0: nobody's */
	char owner[MIRROR_HOST_MAX];
	int64_t gen_mod; /* 0: there is no such vTPM */
	uint8_t gen[MIRROR_GEN_SIZE];
	int64_t own_rev;		/* of our last transaction that was seen */
	uint8_t own_id[MIRROR_ID_SIZE]; /* of our last one, which may be under way */
	bool own_pending;		/* the same, and it was not seen yet */
	/* Of the write behind which the place is claimed again, when that was not seen yet. */
	uint8_t before_id[MIRROR_ID_SIZE];
	bool before_pending;
	bool mine; /* owner is this host's, by this vtpmd */
	struct place *next_touched;
	bool touched; /* it is in struct mirror's list of those */
	bool changed; /* by another, and not told yet */
	bool taken;   /* mine, and the owner went or is another */
	unsigned int round, owner_round;
	struct place_op *ops; /* of store_etcd.c */
	void *user;	      /* the struct store that claimed it */
	int claim_rc;	      /* what store_claim() is to tell; 0: nothing */
	bool answered;	      /* that is set */
	bool taken_over;      /* another host had it before this one */
	int64_t claimed_ms;
	int64_t asked_ms; /* since when the user waits for its claim; 0: it does not */
	bool slow;	  /* and was told that this takes long */
};

#define MIRROR_HOSTS_MAX 256

/* A host whose lease runs. */
struct mirror_host {
	char name[MIRROR_HOST_MAX];
	int64_t mod;
	unsigned int round;
};

struct mirror {
	struct mirror_host hosts[MIRROR_HOSTS_MAX];
	size_t host_count;
	uint8_t *list; /* of the hosts; NULL: there is none */
	size_t list_len;
	unsigned int list_round;
	char prefix[128]; /* with a slash at its end */
	char host[MIRROR_HOST_MAX];
	struct place *places[4096];
	struct place *touched; /* what etcd told of them was not looked at yet */
	size_t count, bytes;
	unsigned int round;
	bool overflow; /* something was not kept: there is too much */
};

struct place *mirror_find(struct mirror *m, const uint8_t uuid[16]);
/* Finds or makes it; NULL: no memory, or there are too many. */
struct place *mirror_place(struct mirror *m, const uint8_t uuid[16]);
/* NULL: there is none. */
const struct mirror_value *mirror_get(const struct place *p, const char *name);
/* Replaces a value, or, buf NULL, removes it. */
int __must_check mirror_set(struct mirror *m, struct place *p, const char *name,
			    const uint8_t *buf, size_t len);
/* Takes over what etcd says, of an event or a snapshot. */
void mirror_apply(struct mirror *m, const struct proto_kv *kv);
/* A snapshot: what mirror_apply() does not get until the end is gone. */
void mirror_begin(struct mirror *m);
void mirror_end(struct mirror *m);
/* All places are read anew, whatever was known of them: none is this host's any more. */
void mirror_forget(struct mirror *m);
/* Frees places without anything. */
void mirror_sweep(struct mirror *m);
void mirror_each(struct mirror *m, void (*each)(void *ctx, struct place *p), void *ctx);
/* Has mirror_each_touched() come to it. */
void mirror_touch(struct mirror *m, struct place *p);
/* Those that an event or a snapshot told of since the last time, and those whose owner went and
 * is not settled; frees those of them without anything.  So an event costs no look at all of a
 * pool's. */
void mirror_each_touched(struct mirror *m, void (*each)(void *ctx, struct place *p),
			 void *ctx);
void mirror_free(struct mirror *m);
/* PREFIX/v/UUID/NAME */
void mirror_key(const struct mirror *m, const struct place *p, const char *name,
		char key[PROTO_KEY_MAX]);

#endif
