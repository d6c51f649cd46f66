/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's TPM knows of handovers (enum handover_mark), so that no file that is removed
 * or put back has two hosts run one vTPM.  The TPM is asked before the guest stands still, and
 * after it goes on.
 */
#include "lib/crypt.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* A mark that is not needed any more is taken away when a guest that came along has been
 * running for a while. */
static const struct timeval unmark_after = {.tv_sec = 3};

/* The mark that the table has of m's vTPM; without an anchor the one that a new table would have,
 * since `vtpmctl host anchor --init` may make one at any time. */
static const struct anchor_mark *mark_of(const struct move *m)
{
	static const struct anchor_mark none;
	const struct vtpm *v = move_vtpm(m);
	const struct anchor_entry *e = v ? anchor_find(m->d->anchor, v) : NULL;

	if (!v)
		return &none;
	return e ? &e->mark : &v->anchor.mark;
}

bool move_has_mark(const struct move *m)
{
	return mark_of(m)->kind != HANDOVER_NO_MARK;
}

static void take_mark_away(struct move *m)
{
	static const struct anchor_mark none;
	struct vtpm *v = move_vtpm(m);

	if (v && handover_needs_no_mark(&m->r.h) && move_has_mark(m))
		anchor_set_mark(m->d->anchor, v, &none);
}

/* What was imported is stored again, as a file with two sides (lib/twin.h): else the first state that
 * the guest has stored is, which may be that of its next move, while it stands still. */
static void ready_state(struct move *m)
{
	struct vtpm *v = move_vtpm(m);
	struct store_put *put;
	uint8_t *buf = NULL;
	size_t len;
	int rc;

	if (!v || !handover_runs(&m->r.h) || store_is_leased(&v->store) ||
	    store_put_busy(&v->store))
		return;
	rc = store_get(&v->store, CHANNEL_OBJECT_PERMALL, &buf, &len);
	if (!rc)
		rc = store_put_new(&v->store, CHANNEL_OBJECT_PERMALL,
				   store_seq(&v->store, CHANNEL_OBJECT_PERMALL), buf, len,
				   NULL, NULL, &put);
	/* without it the first state takes longer */
	if (!rc && store_put_run(put))
		store_put_free(put);
	free(buf);
}

void move_on_unmark(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;

	take_mark_away(m);
	ready_state(m);
	(void)anchor_want(m->d->anchor);
}

void move_unmark_later(struct move *m)
{
	if (handover_needs_no_mark(&m->r.h) && move_has_mark(m) &&
	    !event_pending(m->unmark, EV_TIMEOUT, NULL))
		event_add(m->unmark, &unmark_after);
}

void move_leave(struct vtpmd *d)
{
	struct move *m;

	for (m = d->moves; m; m = m->next) {
		move_audit_now(m);
		take_mark_away(m);
	}
}

/* done follows, at once where there is no anchor. */
static void wait_for_tpm(struct move *m, void (*done)(void *ctx, const struct error *e))
{
	waiter_cancel(&m->anchored);
	m->anchored = (struct waiter){.done = done, .ctx = m};
	m->holds = true;
	anchor_wait(m->d->anchor, &m->anchored);
}

void move_set_mark(struct move *m, enum handover_mark kind)
{
	struct anchor_mark mark = {.kind = kind};
	struct vtpm *v = move_vtpm(m);

	if (!v)
		return;
	memcpy(mark.txid, m->r.h.txid, sizeof(mark.txid));
	/* a mark has a name; a record that somebody changed may have none */
	strcpy(mark.peer, m->r.peer[0] ? m->r.peer : "?");
	anchor_set_mark(m->d->anchor, v, &mark);
}

static void on_leaving(void *ctx, const struct error *e)
{
	struct move *m = ctx;

	m->holds = false;
	if (e)
		move_set_why(m, e->text);
	/* an answer that fits no state any more */
	(void)!move_step(m, e ? HANDOVER_JUDGED_BAD : HANDOVER_JUDGED_GOOD, NULL);
}

void move_mark_leaving(struct move *m)
{
	move_set_mark(m, HANDOVER_LEAVING);
	wait_for_tpm(m, on_leaving);
}

static void on_giving(void *ctx, const struct error *e)
{
	struct move *m = ctx;

	m->holds = false;
	if (!e) {
		(void)!move_step(m, HANDOVER_MARKED, NULL);
		return;
	}
	move_set_why(m, e->text);
	move_answer(m);
}

