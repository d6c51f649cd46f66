/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the hosts that vTPMs may be moved to, beside host.json; and the one that a pool
 * has in etcd.  The newer one counts. */
#include "lib/atomic.h"
#include "lib/pool.h"
#include "tools/vtpmd/config.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/store_etcd.h"

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

/* Takes etcd's list if it is signed, and newer than the file, which rc is of. */
static int take_newer(const struct hostconf *h, struct move_bytes *file, int rc)
{
	struct pool here, there;
	size_t len;
	const uint8_t *list = store_etcd_list_of_hosts(&len);

	if (!list || pool_open(list, len, h->policy_key, sizeof(h->policy_key), &there))
		return rc;
	if (!rc &&
	    !pool_open(file->p, file->n, h->policy_key, sizeof(h->policy_key), &here) &&
	    here.number >= there.number)
		return 0;
	move_drop_bytes(file);
	return move_keep_bytes(file, list, len);
}

int move_read_pool(struct vtpmd *d, struct move_bytes *pool)
{
	struct error e = {.cause = CAUSE_NONE};
	struct config *c;
	int rc = config_get(&d->host, d->config, &c, &e);

	if (rc)
		return rc;
	rc = take_newer(&c->host, pool, read_file(d, pool));
	if (!rc) {
		rc = compare_number(d, c, pool);
		if (rc)
			move_drop_bytes(pool);
	}
	config_put(c);
	return rc;
}

/* Whether h, of this host's name, has its keys. */
static int compare_keys(const struct pool_host *h, const struct hostconf *conf,
			const char *name, struct error *e)
{
	if (h->ak.n == sizeof(conf->ak_name) && h->srk.n == sizeof(conf->srk_name) &&
	    !memcmp(h->ak.p, conf->ak_name, h->ak.n) &&
	    !memcmp(h->srk.p, conf->srk_name, h->srk.n))
		return 0;
	return error_set(
		e, -EACCES, CAUSE_PEER,
		"The pool's list of hosts has other keys of the host %s than this one's TPM "
		"has: `vtpmctl peer self %s` here prints the `peer add` that signs the right "
		"ones, and `vtpmctl pool publish` puts the list into etcd.",
		name, name);
}

static int find_host(const struct hostconf *conf, const struct move_bytes *list,
		     const char *name, struct error *e)
{
	struct pool_host h;
	struct pool pool;

	if (pool_open(list->p, list->n, conf->policy_key, sizeof(conf->policy_key),
		      &pool))
		return error_set(
			e, -EACCES, CAUSE_PEER,
			"The pool's list of hosts is not what this host's policy key "
			"signed: sign one with that (`vtpmctl peer add`), and put it into "
			"etcd by `vtpmctl pool publish`.");
	while (pool_next_host(&pool.host, &h))
		if (h.name.n == strlen(name) && !memcmp(h.name.p, name, h.name.n))
			return compare_keys(&h, conf, name, e);
	return error_set(
		e, -EACCES, CAUSE_PEER,
		"This host, %s, is not in the pool's list of hosts, and starts and makes no "
		"vTPMs in the pool: `vtpmctl peer self %s` here prints the `peer add` that "
		"takes it in, and `vtpmctl pool publish` puts the list into etcd.",
		name, name);
}

static int refuse_list(int rc, struct error *e)
{
	size_t len;

	if (rc == -ESTALE)
		return error_set(
			e, rc, CAUSE_PEER,
			"The pool's list of hosts in etcd is older than one that was used "
			"here, and may have a host that was taken out: put the newest one "
			"there by `vtpmctl pool publish`.");
	if (rc == -ENOENT && store_etcd_list_of_hosts(&len))
		return error_set(
			e, rc, CAUSE_PEER,
			"The pool has no list of hosts that this host's policy key signed in "
			"etcd, but another one: when the policy key is a new one, `vtpmctl "
			"host new-policy-key --policy-key FILE` here; else somebody changed "
			"it: `vtpmctl pool publish` where the newest is.");
	if (rc == -ENOENT)
		return error_set(
			e, rc, CAUSE_PEER,
			"The pool has no list of hosts that this host's policy key signed "
			"in etcd: find out who removed it, and bring it back by "
			"`vtpmctl pool init` where the newest is.");
	return error_set(e, rc, CAUSE_PEER,
			 "The pool's list of hosts cannot be read: %s.", strerror(-rc));
}

int move_list_has(struct vtpmd *d, const char *name, struct error *e)
{
	struct move_bytes list = {NULL, 0};
	struct config *c;
	int rc = config_get(&d->host, d->config, &c, e);

	if (rc)
		return rc;
	rc = move_read_pool(d, &list);
	rc = rc ? refuse_list(rc, e) : find_host(&c->host, &list, name, e);
	move_drop_bytes(&list);
	config_put(c);
	return rc;
}

static json_t *show_names(const struct hostconf *conf, const struct move_bytes *list)
{
	json_t *names = NULL;
	struct pool_host h;
	struct pool pool;

	if (pool_open(list->p, list->n, conf->policy_key, sizeof(conf->policy_key),
		      &pool))
		return NULL;
	names = json_array();
	while (pool_next_host(&pool.host, &h))
		json_array_append_new(names,
				      json_stringn((const char *)h.name.p, h.name.n));
	return names;
}

json_t *move_list_names(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move_bytes list = {NULL, 0};
	json_t *names = NULL;
	struct config *c;

	if (config_get(&d->host, d->config, &c, &e))
		return NULL;
	if (!move_read_pool(d, &list))
		names = show_names(&c->host, &list);
	move_drop_bytes(&list);
	config_put(c);
	return names;
}

static bool is_newer_than_etcd(const struct hostconf *h, const struct move_bytes *file)
{
	struct pool here, there;
	size_t len;
	const uint8_t *list = store_etcd_list_of_hosts(&len);

	if (pool_open(file->p, file->n, h->policy_key, sizeof(h->policy_key), &here))
		return false;
	return !list ||
	       pool_open(list, len, h->policy_key, sizeof(h->policy_key), &there) ||
	       here.number > there.number;
}

bool move_list_is_unpublished(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move_bytes file = {NULL, 0};
	bool is_newer = false;
	struct config *c;

	if (!store_etcd_is(d->store) || config_get(&d->host, d->config, &c, &e))
		return false;
	if (!read_file(d, &file))
		is_newer = is_newer_than_etcd(&c->host, &file);
	move_drop_bytes(&file);
	config_put(c);
	return is_newer;
}

const char *move_old_pool(struct vtpmd *d)
{
	struct move_bytes pool = {NULL, 0};
	int rc = move_read_pool(d, &pool);

	move_drop_bytes(&pool);
	if (rc != -ESTALE)
		return NULL;
	return "This host's list of hosts (`vtpmctl peer list`) is older than one that was used "
	       "here, and may have a host that was taken out: put the newest back, or sign "
	       "this one anew by `vtpmctl peer add`.";
}

const char *move_see_old_pool(struct vtpmd *d)
{
	uint64_t used = d->pool_number;
	const char *why = move_old_pool(d);

	d->pool_number = used;
	return why;
}
