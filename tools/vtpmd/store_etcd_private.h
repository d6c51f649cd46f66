/* SPDX-License-Identifier: Apache-2.0 */
/* What store_etcd.c, the operations of store.h, and store_etcd_txn.c, the queues of
 * transactions behind them, share. */
#ifndef VTPMD_STORE_ETCD_PRIVATE_H
#define VTPMD_STORE_ETCD_PRIVATE_H

#include "tools/vtpmd/store_etcd.h"

#define STORE_TXN_CHANGES_MAX 4
#define STORE_TXN_RETRY_MS    200
#define STORE_TXN_KEYS_ROOM   8192 /* of a transaction, besides its values */

enum op_kind { OP_CREATE, OP_CLAIM, OP_WRITE, OP_RELEASE, OP_REMOVE };

struct change {
	char name[MIRROR_NAME_MAX];
	uint8_t *buf; /* NULL: it goes */
	size_t len;
};

/* A transaction of a vTPM. */
struct place_op {
	struct place_op *next;
	struct place *p;
	enum op_kind kind;
	uint64_t id; /* that grows; 0: of a claim that is made again */
	bool again;  /* a claim of what is claimed, with another lease */
	struct change changes[STORE_TXN_CHANGES_MAX];
	size_t n;
	struct store_put *put; /* NULL: nobody waits */
	struct etcd_call *call;
	bool sent;
	int64_t owner_mod, gen_mod; /* that are compared */
	uint8_t gen[MIRROR_GEN_SIZE];
	int64_t not_before; /* ms */
};

/* The pool that this vtpmd is in. */
extern struct store_pool {
	struct session *session;
	struct members *members;
	struct store_etcd_options o;
	uint8_t run[16]; /* drawn at the start */
	struct event *retry, *tidy;
	size_t ops;
	uint64_t last_id; /* of struct place_op */
	int last_rc;	  /* of a transaction that was refused; 0 since one was done */
	bool loading, accepting;
	int64_t slow_ms, claim_ms; /* STORE_ETCD_SLOW_S, STORE_ETCD_CLAIM_S */
	unsigned int readied;	   /* as the session's, when all places were looked at */
} store_pool;

/* Appends a transaction to a vTPM's queue; NULL: no memory. */
struct place_op *store_txn_add(struct place *p, enum op_kind kind);
/* What it changes: buf NULL, a value that goes. -EINVAL, -ENOMEM */
int __must_check store_txn_change(struct place_op *op, const char *name, const void *buf,
				  size_t len);
/* NULL: there is none. */
struct place_op *store_txn_last(struct place *p);
/* Gives the one value that it sets other bytes. -ENOMEM */
int __must_check store_txn_replace(struct place_op *op, const void *buf, size_t len);
/* Takes the last one out again: it could not be made. */
void store_txn_drop_last(struct place *p, struct place_op *op);
/* Takes the first one out: it is over, or is given up. */
void store_txn_pop(struct place *p);
/* Makes its changes in memory. */
void store_txn_apply(struct place_op *op);
/* How long its request is at most. */
size_t store_txn_size(const struct place_op *op);
/* Sends the first one of a vTPM's queue, if it is time and it is not under way. */
void store_txn_send(struct place *p);
/* Whether this host had it last. */
bool store_txn_was_here(const struct place *p);
/* Whether it is claimed with a lease that is gone, and not yet with the next one. */
bool store_txn_is_claiming_again(const struct place *p);
/* The claim is lost: what waits is told so. */
void store_txn_lose(struct place *p);
/* Of struct session_options, and of timers. */
void store_txn_on_change(void *ctx);
void store_txn_on_lease_lost(void *ctx);
void store_txn_on_retry(evutil_socket_t fd, short what, void *ctx);
void store_txn_on_tidy(evutil_socket_t fd, short what, void *ctx);

#endif
