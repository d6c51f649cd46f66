/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/anchor_check.h"
#include "tools/vtpmd/anchor_tpm.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/vtpm_queue.h"
#include "lib/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN_S 60 /* after the TPM did not take it */

enum anchor_state { ANCHOR_OFF, ANCHOR_UNKNOWN, ANCHOR_KNOWN, ANCHOR_BROKEN };

struct anchor {
	struct vtpmd *d;
	enum anchor_state state;
	char *name;	    /* the NV index's, as host.json had it last */
	bool warned;	    /* that there is none */
	bool finishing;	    /* vtpmd ends */
	struct error error; /* broken: why; known: why the TPM did not take the last */
	struct anchor_table table;
	struct anchor_table forgotten; /* deleted while the table was not known */
	struct anchor_file file;
	struct anchor_tpm tpm;
	/* changes of the table so far; the last that the TPM has, is taking, and is to
	 * take without waiting for the interval */
	uint64_t changes, written, taking, asked;
	struct event *tick;
	struct anchor_waiter *waiters;
};

static void tick_after(struct anchor *a, unsigned int seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	event_add(a->tick, &tv);
}

/* -- the waiters ------------------------------------------------------- */

static void wake(struct anchor *a, const struct error *e)
{
	struct anchor_waiter **at = &a->waiters, *w;

	while ((w = *at)) {
		if (!e && w->need > a->written) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->done(w->ctx, e);
		/* done() may have changed the list */
		at = &a->waiters;
	}
}

void anchor_cancel(struct anchor *a, struct anchor_waiter *w)
{
	struct anchor_waiter **at;

	for (at = &a->waiters; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			return;
		}
}

/* -- the table --------------------------------------------------------- */

const struct anchor_entry *anchor_entry(const struct anchor *a, const struct vtpm *v)
{
	return a->state == ANCHOR_KNOWN ? anchor_table_find(&a->table, v->meta.uuid)
					: NULL;
}

static void set(struct anchor *a, const struct anchor_entry *e)
{
	int rc = anchor_table_set(&a->table, e);

	if (rc)
		log_line(LOG_ERR, "the anchor has no room for another vTPM: %s",
			 strerror(-rc));
	a->changes++;
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

/* Never lowers what is known. */
static void grow(struct anchor *a, struct vtpm *v, const struct anchor_entry *old)
{
	struct anchor_entry e;

	if (of_store(v, &e) || (e.header <= old->header && e.permall <= old->permall))
		return;
	if (e.header < old->header)
		e.header = old->header;
	if (e.permall < old->permall)
		e.permall = old->permall;
	set(a, &e);
}

void anchor_note(struct anchor *a, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_entry(a, v);

	if (v->opened && old)
		grow(a, v, old);
}

static void note_all(struct anchor *a)
{
	struct vtpm *v;

	for (v = a->d->vtpms; v; v = v->next)
		anchor_note(a, v);
}

/* -- to the TPM -------------------------------------------------------- */

static void not_taken(struct anchor *a, const struct error *e)
{
	unsigned int again = a->d->anchor_every;

	log_line(LOG_ERR, "the host's TPM does not have the newest anchor: %s", e->text);
	a->error = *e;
	a->asked = a->written;
	tick_after(a, again < AGAIN_S ? again : AGAIN_S);
	wake(a, &a->error);
}

static int begin(struct anchor *a, struct error *e)
{
	int rc = 0;

	/* one that the TPM may have taken already comes first */
	if (!a->file.pending) {
		note_all(a); /* for nothing: it is one write */
		a->table.counter++;
		a->taking = a->changes;
		rc = anchor_file_write(&a->file, &a->table);
	}
	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The anchor's table could not be written to %s: %s.",
				 a->d->anchor_dir, strerror(-rc));
	return anchor_tpm_set(&a->tpm, &a->file, e);
}

/* Has the TPM take what it is to take. */
static void pump(struct anchor *a)
{
	struct error e = {.cause = CAUSE_NONE};

	if (a->tpm.pid || a->state != ANCHOR_KNOWN || a->asked <= a->written)
		return;
	if (begin(a, &e))
		not_taken(a, &e);
}

static void taken(struct anchor *a)
{
	anchor_file_done(&a->file);
	a->error = (struct error){.cause = CAUSE_NONE};
	a->written = a->taking;
	log_line(LOG_INFO, "anchored table %llu, %zu vTPMs, in the host's TPM",
		 (unsigned long long)a->table.counter, a->table.count);
	wake(a, NULL);
	pump(a);
}

/* -- an operator's acts ------------------------------------------------- */

