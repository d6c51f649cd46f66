/* SPDX-License-Identifier: Apache-2.0 */
/* What this host has seen of a pool's vTPMs, for another one that asks. */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/witness.h"

#include <errno.h>
#include <string.h>

static bool is_own_pool(const struct vtpmd *d, const struct binding_part *pool)
{
	const char *name = store_etcd_is(d->store) ? strrchr(d->store, '/') + 1 : "";

	return pool->n == strlen(name) && !memcmp(pool->p, name, pool->n);
}

/* The generation of the header that is anchored; 0: it is not known. */
static uint64_t header_seq(const struct vtpm *v, const struct anchor_entry *e)
{
	const struct store_known *k =
		v ? store_known(&v->store, CHANNEL_OBJECT_HEADER) : NULL;

	if (k && !memcmp(k->hash, e->header, sizeof(e->header)))
		return k->seq;
	return v ? v->anchor.seen_header : 0;
}

static void copy_entry(struct witness_said *s, const struct vtpm *v,
		       const struct anchor_entry *e)
{
	memcpy(s->header, e->header, sizeof(s->header));
	s->header_seq = header_seq(v, e);
	s->epoch = e->epoch;
	s->permall = e->permall;
	memcpy(s->base, e->base, sizeof(s->base));
	s->base_seq = e->base_seq;
}

static void add_said(struct vtpmd *d, const char *asker, const uint8_t uuid[16],
		     struct witness_answer *a)
{
	struct witness_said *s = &a->said[a->n];
	struct vtpm *v = vtpms_find_uuid(d, uuid);
	const struct anchor_entry *e;

	if (v)
		anchor_note(d->anchor, v);
	e = anchor_find_uuid(d->anchor, uuid);
	/* what is being made is nobody else's yet, and what is in a folder is not the pool's */
	if (e && (!e->pooled || anchor_entry_unmade(e)))
		e = NULL;
	s->use = store_etcd_use(uuid, asker);
	if (!e && s->use == WITNESS_FREE)
		return;
	memcpy(s->uuid, uuid, sizeof(s->uuid));
	if (e)
		copy_entry(s, v, e);
	a->n++;
}

int witness_tell(struct vtpmd *d, const char *asker, const uint8_t *in, size_t len,
		 uint8_t *out, size_t *out_len)
{
	static struct witness_question q;
	static struct witness_answer a;
	struct session_seen seen;
	int rc = witness_question_decode(in, len, &q);

	if (rc)
		return rc;
	seen = store_etcd_seen();
	memset(&a, 0, sizeof(a));
	a.uses = is_own_pool(d, &q.pool);
	a.known = a.uses && anchor_is_known(d->anchor);
	a.cluster_id = a.known ? seen.cluster_id : 0;
	a.revision = a.known ? (uint64_t)seen.revision : 0;
	for (unsigned int i = 0; a.uses && i < q.n; i++)
		add_said(d, asker, q.uuid[i], &a);
	*out_len = WITNESS_ANSWER_MAX;
	return witness_answer_encode(&a, out, out_len);
}
