/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's key: makes it, wraps it for the TPM of each host of the list whose storage key is
 * known, and for those that come later; and a new one when a host has left.  It is in this
 * program's memory while that is done, and afterwards in the hosts' TPMs alone.
 */
#ifndef XVTPM_VTPMCTL_POOLKEYS_H
#define XVTPM_VTPMCTL_POOLKEYS_H

#include "tools/vtpmctl/poolfile.h"

struct poolkeys_wish {
	const char *policy_key; /* its file; NULL: none was given */
	const char *tcti;
	bool new_key; /* though none has left */
	bool forget;  /* the keys before the newest */
};

/* Signs the list anew, if there is something to do, and reads it: *changed.  -ENOKEY: the policy
 * key is needed for that. */
int __must_check poolkeys_update(struct poolfile *f, const char *config,
				 const struct hostconf *h, const struct poolkeys_wish *w,
				 bool *changed, struct error *e);
/* Signs the list anew for h's policy key, `key`, which is another one than what signed it, and stores
 * it as f->path: with a new version of the pool's key, if there was one, and none before, whose objects
 * are bound to the other policy key. */
int __must_check poolkeys_renew(struct poolfile *f, const struct hostconf *h,
				EVP_PKEY *key, struct error *e);
/* Hosts of the list that have not the newest key, each after a space; "": none, or no key. */
void poolkeys_missing(const struct pool *p, char *out, size_t room);

#endif
