/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/bind.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/witness.h"
#include "lib/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* The header last: without it, what an interrupted restore left opens nothing. */
static const uint16_t objects[] = {CHANNEL_OBJECT_PERMALL, CHANNEL_OBJECT_HEADER};

static json_t *object_hex(struct vtpm *v, uint16_t object, int *rc)
{
	json_t *value = NULL;
	uint8_t *bytes;
	char *hex;
	size_t len;

	*rc = store_get(&v->store, object, &bytes, &len);
	if (*rc)
		return NULL;
	hex = malloc(2 * len + 1);
	if (hex) {
		hex_encode(bytes, len, hex);
		value = json_string(hex);
	}
	free(hex);
	free(bytes);
	*rc = value ? 0 : -ENOMEM;
	return value;
}

static int cannot_give(struct vtpm *v, int rc, struct error *e)
{
	if (rc == -ENOENT)
		return store_lacks(&v->store, v->meta.name, e);
	if (rc == -ESTALE)
		return error_set(
			e, rc, CAUSE_STORE,
			"The state of %s was changed in the store, by another "
			"one than its manager: see who writes there, and `vtpmctl "
			"restore --replace` a backup that opens.",
			v->meta.name);
	return error_set(
		e, rc, CAUSE_STORE,
		"The state of %s could not be read from the store: %s; see its disk's space and permissions.",
		v->meta.name, strerror(-rc));
}

json_t *backup_make(struct vtpm *v, struct error *e)
{
	json_t *all = json_object();
	char uuid[37];
	size_t i;
	int rc = all ? 0 : -ENOMEM;

	for (i = 0; i < ARRAY_SIZE(objects) && !rc; i++) {
		json_t *hex = object_hex(v, objects[i], &rc);

		if (hex && json_object_set_new(all, store_name(objects[i]), hex))
			rc = -ENOMEM;
	}
	if (rc) {
		json_decref(all);
		(void)cannot_give(v, rc, e);
		return NULL;
	}
	uuid_unparse_lower(v->meta.uuid, uuid);
	return json_pack(
		"{s:s, s:s, s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:s, s:b}", "name",
		v->meta.name, "uuid", uuid, "memory", (int)v->meta.memory, "placement",
		v->meta.process ? "process" : "stubdom", "created", v->meta.created,
		"generation", (json_int_t)store_seq(&v->store, CHANNEL_OBJECT_PERMALL),
		"objects", all, "certificates", cert_show(&v->store), "ek",
		meta_eks(&v->meta), "ppi", meta_ppi(&v->meta), "bind",
		bind_word(&v->meta), "imported", (int)v->meta.imported);
}

void backup_give(struct vtpm *v, struct backup_given *g)
{
	*g = (struct backup_given){.waits = true,
				   .seq = store_seq(&v->store, CHANNEL_OBJECT_PERMALL)};
	strcpy(g->name, v->meta.name);
	memcpy(g->uuid, v->meta.uuid, sizeof(g->uuid));
}

void backup_told(struct vtpmd *d, struct backup_given *g, const char *why)
{
	const struct log_about about = {.vtpm = g->name, .uuid = g->uuid};
	char detail[160], uuid[37];
	const struct audit_event a = {.event = why ? "backup-failed" : "backup",
				      .vtpm = g->name,
				      .uuid = uuid,
				      .detail = detail};

	if (!g->waits)
		return;
	g->waits = false;
	uuid_unparse_lower(g->uuid, uuid);
	if (why)
		text_clean(detail, sizeof(detail), why, strlen(why));
	else
		snprintf(detail, sizeof(detail), "generation %llu",
			 (unsigned long long)g->seq);
	log_about(why ? LOG_WARNING : LOG_NOTICE, &about,
		  why ? "its backup was not made: %s" : "backed up at %s", detail);
	(void)trail_add(d, &a);
}

