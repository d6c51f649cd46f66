/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_known.h"
#include "tools/vtpmd/anchor_check.h"
#include "tools/vtpmd/log.h"
#include "lib/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void set(struct anchor_known *k, const struct anchor_entry *e)
{
	int rc = anchor_table_set(&k->table, e);

	if (rc)
		log_line(LOG_ERR, "the anchor has no room for another vTPM: %s",
			 strerror(-rc));
	k->changes++;
}

/* What the folder says; an object that is not there, damaged or another's counts as
 * none. */
static int of_store(struct vtpm *v, struct anchor_entry *e)
{
	int rc = store_own_seq(&v->store, CHANNEL_OBJECT_HEADER, &e->header);

	memcpy(e->uuid, v->meta.uuid, sizeof(e->uuid));
	if (!rc || rc == -ENOENT || rc == -EBADMSG)
		rc = store_own_seq(&v->store, CHANNEL_OBJECT_PERMALL, &e->permall);
	return rc == -ENOENT || rc == -EBADMSG ? 0 : rc;
}

bool anchor_known_grow(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	struct anchor_entry e;

	if (!old)
		return false;
	if (of_store(v, &e) || (e.header <= old->header && e.permall <= old->permall))
		return true;
	if (e.header < old->header)
		e.header = old->header;
	if (e.permall < old->permall)
		e.permall = old->permall;
	set(k, &e);
	return true;
}

void anchor_known_note(struct anchor_known *k, struct vtpm *vtpms)
{
	struct vtpm *v;

	for (v = vtpms; v; v = v->next)
		if (v->opened)
			(void)anchor_known_grow(k, v);
}

bool anchor_known_claim(struct anchor_known *k, struct vtpm *v)
{
	struct anchor_entry e;
	int rc = of_store(v, &e);

	/* then nothing is known of it, and it does not start */
	if (rc) {
		log_line(LOG_ERR,
			 "vTPM %s: its folder cannot be read, and is not anchored: %s",
			 v->meta.name, strerror(-rc));
		return false;
	}
	set(k, &e);
	v->claim = false;
	v->claimed = k->changes;
	return true;
}

bool anchor_known_forget(struct anchor_known *k, const uint8_t uuid[16])
{
	bool was = anchor_table_remove(&k->table, uuid);

	if (was)
		k->changes++;
	return was;
}

void anchor_known_forget_later(struct anchor_known *k, const struct vtpm *v)
{
	struct anchor_entry e = {.header = 0};

	memcpy(e.uuid, v->meta.uuid, sizeof(e.uuid));
	if (anchor_table_set(&k->forgotten, &e))
		log_line(LOG_ERR, "vTPM %s: the anchor does not forget it", v->meta.name);
}

static void audit(const struct anchor_known *k, const struct vtpmd *d, const char *event)
{
	char detail[64];
	struct audit_event line = {.event = event, .detail = detail};
	int rc;

	snprintf(detail, sizeof(detail), "%zu vTPMs", k->table.count);
	rc = audit_append(d->audit, &line);
	if (rc)
		log_line(LOG_ERR, "\"%s\" is not in the audit log %s: %s", event,
			 d->audit, strerror(-rc));
}

void anchor_known_adopt(struct anchor_known *k, struct anchor_file *f,
			const uint8_t none[ANCHOR_HASH_SIZE], const struct vtpmd *d)
{
	struct vtpm *v;

	anchor_known_free(k);
	memcpy(f->hash, none, ANCHOR_HASH_SIZE);
	f->pending = false;
	k->changes++;
	for (v = d->vtpms; v; v = v->next)
		(void)anchor_known_claim(k, v);
	log_line(LOG_NOTICE, "a new anchor: %zu vTPMs are taken as they are in the store",
		 k->table.count);
	audit(k, d, "anchor");
}

int anchor_known_load(struct anchor_known *k, struct anchor_file *f,
		      const uint8_t hash[ANCHOR_HASH_SIZE], const struct vtpmd *d,
		      struct error *e)
{
	int rc = anchor_file_load(f, hash, &k->table);

	if (rc) {
		anchor_check_say(rc, d->anchor_dir, e);
		return rc;
	}
	k->changes++;
	log_line(LOG_INFO, "table %llu, %zu vTPMs, is the one that the host's TPM has",
		 (unsigned long long)k->table.counter, k->table.count);
	return 0;
}

void anchor_known_catch_up(struct anchor_known *k, struct vtpm *vtpms)
{
	struct vtpm *v;
	size_t i;

	for (i = 0; i < k->forgotten.count; i++)
		(void)anchor_known_forget(k, k->forgotten.entries[i].uuid);
	anchor_table_free(&k->forgotten);
	for (v = vtpms; v; v = v->next)
		if (v->claim)
			(void)anchor_known_claim(k, v);
}

void anchor_known_free(struct anchor_known *k)
{
	anchor_table_free(&k->table);
	anchor_table_free(&k->forgotten);
}
