/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_known.h"
#include "tools/vtpmd/anchor_check.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/object.h"
#include "tools/vtpmd/trail.h"
#include "lib/crypt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>

static void set(struct anchor_known *k, const struct anchor_entry *e)
{
	int rc = anchor_table_set(&k->table, e);

	if (rc)
		log_line(LOG_ERR, "the anchor has no room for another vTPM: %s",
			 strerror(-rc));
	k->changes++;
}

int anchor_known_epoch(uint64_t *epoch)
{
	do
		if (RAND_bytes((uint8_t *)epoch, sizeof(*epoch)) != 1)
			return -EIO;
	while (!*epoch);
	return 0;
}

static int hash_object(struct vtpm *v, uint16_t object, uint8_t hash[32],
		       struct object_head *head)
{
	struct crypt_part part = {0};
	uint8_t *buf;
	int rc = store_get(&v->store, object, &buf, &part.n);

	if (rc)
		return rc;
	part.p = buf;
	rc = object_parse(object, buf, part.n, head);
	if (!rc && memcmp(head->uuid, v->meta.uuid, sizeof(head->uuid)))
		rc = -EBADMSG;
	if (!rc)
		rc = crypt_sha256(&part, 1, hash);
	free(buf);
	return rc;
}

/* What the folder says; an object that is not there, damaged or another's counts as
 * none.  The state of a vTPM that runs is of its run's epoch, or what that began with. */
static int of_store(struct vtpm *v, struct anchor_entry *e)
{
	struct object_head head = {0};
	int rc = hash_object(v, CHANNEL_OBJECT_HEADER, e->header, &head);

	memcpy(e->uuid, v->meta.uuid, sizeof(e->uuid));
	if (rc == -ENOENT || rc == -EBADMSG)
		memset(e->header, 0, sizeof(e->header));
	else if (rc)
		return rc;
	head = (struct object_head){.epoch = 0};
	rc = hash_object(v, CHANNEL_OBJECT_PERMALL, e->base, &head);
	if (rc == -ENOENT || rc == -EBADMSG)
		memset(e->base, 0, sizeof(e->base));
	else if (rc)
		return rc;
	e->base_seq = rc ? 0 : head.seq;
	e->epoch = v->store.epoch;
	if (!e->epoch && v->body_alive)
		e->epoch = head.epoch;
	if (!e->epoch)
		return anchor_known_epoch(&e->epoch);
	e->permall = e->epoch == head.epoch ? e->base_seq : 0;
	return 0;
}

bool anchor_known_grow(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	const struct store_known *state = store_known(&v->store, CHANNEL_OBJECT_PERMALL);
	struct anchor_entry e;

	if (!old)
		return false;
	if (!state || state->epoch != old->epoch || state->seq <= old->permall)
		return true;
	e = *old;
	e.permall = state->seq;
	set(k, &e);
	return true;
}

bool anchor_known_header(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	const struct store_known *header = store_known(&v->store, CHANNEL_OBJECT_HEADER);
	struct anchor_entry e;

	if (!old || !header)
		return false;
	v->new_header = false;
	e = *old;
	memcpy(e.header, header->hash, sizeof(e.header));
	if (memcmp(e.header, old->header, sizeof(e.header)))
		set(k, &e);
	v->header_change = k->changes;
	return true;
}

bool anchor_known_launched(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	struct anchor_entry e;

	if (!old)
		return false;
	v->new_launched = false;
	if (old->launched != v->meta.launched) {
		e = *old;
		e.launched = v->meta.launched;
		set(k, &e);
	}
	return true;
}

/* vtpm.json may have been edited, and the TPM may not have had the last launch: only an
 * operator of this vtpmd's takes back what either says. */
static void compare_launched(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *known = anchor_table_find(&k->table, v->meta.uuid);

	if (known && known->launched && !v->new_launched)
		v->meta.launched = true;
	(void)anchor_known_launched(k, v);
}

int anchor_known_raise(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	const struct store_known *state = store_known(&v->store, CHANNEL_OBJECT_PERMALL);
	struct anchor_entry e = *old;
	int rc = anchor_known_epoch(&e.epoch);

	if (rc)
		return rc;
	e.permall = e.base_seq = 0;
	memset(e.base, 0, sizeof(e.base));
	if (state) {
		memcpy(e.base, state->hash, sizeof(e.base));
		e.base_seq = state->seq;
	}
	set(k, &e);
	return 0;
}

void anchor_known_note(struct anchor_known *k, struct vtpmd *d)
{
	struct vtpm *v;

	if (!audit_head_equal(&k->table.audit, &d->audited)) {
		k->table.audit = d->audited;
		k->changes++;
	}
	for (v = d->vtpms; v; v = v->next)
		if (v->opened)
			(void)anchor_known_grow(k, v);
}

bool anchor_known_claim(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	struct anchor_entry e = {.permall = 0};
	int rc = of_store(v, &e);

	/* then nothing is known of it, and it does not start */
	if (rc) {
		log_line(LOG_ERR,
			 "vTPM %s: its folder cannot be read, and is not anchored: %s",
			 v->meta.name, strerror(-rc));
		return false;
	}
	if (old && old->launched && !v->new_launched)
		v->meta.launched = true;
	e.launched = v->meta.launched;
	set(k, &e);
	v->claim = v->new_launched = false;
	v->claimed = k->changes;
	if (v->new_header)
		v->header_change = k->changes;
	v->new_header = false;
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
	struct anchor_entry e = {.permall = 0};

	memcpy(e.uuid, v->meta.uuid, sizeof(e.uuid));
	if (anchor_table_set(&k->forgotten, &e))
		log_line(LOG_ERR, "vTPM %s: the anchor does not forget it", v->meta.name);
}

static void audit(const struct anchor_known *k, struct vtpmd *d, const char *event)
{
	char detail[64];
	struct audit_event line = {.event = event, .detail = detail};

	snprintf(detail, sizeof(detail), "%zu vTPMs", k->table.count);
	trail_add(d, &line);
}

void anchor_known_adopt(struct anchor_known *k, struct anchor_file *f,
			const uint8_t none[ANCHOR_HASH_SIZE], struct vtpmd *d)
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
	for (v = vtpms; v; v = v->next) {
		if (v->claim)
			(void)anchor_known_claim(k, v);
		if (v->new_header)
			(void)anchor_known_header(k, v);
		compare_launched(k, v);
	}
}

void anchor_known_free(struct anchor_known *k)
{
	anchor_table_free(&k->table);
	anchor_table_free(&k->forgotten);
}
