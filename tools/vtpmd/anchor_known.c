/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor_known.h"
#include "lib/crypt.h"
#include "tools/vtpmd/log.h"
#include "lib/slot/envelope.h"
#include "tools/vtpmd/trail.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the object in the vTPM's folder is another vTPM's, which *e tells then. */
static bool is_anothers(struct vtpm *v, uint16_t object, struct error *e)
{
	struct envelope_head h = {0};
	bool another = false;
	uint8_t *buf;
	size_t len;

	if (store_get(&v->store, object, &buf, &len))
		return false;
	if (!envelope_head_parse(object, buf, len, &h))
		another = memcmp(h.uuid, v->meta.uuid, sizeof(h.uuid)) != 0;
	free(buf);
	if (another)
		error_set(e, -ESTALE, CAUSE_WRONG_VTPM,
			  "The %s in the folder of %s is another vTPM's: put its own "
			  "back, or restore it from a backup.",
			  object == CHANNEL_OBJECT_HEADER ? "header" : "state",
			  v->meta.name);
	return another;
}

static int not_as_new(struct vtpm *v, uint64_t found, const struct anchor_entry *known,
		      struct error *e)
{
	bool older = found < anchor_entry_seq(known);

	return error_set(
		e, -ESTALE, CAUSE_ROLLED_BACK,
		"The state of %s is generation %llu, and %llu is anchored in "
		"the host's TPM%s. Bring the newest back, or, if this one is meant, "
		"`vtpmctl host anchor --accept %s --yes`.",
		v->meta.name, (unsigned long long)found,
		(unsigned long long)anchor_entry_seq(known),
		older ? ": an older one was put back, or `restore --replace` was "
			"cut off: repeat it"
		      : ", of another run: an older one was put back and went on, or another "
			"vtpmd or host wrote this one",
		v->meta.name);
}

static int check_header(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	int rc = store_find_header(&v->store, known->header);

	if (rc == 1)
		log_about(
			LOG_NOTICE, VTPM_ABOUT(v),
			"the header that is anchored is put back: the newer one was not "
			"acknowledged when the host or vtpmd went down");
	if (rc >= 0)
		return 0;
	if (rc == -ENOENT)
		return store_lacks(&v->store, v->meta.name, e);
	if (rc == -ESTALE && is_anothers(v, CHANNEL_OBJECT_HEADER, e))
		return rc;
	if (rc == -ESTALE)
		return error_set(
			e, rc, CAUSE_ROLLED_BACK,
			"The header of %s is not the one that is anchored in the host's "
			"TPM: it was changed or replaced, or `restore --replace` was cut "
			"off: repeat it. Bring the newest back, or, when this one is meant, "
			"`vtpmctl host anchor --accept %s --yes`.",
			v->meta.name, v->meta.name);
	return error_set(
		e, rc, CAUSE_STORE,
		"The header of %s could not be read: %s; see its disk's space and permissions.",
		v->meta.name, strerror(-rc));
}

static int check_state(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	const struct store_known *k;
	int rc = store_know_stored(&v->store, CHANNEL_OBJECT_PERMALL);

	/* what cannot be opened is not opened: the manager says why */
	if (rc == -ENOENT || rc == -EBADMSG)
		return 0;
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The state of %s could not be read: %s; see its disk's space and permissions.",
			v->meta.name, strerror(-rc));
	k = store_known(&v->store, CHANNEL_OBJECT_PERMALL);
	if (k->epoch == known->epoch && k->seq >= known->permall)
		return 0;
	if (!known->permall && !memcmp(k->hash, known->base, sizeof(k->hash)))
		return 0;
	if (is_anothers(v, CHANNEL_OBJECT_PERMALL, e))
		return -ESTALE;
	return not_as_new(v, k->seq, known, e);
}

