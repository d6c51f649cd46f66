/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/pool_copy.h"
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpm.h"
#include "tools/vtpmd/vtpms.h"
#include "tools/vtpmd/witness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_US	 20000
#define LIMIT_MS 30000 /* for etcd */
#define TOLD_MS	 5000  /* a client that has not asked by then does not any more */

/* What is waited for. */
enum step {
	KNOWN,	/* what the host's TPM has */
	CLAIMS, /* the claim in etcd */
	/* into the pool */
	COPIES, /* all values in etcd, the description as POOL_MOVE_RELEASED */
	POOLS,	/* the TPM says "pooled" */
	JOINS,	/* the description is "vtpm.json" */
	/* out of it */
	MARKS,	  /* the TPM says "pooled", of the state that is there */
	RELEASES, /* the description is POOL_MOVE_RELEASED */
	LANDS,	  /* the TPM says that it is in the folder */
	CLEARS,	  /* it has gone in etcd */
	OVER,
};

static const char *const words[] = {
	[KNOWN] = "known",	 [CLAIMS] = "claims", [COPIES] = "copies",
	[POOLS] = "pools",	 [JOINS] = "joins",   [MARKS] = "marks",
	[RELEASES] = "releases", [LANDS] = "lands",   [CLEARS] = "clears",
	[OVER] = "over",
};

static struct {
	struct vtpmd *d; /* NULL: none is moved */
	char name[META_NAME_MAX + 1];
	bool to_folder;
	enum step step;
	struct vtpm *folder, *pool; /* either may be NULL */
	bool listed;		    /* pool is one of d->vtpms */
	uint8_t uuid[16];
	struct waiter waiter;
	bool has_answer;     /* of the anchor */
	struct error anchor; /* its answer */
	struct event *tick;
	int64_t end_ms; /* until when etcd may take, from a step on; OVER: when that was */
	int rc;
	struct error error;
} mover;

json_t *pool_move_names(const struct vtpmd *d)
{
	return pool_copy_names(d->folder);
}

bool pool_move_is_in_folder(const struct vtpmd *d, const char *name)
{
	json_t *names = store_etcd_is(d->store) ? pool_copy_names(d->folder) : NULL;
	const json_t *one;
	bool found = false;
	size_t i;

	json_array_foreach(names, i, one)
	{
		found |= !strcmp(json_string_value(one), name);
	}
	json_decref(names);
	return found;
}

/* -- both copies ----------------------------------------------------------------------- */

static struct vtpm *new_copy(const struct meta *m, struct store *s, struct error *e)
{
	struct vtpm *v = vtpm_new(mover.d, m, s);

	if (!v) {
		store_close(s);
		error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
		return NULL;
	}
	v->moves = true;
	return v;
}

static int fail_folder(struct error *e, int rc)
{
	return error_set(
		e, rc, CAUSE_STORE,
		"The folder of %s in %s could not be read or written: %s; see its disk's "
		"space and permissions, and repeat `vtpmctl pool move`.",
		mover.name, mover.d->folder, strerror(-rc));
}

static int fail_etcd(struct error *e, int rc)
{
	return error_set(e, rc, CAUSE_STORE,
			 "What belongs to %s could not be asked of etcd: %s; repeat "
			 "`vtpmctl pool move` when that is mended.",
			 mover.name, strerror(-rc));
}

static int fail_lost(struct error *e)
{
	return error_set(e, -ESTALE, CAUSE_LEASE,
			 "The claim on %s in etcd was lost while it was moved: see "
			 "`vtpmctl pool show`, and repeat `vtpmctl pool move`.",
			 mover.name);
}

static int fail_anothers(struct error *e)
{
	return error_set(
		e, -EEXIST, CAUSE_STATE_EXISTS,
		"Another host of the pool has, or has begun to move, a vTPM with "
		"the uuid of %s: finish that there.",
		mover.name);
}

