/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of hosts that keep their vTPMs in etcd (store.h).  All of the pool is mirrored in
 * memory (etcd/mirror.h), so that reading waits for nothing.  What changes it is a
 * transaction, one at a time of each vTPM, in the order in which they were asked for:
 *
 *   create   gen and owner absent          -> owner (with the host's lease), gen
 *   claim    owner absent, or this host's  -> owner, gen, host
 *   write    owner mine (or absent, when it is not claimed), gen as it was  -> values, gen
 *   release  owner mine                    -> owner goes
 *   remove   owner mine                    -> all goes
 *
 * gen holds an id that follows from what the transaction does and from the gen before it.  A
 * transaction without an answer is sent again: when its comparison fails since it was
 * done already, gen has that id, and it is done; else the claim is lost.  So a write that
 * comes late can do no harm, and none that was acknowledged is lost.
 *
 * A claim that etcd does not take in STORE_ETCD_CLAIM_S is given up (-ETIMEDOUT): what was sent of it
 * is taken back, behind it, when etcd answers.
 *
 * store_set() and store_erase() change memory at once, and are in etcd in order with what
 * follows: a put's answer says that what came before is durable too, and
 * store_is_settled() that all is.
 */
#ifndef VTPMD_STORE_ETCD_H
#define VTPMD_STORE_ETCD_H

#include "lib/witness.h"
#include "tools/vtpmd/etcd/members.h"
#include "tools/vtpmd/etcd/session.h"
#include "tools/vtpmd/store.h"

extern const struct store_ops store_etcd;

#define STORE_ETCD_SCHEME "etcd://"
#define STORE_ETCD_WAIT_S 20 /* at the start, until the pool is read */
/* Of a claim that somebody waits for: when that is told, and when it is given up. */
#define STORE_ETCD_SLOW_S  3
#define STORE_ETCD_CLAIM_S 30

struct store_etcd_options {
	struct event_base *base;
	const char *url, *ca, *cert, *key;
	unsigned int ttl;	  /* s */
	struct session_seen seen; /* by an earlier vtpmd */
	/* etcd's data, which a person accepted, are read. */
	void (*on_accepted)(void *ctx);
	/* Another host has made, changed or removed a vTPM. */
	void (*on_foreign)(void *ctx, const uint8_t uuid[16], bool there);
	/* Something was heard of the vTPM, which no host has; it may have been so before.  NULL */
	void (*on_free)(void *ctx, const uint8_t uuid[16]);
	/* 0, or why this host may claim and make nothing in the pool now; NULL: it may. */
	int (*may)(void *ctx, struct error *e);
	void *ctx;
};

/* Whether a store's root is this store's. */
bool store_etcd_is(const char *root);
/* Connects, and waits until the pool is read and what this host had is claimed again.
 * -ETIMEDOUT etc. with a sentence. */
int __must_check store_etcd_begin(const struct store_etcd_options *o, struct error *e);
/* Sends what is left, and gives the lease back: at the end, for a second at most. */
void store_etcd_end(void);
/* What an operator may want to know of the pool. */
struct store_etcd_facts {
	const char *host, *member, *trouble; /* trouble "": it is ready */
	bool put_back;
	uint64_t cluster_id;
	int64_t revision; /* that was seen; put_back: also found, that there is instead */
	int64_t found;
	uint32_t lease_ms;
	const struct mirror_host *hosts; /* whose leases run */
	size_t host_count;
	const struct members *members; /* NULL: they are not asked */
};

void store_etcd_facts(struct store_etcd_facts *f);
/* Whether this host has claimed it from another one that had it last. */
bool store_etcd_is_taken_over(const struct store *s);
/* 0, or why nothing is claimed or made now: etcd's data were put back, and nobody has
 * accepted that; or the options' may(). */
int __must_check store_etcd_may(struct error *e);
bool store_etcd_put_back(void);
/* What was claimed is lost. */
void store_etcd_lose_all(void);
/* A person accepts them: they are read anew, and on_accepted() follows.  Nothing is claimed. */
void store_etcd_accept(void);
/* The list of the pool's hosts as etcd has it (lib/pool.h), which nobody has verified; NULL: there
 * is none, or no pool. */
const uint8_t *store_etcd_list_of_hosts(size_t *len);
/* This host's name in the pool. */
const char *store_etcd_host(void);
/* Which connection to etcd it is, from 1; within one nothing that others write is missed. */
unsigned int store_etcd_connection(void);
/* The stretch in which this host's lease has run all the time, from 1; 0: no pool.  Between two of them
 * other hosts may have had what this one claims. */
unsigned int store_etcd_stretch(void);
/* What this host has seen of etcd so far. */
struct session_seen store_etcd_seen(void);
/* What another host's last put made of a vTPM: the generations, and the header's SHA-256. */
struct store_etcd_put {
	uint64_t header, permall;
	uint8_t hash[32];
};

/* Returns a number that another put changes; 0: it is this host's own, or nothing is there. */
int64_t store_etcd_foreign(const struct store *s, struct store_etcd_put *put);
/* Whether all that was asked for is in etcd, under a claim that has held all the time: 0.
 * -EAGAIN: not yet; -ESTALE: the claim was lost, or etcd's data were put back, and what of it
 * was done is not known. */
int __must_check store_etcd_done(const struct store *s);
/* The number of the last transaction of a vTPM that is not over; 0: there is none, or no pool. */
uint64_t store_etcd_last(const uint8_t uuid[16]);
/* Whether all transactions up to that one are done, under a claim that has held: 0; -EAGAIN: not
 * yet; -ESTALE: as store_etcd_done(). */
int __must_check store_etcd_has_done(const struct store *s, uint64_t change);
/* The same of one that is to be removed, and is claimed no more. */
int __must_check store_etcd_has_gone(const uint8_t uuid[16], uint64_t change);
/* Whether the vTPM has a value of that name, as far as memory shows it. */
bool store_etcd_has(const struct store *s, const char *name);
/* In one transaction: the value gets the other name.  As store_set(); -ESTALE: not all that
 * was asked for before is done (store_etcd_done()); -ENOENT, -ENOMEM */
int __must_check store_etcd_rename(struct store *s, const char *from, const char *to);
/* Has on_foreign() told of the vTPM, which this host has not claimed, when something is heard of
 * etcd the next time. */
void store_etcd_tell_again(const uint8_t uuid[16]);
/* Calls each() with the name of each value that is known of a vTPM. */
void store_etcd_each_value(const struct store *s,
			   void (*each)(void *ctx, const char *name), void *ctx);
/* Who has a vTPM now, for the host that asks for it: as etcd shows it here, or by this host's lease. */
enum witness_use store_etcd_use(const uint8_t uuid[16], const char *asker);
/* Whether etcd shows here that the host's lease runs. */
bool store_etcd_is_alive(const char *host);
/* "HOST" that has it now; "": nobody. */
const char *store_etcd_owner(const struct store *s);
/* The same of another host than this one. */
const char *store_etcd_other_owner(const struct store *s);

#endif