int anchor_check_folder(const struct anchor_entry *known, struct vtpm *v, struct error *e)
{
	int rc;

	store_know_nothing(&v->store);
	if (!known && !v->meta.creating)
		return error_set(
			e, -ESTALE, CAUSE_ROLLED_BACK,
			"The folder of %s is not one that this host has anchored in its "
			"TPM: it was copied in, or is of a vTPM that was deleted. Use "
			"`vtpmctl restore`, or, when it is meant, `vtpmctl host anchor "
			"--accept %s --yes`.",
			v->meta.name, v->meta.name);
	if (!known || anchor_entry_unmade(known))
		return error_set(
			e, -ENOENT, CAUSE_NO_STATE,
			"The vTPM %s was being made when the host or vtpmd went down, and is "
			"not whole. `vtpmctl delete %s`, and %s again.",
			v->meta.name, v->meta.name, meta_made_by(&v->meta));
	if (known->pooled && !store_is_leased(&v->store) && !v->moves)
		return error_set(
			e, -ESTALE, CAUSE_ROLLED_BACK,
			"The vTPM %s is in a pool's etcd, as the host's TPM knows, and its "
			"folder here is a copy: `vtpmctl pool move`, with vtpmd in the pool, "
			"finishes a move or brings it back; when the pool is lost for good, "
			"`vtpmctl host anchor --accept %s --yes`.",
			v->meta.name, v->meta.name);
	rc = check_header(known, v, e);
	return rc ? rc : check_state(known, v, e);
}

int anchor_check_nothing(struct vtpm *v, struct error *e)
{
	static const uint16_t objects[] = {CHANNEL_OBJECT_HEADER, CHANNEL_OBJECT_PERMALL};
	size_t i;
	int rc = 0;

	store_know_nothing(&v->store);
	for (i = 0; i < ARRAY_SIZE(objects) && !rc; i++) {
		rc = store_know_stored(&v->store, objects[i]);
		if (rc == -ENOENT || rc == -EBADMSG)
			rc = 0;
	}
	return rc ? error_set(
			    e, rc, CAUSE_STORE,
			    "The folder of %s could not be read: %s; see its disk's space and permissions.",
			    v->meta.name, strerror(-rc))
		  : 0;
}

/* The sentence for a table that was not found or does not fit (anchor_file_load()). */
static void anchor_check_say(int rc, const char *dir, struct error *e)
{
	if (rc == -ENOENT)
		error_set(
			e, rc, CAUSE_ROLLED_BACK,
			"The table of all vTPMs' generations, %s/anchor, is not there, so "
			"that an old store would not be noticed: bring it back, or, when "
			"the store is known to be the newest, `vtpmctl host anchor --init "
			"--yes`.",
			dir);
	else if (rc == -ESTALE)
		error_set(
			e, rc, CAUSE_ROLLED_BACK,
			"%s/anchor is not the table that the host's TPM has the hash of: "
			"it was changed, or an old one put back. Bring the newest back, "
			"or, when the store is known to be the newest, `vtpmctl host "
			"anchor --init --yes`.",
			dir);
	else if (rc == -EBADMSG)
		error_set(
			e, rc, CAUSE_VERSION,
			"%s/anchor, the table of all vTPMs' generations, was written by a "
			"newer release, which this one does not read: install that one "
			"again.",
			dir);
	else
		error_set(
			e, rc, CAUSE_STORE,
			"%s/anchor could not be read: %s; see its disk's space and permissions.",
			dir, strerror(-rc));
}

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
		       struct envelope_head *head)
{
	struct crypt_part part = {0};
	uint8_t *buf;
	int rc = store_get(&v->store, object, &buf, &part.n);

	if (rc)
		return rc;
	part.p = buf;
	rc = envelope_head_parse(object, buf, part.n, head);
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
	struct envelope_head head = {0};
	int rc = hash_object(v, CHANNEL_OBJECT_HEADER, e->header, &head);