/* Has mover.folder, with its lock.  -ENOENT: there is none */
static int take_folder(struct error *e)
{
	struct store s;
	struct meta m;
	int rc;

	if (!pool_copy_find(mover.d->folder, mover.name, &m))
		return -ENOENT;
	rc = store_open(&s, mover.d->folder, m.uuid, false);
	if (rc)
		return fail_folder(e, rc);
	mover.folder = new_copy(&m, &s, e);
	if (!mover.folder)
		return -ENOMEM;
	memcpy(mover.uuid, m.uuid, sizeof(mover.uuid));
	return store_claim(&mover.folder->store, e);
}

/* Has mover.pool, of the place in etcd that this host had last and that is none of the pool's
 * vTPMs.  -ENOENT: there is none */
static int take_place(struct error *e)
{
	struct store s;
	int rc = store_open(&s, mover.d->store, mover.uuid, false);

	if (rc)
		return rc == -ENOENT ? rc : fail_etcd(e, rc);
	if (!store_is_here(&s) || store_etcd_has(&s, STORE_DESCRIPTION)) {
		store_close(&s);
		return fail_anothers(e);
	}
	mover.pool = new_copy(&mover.folder->meta, &s, e);
	return mover.pool ? 0 : -ENOMEM;
}

static void drop_folder(void)
{
	if (!mover.folder)
		return;
	store_release(&mover.folder->store);
	vtpm_free(mover.folder);
	mover.folder = NULL;
}

static void drop_pool(void)
{
	if (!mover.pool)
		return;
	mover.pool->moves = false;
	store_release(&mover.pool->store);
	if (!mover.listed)
		vtpm_free(mover.pool);
	mover.pool = NULL;
}

static void finish(int rc)
{
	waiter_cancel(&mover.waiter);
	event_free(mover.tick);
	mover.tick = NULL;
	mover.rc = rc;
	mover.step = OVER;
	mover.end_ms = session_now_ms();
	drop_folder();
	drop_pool();
	if (!rc)
		return;
	log_line(LOG_ERR, "vTPM %s is not moved: %s", mover.name, mover.error.text);
	/* what others did to it meanwhile was not looked at; memory may not show it yet */
	store_etcd_tell_again(mover.uuid);
}

/* -- waiting ---------------------------------------------------------------------------- */

/* So that people see what a move waits for. */
static void enter_step(enum step step)
{
	mover.step = step;
	log_line(LOG_INFO, "vTPM %s is moved: %s", mover.name, words[step]);
}

static void on_anchor(void *ctx, const struct error *e)
{
	mover.has_answer = true;
	mover.end_ms = session_now_ms() + LIMIT_MS;
	mover.anchor = e ? *e : (struct error){.cause = CAUSE_NONE};
}

/* Until the TPM has what is known, or, of KNOWN, until it is known what it has. */
static void want_tpm(enum step step)
{
	enter_step(step);
	mover.has_answer = false;
	mover.waiter = (struct waiter){.done = on_anchor};
	if (step == KNOWN)
		anchor_wait_known(mover.d->anchor, &mover.waiter);
	else
		anchor_wait(mover.d->anchor, &mover.waiter);
}

static int want_etcd(enum step step)
{
	enter_step(step);
	mover.end_ms = session_now_ms() + LIMIT_MS;
	return 0;
}

static bool is_pooled(const struct vtpm *v)
{
	const struct anchor_entry *known = anchor_find(mover.d->anchor, v);

	return known && known->pooled;
}

static void audit_move(struct vtpm *v, const char *detail)
{
	vtpm_audit(v, "pool-move", detail);
	log_about(LOG_NOTICE, VTPM_ABOUT(v), "moved %s", detail);
}

/* -- the folder's end ---------------------------------------------------------------------- */

/* Whether the folder has gone on where the pool's copy did not, as after `host anchor
 * --accept`: it is not this program's to choose between them. */
static int check_folder_copy(struct vtpm *folder, struct vtpm *pool, struct error *e)
{
	if (store_seq(&folder->store, CHANNEL_OBJECT_PERMALL) <=
	    store_seq(&pool->store, CHANNEL_OBJECT_PERMALL))
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_STATE_EXISTS,
		"The pool has this vTPM, as %s, and the folder in %s has a newer state: "
		"keep the one that is meant, and remove the other one, with `vtpmctl "
		"delete` or the folder.",
		pool->meta.name, mover.d->folder);
}

