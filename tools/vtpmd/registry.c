/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/cert.h"
#include "tools/vtpmd/describe.h"
#include "tools/vtpmd/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uuid/uuid.h>

struct vtpm *registry_find(struct vtpmd *d, const char *name)
{
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next)
		if (!strcmp(v->meta.name, name))
			return v;
	return NULL;
}

void registry_add(struct vtpmd *d, struct vtpm *v)
{
	struct vtpm **at = &d->vtpms;

	/* in the order of their names */
	while (*at && strcmp((*at)->meta.name, v->meta.name) < 0)
		at = &(*at)->next;
	v->next = *at;
	*at = v;
}

static void load_one(struct vtpmd *d, const char *folder)
{
	struct error why = {.cause = CAUSE_NONE};
	struct store s;
	struct meta m;
	struct vtpm *v;
	uint8_t uuid[16];
	int rc;

	if (uuid_parse(folder, uuid))
		return;
	rc = store_open(&s, d->store, uuid, false);
	if (rc) {
		log_line(LOG_ERR, "%s/%s cannot be opened: %s", d->store, folder,
			 strerror(-rc));
		return;
	}
	rc = meta_read(&s, &m);
	if (!rc && describe_stored(&m, &s, &why))
		log_line(LOG_WARNING, "vTPM %s: %s", m.name, why.text);
	if (!rc && registry_find(d, m.name))
		rc = -EEXIST;
	v = rc ? NULL : vtpm_new(d, &m, &s);
	if (!v) {
		log_line(LOG_ERR, "%s/%s is left alone: its vtpm.json says: %s", d->store,
			 folder, strerror(rc ? -rc : ENOMEM));
		store_close(&s);
		return;
	}
	registry_add(d, v);
}

static void resume_one(struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	bool wanted = v->meta.wanted;

	if (vtpm_adopt(v)) {
		/* the last vtpmd ended while it was stopping it */
		if (!wanted && vtpm_stop(v, &e))
			log_about(LOG_ERR, VTPM_ABOUT(v), "%s", e.text);
		return;
	}
	if (wanted)
		vtpm_autostart(v);
}

int registry_load(struct vtpmd *d)
{
	struct dirent *entry;
	struct vtpm *v;
	DIR *dir;

	if (mkdir(d->store, 0700) && errno != EEXIST)
		return -errno;
	dir = opendir(d->store);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		load_one(d, entry->d_name);
	closedir(dir);
	(void)anchor_want(d->anchor);
	for (v = d->vtpms; v; v = v->next)
		resume_one(v);
	vtpm_autostart_begin(d);
	return 0;
}

static int check_new(struct vtpmd *d, const struct registry_new *n, struct error *e)
{
	struct config config;
	int rc;

	if (!meta_name_ok(n->name))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "The name is not usable: give 1 to %d letters, digits, "
				 "'_', '.' or '-', the first a letter or digit.",
				 META_NAME_MAX);
	if (!meta_policy(n->policy))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "There is no policy \"%.20s\": choose host, tpm or kms.",
				 n->policy);
	if (n->memory < 8 || n->memory > 4096)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "A stub domain's memory is 8 to 4096 MiB, not %u.",
				 n->memory);
	if (n->tpm12 && n->pcr_banks)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "A TPM 1.2 has PCRs of SHA-1 alone: leave the PCR banks "
				 "out.");
	if (registry_find(d, n->name))
		return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
				 "There is a vTPM %s already: choose another name, or "
				 "`vtpmctl delete %s` first.",
				 n->name, n->name);
	rc = config_load(d->config, &config, e);
	if (rc)
		return rc;
	rc = config_covers(&config, n->policy, e);
	config_free(&config);
	return rc;
}

static void fill(struct meta *m, const struct registry_new *n)
{
	time_t now = time(NULL);
	struct tm tm;

	memset(m, 0, sizeof(*m));
	strcpy(m->name, n->name);
	strcpy(m->policy, n->policy);
	uuid_generate_random(m->uuid);
	m->memory = n->memory;
	m->localities = n->localities;
	m->tpm12 = n->tpm12;
	m->pcr_banks = n->pcr_banks;
	m->process = n->process;
	m->measured = n->measured;
	m->is_copy = n->copy_of != NULL;
	if (m->is_copy) {
		memcpy(m->copy_of, n->copy_of->meta.uuid, sizeof(m->copy_of));
		memcpy(m->names, n->copy_of->meta.names, sizeof(m->names));
		m->eks = n->copy_of->meta.eks;
		memcpy(m->ek, n->copy_of->meta.ek, sizeof(m->ek));
	}
	m->creating = true;
	m->wanted = true;
	gmtime_r(&now, &tm);
	strftime(m->created, sizeof(m->created), "%FT%TZ", &tm);
}

int registry_create(struct vtpmd *d, const struct registry_new *n, struct vtpm **out,
		    struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	struct store s;
	struct meta m;
	struct vtpm *v;
	int rc = check_new(d, n, e);

	if (rc)
		return rc;
	fill(&m, n);
	rc = store_open(&s, d->store, m.uuid, true);
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "No folder could be made in %s: %s.",
				 d->store, strerror(-rc));
	rc = meta_write(&s, &m);
	if (!rc && n->copy_of)
		rc = store_take_source(&s, &n->copy_of->store);
	if (!rc && n->copy_of)
		rc = cert_copy(&s, &n->copy_of->store);
	v = rc ? NULL : vtpm_new(d, &m, &s);
	if (!v) {
		(void)!store_remove(&s, d->store);
		store_close(&s);
		return error_set(e, rc ? rc : -ENOMEM, CAUSE_STORE,
				 "The folder in %s could not be written: %s.", d->store,
				 strerror(rc ? -rc : ENOMEM));
	}
	v->making = true;
	registry_add(d, v);
	anchor_claim(d->anchor, v);
	rc = vtpm_start(v, e);
	if (!rc) {
		*out = v;
		return 0;
	}
	if (registry_remove(v, &why))
		log_line(LOG_ERR, "%s", why.text);
	return rc;
}

int registry_remove(struct vtpm *v, struct error *e)
{
	struct vtpm **at = &v->d->vtpms;
	int rc;

	if (v->state != VTPM_STOPPED && v->state != VTPM_FAILED)
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s runs: `vtpmctl stop %s` first.",
				 v->meta.name, v->meta.name);
	if (v->waiters)
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "Someone else waits for the vTPM %s: try again.",
				 v->meta.name);
	rc = store_lease(&v->store, e);
	if (rc)
		return rc;
	rc = store_remove(&v->store, v->d->store);
	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The folder of %s in %s could not be removed: %s.",
				 v->meta.name, v->d->store, strerror(-rc));
	log_about(LOG_NOTICE, VTPM_ABOUT(v, .id = LOG_ID_DELETED), "deleted");
	vtpm_audit(v, "delete", NULL);
	anchor_forget(v->d->anchor, v);
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	vtpm_free(v);
	return 0;
}