struct vtpm *backup_find(struct vtpmd *d, const json_t *backup)
{
	const char *text = json_string_value(json_object_get(backup, "uuid"));
	uint8_t uuid[16];

	return text && !uuid_parse(text, uuid) ? vtpms_find_uuid(d, uuid) : NULL;
}

int backup_not_whole(struct error *e)
{
	return error_set(e, -EBADMSG, CAUSE_INTERNAL,
			 "The backup is not whole, or not one of a vTPM: use another "
			 "copy of it.");
}

static int put_object(struct store *s, uint16_t object, const json_t *value)
{
	const char *hex = json_string_value(value);
	size_t len = hex ? strlen(hex) / 2 : 0;
	uint8_t *bytes = malloc(len + 1);
	uint64_t seq;
	int rc = hex && bytes ? hex_decode(hex, bytes, &len) : -EBADMSG;

	if (!rc)
		rc = store_object_seq(object, bytes, len, &seq);
	if (!rc)
		rc = store_put(s, object, seq, bytes, len);
	free(bytes);
	return rc;
}

static int put_all(struct store *s, struct meta *m, const json_t *backup)
{
	const json_t *all = json_object_get(backup, "objects");
	size_t i;
	int rc = 0;

	for (i = 0; i < ARRAY_SIZE(objects) && !rc; i++)
		rc = put_object(s, objects[i],
				json_object_get(all, store_name(objects[i])));
	if (!rc)
		rc = cert_take(s, json_object_get(backup, "certificates"));
	if (!rc)
		rc = describe_stored(m, s, NULL);
	return rc ? rc : meta_write(s, m);
}

void backup_take(struct vtpm *v, const char *event)
{
	const struct anchor_entry *known = anchor_find(v->d->anchor, v);
	uint64_t seq = store_seq(&v->store, CHANNEL_OBJECT_PERMALL);
	char detail[80];

	if (known)
		snprintf(detail, sizeof(detail), "generation %llu in the place of %llu",
			 (unsigned long long)seq,
			 (unsigned long long)anchor_entry_seq(known));
	else
		snprintf(detail, sizeof(detail), "generation %llu",
			 (unsigned long long)seq);
	vtpm_audit(v, event, detail);
	anchor_claim(v->d->anchor, v);
}

int backup_accept(struct vtpm *v, struct error *e)
{
	int rc = move_may_change(v, e);

	if (rc)
		return rc;
	if (anchor_off(v->d->anchor))
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"This host has no anchor, and nothing is refused for its "
			"age: `vtpmctl host anchor --init` makes one.");
	if (!vtpm_is(v, VTPM_DOWN))
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s runs: there is nothing to accept.",
				 v->meta.name);
	rc = store_reopen(&v->store, v->d->store);
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The folder of %s in %s cannot be opened: %s; see its disk's space and permissions.",
			v->meta.name, v->d->store, strerror(-rc));
	log_line(LOG_NOTICE, "vTPM %s: its state is accepted as it is", v->meta.name);
	v->anchor.seen = 0;
	v->anchor.seen_header = 0;
	witness_forget(v);
	backup_take(v, "accept");
	return 0;
}

/* The name that a restored vTPM gets; own: the vTPM that may have it already, or NULL. */
static int take_name(struct vtpmd *d, const struct vtpm *own, const char *name,
		     struct meta *m, struct error *e)
{
	const struct vtpm *other;

	if (!meta_name_ok(name))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "The name is not usable: give 1 to %d letters, "
				 "digits, '_', '.' or '-', the first a letter or "
				 "digit.",
				 META_NAME_MAX);
	other = vtpms_find(d, name);
	if (other && other != own)
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "There is a vTPM %s already: give another name with "
				 "--name.",
				 name);
	if (name != m->name)
		strcpy(m->name, name);
	return 0;
}

