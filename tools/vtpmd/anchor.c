/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/anchor.h"
#include "lib/error.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor_known.h"
#include "tools/vtpmd/helper.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/vtpmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_S	 90 /* as for a manager's command (relay.c) */
#define HEX_ROOM (2 * ANCHOR_HASH_SIZE + 1)
#define AGAIN_S	 60 /* after the TPM did not take it */

enum anchor_state { ANCHOR_OFF, ANCHOR_UNKNOWN, ANCHOR_KNOWN, ANCHOR_BROKEN };

struct anchor {
	struct vtpmd *d;
	enum anchor_state state;
	char *name;			 /* the NV index's, as host.json had it last */
	uint8_t adopt[ANCHOR_HASH_SIZE]; /* the one-time value: no table is known */
	bool take_store;		 /* with that value: the store as it is */
	bool warned;			 /* that the index is missing */
	bool finishing;			 /* vtpmd ends */
	struct error error; /* broken: why; known: why the TPM did not take the last */
	int64_t broken_ms;
	struct anchor_known known;
	struct anchor_file file;
	struct helper tpm;
	/* the last of the known table's changes that the TPM has, is taking, and is to
	 * take without waiting for the interval */
	uint64_t written, taking, asked;
	uint64_t forgot; /* the last of them that removed an entry */
	struct event *tick;
	struct waiter *waiters;
};

static void tick_after(struct anchor *a, unsigned int seconds)
{
	struct timeval tv = {.tv_sec = seconds};

	event_add(a->tick, &tv);
}

/* -- the waiters ------------------------------------------------------- */

static void wake(struct anchor *a, const struct error *e)
{
	struct waiter *due = NULL, **end = &due, *w, *next;

	for (w = a->waiters; w; w = next) {
		next = w->next;
		if (!e && w->need > a->written)
			continue;
		waiter_cancel(w);
		waiter_add(end, w);
		end = &w->next;
	}
	/* done() may take others off, and add some */
	while ((w = due)) {
		waiter_cancel(w);
		w->done(w->ctx, e);
	}
}

/* -- the table --------------------------------------------------------- */

const struct anchor_entry *anchor_find_uuid(const struct anchor *a,
					    const uint8_t uuid[16])
{
	return a->state == ANCHOR_KNOWN ? anchor_table_find(&a->known.table, uuid) : NULL;
}

const struct anchor_entry *anchor_find(const struct anchor *a, const struct vtpm *v)
{
	return anchor_find_uuid(a, v->meta.uuid);
}

void anchor_note(struct anchor *a, struct vtpm *v)
{
	if (a->state == ANCHOR_KNOWN && vtpm_is(v, VTPM_OPENED))
		(void)anchor_known_grow(&a->known, v);
}

void anchor_witness(struct anchor *a, struct vtpm *v)
{
	if (a->state != ANCHOR_KNOWN || !anchor_known_claim(&a->known, v))
		return;
	v->anchor.unused = false; /* what was known before is older */
}

static void note_all(struct anchor *a)
{
	if (a->state != ANCHOR_KNOWN)
		return;
	if (a->d->on_anchoring)
		a->d->on_anchoring(a->d);
	anchor_known_note(&a->known, a->d);
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

static int begin_anchor(struct anchor *a, struct error *e)
{
	char set[HEX_ROOM], from[HEX_ROOM];
	const char *const args[HELPER_ARGS] = {"--set", set, "--from", from};
	int rc = 0;

	/* one that the TPM may have taken already comes first */
	if (!a->file.pending) {
		note_all(a); /* for nothing: it is one write */
		a->known.table.counter++;
		a->taking = a->known.changes;
		rc = anchor_file_write(&a->file, &a->known.table);
	}
	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"The anchor's table could not be written to %s: %s; see its disk's space and permissions.",
			a->d->anchor_dir, strerror(-rc));
	hex_encode(a->file.next, ANCHOR_HASH_SIZE, set);
	hex_encode(a->file.hash, ANCHOR_HASH_SIZE, from);
	return helper_run(&a->tpm, "anchor", args, e);
}

/* Has the TPM take what it is to take. */
static void pump(struct anchor *a)
{
	struct error e = {.cause = CAUSE_NONE};

	if (a->tpm.pid || a->state != ANCHOR_KNOWN || a->asked <= a->written)
		return;
	if (begin_anchor(a, &e))
		not_taken(a, &e);
}