static void claim_now(struct anchor *a, struct vtpm *v)
{
	struct anchor_entry e;
	int rc = of_store(v, &e);

	/* then nothing is known of it, and it does not start */
	if (rc) {
		log_line(LOG_ERR,
			 "vTPM %s: its folder cannot be read, and is not anchored: %s",
			 v->meta.name, strerror(-rc));
		return;
	}
	set(a, &e);
	v->claim = false;
	v->claimed = a->asked = a->changes;
}

void anchor_claim(struct anchor *a, struct vtpm *v)
{
	v->claim = true;
	if (a->state == ANCHOR_KNOWN)
		claim_now(a, v);
	pump(a);
}

void anchor_recover(struct anchor *a, struct vtpm *v)
{
	const struct anchor_entry *old = anchor_entry(a, v);

	if (old)
		grow(a, v, old);
	else
		anchor_claim(a, v);
}

static void forget_now(struct anchor *a, const uint8_t uuid[16])
{
	if (anchor_table_remove(&a->table, uuid))
		a->asked = ++a->changes;
}

void anchor_forget(struct anchor *a, const struct vtpm *v)
{
	struct anchor_entry e = {.header = 0};

	memcpy(e.uuid, v->meta.uuid, sizeof(e.uuid));
	if (a->state == ANCHOR_KNOWN)
		forget_now(a, e.uuid);
	else if (a->state != ANCHOR_OFF && anchor_table_set(&a->forgotten, &e))
		log_line(LOG_ERR, "vTPM %s: the anchor does not forget it", v->meta.name);
	pump(a);
}

/* -- from the TPM ------------------------------------------------------ */

static void audit(struct anchor *a, const char *event)
{
	char detail[64];
	struct audit_event line = {.event = event, .detail = detail};
	int rc;

	snprintf(detail, sizeof(detail), "%zu vTPMs", a->table.count);
	rc = audit_append(a->d->audit, &line);
	if (rc)
		log_line(LOG_ERR, "\"%s\" is not in the audit log %s: %s", event,
			 a->d->audit, strerror(-rc));
}

/* The operator made the anchor: the store as it is counts. */
static void adopt(struct anchor *a, const uint8_t none[ANCHOR_HASH_SIZE])
{
	struct vtpm *v;

	anchor_table_free(&a->table);
	anchor_table_free(&a->forgotten);
	a->error = (struct error){.cause = CAUSE_NONE};
	memcpy(a->file.hash, none, ANCHOR_HASH_SIZE);
	a->file.pending = false;
	a->state = ANCHOR_KNOWN;
	a->changes++;
	for (v = a->d->vtpms; v; v = v->next)
		claim_now(a, v);
	a->asked = a->changes;
	log_line(LOG_NOTICE, "a new anchor: %zu vTPMs are taken as they are in the store",
		 a->table.count);
	audit(a, "anchor");
}

static void broken(struct anchor *a, const struct error *e)
{
	log_line(LOG_ERR, "no vTPM starts: %s", e->text);
	a->error = *e;
	a->state = ANCHOR_BROKEN;
	wake(a, &a->error);
}

/* What operators did while the table was not known. */
static void catch_up(struct anchor *a)
{
	struct anchor_waiter *w;
	struct vtpm *v;
	size_t i;

	for (i = 0; i < a->forgotten.count; i++)
		forget_now(a, a->forgotten.entries[i].uuid);
	anchor_table_free(&a->forgotten);
	for (v = a->d->vtpms; v; v = v->next)
		if (v->claim)
			claim_now(a, v);
	/* who waits for that could not count it then */
	for (w = a->waiters; w; w = w->next)
		w->need = a->changes;
}

static void load(struct anchor *a, const uint8_t hash[ANCHOR_HASH_SIZE])
{
	struct error e = {.cause = CAUSE_NONE};
	int rc = anchor_file_load(&a->file, hash, &a->table);

	if (rc) {
		anchor_check_say(rc, a->d->anchor_dir, &e);
		broken(a, &e);
		return;
	}
	a->state = ANCHOR_KNOWN;
	a->written = a->taking = a->asked = ++a->changes;
	log_line(LOG_INFO, "table %llu, %zu vTPMs, is the one that the host's TPM has",
		 (unsigned long long)a->table.counter, a->table.count);
	a->error = (struct error){.cause = CAUSE_NONE};
	catch_up(a);
	wake(a, NULL);
}

/* The TPM has answered: what it has, or that it took the new one. */
static void on_tpm(void *ctx, const uint8_t value[ANCHOR_HASH_SIZE],
		   const struct error *e)
{
	struct anchor *a = ctx;

	if (a->state == ANCHOR_KNOWN && e)
		not_taken(a, e);
	else if (a->state == ANCHOR_KNOWN)
		taken(a);
	else if (e)
		broken(a, e);
	else if (anchor_file_no_hash(value))
		adopt(a, value);
	else
		load(a, value);
	pump(a);
	if (!a->tpm.pid && !a->finishing)
		vtpm_start_queued(a->d);
}