/* That the vTPM itself is not here. */
static int check_absent(struct vtpmd *d, const struct meta *m, struct error *e)
{
	const struct vtpm *v = vtpms_find_uuid(d, m->uuid);

	if (v && store_is_leased(&v->store))
		return error_set(
			e, -EEXIST, CAUSE_STATE_EXISTS,
			"This vTPM is in the pool already, as %s, where none is "
			"replaced in its place: `vtpmctl stop %s`, `vtpmctl delete "
			"%s`, which erases what it is now, and restore it then.",
			v->meta.name, v->meta.name, v->meta.name);
	if (v)
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "This vTPM is here already, as %s: `vtpmctl stop %s`, "
				 "then `vtpmctl restore --replace` puts the backup in "
				 "its place once that has opened.",
				 v->meta.name, v->meta.name);
	return 0;
}

int backup_restore(struct vtpmd *d, const json_t *backup, const char *name, bool lost,
		   struct vtpm **out, struct error *e)
{
	struct store s;
	struct meta m;
	char uuid[37];
	int rc = meta_parse(backup, &m);

	if (rc)
		return backup_not_whole(e);
	m.process = d->processes;
	rc = move_may_restore(d, m.uuid, lost, e);
	if (!rc)
		rc = check_absent(d, &m, e);
	if (!rc)
		rc = take_name(d, NULL, name[0] ? name : m.name, &m, e);
	if (!rc && store_etcd_is(d->store))
		rc = store_etcd_may(e);
	if (!rc)
		rc = move_restores(d, m.uuid, e);
	if (rc)
		return rc;
	rc = store_open(&s, d->store, m.uuid, true);
	/* what a crash left of a restore or a delete, or a vTPM whose description is damaged */
	if (rc == -EEXIST) {
		uuid_unparse_lower(m.uuid, uuid);
		return error_set(e, rc, CAUSE_STORE,
				 "%s/%s is there, and vtpmd cannot use it, since its "
				 "vtpm.json is damaged or missing: keep that folder "
				 "elsewhere (`mv`), and restore again.",
				 d->store, uuid);
	}
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "No folder could be made in %s: %s.",
				 d->store, strerror(-rc));
	rc = put_all(&s, &m, backup);
	*out = rc ? NULL : vtpm_new(d, &m, &s);
	if (*out) {
		vtpms_add(d, *out);
		backup_take(*out, "restore");
		log_about(LOG_NOTICE, &(struct log_about){.vtpm = m.name, .uuid = m.uuid},
			  "restored from a backup");
		return 0;
	}
	(void)!s.ops->remove(&s, d->store);
	store_close(&s);
	if (rc == -EBADMSG || rc == -EINVAL || rc == -EPERM)
		return backup_not_whole(e);
	return error_set(
		e, rc ? rc : -ENOMEM, CAUSE_STORE,
		"The folder in %s could not be written: %s; see its disk's space and permissions.",
		d->store, strerror(rc ? -rc : ENOMEM));
}

int backup_may_replace(const struct vtpm *v, struct error *e)
{
	int rc = move_may_change(v, e);

	if (rc)
		return rc;
	if (!v->store.ops->swap)
		return error_set(
			e, -EOPNOTSUPP, CAUSE_STORE,
			"The vTPM %s is a pool's, where none is replaced in its place: "
			"`vtpmctl stop %s`, `vtpmctl delete %s`, which erases what it is "
			"now, and restore it then without --replace.",
			v->meta.name, v->meta.name, v->meta.name);
	if (vtpm_is(v, VTPM_DOWN) && !v->waiters)
		return 0;
	return error_set(
		e, -EBUSY, CAUSE_INTERNAL,
		"The vTPM %s runs, or is being stopped: `vtpmctl stop %s` first.",
		v->meta.name, v->meta.name);
}

/* Makes the new folder beside the old one, and exchanges them. */
static int swap_in(struct vtpm *v, struct meta *m, const json_t *backup, struct store *s)
{
	int rc = store_open_beside(s, v->d->store, v->meta.uuid);

	if (rc)
		return rc;
	rc = put_all(s, m, backup);
	if (!rc)
		rc = store_swap(&v->store, s, v->d->store);
	if (rc) {
		(void)!s->ops->remove(s, v->d->store);
		store_close(s);
	}
	return rc;
}

