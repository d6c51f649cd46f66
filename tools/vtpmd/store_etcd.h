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
 * store_set() and store_erase() change memory at once, and are in etcd in order with what
 * follows: a put's answer says that what came before is durable too, and
 * store_is_settled() that all is.
 */
#ifndef VTPMD_STORE_ETCD_H
#define VTPMD_STORE_ETCD_H

#include "tools/vtpmd/etcd/session.h"
#include "tools/vtpmd/store.h"

extern const struct store_ops store_etcd;

#define STORE_ETCD_SCHEME "etcd://"
#define STORE_ETCD_WAIT_S 20 /* at the start, until the pool is read */

struct store_etcd_options {
	struct event_base *base;
	const char *url, *ca, *cert, *key;
	unsigned int ttl; /* s */
	/* Another host has made, changed or removed a vTPM. */
	void (*on_foreign)(void *ctx, const uint8_t uuid[16], bool there);
	void *ctx;
};

/* Whether a store's root is this store's. */
bool store_etcd_is(const char *root);
/* Connects, and waits until the pool is read and what this host had is claimed again.
 * -ETIMEDOUT etc. with a sentence. */
int __must_check store_etcd_begin(const struct store_etcd_options *o, struct error *e);
/* Sends what is left, and gives the lease back: at the end, for a second at most. */
void store_etcd_end(void);
/* Whether this host has claimed it from another one that had it last. */
bool store_etcd_is_taken_over(const struct store *s);
/* "HOST" that has it now; "": nobody. */
const char *store_etcd_owner(const struct store *s);

#endif
