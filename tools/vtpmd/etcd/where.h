/* SPDX-License-Identifier: Apache-2.0 */
/* Where a pool is: etcd://HOST:PORT,HOST:PORT/POOL, and by which name a host is in it. */
#ifndef VTPMD_ETCD_WHERE_H
#define VTPMD_ETCD_WHERE_H

#include "include/compiler.h"
#include "lib/error.h"
#include "tools/vtpmd/etcd/mirror.h"

#define WHERE_SCHEME	 "etcd://"
#define WHERE_PREFIX_MAX 128

/* prefix: what all keys of the pool begin with, with a slash at its end.  -EINVAL */
int __must_check where_prefix(const char *url, char prefix[WHERE_PREFIX_MAX],
			      struct error *e);
/* The CN of the host's certificate, a PEM file, which is its user's name in etcd as well.
 * -EINVAL */
int __must_check where_host(const char *cert, char name[MIRROR_HOST_MAX],
			    struct error *e);

#endif
