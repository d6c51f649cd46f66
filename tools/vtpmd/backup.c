/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/bind.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
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
		error_set(
			e, rc, CAUSE_STORE,
			"The state of %s could not be read from the store: %s; see its disk's space and permissions.",
			v->meta.name, strerror(-rc));
		return NULL;
	}
	uuid_unparse_lower(v->meta.uuid, uuid);
	vtpm_audit(v, "backup", NULL);
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "backed up at generation %llu",
		  (unsigned long long)store_seq(&v->store, CHANNEL_OBJECT_PERMALL));
	return json_pack(
		"{s:s, s:s, s:i, s:s, s:s, s:I, s:o, s:o, s:o, s:s, s:s}", "name",
		v->meta.name, "uuid", uuid, "memory", (int)v->meta.memory, "placement",
		v->meta.process ? "process" : "stubdom", "created", v->meta.created,
		"generation", (json_int_t)store_seq(&v->store, CHANNEL_OBJECT_PERMALL),
		"objects", all, "certificates", cert_show(&v->store), "ek",
		meta_eks(&v->meta), "ppi", meta_ppi(&v->meta), "bind",
		bind_word(&v->meta));
}

static int not_whole(struct error *e)
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
	int rc;

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
	backup_take(v, "accept");
	return 0;
}

static int check_free(struct vtpmd *d, const struct meta *m, struct error *e)
{
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next)
		if (!memcmp(v->meta.uuid, m->uuid, sizeof(m->uuid)))
			return error_set(
				e, -EEXIST, CAUSE_STATE_EXISTS,
				"This vTPM is here already, as %s: if the backup "
				"shall take its place, keep what is here with "
				"`vtpmctl backup %s FILE`, then `vtpmctl delete %s` "
				"first.",
				v->meta.name, v->meta.name, v->meta.name);
	if (registry_find(d, m->name))
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "There is a vTPM %s already: give another name with "
				 "--name.",
				 m->name);
	return 0;
}

int backup_restore(struct vtpmd *d, const json_t *backup, const char *name,
		   struct vtpm **out, struct error *e)
{
	struct store s;
	struct meta m;
	char uuid[37];
	int rc = meta_parse(backup, &m);

	if (rc)
		return not_whole(e);
	m.process = d->processes;
	if (name) {
		if (!meta_name_ok(name))
			return error_set(e, -EINVAL, CAUSE_INTERNAL,
					 "The name is not usable: give 1 to %d letters, "
					 "digits, '_', '.' or '-', the first a letter or "
					 "digit.",
					 META_NAME_MAX);
		strcpy(m.name, name);
	}
	rc = check_free(d, &m, e);
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
		registry_add(d, *out);
		backup_take(*out, "restore");
		log_about(LOG_NOTICE, &(struct log_about){.vtpm = m.name, .uuid = m.uuid},
			  "restored from a backup");
		return 0;
	}
	(void)!s.ops->remove(&s, d->store);
	store_close(&s);
	if (rc == -EBADMSG || rc == -EINVAL || rc == -EPERM)
		return not_whole(e);
	return error_set(
		e, rc ? rc : -ENOMEM, CAUSE_STORE,
		"The folder in %s could not be written: %s; see its disk's space and permissions.",
		d->store, strerror(rc ? -rc : ENOMEM));
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
	int rc;

	if (!vtpm_is(v, VTPM_DOWN))
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s runs: `vtpmctl stop %s` first.",
				 v->meta.name, v->meta.name);
	rc = store_claim(&v->store, e);
	if (rc)
		return rc;
	rc = anchor_before_header(v->d->anchor, v, e);
	if (!rc)
		rc = put_object(&v->store, CHANNEL_OBJECT_HEADER, header);
	store_release(&v->store);
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
