/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of hosts, and the pool's key, when the policy key is another one (`vtpmctl host
 * new-policy-key`).  Both are bound to the lost key: the list by its signature, the pool key's objects
 * by their policy, so that no TPM gives the pool key out any more.  Where the list is signed it is
 * signed anew, with a new version of the pool's key and none before; the other hosts take that
 * from etcd.  The list of before stays as POOL_OLD_FILE beside host.json: with host.json of before
 * it opens what has a slot of an older version.
 */
#ifndef XVTPM_VTPMCTL_POOL_NEWKEY_H
#define XVTPM_VTPMCTL_POOL_NEWKEY_H

#include "tools/vtpmctl/poolfile.h"

#define POOL_OLD_FILE "pool.old-policy-key"

struct pool_newkey {
	struct poolfile
		old; /* what the lost key signed; no bytes: nothing is known of it */
	bool signs;  /* the list is signed on this host */
};

/* Finds the list of before, and whether this host can do without the lost key: one of a pool that
 * does not sign its list needs etcd's to be signed by the new key, next's.  Changes nothing. */
int __must_check pool_newkey_load(struct pool_newkey *p, const char *config,
				  const char *socket, const struct hostconf *lost,
				  const struct hostconf *next, struct error *e);
/* Keeps the list of before, and signs the new one, if it is signed here. */
int __must_check pool_newkey_store(struct pool_newkey *p, const char *config,
				   const struct hostconf *next, EVP_PKEY *key,
				   struct error *e);
void pool_newkey_free(struct pool_newkey *p);

/* The newest list that h's policy key signed: that beside host.json, or etcd's.  No bytes: none. */
void pool_newkey_present(struct poolfile *f, const char *config,
			 const struct hostconf *h);
/* That of before, beside `before`, which is host.json of before: h. */
void pool_newkey_before(struct poolfile *f, const char *before, const struct hostconf *h);

#endif
