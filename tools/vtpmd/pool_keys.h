/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's keys, of the list of hosts that the policy key signed (lib/pool.h): what managers get
 * of them for this host's TPM.  Of the list that etcd has a copy is kept in this host's own folder:
 * a vTPM that was moved out of the pool is opened with it when the host has left.
 */
#ifndef VTPMD_POOL_KEYS_H
#define VTPMD_POOL_KEYS_H

#include "lib/cursor.h"
#include "tools/vtpmd/vtpmd.h"

#include <jansson.h>

#define POOL_KEYS_FILE "pool.list"

/* Appends CONFIG_POOL_KEY for each key that the list has for this TPM; and, of a vTPM whose store
 * is a pool's, CONFIG_IN_POOL, if the newest is among them. */
void pool_keys_put(struct vtpmd *d, const struct config *c, bool in_pool,
		   struct cursor *out);
/* Keeps the list that etcd has, if it has a key for this host, and is newer than what is kept.  What
 * fails is logged. */
void pool_keys_save(struct vtpmd *d);
/* {"version", "here", "vtpms": [{"version", "vtpms": [NAME], "listed", "here"}]} for `vtpmctl pool
 * show`: of the newest key, whether this host has it, and the vTPMs by the version that their slots
 * need, whether the list has that version, and for this host; version 0: the list has no key.
 * null: nor does any vTPM need one. */
json_t *pool_keys_show(struct vtpmd *d);

#endif
