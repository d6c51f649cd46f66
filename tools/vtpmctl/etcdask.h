/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's etcd, asked one thing after the other: `vtpmctl pool` waits for each answer, for
 * ETCDASK_MS at most.  Keys are named by what follows the pool's prefix
 * (tools/vtpmd/etcd/mirror.h).
 */
#ifndef XVTPM_VTPMCTL_ETCDASK_H
#define XVTPM_VTPMCTL_ETCDASK_H

#include "include/compiler.h"
#include "lib/error.h"
#include "lib/hostconf.h"

#include <stddef.h>
#include <stdint.h>

#define ETCDASK_MS 8000 /* three members that do not answer are tried by then */

struct etcdask;

/* Reads the files, and connects. */
int __must_check etcdask_open(const struct hostconf_store *s, struct etcdask **out,
			      struct error *e);
/* a may be NULL. */
void etcdask_close(struct etcdask *a);
/* This host's name in the pool, and its user's in etcd. */
const char *etcdask_host(const struct etcdask *a);
/* What all keys of the pool begin with, and the pool's name. */
const char *etcdask_prefix(const struct etcdask *a);
const char *etcdask_pool(const struct etcdask *a);

/* Whether the user has the rights of docs/pool.md, and not those of another host: nothing is
 * changed by that.  *e has the command of etcdctl that gives what is missing. */
int __must_check etcdask_rights(struct etcdask *a, struct error *e);

struct etcdask_value {
	uint8_t *buf; /* malloc()ed; NULL: there is no such key */
	size_t len;
	int64_t mod; /* its revision; 0: as buf NULL */
};

int __must_check etcdask_get(struct etcdask *a, const char *key, struct etcdask_value *v,
			     struct error *e);
/* Replaces what had the revision mod, 0: nothing.  -EEXIST without a sentence: something else is
 * there. */
int __must_check etcdask_put(struct etcdask *a, const char *key, int64_t mod,
			     const void *buf, size_t len, struct error *e);

#endif