	memcpy(e->uuid, v->meta.uuid, sizeof(e->uuid));
	if (rc == -ENOENT || rc == -EBADMSG)
		memset(e->header, 0, sizeof(e->header));
	else if (rc)
		return rc;
	head = (struct envelope_head){.epoch = 0};
	rc = hash_object(v, CHANNEL_OBJECT_PERMALL, e->base, &head);
	if (rc == -ENOENT || rc == -EBADMSG)
		memset(e->base, 0, sizeof(e->base));
	else if (rc)
		return rc;
	e->base_seq = rc ? 0 : head.seq;
	e->epoch = v->store.epoch;
	if (!e->epoch && vtpm_is(v, VTPM_WITH_BODY))
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
	v->anchor.untold &= ~UNTOLD_HEADER;
	e = *old;
	memcpy(e.header, header->hash, sizeof(e.header));
	if (memcmp(e.header, old->header, sizeof(e.header)))
		set(k, &e);
	v->anchor.header = k->changes;
	return true;
}

bool anchor_known_mark(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	struct anchor_entry e;

	if (!old)
		return false;
	v->anchor.untold &= ~UNTOLD_MARK;
	e = *old;
	e.mark = v->anchor.mark;
	if (memcmp(&e.mark, &old->mark, sizeof(e.mark)))
		set(k, &e);
	return true;
}

bool anchor_known_launched(struct anchor_known *k, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	struct anchor_entry e;

	if (!old)
		return false;
	v->anchor.untold &= ~UNTOLD_LAUNCHED;
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

	if (known && known->launched && !(v->anchor.untold & UNTOLD_LAUNCHED))
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
	e.pooled = store_is_leased(&v->store);
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
	if (k->table.pool < d->pool_number) {
		k->table.pool = d->pool_number;
		k->changes++;
	}
	for (v = d->vtpms; v; v = v->next)
		if (vtpm_is(v, VTPM_OPENED))
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
	if (old && old->launched && !(v->anchor.untold & UNTOLD_LAUNCHED))
		v->meta.launched = true;
	e.launched = v->meta.launched;
	e.pooled = store_is_leased(&v->store);
	/* no folder that an operator has taken as it is ends a transfer */
	e.mark = old ? old->mark : v->anchor.mark;
	set(k, &e);
	v->anchor.claimed = k->changes;
	if (v->anchor.untold & UNTOLD_HEADER)
		v->anchor.header = k->changes;
	v->anchor.untold = 0;
	return true;
}

void anchor_known_learn(struct anchor_known *k, const struct vtpm *v,
			const struct anchor_entry *e)
{
	const struct anchor_entry *old = anchor_table_find(&k->table, v->meta.uuid);
	struct anchor_entry new = *e;

	new.launched = v->meta.launched;
	new.mark = old ? old->mark : v->anchor.mark;
	set(k, &new);
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

	snprintf(detail, sizeof(detail), "%zu vTPM%s", k->table.count,
		 k->table.count == 1 ? "" : "s");
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
	log_line(LOG_NOTICE, "a new anchor: %zu vTPM%s in the store", k->table.count,
		 k->table.count == 1 ? " is taken as it is" : "s are taken as they are");
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
	log_line(LOG_INFO, "table %llu, %zu vTPM%s, is the one that the host's TPM has",
		 (unsigned long long)k->table.counter, k->table.count,
		 k->table.count == 1 ? "" : "s");
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
		/* of one that has no entry it is taken with the folder */
		if (v->anchor.untold & UNTOLD_MARK)
			(void)anchor_known_mark(k, v);
		if (v->anchor.untold & UNTOLD_FOLDER)
			(void)anchor_known_claim(k, v);
		if (v->anchor.untold & UNTOLD_HEADER)
			(void)anchor_known_header(k, v);
		compare_launched(k, v);
	}
}

void anchor_known_free(struct anchor_known *k)
{
	anchor_table_free(&k->table);
	anchor_table_free(&k->forgotten);
}
