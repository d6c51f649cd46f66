/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpm.h"

#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

static struct vtpm *find_uuid(struct vtpmd *d, const uint8_t uuid[16])
{
	struct vtpm *v = d->vtpms;

	while (v && memcmp(v->meta.uuid, uuid, sizeof(v->meta.uuid)))
		v = v->next;
	return v;
}

/* Another host deleted it. */
static void drop_foreign(struct vtpm *v)
{
	if (v->waiters || !vtpm_is(v, VTPM_DOWN))
		return;
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "another host of the pool deleted it");
	anchor_forget(v->d->anchor, v);
	crb_forget(v->d, v->meta.uuid);
	registry_unlink(v);
	vtpm_free(v);
}

void registry_witness(struct vtpm *v)
{
	const struct anchor_entry *known = anchor_find(v->d->anchor, v);
	uint64_t seq = 0, known_seq = known ? anchor_entry_seq(known) : 0;
	uint8_t *buf;
	size_t len;

	if (!store_etcd_is(v->d->store) || !store_etcd_is_taken_over(&v->store) ||
	    anchor_off(v->d->anchor) || anchor_busy(v->d->anchor))
		return;
	store_know_nothing(&v->store);
	if (store_get(&v->store, CHANNEL_OBJECT_PERMALL, &buf, &len))
		return;
	if (store_object_seq(CHANNEL_OBJECT_PERMALL, buf, len, &seq))
		seq = 0;
	free(buf);
	if (seq > known_seq)
		anchor_claim(v->d->anchor, v);
}

static void refresh_foreign(struct vtpm *v)
{
	struct meta m;

	if (!vtpm_is(v, VTPM_DOWN))
		return;
	store_tell(&v->store, STORE_CHANGED);
	if (meta_read(&v->store, &m))
		return;
	registry_unlink(v);
	v->meta = m;
	registry_add(v->d, v);
}

void registry_foreign(void *ctx, const uint8_t uuid[16], bool there)
{
	struct vtpmd *d = ctx;
	struct vtpm *v = find_uuid(d, uuid);
	char text[37];

	uuid_unparse_lower(uuid, text);
	if (v && there)
		refresh_foreign(v);
	else if (v)
		drop_foreign(v);
	else if (there)
		registry_load_one(d, text);
}

int registry_join_pool(struct vtpmd *d, struct error *e)
{
	const struct store_etcd_options o = {.base = d->base,
					     .url = d->store,
					     .ca = d->pool.ca,
					     .cert = d->pool.cert,
					     .key = d->pool.key,
					     .ttl = d->pool.ttl,
					     .on_foreign = registry_foreign,
					     .ctx = d};

	return store_etcd_is(d->store) ? store_etcd_begin(&o, e) : 0;
}