static void taken(struct anchor *a)
{
	anchor_file_done(&a->file);
	a->error = (struct error){.cause = CAUSE_NONE};
	a->written = a->taking;
	log_line(LOG_INFO, "anchored table %llu, %zu vTPM%s, in the host's TPM",
		 (unsigned long long)a->known.table.counter, a->known.table.count,
		 a->known.table.count == 1 ? "" : "s");
	wake(a, NULL);
	pump(a);
}

void anchor_learn(struct anchor *a, struct vtpm *v, const struct anchor_entry *e)
{
	const struct anchor_entry *old = anchor_find(a, v);

	if (a->state != ANCHOR_KNOWN ||
	    (old && anchor_entry_seq(old) > anchor_entry_seq(e)))
		return;
	anchor_known_learn(&a->known, v, e);
	v->anchor.unused = false;
	a->asked = a->known.changes;
	pump(a);
}

/* -- an operator's acts ------------------------------------------------- */

void anchor_claim(struct anchor *a, struct vtpm *v)
{
	v->anchor.untold |= UNTOLD_FOLDER;
	v->anchor.unused = false;
	if (a->state == ANCHOR_KNOWN && anchor_known_claim(&a->known, v))
		a->asked = a->known.changes;
	pump(a);
}

void anchor_launched(struct anchor *a, struct vtpm *v)
{
	v->anchor.untold |= UNTOLD_LAUNCHED;
	if (a->state != ANCHOR_KNOWN || !anchor_known_launched(&a->known, v) ||
	    !v->meta.launched)
		return;
	a->asked = a->known.changes;
	pump(a);
}

void anchor_set_mark(struct anchor *a, struct vtpm *v, const struct anchor_mark *mark)
{
	v->anchor.mark = *mark;
	v->anchor.untold |= UNTOLD_MARK;
	if (a->state == ANCHOR_KNOWN && anchor_known_mark(&a->known, v))
		a->asked = a->known.changes;
}

bool anchor_owes_nothing(const struct anchor *a)
{
	return a->state == ANCHOR_OFF ||
	       (a->state == ANCHOR_KNOWN && a->asked <= a->written && !a->tpm.pid &&
		a->error.cause == CAUSE_NONE);
}

bool anchor_is_known(const struct anchor *a)
{
	return a->state == ANCHOR_KNOWN;
}

bool anchor_is_off(const struct anchor *a)
{
	return a->state == ANCHOR_OFF;
}

void anchor_each(const struct anchor *a, void *ctx,
		 void (*each)(void *ctx, const struct anchor_entry *e))
{
	size_t i;

	for (i = 0; a->state == ANCHOR_KNOWN && i < a->known.table.count; i++)
		each(ctx, &a->known.table.entries[i]);
}

bool anchor_knows_nothing(const struct anchor *a, const uint8_t uuid[16])
{
	return a->state == ANCHOR_KNOWN && !anchor_table_find(&a->known.table, uuid);
}

void anchor_recover(struct anchor *a, struct vtpm *v)
{
	v->anchor.untold |= UNTOLD_HEADER;
	if (a->state != ANCHOR_KNOWN || !anchor_known_header(&a->known, v))
		anchor_claim(a, v);
	else
		a->asked = a->known.changes;
	pump(a);
}

void anchor_forget(struct anchor *a, const struct vtpm *v)
{
	if (a->state == ANCHOR_KNOWN) {
		if (anchor_known_forget(&a->known, v->meta.uuid))
			a->asked = a->forgot = a->known.changes;
	} else if (a->state != ANCHOR_OFF) {
		anchor_known_forget_later(&a->known, v);
	}
	pump(a);
}

bool anchor_forget_marked(struct anchor *a, const uint8_t uuid[16])
{
	const struct anchor_entry *e = anchor_table_find(&a->known.table, uuid);

	if (a->state != ANCHOR_KNOWN || !e || !e->mark.kind ||
	    !anchor_known_forget(&a->known, uuid))
		return false;
	a->asked = a->forgot = a->known.changes;
	pump(a);
	return true;
}

/* -- from the TPM ------------------------------------------------------ */

static void adopt(struct anchor *a, const uint8_t none[ANCHOR_HASH_SIZE])
{
	anchor_known_adopt(&a->known, &a->file, none, a->d);
	a->error = (struct error){.cause = CAUSE_NONE};
	a->state = ANCHOR_KNOWN;
	a->asked = a->known.changes;
}