void move_mark_giving(struct move *m)
{
	const uint8_t step = CHANNEL_MOVE_DEACTIVATE;
	struct vtpm *v = move_vtpm(m);

	/* one that was found running, though its record says that it never did */
	if (v && peer_is_greeted(v->peer))
		peer_event_with(v->peer, CHANNEL_EVENT_MOVE, &step, 1);
	move_set_mark(m, HANDOVER_GIVING_BACK);
	wait_for_tpm(m, on_giving);
}

/* The mark that was to go stays: else the next write takes it away from a vTPM that was not taken,
 * and a restart of vtpmd has it run. */
static void put_mark_back(struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	if (v && !handover_needs_no_mark(&m->r.h) && !handover_is_empty(&m->r.h) &&
	    !move_has_mark(m))
		anchor_set_mark(m->d->anchor, v, &m->unmarked);
}

static void on_unmarked(void *ctx, const struct error *e)
{
	struct move *m = ctx;

	m->holds = false;
	if (e)
		move_set_why(m, e->text);
	else
		(void)!move_step(m, HANDOVER_TAKE, NULL);
	if (m->r.h.state != HANDOVER_TAKEN)
		put_mark_back(m);
	move_answer(m);
}

/* Else a restart of vtpmd would have it wait for the other host again. */
int move_take(struct move *m)
{
	static const struct anchor_mark none;
	const struct handover_event take = {.kind = HANDOVER_TAKE};
	const struct anchor_mark *mark;
	struct handover_todo todo;
	struct handover h;
	int rc;

	move_note_facts(m);
	h = m->r.h;
	m->why[0] = '\0';
	rc = handover_step(&h, &take, &todo);
	if (rc)
		return rc;
	mark = mark_of(m);
	if (!mark->kind)
		return move_step(m, HANDOVER_TAKE, NULL);
	m->unmarked = *mark;
	anchor_set_mark(m->d->anchor, move_vtpm(m), &none);
	wait_for_tpm(m, on_unmarked);
	return 0;
}

static void on_forgotten(void *ctx, const struct error *e)
{
	struct move *m = ctx;

	m->forgets = false;
	/* of a vTPM that was never here nobody waits for more */
	if (e || move_step(m, HANDOVER_FORGOTTEN, NULL))
		move_answer(m);
}

bool move_is_erasing(const struct move *m)
{
	/* nobody waits until a disk works again */
	return handover_is_empty(&m->r.h) && !m->r.h.forgotten &&
	       (m->waits || m->forgets ||
		(!m->erase_fails && event_pending(m->erase, EV_TIMEOUT, NULL)));
}

void move_forget_later(struct move *m)
{
	struct anchor *a = m->d->anchor;

	if (!handover_is_empty(&m->r.h) || m->r.h.forgotten || move_is_erasing(m) ||
	    move_vtpm(m))
		return;
	/* move_know_marks() comes here again */
	if (!anchor_is_known(a) && !anchor_is_off(a))
		return;
	/* what has a mark is left of what was erased; of another one the folder is missing */
	if (anchor_is_known(a) && !anchor_knows_nothing(a, m->r.uuid) &&
	    !anchor_forget_marked(a, m->r.uuid))
		return;
	/* without an anchor, what this host has erased itself is all that is known */
	if (anchor_is_off(a) && !m->erased)
		return;
	m->forgets = true;
	waiter_cancel(&m->anchored);
	m->anchored = (struct waiter){.done = on_forgotten, .ctx = m};
	anchor_wait_forgotten(a, &m->anchored);
}

/* After the start of vtpmd: marks against records. */

/* Of one that no record is of. */
static void make_marked(void *ctx, const struct anchor_entry *e)
{
	struct move_record fresh = {.h.state = HANDOVER_HERE};
	struct vtpmd *d = ctx;
	struct move *m = move_find(d, e->uuid);
	const struct vtpm *v;

	if (!m && e->mark.kind) {
		memcpy(fresh.uuid, e->uuid, sizeof(fresh.uuid));
		uuid_unparse_lower(e->uuid, fresh.name);
		m = move_new_marked(d, &fresh);
		v = m ? move_vtpm(m) : NULL;
		if (v)
			strcpy(m->r.name, v->meta.name);
	}
	if (!m && e->mark.kind)
		log_line(LOG_ERR, "there is no memory for the handover of %s",
			 fresh.name);
	if (!m)
		return;
	m->found = e->mark;
	m->has_entry = true;
}