/* -- host.json --------------------------------------------------------- */

static void switch_off(struct anchor *a)
{
	if (!a->warned)
		log_line(LOG_WARNING,
			 "%s has no anchor: an old state that is put back into the store "
			 "is not noticed; `vtpmctl host anchor --init`",
			 a->d->config);
	a->warned = true;
	a->state = ANCHOR_OFF;
	anchor_table_free(&a->table);
	wake(a, NULL);
}

/* What host.json says now.  One that cannot be read is no reason to forget what is
 * known. */
static int look_at_config(struct anchor *a, struct error *e)
{
	struct config config;
	int rc = config_load(a->d->config, &config, e);

	if (rc)
		return rc;
	if (!config.anchor) {
		switch_off(a);
	} else if (a->state == ANCHOR_OFF) {
		a->state = ANCHOR_UNKNOWN;
	} else if (a->state == ANCHOR_KNOWN && a->name &&
		   strcmp(a->name, config.anchor)) {
		/* another TPM or policy key: it is to have what is known */
		a->asked = ++a->changes;
	}
	free(a->name);
	a->name = config.anchor ? strdup(config.anchor) : NULL;
	config_free(&config);
	return 0;
}

bool anchor_want(struct anchor *a)
{
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (a->tpm.pid)
		return true;
	rc = look_at_config(a, &e);
	if (a->state == ANCHOR_UNKNOWN || a->state == ANCHOR_BROKEN) {
		a->state = ANCHOR_UNKNOWN;
		if (!rc)
			rc = anchor_tpm_get(&a->tpm, &e);
		if (rc)
			broken(a, &e);
	} else {
		pump(a);
	}
	return a->tpm.pid;
}

bool anchor_busy(const struct anchor *a)
{
	return a->tpm.pid;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct anchor *a = ctx;

	tick_after(a, a->d->anchor_every);
	note_all(a);
	a->asked = a->changes;
	/* running vTPMs shall be anchored even if nobody starts one */
	(void)anchor_want(a);
}

/* -- what is asked of it ----------------------------------------------- */

int anchor_check(struct anchor *a, struct vtpm *v, struct error *e)
{
	const struct anchor_entry *known = anchor_entry(a, v);

	if (a->state == ANCHOR_OFF)
		return 0;
	if (a->state != ANCHOR_KNOWN)
		return error_set(e, -EIO, a->error.cause, "%s", a->error.text);
	/* a new one has no state before the TPM knows of it */
	if (known && v->meta.creating && a->written < v->claimed)
		return error_set(e, -EIO, a->error.cause, "%s", a->error.text);
	return anchor_check_folder(known, v, e);
}

bool anchor_off(struct anchor *a)
{
	(void)anchor_want(a);
	return a->state == ANCHOR_OFF;
}

void anchor_wait(struct anchor *a, struct anchor_waiter *w)
{
	(void)anchor_want(a);
	if (a->state == ANCHOR_OFF) {
		w->done(w->ctx, NULL);
		return;
	}
	if (a->state == ANCHOR_BROKEN) {
		w->done(w->ctx, &a->error);
		return;
	}
	w->need = a->asked = a->changes;
	w->next = a->waiters;
	a->waiters = w;
	pump(a);
	if (!a->tpm.pid)
		wake(a, NULL);
}

bool anchor_finish(struct anchor *a)
{
	if (a->finishing && a->error.cause)
		return false;
	a->finishing = true;
	a->error = (struct error){.cause = CAUSE_NONE};
	note_all(a);
	a->asked = a->changes;
	pump(a);
	return a->tpm.pid;
}

int anchor_new(struct vtpmd *d)
{
	struct anchor *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	d->anchor = a;
	a->d = d;
	a->state = ANCHOR_UNKNOWN;
	a->file.dir = -1;
	if (!d->anchor_dir)
		d->anchor_dir = d->store;
	if (mkdir(d->anchor_dir, 0700) && errno != EEXIST)
		return -errno;
	a->file.dir = open(d->anchor_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->file.dir < 0)
		return -errno;
	a->tick = evtimer_new(d->base, on_tick, a);
	if (!a->tick || anchor_tpm_init(&a->tpm, d, on_tpm, a))
		return -ENOMEM;
	tick_after(a, d->anchor_every);
	return 0;
}

void anchor_free(struct anchor *a)
{
	if (!a)
		return;
	anchor_tpm_end(&a->tpm);
	if (a->tick)
		event_free(a->tick);
	if (a->file.dir >= 0)
		close(a->file.dir);
	anchor_table_free(&a->table);
	anchor_table_free(&a->forgotten);
	free(a->name);
	free(a);
}