static void broken(struct anchor *a, const struct error *e)
{
	log_line(LOG_ERR, "no vTPM starts: %s", e->text);
	a->error = *e;
	a->state = ANCHOR_BROKEN;
	a->broken_ms = stamp_ms();
	wake(a, &a->error);
}

static void load(struct anchor *a, const uint8_t hash[ANCHOR_HASH_SIZE])
{
	struct error e = {.cause = CAUSE_NONE};
	struct waiter *w;

	if (anchor_known_load(&a->known, &a->file, hash, a->d, &e)) {
		broken(a, &e);
		return;
	}
	a->state = ANCHOR_KNOWN;
	a->error = (struct error){.cause = CAUSE_NONE};
	a->written = a->taking = a->known.changes;
	trail_anchored(a->d, &a->known.table.audit);
	if (a->d->pool_number < a->known.table.pool)
		a->d->pool_number = a->known.table.pool;
	anchor_known_catch_up(&a->known, a->d->vtpms);
	a->asked = a->forgot = a->known.changes;
	/* who waits for what operators did could not count it then */
	for (w = a->waiters; w; w = w->next)
		w->need = w->need ? a->known.changes : 0;
	wake(a, NULL);
}

/* The TPM has the one-time value: no table was anchored since the index was made. */
static void on_new_anchor(struct anchor *a, const uint8_t value[ANCHOR_HASH_SIZE])
{
	struct error e = {.cause = CAUSE_NONE};

	if (a->take_store) {
		adopt(a, value);
		return;
	}
	error_set(
		&e, 0, CAUSE_ROLLED_BACK,
		"The anchor of this host's vTPMs was not in the host's TPM, and `vtpmctl "
		"host init --force` made it anew, or vtpmd ended in the midst of `vtpmctl "
		"host new-policy-key`: when you know that the store is the newest, "
		"`vtpmctl host anchor --init --yes`.");
	broken(a, &e);
}

static void on_value(struct anchor *a, const uint8_t value[ANCHOR_HASH_SIZE])
{
	struct error other = {.cause = CAUSE_NONE};

	if (a->state != ANCHOR_KNOWN && !memcmp(value, a->adopt, sizeof(a->adopt))) {
		on_new_anchor(a, value);
	} else if (a->state != ANCHOR_KNOWN) {
		load(a, value);
	} else if (memcmp(value, a->file.next, ANCHOR_HASH_SIZE)) {
		error_set(&other, 0, CAUSE_INTERNAL,
			  "The host's TPM is said to have another anchor than it was to "
			  "take.");
		not_taken(a, &other);
	} else {
		taken(a);
	}
}

/* The TPM has answered: what it has, or that it took the new one. */
static void on_anchor_tpm(void *ctx, json_t *said, const struct error *e)
{
	const char *hex = json_string_value(json_object_get(said, "value"));
	struct error malformed = {.cause = CAUSE_NONE};
	uint8_t value[ANCHOR_HASH_SIZE];
	size_t len = sizeof(value);
	struct anchor *a = ctx;

	if (said && (!hex || hex_decode(hex, value, &len) || len != sizeof(value))) {
		error_set(&malformed, 0, CAUSE_INTERNAL,
			  "%s told no value of the anchor: install vtpmd and vtpmctl of "
			  "one release.",
			  a->d->vtpmctl);
		said = NULL;
		e = &malformed;
	}
	if (said)
		on_value(a, value);
	else if (a->state == ANCHOR_KNOWN)
		not_taken(a, e);
	else
		broken(a, e);
	pump(a);
	/* also while the next write is under way: those whose epoch the TPM has do not wait
	 * for others' */
	if (!a->finishing)
		a->d->on_anchored(a->d);
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
	anchor_table_free(&a->known.table);
	wake(a, NULL);
}

/* What host.json says now.  One that cannot be read is no reason to forget what is
 * known. */
static int look_at_config(struct anchor *a, struct error *e)
{
	char name[2 * POLICYKEY_NAME_SIZE + 1];
	struct config *c;
	int rc = config_get(&a->d->host, a->d->config, &c, e);

	if (rc)
		return rc;
	hex_encode(c->host.anchor_name, sizeof(c->host.anchor_name), name);
	if (!c->host.anchor_index) {
		switch_off(a);
	} else if (a->state == ANCHOR_OFF) {
		a->state = ANCHOR_UNKNOWN;
	} else if (a->state == ANCHOR_KNOWN && a->name && strcmp(a->name, name)) {
		/* another TPM or policy key: it is to have what is known */
		a->asked = ++a->known.changes;
	}
	free(a->name);
	a->name = c->host.anchor_index ? strdup(name) : NULL;
	memcpy(a->adopt, c->host.anchor_adopt, sizeof(a->adopt));
	a->take_store = c->host.anchor_take_store;
	config_put(c);
	return 0;
}

