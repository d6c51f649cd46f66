/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/pool_keys.h"
#include "lib/atomic.h"
#include "lib/pool.h"
#include "lib/poolconf.h"
#include "lib/slot/shares.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_list(const struct config *c, const struct move_bytes *b, struct pool *p)
{
	return pool_open(b->p, b->n, c->host.policy_key, sizeof(c->host.policy_key), p);
}

static int read_kept(const struct vtpmd *d, struct move_bytes *kept)
{
	int dir = open(d->folder, O_DIRECTORY | O_CLOEXEC | O_RDONLY);
	int rc = dir < 0 ? -errno : 0;

	if (!rc)
		rc = atomic_read(dir, POOL_KEYS_FILE, POOL_MAX, &kept->p, &kept->n);
	if (dir >= 0)
		close(dir);
	return rc;
}

/* The newest list that is signed: of those that count now, and the one that is kept. */
static int newest_list(struct vtpmd *d, const struct config *c, struct move_bytes *list,
		       struct pool *p)
{
	struct move_bytes kept = {NULL, 0};
	struct pool other;
	int rc = move_read_pool(d, list);

	if (!rc)
		rc = open_list(c, list, p);
	if (!read_kept(d, &kept) && !open_list(c, &kept, &other) &&
	    (rc || other.number > p->number)) {
		move_drop_bytes(list);
		*list = kept;
		*p = other;
		return 0;
	}
	move_drop_bytes(&kept);
	if (rc)
		move_drop_bytes(list);
	return rc;
}

static bool find_own(const struct pool_key *k, const struct config *c,
		     struct pool_holder *h)
{
	return pool_find_holder(k, c->host.srk_name, sizeof(c->host.srk_name), h);
}

void pool_keys_put(struct vtpmd *d, const struct config *c, bool in_pool,
		   struct cursor *out)
{
	struct move_bytes list = {NULL, 0};
	struct pool p;

	if (newest_list(d, c, &list, &p))
		return;
	poolconf_put(&p, c->host.srk_name, sizeof(c->host.srk_name), in_pool, out);
	move_drop_bytes(&list);
}

/* Whether a list has a key for this host, and is newer than what is kept: one without it is not
 * taken, so that a host that was taken out still opens what it moved out of the pool. */
static bool is_list_newer(const struct vtpmd *d, const struct config *c,
			  const struct move_bytes *list)
{
	static uint64_t kept_number;
	struct move_bytes kept = {NULL, 0};
	struct pool p, old;
	struct pool_holder h;
	struct pool_key k;

	if (open_list(c, list, &p) || p.number == kept_number ||
	    !pool_newest_key(&p, &k) || !find_own(&k, c, &h))
		return false;
	if (!read_kept(d, &kept) && !open_list(c, &kept, &old))
		kept_number = old.number;
	move_drop_bytes(&kept);
	if (p.number <= kept_number)
		return false;
	kept_number = p.number;
	return true;
}

static void save_list(struct vtpmd *d, const struct move_bytes *list)
{
	int dir = open(d->folder, O_DIRECTORY | O_CLOEXEC | O_RDONLY);
	int rc = dir < 0 ? -errno
			 : atomic_write(dir, POOL_KEYS_FILE, list->p, list->n, false);

	if (dir >= 0)
		close(dir);
	if (rc)
		log_line(
			LOG_ERR,
			"%s/" POOL_KEYS_FILE
			", with which vTPMs that are moved out of the pool are opened, could "
			"not be written: %s; see its disk's space and permissions",
			d->folder, strerror(-rc));
}

void pool_keys_save(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move_bytes list = {NULL, 0};
	struct config *c;

	if (!store_etcd_is(d->store) || config_get(&d->host, d->config, &c, &e))
		return;
	if (!move_read_pool(d, &list) && is_list_newer(d, c, &list))
		save_list(d, &list);
	move_drop_bytes(&list);
	config_put(c);
}

/* -- pool show -------------------------------------------------------------------- */

static uint32_t version_of(struct vtpm *v)
{
	uint32_t version = 0;
	uint8_t *header;
	size_t len;

	if (store_get(&v->store, CHANNEL_OBJECT_HEADER, &header, &len))
		return 0;
	version = shares_pool_version(header, len);
	free(header);
	return version;
}

/* Whether the list has that version of the pool's key, and whether it has it for this host. */
static bool find_version(const struct pool *p, const struct config *c, uint32_t version,
			 bool *here)
{
	struct cursor keys = p->key;
	struct pool_holder h;
	struct pool_key k;

	*here = false;
	while (pool_next_key(&keys, &k)) {
		if (k.version != version)
			continue;
		*here = find_own(&k, c, &h);
		return true;
	}
	return false;
}

/* Adds a vTPM to the versions that are needed. */
static void count_version(json_t *array, uint32_t version, const char *name)
{
	json_t *one = NULL;
	size_t i;

	json_array_foreach(array, i, one) if (json_integer_value(json_object_get(
						      one, "version")) == version) break;
	if (i == json_array_size(array)) {
		one = json_pack("{s:I, s:[]}", "version", (json_int_t)version, "vtpms");
		json_array_append_new(array, one);
	}
	json_array_append_new(json_object_get(one, "vtpms"), json_string(name));
}

static json_t *show_versions(struct vtpmd *d, const struct config *c,
			     const struct pool *p)
{
	json_t *array = json_array(), *one;
	uint32_t version;
	bool here;
	size_t i;

	for (struct vtpm *v = d->vtpms; v; v = v->next) {
		version = version_of(v);
		if (version)
			count_version(array, version, v->meta.name);
	}
	json_array_foreach(array, i, one)
	{
		version = (uint32_t)json_integer_value(json_object_get(one, "version"));
		json_object_set_new(one, "listed",
				    json_boolean(find_version(p, c, version, &here)));
		json_object_set_new(one, "here", json_boolean(here));
	}
	return array;
}

/* version 0: the list has no key, and vTPMs need one. */
static json_t *show_key(struct vtpmd *d, const struct config *c, const struct pool *p)
{
	struct pool_key k = {.version = 0};
	bool any = pool_newest_key(p, &k);
	json_t *vtpms = show_versions(d, c, p);
	struct pool_holder h;

	if (!any && !json_array_size(vtpms)) {
		json_decref(vtpms);
		return NULL;
	}
	return json_pack("{s:I, s:b, s:o}", "version", (json_int_t)(any ? k.version : 0),
			 "here", any && find_own(&k, c, &h), "vtpms", vtpms);
}

json_t *pool_keys_show(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move_bytes list = {NULL, 0};
	json_t *shown = NULL;
	struct config *c;
	struct pool p;

	if (config_get(&d->host, d->config, &c, &e))
		return json_null();
	if (!newest_list(d, c, &list, &p))
		shown = show_key(d, c, &p);
	move_drop_bytes(&list);
	config_put(c);
	return shown ? shown : json_null();
}