/* The pool's copy counts, and the TPM says so, too. */
static int remove_folder_copy(struct error *e)
{
	struct store *s = &mover.folder->store;
	int rc = s->ops->remove(s, mover.d->folder);

	if (rc)
		return error_set(
			e, rc, CAUSE_STORE,
			"%s is in the pool, and its folder in %s, which is not started any "
			"more, could not be removed: %s; repeat `vtpmctl pool move`.",
			mover.name, mover.d->folder, strerror(-rc));
	return 0;
}

/* -- into the pool --------------------------------------------------------------------------- */

/* It is in the pool, and the folder is what is left of a move. */
static int end_of_last_move(struct vtpm *in_pool, struct error *e)
{
	int rc;

	if (!is_pooled(in_pool))
		return error_set(
			e, -EEXIST, CAUSE_STATE_EXISTS,
			"The pool has this vTPM already, as %s, and this host did not "
			"move it there: delete that one, or this one's folder.",
			in_pool->meta.name);
	rc = check_folder_copy(mover.folder, in_pool, e);
	if (!rc)
		rc = remove_folder_copy(e);
	mover.step = OVER;
	return rc;
}

/* Has mover.folder, of one that is in the pool: what a removal that was cut off has left. */
static int take_rest(const struct vtpm *v, struct error *e)
{
	struct store s;
	int rc = store_open(&s, mover.d->folder, v->meta.uuid, false);

	if (rc)
		return rc == -ENOENT ? rc : fail_folder(e, rc);
	mover.folder = new_copy(&v->meta, &s, e);
	memcpy(mover.uuid, v->meta.uuid, sizeof(mover.uuid));
	return mover.folder ? store_claim(&mover.folder->store, e) : -ENOMEM;
}

static int begin_into(struct error *e)
{
	struct vtpm *v = mover.folder, *other = vtpms_find(mover.d, mover.name);
	struct vtpm *same = vtpms_find_uuid(mover.d, v->meta.uuid);
	struct store s;
	int rc;

	if (other && other != same)
		return error_set(
			e, -EEXIST, CAUSE_STATE_EXISTS,
			"The pool has another vTPM %s: `vtpmctl rename` that one first.",
			mover.name);
	if (same)
		return end_of_last_move(same, e);
	rc = move_may_change(v, e);
	if (!rc)
		rc = anchor_check(mover.d->anchor, v, e);
	if (!rc) {
		rc = take_place(e);
		if (rc != -ENOENT)
			return rc ? rc : want_etcd(CLAIMS);
		rc = store_open(&s, mover.d->store, v->meta.uuid, true);
		if (rc)
			return fail_etcd(e, rc);
		mover.pool = new_copy(&v->meta, &s, e);
		rc = mover.pool ? want_etcd(CLAIMS) : -ENOMEM;
	}
	return rc;
}

static int copy_in(struct error *e)
{
	struct store *to = &mover.pool->store;
	uint8_t *text;
	size_t len;
	int rc = pool_copy_in(&mover.folder->store, to);

	if (!rc)
		rc = mover.folder->store.ops->get(&mover.folder->store, STORE_DESCRIPTION,
						  CHANNEL_PAYLOAD_MAX, &text, &len);
	if (rc)
		return fail_folder(e, rc);
	rc = store_set(to, POOL_MOVE_RELEASED, text, len);
	free(text);
	return rc ? fail_etcd(e, rc) : want_etcd(COPIES);
}

static int end_into(struct error *e)
{
	vtpms_add(mover.d, mover.pool);
	mover.listed = true;
	audit_move(mover.pool, "into the pool");
	mover.step = OVER;
	return remove_folder_copy(e);
}

/* -- out of the pool ---------------------------------------------------------------------------- */