bool anchor_want(struct anchor *a)
{
	static const char *const get[HELPER_ARGS] = {"--get"};
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (a->tpm.pid)
		return true;
	rc = look_at_config(a, &e);
	if (a->state == ANCHOR_UNKNOWN || a->state == ANCHOR_BROKEN) {
		a->state = ANCHOR_UNKNOWN;
		if (!rc)
			rc = helper_run(&a->tpm, "anchor", get, &e);
		if (rc)
			broken(a, &e);
	} else {
		pump(a);
	}
	return a->tpm.pid;
}

bool anchor_busy(const struct anchor *a)
{
	return a->tpm.pid && a->state == ANCHOR_UNKNOWN;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct anchor *a = ctx;

	tick_after(a, a->d->anchor_every);
	note_all(a);
	a->asked = a->known.changes;
	/* anchor running vTPMs even if none is started */
	(void)anchor_want(a);
}

/* -- what is asked of it ----------------------------------------------- */

int anchor_check(struct anchor *a, struct vtpm *v, struct error *e)
{
	struct error ignored = {.cause = CAUSE_NONE};
	int rc;

	if (vtpm_is(v, VTPM_BEGUN)) /* it was when that began */
		return 0;
	if (a->state == ANCHOR_OFF)
		return anchor_check_nothing(v, e);
	if (a->state != ANCHOR_KNOWN)
		return error_set(e, -EIO, a->error.cause, "%s", a->error.text);
	rc = anchor_check_folder(anchor_find(a, v), v, e);
	/* a state that was damaged when the last run began, and is mended */
	if (rc == -ESTALE && v->anchor.unused &&
	    !anchor_check_folder(&v->anchor.before, v, &ignored)) {
		*e = (struct error){.cause = CAUSE_NONE};
		rc = 0;
	}
	return rc;
}

/* Nothing was put since the epoch that is known began, with just this state. */
static bool is_unused(const struct anchor_entry *known, const struct vtpm *v)
{
	const struct store_known *state = store_known(&v->store, CHANNEL_OBJECT_PERMALL);

	return v->anchor.unused && !known->permall &&
	       !memcmp(known->base, state->hash, sizeof(known->base));
}

static int new_epoch(struct anchor *a, struct vtpm *v)
{
	const struct anchor_entry *known = anchor_find(a, v);
	int rc = 0;

	/* without a state there is nothing that could begin */
	if (!known || v->making || !store_known(&v->store, CHANNEL_OBJECT_PERMALL))
		return anchor_known_epoch(&v->store.epoch);
	if (!is_unused(known, v)) {
		if (!v->anchor.unused)
			v->anchor.before = *known;
		rc = anchor_known_raise(&a->known, v);
		v->anchor.raised = a->known.changes;
		v->anchor.unused = !rc;
	}
	v->store.epoch = anchor_find(a, v)->epoch;
	return rc;
}

int anchor_begin(struct anchor *a, struct vtpm *v, struct error *e)
{
	int rc = v->making ? 0 : anchor_check(a, v, e);

	if (rc)
		return rc;
	if (a->state != ANCHOR_OFF && a->state != ANCHOR_KNOWN)
		return error_set(e, -EIO, a->error.cause, "%s", a->error.text);
	if (a->state == ANCHOR_KNOWN && !v->making)
		v->meta.creating = false; /* its creation came to its end */
	if (v->making)
		v->anchor.raised = v->anchor.claimed;
	rc = new_epoch(a, v);
	if (rc)
		return error_set(e, rc, CAUSE_RANDOM,
				 "There are no random numbers for the run of %s.",
				 v->meta.name);
	if (v->anchor.raised > a->written)
		a->asked = a->known.changes;
	return 0;
}

int anchor_ready(struct anchor *a, struct vtpm *v, struct error *e)
{
	if (a->state == ANCHOR_OFF || v->anchor.raised <= a->written)
		return 0;
	pump(a);
	if (a->tpm.pid)
		return -EAGAIN;
	return error_set(e, -EIO, a->error.cause, "%s", a->error.text);
}

void anchor_header(struct anchor *a, struct vtpm *v)
{
	v->anchor.untold |= UNTOLD_HEADER;
	if (a->state != ANCHOR_KNOWN || !anchor_known_header(&a->known, v))
		return;
	a->asked = a->known.changes;
}

