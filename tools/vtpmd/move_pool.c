/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the hosts that vTPMs may be moved to, beside host.json. */
#include "lib/atomic.h"
#include "lib/pool.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/move_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_FILE "pool"

static int read_file(const struct vtpmd *d, struct move_bytes *pool)
{
	const char *slash = strrchr(d->config, '/');
	char path[4096];
	int n = snprintf(path, sizeof(path), "%.*s" POOL_FILE,
			 slash ? (int)(slash - d->config + 1) : 0, d->config);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	return atomic_read(AT_FDCWD, path, POOL_MAX, &pool->p, &pool->n);
}

/* One that is not signed is the manager's to refuse: its number says nothing. */
static int compare_number(struct vtpmd *d, const struct config *c,
			  const struct move_bytes *file)
{
	const struct hostconf *h = &c->host;
	struct pool pool;

	if (pool_open(file->p, file->n, h->policy_key, sizeof(h->policy_key), &pool))
		return 0;
	if (pool.number < d->pool_number)
		return -ESTALE;
	/* the anchor has it with its next write */
	d->pool_number = pool.number;
	return 0;
}

int move_read_pool(struct vtpmd *d, struct move_bytes *pool)
{
	struct error e = {.cause = CAUSE_NONE};
	struct config *c;
	int rc = config_get(&d->host, d->config, &c, &e);

	if (rc)
		return rc;
	rc = read_file(d, pool);
	if (!rc) {
		rc = compare_number(d, c, pool);
		if (rc)
			move_drop_bytes(pool);
	}
	config_put(c);
	return rc;
}

#define OLD(whose, where)                                                                   \
	whose " list of hosts (`vtpmctl peer list`) is older than one that was used " where \
	      ", and may have a host that was taken out: put the newest back, or sign "     \
	      "this one anew by `vtpmctl peer add`."

const char *move_old_pool(struct vtpmd *d, bool comes)
{
	struct move_bytes pool = {NULL, 0};
	int rc = move_read_pool(d, &pool);

	move_drop_bytes(&pool);
	if (rc != -ESTALE)
		return NULL;
	return comes ? OLD("The other host's", "there") : OLD("This host's", "here");
}