/* Has mover.folder, empty, in the place of a copy that is not started. */
static int make_folder(struct error *e)
{
	struct vtpm *from = mover.pool;
	struct store s;
	int rc = store_open(&s, mover.d->folder, from->meta.uuid, false);

	if (!rc) {
		mover.folder = new_copy(&from->meta, &s, e);
		if (!mover.folder)
			return -ENOMEM;
		rc = check_folder_copy(mover.folder, from, e);
		if (!rc)
			rc = store_claim(&mover.folder->store, e);
		if (rc)
			return rc;
		rc = remove_folder_copy(e);
		drop_folder();
		if (rc)
			return rc;
	} else if (rc != -ENOENT) {
		return fail_folder(e, rc);
	}
	rc = store_open(&s, mover.d->folder, from->meta.uuid, true);
	if (rc)
		return fail_folder(e, rc);
	mover.folder = new_copy(&from->meta, &s, e);
	return mover.folder ? store_claim(&mover.folder->store, e) : -ENOMEM;
}

static int fill_folder(struct error *e)
{
	int rc = make_folder(e);

	if (rc)
		return rc;
	rc = pool_copy_out(&mover.pool->store, &mover.folder->store);
	if (!rc)
		rc = meta_write(&mover.folder->store, &mover.folder->meta);
	if (rc)
		return fail_folder(e, rc);
	rc = store_etcd_rename(&mover.pool->store, STORE_DESCRIPTION, POOL_MOVE_RELEASED);
	return rc ? fail_etcd(e, rc) : want_etcd(RELEASES);
}

/* The folder's copy counts.  What memory has of the anchor the TPM may not have yet. */
static int land(struct error *e)
{
	struct vtpm *v = mover.folder;
	int rc = anchor_check(mover.d->anchor, v, e);

	if (rc)
		return rc;
	if (is_pooled(v))
		anchor_claim(mover.d->anchor, v);
	want_tpm(LANDS);
	return 0;
}

static int after_release(struct error *e)
{
	if (store_etcd_has(&mover.pool->store, STORE_DESCRIPTION))
		return fail_lost(e);
	vtpms_remove(mover.pool);
	mover.listed = false;
	return land(e);
}

/* Nothing waits for this: what stays there starts nowhere. */
static int clear_place(void)
{
	struct store *s = &mover.pool->store;

	return s->ops->remove(s, mover.d->store) ? 0 : want_etcd(CLEARS);
}

static int begin_out(struct error *e)
{
	struct vtpm *v = vtpms_find(mover.d, mover.name);
	struct meta m;
	int rc;

	if (v) {
		if (pool_copy_find(mover.d->folder, mover.name, &m) &&
		    memcmp(m.uuid, v->meta.uuid, sizeof(m.uuid)) != 0)
			return error_set(e, -EEXIST, CAUSE_STATE_EXISTS,
					 "The folder has another vTPM %s: `vtpmctl "
					 "rename` this one first.",
					 mover.name);
		memcpy(mover.uuid, v->meta.uuid, sizeof(mover.uuid));
		mover.pool = v;
		mover.listed = v->moves = v->witness.due = true;
		return want_etcd(CLAIMS);
	}
	rc = take_folder(e);
	if (!rc)
		rc = take_place(e);
	if (!rc)
		return want_etcd(CLAIMS);
	if (rc != -ENOENT)
		return rc;
	if (mover.folder && !is_pooled(mover.folder))
		return error_set(e, -EALREADY, CAUSE_STATE_EXISTS,
				 "The vTPM %s is in the folder %s, and not in the pool.",
				 mover.name, mover.d->folder);
	return error_set(e, -ENOENT, CAUSE_NO_STATE,
			 "The pool has no vTPM %s: see `vtpmctl list`.", mover.name);
}

/* It has the claim, so that nothing that was sent before is done any more, and memory shows what
 * is there: that the pool's copy does not count is said by a name, and not by one that lacks. */
static int go_on_out(struct error *e)
{
	struct store *s = &mover.pool->store;

	/* of one that is not pooled not even all values may be in etcd */
	if (is_pooled(mover.folder) && !store_etcd_has(s, POOL_MOVE_RELEASED))
		return error_set(
			e, -ENOENT, CAUSE_NO_STATE,
			"The folder of %s in %s is a copy, and the pool has not given this "
			"vTPM to this host: `vtpmctl pool move %s` finishes a move into "
			"the pool.",
			mover.name, mover.d->folder, mover.name);
	return land(e);
}

