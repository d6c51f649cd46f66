/* SPDX-License-Identifier: Apache-2.0 */
/* What other hosts of a pool do to vTPMs that this vtpmd knows, or does not know yet. */
#ifndef VTPMD_REGISTRY_POOL_H
#define VTPMD_REGISTRY_POOL_H

#include "tools/vtpmd/vtpm.h"

/* Of struct store_etcd_options; ctx is the struct vtpmd. */
void registry_foreign(void *ctx, const uint8_t uuid[16], bool there);
/* Another host had a vTPM of the pool last, and its state is newer than what this host's
 * anchor knows: what is there counts now.  An older one is refused as ever. */
void registry_witness(struct vtpm *v);
/* The same of all that do not run here: so each host is a witness for the others. */
void registry_witness_all(struct vtpmd *d);
/* A person says that etcd's data as they are count, and each vTPM's state with them.  w is called
 * when they are read, or at once with the reason. */
void registry_pool_accept(struct vtpmd *d, struct waiter *w);
/* At the end. */
void registry_leave_pool(struct vtpmd *d);
/* Before registry_load(), if the store is a pool's.  *e says why not. */
int __must_check registry_join_pool(struct vtpmd *d, struct error *e);

#endif
