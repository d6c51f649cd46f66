/* SPDX-License-Identifier: Apache-2.0 */
/* A vTPM's values, between a folder of this host and its place in a pool's etcd; and the vTPMs
 * that the folder has while the store is a pool's. */
#ifndef VTPMD_POOL_COPY_H
#define VTPMD_POOL_COPY_H

#include "tools/vtpmd/meta.h"
#include "tools/vtpmd/store.h"

#include <jansson.h>

/* All values but the description.  Header and state are those that the anchor knows
 * (anchor_check()), whatever was put there since. */
int __must_check pool_copy_in(struct store *folder, struct store *pool);
int __must_check pool_copy_out(struct store *pool, struct store *folder);
/* The names of all vTPMs of a folder ROOT: an array. */
json_t *pool_copy_names(const char *root);
/* The one of that name; false: there is none. */
bool pool_copy_find(const char *root, const char *name, struct meta *m);

#endif