#define STRAY_TEXT                                                                           \
	"Its record says that it moved away or did not come, and it is here, as the host's " \
	"TPM knows: find out who wrote the record. When no other host has it (`vtpmctl "     \
	"list` there), `vtpmctl migrate --continue --take --yes` has it run here; else "     \
	"`vtpmctl delete` it."

/* What the TPM knows, and the folder, against what the record says. */
static void compare_record(struct move *m)
{
	static const uint8_t none[HANDOVER_TXID_SIZE];
	const struct move_record was = m->r;
	const struct vtpm *v = move_vtpm(m);
	bool whole = move_is_whole(m), same;

	/* what is in the pool is not what a record of the folder is of */
	if (!m->found.kind && v && store_is_leased(&v->store))
		return;
	same = !strcmp(m->r.peer, m->found.peer) &&
	       !memcmp(m->r.h.txid, m->found.txid, sizeof(m->found.txid));
	if (m->has_entry)
		handover_recover(&m->r.h, m->found.kind, m->found.txid, whole);
	else
		handover_recover_unknown(&m->r.h, v != NULL);
	m->lacks = m->found.kind && !whole;
	if (m->found.kind == HANDOVER_ARRIVING && strcmp(was.peer, m->found.peer) != 0 &&
	    memcmp(was.h.gone, none, sizeof(none)) != 0)
		m->away = was;
	/* what the record says may be another host */
	if (m->found.kind && !same)
		m->r.ak.n = 0;
	if (m->found.kind)
		strcpy(m->r.peer, m->found.peer);
	if (m->r.h.state == HANDOVER_STRAY)
		move_set_why(m, STRAY_TEXT);
}

static void recover_move(struct move *m)
{
	const struct handover was = m->r.h;

	compare_record(m);
	if (m->r.h.state == was.state &&
	    !memcmp(m->r.h.txid, was.txid, sizeof(was.txid))) {
		if (m->pends)
			move_resume_one(m);
		return;
	}
	json_array_clear(m->outbox);
	/* there is nothing of it, and anybody may write such records */
	if (!m->has_entry && !move_vtpm(m))
		return;
	log_line(
		LOG_WARNING,
		"handover of %s with %s: %s, as the host's TPM knows; its record says %s",
		m->r.name, m->r.peer, handover_word(m->r.h.state),
		handover_word(was.state));
	if (crypt_random(m->nonce, sizeof(m->nonce)))
		log_line(LOG_ERR, "there are no random numbers for the handover of %s",
			 m->r.name);
	move_resume_one(m);
}

void move_know_marks(struct vtpmd *d)
{
	struct move *m;
	struct vtpm *v;

	/* without an anchor the records alone count */
	for (m = anchor_is_off(d->anchor) ? d->moves : NULL; m; m = m->next)
		if (m->pends)
			move_resume_one(m);
	if (d->marks_known || !anchor_is_known(d->anchor))
		return;
	d->marks_known = true;
	anchor_each(d->anchor, d, make_marked);
	for (m = d->moves; m; m = m->next)
		/* what was heard since vtpmd started counts */
		if (!m->stepped)
			recover_move(m);
	for (m = d->moves; m; m = m->next) {
		move_forget_later(m);
		if (!m->stepped && !m->found.kind)
			move_settle_found(m);
	}
	for (v = d->vtpms; v; v = v->next)
		if (peer_is_greeted(v->peer))
			move_on_resumed(v);
}

void move_on_anchored(struct vtpmd *d)
{
	struct move *m;

	move_know_marks(d);
	for (m = d->moves; m; m = m->next) {
		move_settle(m);
		move_answer(m);
	}
}

/* What is not recorded is this host's, and what was frozen goes on.  One that runs already
 * does not mind. */
void move_on_resumed(struct vtpm *v)
{
	const struct move *m;
	const uint8_t step = CHANNEL_MOVE_ACTIVATE;

	/* until it is known what the TPM has of it, which comes here again */
	move_know_marks(v->d);
	if (!anchor_is_known(v->d->anchor) && !anchor_is_off(v->d->anchor))
		return;
	m = move_find(v->d, v->meta.uuid);
	if (!m || handover_runs(&m->r.h))
		peer_event_with(v->peer, CHANNEL_EVENT_MOVE, &step, 1);
}
