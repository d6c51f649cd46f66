/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/pool_newkey.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/poolkeys.h"
#include "tools/vtpmctl/poollist.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_beside(struct poolfile *f, const char *config, const char *name,
		       const struct hostconf *h)
{
	char path[PATH_MAX];
	int rc = file_beside(config, name, path, sizeof(path));

	memset(f, 0, sizeof(*f));
	return rc ? -ENAMETOOLONG : poollist_read(f, path, h);
}

/* A list of an earlier new policy key would be lost under this one's. */
static int check_old_list(const char *config, const struct hostconf *lost,
			  struct error *e)
{
	struct poolfile f;
	char path[PATH_MAX];
	int rc = file_beside(config, POOL_OLD_FILE, path, sizeof(path));

	if (!rc && access(path, F_OK))
		return 0;
	if (!rc)
		rc = poollist_read(&f, path, lost);
	if (!rc)
		poolfile_free(&f);
	return rc ? error_set(
			    e, -EEXIST, CAUSE_INTERNAL,
			    "%s is of an earlier new policy key: finish that with `vtpmctl "
			    "rekey --all --old`, and move the file away",
			    path)
		  : 0;
}

static int check_published(const struct hostconf *next, struct error *e)
{
	struct poolfile there;
	int rc = poollist_read_etcd(&there, next, e);

	if (!rc)
		poolfile_free(&there);
	if (rc != -EACCES)
		return rc;
	return error_set(
		e, rc, CAUSE_PEER,
		"the pool's list of hosts in etcd is not signed by the new policy key yet, and "
		"without it this host has no key of the pool: first `vtpmctl host "
		"new-policy-key` where the list is signed, then `vtpmctl pool publish` there, "
		"then the same key here, --policy-key FILE");
}

int pool_newkey_load(struct pool_newkey *p, const char *config, const char *socket,
		     const struct hostconf *lost, const struct hostconf *next,
		     struct error *e)
{
	char path[PATH_MAX];
	int rc = check_old_list(config, lost, e);

	if (rc)
		return rc;
	if (file_beside(config, "pool", path, sizeof(path)))
		return error_set(e, -ENAMETOOLONG, CAUSE_INTERNAL, "%s is too long",
				 config);
	/* a run that was cut off has signed the new one, and has kept the other */
	p->signs = !access(path, F_OK) &&
		   (!poollist_read(&p->old, path, lost) ||
		    !read_beside(&p->old, config, POOL_OLD_FILE, lost));
	if (p->signs)
		return snprintf(p->old.path, sizeof(p->old.path), "%s", path) < 0 ? -EIO
										  : 0;
	if (!lost->store.url)
		return 0;
	rc = check_published(next, e);
	if (!rc && poollist_read_kept(&p->old, socket, lost))
		(void)!read_beside(&p->old, config, POOL_OLD_FILE, lost);
	return rc;
}

int pool_newkey_store(struct pool_newkey *p, const char *config,
		      const struct hostconf *next, EVP_PKEY *key, struct error *e)
{
	char path[PATH_MAX];
	int rc =
		p->old.bytes ? file_beside(config, POOL_OLD_FILE, path, sizeof(path)) : 0;

	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL, "%s is too long", config);
	if (p->old.bytes)
		rc = file_write(path, 0600, true, p->old.bytes, p->old.len, e);
	return rc || !p->signs ? rc : poolkeys_renew(&p->old, next, key, e);
}

void pool_newkey_free(struct pool_newkey *p)
{
	poolfile_free(&p->old);
}

void pool_newkey_present(struct poolfile *f, const char *config, const struct hostconf *h)
{
	struct error ignored = {.cause = CAUSE_NONE};
	struct poolfile there;

	(void)!read_beside(f, config, "pool", h);
	if (!h->store.url || poollist_read_etcd(&there, h, &ignored))
		return;
	if (f->bytes && f->pool.number >= there.pool.number) {
		poolfile_free(&there);
		return;
	}
	poolfile_free(f);
	*f = there;
}

void pool_newkey_before(struct poolfile *f, const char *before, const struct hostconf *h)
{
	(void)!read_beside(f, before, POOL_OLD_FILE, h);
}
