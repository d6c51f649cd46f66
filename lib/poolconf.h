/* SPDX-License-Identifier: Apache-2.0 */
/* What a manager's configuration has of a pool: the pool keys of a list (lib/pool.h) that one host's
 * TPM has. */
#ifndef XVTPM_LIB_POOLCONF_H
#define XVTPM_LIB_POOLCONF_H

#include "lib/cursor.h"
#include "lib/pool.h"

#include <stdbool.h>

/* Puts CONFIG_POOL_KEY for each key that the host with this storage key has, the newest last; and
 * CONFIG_IN_POOL, if in_pool and it has the newest. */
void poolconf_put(const struct pool *p, const uint8_t *srk_name, size_t len, bool in_pool,
		  struct cursor *out);

#endif
