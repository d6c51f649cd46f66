/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/poollist.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/etcdask.h"
#include "tools/vtpmctl/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_FILE "pool.list" /* tools/vtpmd/pool_keys.h, in vtpmd's own folder */

/* Takes the bytes, if that policy key signed them: f has them then, else they are freed. */
static int take_bytes(struct poolfile *f, char *bytes, size_t len,
		      const struct hostconf *h)
{
	int rc = bytes ? pool_open((const uint8_t *)bytes, len, h->policy_key,
				   sizeof(h->policy_key), &f->pool)
		       : -ENOENT;

	if (rc) {
		free(bytes);
		return rc;
	}
	f->bytes = bytes;
	f->len = len;
	return 0;
}

int poollist_read(struct poolfile *f, const char *path, const struct hostconf *h)
{
	struct error ignored = {.cause = CAUSE_NONE};
	char *bytes = NULL;
	size_t len = 0;
	int rc;

	memset(f, 0, sizeof(*f));
	rc = file_read_most(path, POOL_MAX, &bytes, &len, &ignored);
	return rc ? rc : take_bytes(f, bytes, len, h);
}

int poollist_read_etcd(struct poolfile *f, const struct hostconf *h, struct error *e)
{
	struct etcdask_value list = {NULL, 0, 0};
	struct etcdask *etcd = NULL;
	int rc = etcdask_open(&h->store, &etcd, e);

	memset(f, 0, sizeof(*f));
	if (!rc)
		rc = etcdask_get(etcd, POOL_LIST_KEY, &list, e);
	etcdask_close(etcd);
	if (rc)
		return rc;
	return take_bytes(f, (char *)list.buf, list.len, h) ? -EACCES : 0;
}

int poollist_read_kept(struct poolfile *f, const char *socket, const struct hostconf *h)
{
	char text[CLIENT_TEXT], path[PATH_MAX];
	json_t *reply;
	int rc = -ENOENT;

	memset(f, 0, sizeof(*f));
	if (client_try(socket, client_request("pool", NULL), &reply, text))
		return rc;
	if (client_text(reply, "own")[0] &&
	    snprintf(path, sizeof(path), "%s/" KEPT_FILE, client_text(reply, "own")) <
		    (int)sizeof(path))
		rc = poollist_read(f, path, h);
	json_decref(reply);
	return rc;
}

int poollist_take_newer(struct poolfile *f, const struct hostconf *h, struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	struct poolfile there;
	int rc = poollist_read_etcd(&there, h, &why);

	if (rc == -EACCES && !why.text[0])
		return 0; /* what this host's policy key did not sign is no list */
	if (rc)
		return error_set(
			e, rc, why.cause,
			"the pool's etcd cannot be asked for its list of hosts, which may be "
			"newer than %s: %s",
			f->path, why.text);
	if (f->bytes && f->pool.number >= there.pool.number) {
		poolfile_free(&there);
		return 0;
	}
	fprintf(stderr, "The list of hosts in etcd is newer than %s, and is taken.\n",
		f->path);
	poolfile_free(f);
	f->bytes = there.bytes;
	f->len = there.len;
	f->pool = there.pool;
	return 0;
}

/* Whether a list has that key, as one of its hosts holds it: versions of lists that were begun anew
 * have the same numbers, and other keys. */
static bool has_key(const struct poolfile *f, const struct pool_key *k)
{
	struct cursor c = f->pool.key, holder;
	struct pool_holder h, same;
	struct pool_key one;

	while (pool_next_key(&c, &one)) {
		if (one.version != k->version)
			continue;
		for (holder = k->holder; pool_next_holder(&holder, &h);)
			if (pool_find_holder(&one, h.name.p, h.name.n, &same) &&
			    same.share.n == h.share.n &&
			    !memcmp(same.share.p, h.share.p, h.share.n))
				return true;
	}
	return false;
}

static bool has_any_holder(const struct poolfile *f, const struct pool_key *k)
{
	struct cursor c = k->holder;
	struct pool_holder h;

	while (pool_next_holder(&c, &h))
		if (poolfile_has_srk(f, h.name.p, h.name.n))
			return true;
	return false;
}

uint32_t poollist_dropped_key(const struct poolfile *f, const struct pool *before)
{
	struct cursor c = before->key;
	struct pool_key k;
	uint32_t version = 0;

	while (pool_next_key(&c, &k))
		if (has_any_holder(f, &k) && !has_key(f, &k))
			version = k.version;
	return version;
}
