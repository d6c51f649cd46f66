/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host last knew of its pool's etcd: which cluster it is, and how far that was.  It
 * stays in the host's own folder, so that data of etcd that are put back while no vtpmd runs
 * are noticed as well.  A JSON object: pool, cluster_id (hexadecimal), revision.
 */
#ifndef VTPMD_POOL_SEEN_H
#define VTPMD_POOL_SEEN_H

#include "lib/error.h"
#include "tools/vtpmd/etcd/session.h"

#define POOL_SEEN_FILE "pool.seen"
#define POOL_SEEN_MAX  4096

/* 0 also when there is none, or it is of another pool: then *seen is all zero.  *e: it cannot be
 * read, or is damaged. */
int __must_check pool_seen_load(const char *folder, const char *pool,
				struct session_seen *seen, struct error *e);
/* 0: durable; -errno */
int __must_check pool_seen_save(const char *folder, const char *pool,
				const struct session_seen *seen);

#endif