static int mark_pooled(struct error *e)
{
	struct vtpm *v = mover.pool;
	int rc;

	rc = witness_may_start(v, e);
	if (rc)
		return rc;
	registry_witness(v);
	rc = anchor_check(mover.d->anchor, v, e);
	if (rc)
		return rc;
	if (!is_pooled(v))
		anchor_claim(mover.d->anchor, v);
	want_tpm(MARKS);
	return 0;
}

/* -- the steps ------------------------------------------------------------------------------------ */

static int begin_known(struct error *e)
{
	struct vtpm *v;
	int rc;

	if (anchor_off(mover.d->anchor))
		return error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"This host has no anchor, by which its TPM knows which of two copies "
			"counts: `vtpmctl host anchor --init` makes one.");
	if (mover.to_folder)
		return begin_out(e);
	rc = take_folder(e);
	if (!rc)
		return begin_into(e);
	if (rc != -ENOENT)
		return rc;
	v = vtpms_find(mover.d, mover.name);
	rc = v ? take_rest(v, e) : -ENOENT;
	if (rc != -ENOENT)
		return rc ? rc : end_of_last_move(v, e);
	if (v)
		return error_set(e, -EALREADY, CAUSE_STATE_EXISTS,
				 "The vTPM %s is in the pool, and not in the folder %s.",
				 mover.name, mover.d->folder);
	return error_set(e, -ENOENT, CAUSE_NO_STATE,
			 "There is no vTPM %s in the folder %s.", mover.name,
			 mover.d->folder);
}

static int on_claimed(struct error *e)
{
	const struct store *s = &mover.pool->store;

	if (mover.listed)
		return mark_pooled(e);
	/* another host may have made it at the same time */
	if (store_etcd_is_taken_over(s) || store_etcd_has(s, STORE_DESCRIPTION))
		return fail_anothers(e);
	return mover.to_folder ? go_on_out(e) : copy_in(e);
}

/* etcd has done what the step waited for. */
static int after_etcd(struct error *e)
{
	switch (mover.step) {
	case CLAIMS:
		return on_claimed(e);
	case COPIES:
		anchor_claim(mover.d->anchor, mover.pool);
		want_tpm(POOLS);
		return 0;
	case JOINS:
		return end_into(e);
	default:
		return after_release(e);
	}
}

/* -EAGAIN: etcd has not done it yet. */
static int look_at_etcd(struct error *e)
{
	struct store *s = &mover.pool->store;
	int rc = 0;

	if (mover.step == CLAIMS)
		rc = mover.listed ? vtpm_claim(mover.pool, e) : store_claim(s, e);
	if (!rc)
		rc = store_etcd_done(s);
	if (rc == -ESTALE && !e->text[0])
		return fail_lost(e);
	if (rc != -EAGAIN)
		return rc;
	*e = (struct error){.cause = CAUSE_NONE};
	/* a transaction that is the move is waited for, as it may be done at any time */
	if (mover.step == JOINS || mover.step == RELEASES ||
	    session_now_ms() <= mover.end_ms)
		return rc;
	return error_set(
		e, -ETIMEDOUT, CAUSE_STORE,
		"etcd did not take what belongs to %s in time: see `vtpmctl pool "
		"show`, and repeat `vtpmctl pool move`.",
		mover.name);
}

/* The move is over; whether what it left in etcd has gone does not matter. */
static int look_at_rest(void)
{
	if (store_etcd_done(&mover.pool->store) == -EAGAIN &&
	    session_now_ms() <= mover.end_ms)
		return -EAGAIN;
	mover.step = OVER;
	return 0;
}