bool anchor_has_header(const struct anchor *a, const struct vtpm *v)
{
	return a->state == ANCHOR_OFF ||
	       (!(v->anchor.untold & UNTOLD_HEADER) && v->anchor.header <= a->written);
}

int anchor_before_header(struct anchor *a, struct vtpm *v, struct error *e)
{
	const struct anchor_entry *known;

	(void)anchor_want(a);
	if (a->state == ANCHOR_OFF)
		return 0;
	if (a->state != ANCHOR_KNOWN)
		return error_set(e, -EBUSY, CAUSE_TPM_UNREACHABLE,
				 "The anchor in the host's TPM is not known, and until "
				 "then no other header of %s is stored: see `vtpmctl "
				 "doctor`, and recover again.",
				 v->meta.name);
	if (!anchor_has_header(a, v)) {
		a->asked = a->known.changes;
		pump(a);
		return error_set(
			e, -EBUSY, CAUSE_TPM_UNREACHABLE,
			"The host's TPM does not have the last header of %s yet, "
			"and until then no other is stored: recover again when "
			"it answers (`vtpmctl doctor`).",
			v->meta.name);
	}
	/* the one that the TPM has may be the one beside it, after a crash: it is put back,
	 * and stays when the new one is put */
	known = anchor_find(a, v);
	if (known && store_find_header(&v->store, known->header) < 0)
		store_know_nothing(&v->store);
	return 0;
}

void anchor_made(struct anchor *a, struct vtpm *v)
{
	anchor_claim(a, v);
	v->anchor.header = v->anchor.claimed;
}

bool anchor_off(struct anchor *a)
{
	(void)anchor_want(a);
	return a->state == ANCHOR_OFF;
}

void anchor_wait(struct anchor *a, struct waiter *w)
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
	w->need = a->asked = a->known.changes;
	waiter_add(&a->waiters, w);
	pump(a);
	if (!a->tpm.pid)
		wake(a, NULL);
}

void anchor_wait_forgotten(struct anchor *a, struct waiter *w)
{
	if (a->state == ANCHOR_OFF ||
	    (a->state == ANCHOR_KNOWN && a->forgot <= a->written)) {
		w->done(w->ctx, NULL);
		return;
	}
	if (a->state == ANCHOR_BROKEN) {
		w->done(w->ctx, &a->error);
		return;
	}
	w->need = a->forgot ? a->forgot : 1;
	waiter_add(&a->waiters, w);
	a->asked = a->asked > a->forgot ? a->asked : a->forgot;
	pump(a);
}

void anchor_wait_known(struct anchor *a, struct waiter *w)
{
	(void)anchor_want(a);
	if (a->state != ANCHOR_UNKNOWN) {
		w->done(w->ctx, a->state == ANCHOR_BROKEN ? &a->error : NULL);
		return;
	}
	w->need = 0;
	waiter_add(&a->waiters, w);
}

void anchor_ask_known(struct anchor *a, struct waiter *w)
{
	if (a->state == ANCHOR_BROKEN && stamp_ms() - a->broken_ms < AGAIN_S * 1000)
		w->done(w->ctx, &a->error);
	else
		anchor_wait_known(a, w);
}

bool anchor_finish(struct anchor *a)
{
	if (!a->finishing) {
		a->finishing = true;
		/* once: stub domains go on writing, and it would never end */
		note_all(a);
		a->asked = a->known.changes;
		pump(a);
	}
	return a->tpm.pid;
}

int anchor_new(struct vtpmd *d)
{
	struct anchor *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return -ENOMEM;
	d->anchor = a;
	a->d = d;
	a->state = ANCHOR_UNKNOWN;
	a->file.dir = -1;
	if (!d->anchor_dir)
		d->anchor_dir = d->folder;
	rc = anchor_file_open(&a->file, d->anchor_dir);
	if (rc)
		return rc;
	a->tick = evtimer_new(d->base, on_tick, a);
	if (!a->tick || helper_init(&a->tpm, d, LIMIT_S, on_anchor_tpm, a))
		return -ENOMEM;
	tick_after(a, d->anchor_every);
	return 0;
}

void anchor_free(struct anchor *a)
{
	if (!a)
		return;
	helper_end(&a->tpm);
	if (a->tick)
		event_free(a->tick);
	anchor_file_close(&a->file);
	anchor_known_free(&a->known);
	free(a->name);
	free(a);
}