/* The old one goes; the vTPM is what the new folder says. */
static void take_new(struct vtpm *v, const struct meta *m, struct store *s)
{
	struct store old = v->store;
	int rc;

	s->on_event = old.on_event;
	s->ctx = old.ctx;
	v->store = *s;
	rc = old.ops->remove(&old, v->d->store);
	if (rc)
		log_about(LOG_WARNING, VTPM_ABOUT(v),
			  "what a backup replaced could not be erased: %s; it is, when "
			  "vtpmd starts the next time",
			  strerror(-rc));
	store_release(&old);
	store_close(&old);
	vtpms_remove(v);
	v->meta = *m;
	if (v->body)
		v->body->memory = m->memory;
	vtpms_add(v->d, v);
	crb_forget(v->d, v->meta.uuid);
}

static int failed_in(const struct vtpm *v, int rc, struct error *e)
{
	if (rc == -EBADMSG || rc == -EINVAL || rc == -EPERM)
		return backup_not_whole(e);
	return error_set(
		e, rc, CAUSE_STORE,
		"The folder in %s could not be written: %s; see its disk's space "
		"and permissions. The vTPM %s is as it was.",
		v->d->store, strerror(-rc), v->meta.name);
}

int backup_replace(struct vtpm *v, const json_t *backup, const char *name,
		   struct error *e)
{
	struct store s;
	struct meta m;
	int rc = meta_parse(backup, &m);

	if (rc)
		return backup_not_whole(e);
	m.process = v->meta.process;
	rc = take_name(v->d, v, name[0] ? name : v->meta.name, &m, e);
	if (!rc)
		rc = backup_may_replace(v, e);
	/* what a start that failed would have tried again is given up, too */
	if (!rc)
		rc = vtpm_stop(v, e);
	if (!rc)
		rc = store_claim(&v->store, e);
	if (rc)
		return rc;
	rc = swap_in(v, &m, backup, &s);
	if (rc) {
		store_release(&v->store);
		return failed_in(v, rc, e);
	}
	take_new(v, &m, &s);
	backup_take(v, "restore");
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "replaced by its backup");
	return 0;
}

/* The header that was put is what counts, and what the vTPM is. */
static int know_header(struct vtpm *v, struct error *e)
{
	int rc;

	store_know_nothing(&v->store);
	rc = store_know_stored(&v->store, CHANNEL_OBJECT_HEADER);
	if (!rc)
		rc = describe_stored(&v->meta, &v->store, e);
	return rc ? error_set(
			    e, rc, CAUSE_STORE,
			    "The header of %s could not be read: %s; see its disk's space and permissions.",
			    v->meta.name, strerror(-rc))
		  : 0;
}

int backup_reseal(struct vtpm *v, const json_t *header, struct error *e)
{
	int rc = move_may_change(v, e);

	if (rc)
		return rc;
	if (!vtpm_is(v, VTPM_DOWN))
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s runs: `vtpmctl stop %s` first.",
				 v->meta.name, v->meta.name);
	rc = anchor_before_header(v->d->anchor, v, e);
	if (!rc)
		rc = put_object(&v->store, CHANNEL_OBJECT_HEADER, header);
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The header of %s could not be stored: %s; see its disk's space and permissions.",
			v->meta.name, strerror(-rc));
	log_about(LOG_NOTICE, VTPM_ABOUT(v, .id = LOG_ID_REKEYED), "sealed anew");
	vtpm_audit(v, "recover", NULL);
	stamp_now(v->meta.sealed);
	rc = know_header(v, e);
	if (rc)
		return rc;
	vtpm_keep_meta(v);
	anchor_recover(v->d->anchor, v);
	return 0;
}
