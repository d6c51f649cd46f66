/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where lists of a pool's hosts are (lib/pool.h), besides poolfile.h's: in etcd, and in the folder
 * of this host's vtpmd, which keeps a copy of etcd's; and what one of them has that another lacks.
 */
#ifndef XVTPM_VTPMCTL_POOLLIST_H
#define XVTPM_VTPMCTL_POOLLIST_H

#include "tools/vtpmctl/poolfile.h"

#define POOL_LIST_KEY "pool" /* of etcd */

/* Reads the file, if h's policy key signed it.  -ENOENT, -EACCES, -EBADMSG: f has no bytes. */
int __must_check poollist_read(struct poolfile *f, const char *path,
			       const struct hostconf *h);
/* Reads that of etcd.  -EACCES: there is none that h's policy key signed; else *e says why. */
int __must_check poollist_read_etcd(struct poolfile *f, const struct hostconf *h,
				    struct error *e);
/* Reads what vtpmd has kept of the pool's newest list. */
int __must_check poollist_read_kept(struct poolfile *f, const char *socket,
				    const struct hostconf *h);
/* Has f be etcd's list, if that is newer, or f has none, so that what is signed next does not undo
 * what was signed elsewhere: on stderr it says so.  f->path stays. */
int __must_check poollist_take_newer(struct poolfile *f, const struct hostconf *h,
				     struct error *e);
/* The newest version of the pool's key that `before` has for a host of f, and f does not have; 0:
 * none. */
uint32_t poollist_dropped_key(const struct poolfile *f, const struct pool *before);

#endif