/* The TPM has what the step waited for. */
static int after_tpm(struct error *e)
{
	struct store *s = mover.pool ? &mover.pool->store : NULL;
	int rc;

	switch (mover.step) {
	case KNOWN:
		return begin_known(e);
	case POOLS:
		rc = store_etcd_rename(s, POOL_MOVE_RELEASED, STORE_DESCRIPTION);
		return rc ? fail_etcd(e, rc) : want_etcd(JOINS);
	case MARKS:
		return fill_folder(e);
	default:
		audit_move(mover.folder, "out of the pool, into the folder");
		return clear_place();
	}
}

static int go_on(struct error *e)
{
	bool of_tpm = mover.step == KNOWN || mover.step == POOLS || mover.step == MARKS ||
		      mover.step == LANDS;
	bool of_etcd = mover.step != KNOWN && mover.step != LANDS;
	int rc;

	if (mover.step == CLEARS)
		return look_at_rest();
	if (of_tpm && !mover.has_answer)
		return -EAGAIN;
	if (of_tpm && mover.anchor.text[0]) {
		*e = mover.anchor;
		return -EIO;
	}
	rc = of_etcd ? look_at_etcd(e) : 0;
	if (rc)
		return rc;
	return of_tpm ? after_tpm(e) : after_etcd(e);
}

static void on_mover_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct error e = {.cause = CAUSE_NONE};
	enum step before = mover.step;
	int rc = go_on(&e);

	if (rc == -EAGAIN)
		return;
	mover.error = e;
	/* a place that could not be asked to go is left */
	if (rc || mover.step == OVER || mover.step == before)
		finish(rc);
}

static int begin_pool_move(struct vtpmd *d, const char *name, bool to_folder,
			   struct error *e)
{
	static const struct timeval often = {.tv_usec = TICK_US};
	const struct vtpm *v = vtpms_find(d, name);
	int rc;

	if (!store_etcd_is(d->store))
		return error_set(e, -EINVAL, CAUSE_NOT_CONFIGURED,
				 "The store of this vtpmd is a folder, and no pool's: "
				 "`vtpmctl pool join`, and restart vtpmd.");
	if (v && to_folder && (!vtpm_is(v, VTPM_DOWN) || v->waiters))
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "The vTPM %s runs: `vtpmctl stop %s` first.", name,
				 name);
	rc = v && to_folder ? move_may_change(v, e) : 0;
	if (!rc)
		rc = store_etcd_may(e);
	if (rc)
		return rc;
	memset(&mover, 0, sizeof(mover));
	mover.tick = event_new(d->base, -1, EV_PERSIST, on_mover_tick, NULL);
	if (!mover.tick || strlen(name) >= sizeof(mover.name) ||
	    event_add(mover.tick, &often))
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	mover.d = d;
	strcpy(mover.name, name);
	mover.to_folder = to_folder;
	want_tpm(KNOWN);
	return -EINPROGRESS;
}

int pool_move(struct vtpmd *d, const char *name, bool to_folder, uint8_t uuid[16],
	      struct error *e)
{
	bool same = mover.d && !strcmp(name, mover.name) && to_folder == mover.to_folder;
	int rc;

	if (mover.d && mover.step != OVER)
		return same ? -EINPROGRESS
			    : error_set(e, -EBUSY, CAUSE_INTERNAL,
					"The vTPM %s is being moved: try again.",
					mover.name);
	/* what came of the last one is told once, to who asked for it */
	if (!same || session_now_ms() > mover.end_ms + TOLD_MS)
		return begin_pool_move(d, name, to_folder, e);
	rc = mover.rc;
	*e = mover.error;
	memcpy(uuid, mover.uuid, 16);
	mover.d = NULL;
	return rc;
}

bool pool_move_has(const struct vtpm *v)
{
	return pool_move_is_of(v->meta.uuid) && v == mover.pool;
}

bool pool_move_is_of(const uint8_t uuid[16])
{
	return mover.d && mover.step != OVER &&
	       !memcmp(uuid, mover.uuid, sizeof(mover.uuid));
}

void pool_move_end(void)
{
	if (!mover.d || mover.step == OVER)
		return;
	mover.error = (struct error){.cause = CAUSE_NONE};
	finish(0);
	mover.d = NULL;
}
