/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/move.h"
#include "lib/crypt.h"
#include "lib/move.h"
#include "lib/text.h"
#include "lib/tpm2/marshal.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/registry.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN(state) (1u << HANDOVER_##state)
/* For the TPM on the board of an HVM guest. */
#define BOARD_LOOKS 500
#define GUEST_LOOKS \
	2400 /* 120 s, in which xl makes its devices, a device model among them */
/* The same, while its source's connection is there: the last of its memory comes before. */
#define CARRIED_LOOKS (4 * 3600 * 20)
static void on_board_ready(evutil_socket_t fd, short what, void *ctx);

static const struct timeval soon, board_every = {.tv_usec = 10000},
				  guest_every = {.tv_usec = 50000};
/* With what its guest does not wait for. */
static const struct timeval audit_after = {.tv_sec = 10};
static const struct timeval erase_pause = {.tv_sec = MOVE_ERASE_AGAIN_S};

static struct move *of_move_node(const struct tree_node *n)
{
	return n ? TREE_OF(n, struct move, by_uuid) : NULL;
}

static int compare_moves(const void *key, const struct tree_node *n)
{
	return memcmp(key, of_move_node(n)->r.uuid, sizeof(of_move_node(n)->r.uuid));
}

struct move *move_find(struct vtpmd *d, const uint8_t uuid[16])
{
	return of_move_node(tree_find(d->moves_by_uuid, uuid, compare_moves));
}

struct vtpm *move_vtpm(const struct move *m)
{
	return vtpms_find_uuid(m->d, m->r.uuid);
}

static bool is_in(const struct move *m, unsigned int states)
{
	return states >> m->r.h.state & 1;
}

int move_keep_bytes(struct move_bytes *b, const void *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, p, n);
	free(b->p);
	*b = (struct move_bytes){copy, n};
	return 0;
}

void move_drop_bytes(struct move_bytes *b)
{
	free(b->p);
	*b = (struct move_bytes){NULL, 0};
}

void move_set_why(struct move *m, const char *text)
{
	text_clean(m->why, sizeof(m->why), text, strlen(text));
}

/* Why a message is refused that came of no reason of this host's: by what is here. */
static const char *refusal_of(struct move *m)
{
	const struct vtpm *v = move_vtpm(m);

	if (handover_is_empty(&m->r.h))
		return "Nothing of it is here any more, as vtpmd began anew here, or gave up: "
		       "move it again.";
	if (v && handover_runs(&m->r.h) && !is_in(m, IN(OWNED))) {
		snprintf(m->said, sizeof(m->said),
			 "It is here already, as %s: keep the one of the two that its "
			 "guest has, and `vtpmctl delete` the other.",
			 v->meta.name);
		return m->said;
	}
	if (handover_runs(&m->r.h) || is_in(m, IN(UNSURE) | IN(STRAY)))
		return "It is here already: see `vtpmctl show` here.";
	return "It is in another move here: see `vtpmctl show` here.";
}

/* The body of a message that is sent. */
static struct move_bytes body_of(struct move *m, enum handover_kind message,
				 const uint8_t txid[HANDOVER_TXID_SIZE])
{
	bool is_current = !memcmp(txid, m->r.h.txid, sizeof(m->r.h.txid));
	const char *why;

	switch (message) {
	case HANDOVER_MSG_OFFER:
		return m->offer;
	case HANDOVER_MSG_ACCEPT:
		return m->accept;
	case HANDOVER_MSG_EXPORT:
		return m->export;
	case HANDOVER_MSG_ASK:
		return (struct move_bytes){m->nonce, sizeof(m->nonce)};
	case HANDOVER_MSG_KEPT:
		return (struct move_bytes){m->question, sizeof(m->question)};
	case HANDOVER_MSG_REFUSE:
		/* of one that this host has, m->why is of its own transfer */
		why = m->why[0] && (is_current || handover_is_empty(&m->r.h))
			      ? m->why
			      : refusal_of(m);
		return (struct move_bytes){(uint8_t *)why, strlen(why)};
	default:
		return (struct move_bytes){NULL, 0};
	}
}

json_t *move_encode(const struct move *m, enum handover_kind message,
		    const uint8_t txid[HANDOVER_TXID_SIZE], struct move_bytes body)
{
	struct move_message out = {.kind = (uint8_t)message, .body = {body.p, body.n}};
	size_t len = body.n + 64;
	uint8_t *bytes = malloc(len);
	json_t *text = NULL;
	char *hex = NULL;

	memcpy(out.txid, txid, sizeof(out.txid));
	memcpy(out.uuid, m->r.uuid, sizeof(out.uuid));
	if (bytes && !move_message_encode(&out, bytes, &len))
		hex = malloc(2 * len + 1);
	if (hex) {
		hex_encode(bytes, len, hex);
		text = json_string(hex);
	}
	free(hex);
	free(bytes);
	return text;
}

void move_send(struct move *m, enum handover_kind message,
	       const uint8_t txid[HANDOVER_TXID_SIZE])
{
	/* what nobody fetches is sent again with the next TICK */
	if (json_array_size(m->outbox) >= MOVE_OUTBOX_MAX)
		(void)json_array_remove(m->outbox, 0);
	/* it is sent again anyway */
	(void)!json_array_append_new(
		m->outbox, move_encode(m, message, txid, body_of(m, message, txid)));
}

static void tell_manager(struct move *m, enum channel_move step, const void *bytes,
			 size_t len)
{
	struct vtpm *v = move_vtpm(m);
	uint8_t *out = len < CHANNEL_PAYLOAD_MAX ? malloc(len + 1) : NULL;

	if (out && v && peer_is_greeted(v->peer)) {
		out[0] = (uint8_t)step;
		if (len)
			memcpy(out + 1, bytes, len);
		peer_event_with(v->peer, CHANNEL_EVENT_MOVE, out, len + 1);
	} else {
		m->lost = true;
		move_set_why(m, "its manager does not run");
	}
	free(out);
}

static void put_long(struct cursor *w, struct move_bytes b)
{
	cursor_put_u32(w, (uint32_t)b.n);
	cursor_put(w, b.p, b.n);
}

static void ask_judge(struct move *m)
{
	struct move_bytes pool = {NULL, 0};
	struct cursor w;
	uint8_t *out;
	size_t len;

	/* without one the manager judges, and refuses */
	(void)!move_read_pool(m->d, &pool);
	len = 12 + pool.n + m->offer.n + m->accept.n;
	out = malloc(len);
	w = cursor_writer(out, out ? len : 0);
	put_long(&w, pool);
	put_long(&w, m->offer);
	put_long(&w, m->accept);
	tell_manager(m, CHANNEL_MOVE_JUDGE, out, w.pos);
	free(out);
	move_drop_bytes(&pool);
}

/* It is this host's: what guests it may have is as ever. */
static void end_arrival(struct vtpm *v)
{
	if (!v->guests.arrives)
		return;
	guests_arrive(&v->guests, false, NULL);
}

/* Its manager runs and waits; or is started as after a crash. */
static void have_it_run(struct move *m, enum channel_move step)
{
	struct error e = {.cause = CAUSE_NONE};
	struct vtpm *v = move_vtpm(m);

	if (!v)
		return;
	end_arrival(v);
	if (peer_is_greeted(v->peer))
		tell_manager(m, step, NULL, 0);
	else if (vtpm_is(v, VTPM_DOWN) && v->meta.wanted && vtpm_start(v, &e))
		log_about(LOG_ERR, VTPM_ABOUT(v), "%s", e.text);
}

static void erase_later(struct move *m)
{
	move_drop_bytes(&m->export);
	move_drop_bytes(&m->board);
	event_add(m->erase, &soon);
}

static void make_incoming(struct move *m)
{
	struct error e = {.cause = CAUSE_NONE};

	if (m->lost || !move_create(m, &e))
		return;
	move_set_why(m, e.text);
	m->lost = true;
}

/* Returns whether what follows may be done. */
static bool do_one(struct move *m, const struct handover_todo *todo, size_t i,
		   enum handover_state before)
{
	switch (todo->item[i].act) {
	case HANDOVER_STORE:
		/* behind a crash the next record has no line written of the last one */
		if (!is_in(m, IN(PREPARED) | IN(RELEASED) | IN(OWNED)))
			move_audit_now(m);
		return move_store_record(m, before);
	case HANDOVER_SEND:
		move_send(m, todo->item[i].message, todo->txid);
		break;
	case HANDOVER_JUDGE:
		ask_judge(m);
		break;
	case HANDOVER_FREEZE:
		tell_manager(m, CHANNEL_MOVE_FREEZE, NULL, 0);
		break;
	case HANDOVER_THAW:
		have_it_run(m, CHANNEL_MOVE_THAW);
		break;
	case HANDOVER_ACTIVATE:
		have_it_run(m, CHANNEL_MOVE_ACTIVATE);
		break;
	case HANDOVER_DEACTIVATE:
		tell_manager(m, CHANNEL_MOVE_DEACTIVATE, NULL, 0);
		break;
	case HANDOVER_IMPORT:
		tell_manager(m, CHANNEL_MOVE_IMPORT, m->export.p, m->export.n);
		break;
	case HANDOVER_MAKE:
		make_incoming(m);
		break;
	case HANDOVER_WIPE:
		erase_later(m);
		break;
	case HANDOVER_MARK:
		move_mark_giving(m);
		break;
	}
	return true;
}

/* false: the record, which comes first, was not written, and nothing was done. */
static bool do_all(struct move *m, const struct handover_todo *todo,
		   enum handover_state before)
{
	bool done = true;

	for (size_t i = 0; done && i < todo->n; i++)
		done = do_one(m, todo, i, before);
	return done;
}

/* While a guest stands still that is not waited for: it follows after a while, with the next state
 * that is not on its guest's way, or when vtpmd ends; after a crash the record has it written. */
void move_audit_now(struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	event_del(m->audit);
	if (v && m->entry[0])
		vtpm_audit(v, "migrate", m->entry);
	m->entry[0] = '\0';
}

static void on_audit(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;

	move_audit_now(m);
	/* else it is as good, until it is damaged */
	if (move_settle_record(m))
		event_add(m->audit, &audit_after);
}

/* Both hosts' audit logs name one transfer. */
static void audit_state(struct move *m, const char *how)
{
	char hex[2 * HANDOVER_TXID_SIZE + 1];

	if (!is_in(m, IN(CONFIRMED)))
		move_audit_now(m);
	/* for its record alone */
	if (is_in(m, IN(PREPARED)))
		event_add(m->audit, &audit_after);
	if (!is_in(m, IN(RELEASED) | IN(OWNED) | IN(TAKEN)))
		return;
	hex_encode(m->r.h.txid, sizeof(m->r.h.txid), hex);
	snprintf(m->entry, sizeof(m->entry), "%s %s, transfer %s%s",
		 is_in(m, IN(RELEASED)) ? "to"
		 : is_in(m, IN(OWNED))	? "from"
					: "taken, without",
		 m->r.peer, hex, how);
	if (is_in(m, IN(TAKEN)))
		move_audit_now(m);
	else
		event_add(m->audit, &audit_after);
}

static void tell_of_state(struct move *m, enum handover_state before)
{
	if (before == m->r.h.state)
		return;
	log_line(LOG_NOTICE, "handover of %s with %s: %s, after %s%s%s", m->r.name,
		 m->r.peer[0] ? m->r.peer : "another host", handover_word(m->r.h.state),
		 handover_word(before), m->why[0] ? ": " : "", m->why);
	audit_state(m, "");
}

/* What waits for the state that was, and what is to be done in the one that is. */
static void end_step(struct move *m, enum handover_state before)
{
	if (before != m->r.h.state) {
		m->stepped = true;
		m->contested = m->over = false;
	}
	/* an operator's taking that was cut off had its mark taken away */
	if (before == HANDOVER_DOUBT && is_in(m, IN(RELEASED)))
		move_set_mark(m, HANDOVER_LEAVING);
	if (before != m->r.h.state && (IN(JUDGING) | IN(YIELDING)) >> before & 1) {
		waiter_cancel(&m->anchored);
		m->holds = false;
	}
	if (m->forgets && !handover_is_empty(&m->r.h)) {
		waiter_cancel(&m->anchored);
		m->forgets = false;
	}
	if (!handover_is_empty(&m->r.h))
		m->erased = false;
	if (handover_runs(&m->r.h))
		m->away.peer[0] = '\0';
	/* who waits is told first */
	if (!m->client)
		move_recall_away(m);
	move_make_room(m);
	move_give_room_back(m);
	move_unmark_later(m);
	move_watch(m);
}

/* What could not be recorded has not happened: a message is sent again until it is answered, and
 * what this host decides, or its manager says, has it go on as if it had failed. */
static void undo_step(struct move *m, const struct handover *was, enum handover_kind kind)
{
	m->r.h = *was;
	m->lost = kind == HANDOVER_IMPORTED;
	move_set_why(m, MOVE_NOT_WRITTEN);
}

int move_step(struct move *m, enum handover_kind kind, const uint8_t *txid)
{
	const struct handover_event ev = {kind, txid}, lost = {HANDOVER_LOST, NULL};
	enum handover_state before = m->r.h.state;
	struct handover_todo todo;
	struct handover was;
	int rc;

	move_note_facts(m);
	was = m->r.h;
	rc = handover_step(&m->r.h, &ev, &todo);
	if (!rc && !do_all(m, &todo, before)) {
		undo_step(m, &was, kind);
		if (kind == HANDOVER_COMMIT)
			return move_step(m, HANDOVER_CANCEL, NULL);
	}
	tell_of_state(m, before);
	end_step(m, before);
	/* what a manager was to be told, and cannot be */
	if (m->lost) {
		m->lost = false;
		before = m->r.h.state;
		if (!handover_step(&m->r.h, &lost, &todo))
			(void)do_all(m, &todo, before);
		end_step(m, before);
		m->lost = false;
	} else if (before != m->r.h.state &&
		   (kind == HANDOVER_MSG_DONE || kind == HANDOVER_MSG_GONE)) {
		m->over = true;
		move_settle(m);
	}
	move_answer(m);
	return rc;
}

/* What a disk does not let go of now is tried until it does, and is said once. */
static void erase_again(struct move *m, int rc, const struct error *e)
{
	if (!rc && m->erase_fails)
		log_line(LOG_NOTICE, "%s, which moved, is erased now", m->r.name);
	else if (rc && !m->erase_fails)
		log_line(LOG_ERR,
			 "%s, which moved, is not erased, which is tried again: %s",
			 m->r.name, e->text[0] ? e->text : strerror(-rc));
	m->erase_fails = rc != 0;
	if (rc)
		event_add(m->erase, &erase_pause);
}

static void on_erased(void *ctx, const struct error *none)
{
	struct move *m = ctx;

	m->waits = false;
	event_add(m->erase, &soon);
}

/* Not in the midst of what the vTPM itself does. */
static void on_erase(evutil_socket_t fd, short what, void *ctx)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move *m = ctx;
	struct vtpm *v = move_vtpm(m);
	int rc = 0;

	if (m->pends) {
		(void)anchor_want(m->d->anchor);
		move_know_marks(m->d);
		return;
	}
	if (m->waits || !handover_is_empty(&m->r.h))
		return;
	/* it has come into the pool from elsewhere, and is there for all of its hosts */
	if (v && store_is_leased(&v->store)) {
		log_line(
			LOG_NOTICE,
			"%s is in the pool, and is not erased: it had moved away from this "
			"host's folder",
			m->r.name);
		move_answer(m);
		return;
	}
	if (v && !vtpm_is(v, VTPM_DOWN)) {
		m->waits = true;
		m->waiter = (struct waiter){.done = on_erased, .ctx = m};
		if (!vtpm_is(v, VTPM_LEAVING))
			rc = vtpm_stop(v, &e);
		waiter_add(&v->waiters, &m->waiter);
	} else if (v) {
		rc = registry_remove(v, &e);
	} else {
		rc = registry_sweep(m->d, m->r.uuid);
		/* somebody took its description away: nothing tells what it is */
		rc = rc == -EEXIST ? 0 : rc;
	}
	if (!rc && !move_vtpm(m) && is_in(m, IN(ABSENT))) {
		rc = move_record_remove(m->d->folder, m->r.uuid);
		m->recorded &= rc != 0;
	}
	erase_again(m, rc, &e);
	m->erased = !rc && !move_vtpm(m);
	move_forget_later(m);
	move_answer(m);
}

/* After the reply to its HELLO. */
static void on_greet(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;

	if (is_in(m, IN(INCOMING)))
		tell_manager(m, CHANNEL_MOVE_OFFER, m->offer.p, m->offer.n);
}

static void free_move(struct move *m)
{
	if (m->carrier)
		m->carrier->carries = NULL;
	move_drop_bytes(&m->offer);
	move_drop_bytes(&m->accept);
	move_drop_bytes(&m->export);
	move_drop_bytes(&m->board);
	move_drop_bytes(&m->ek);
	move_drop_bytes(&m->launch);
	json_decref(m->outbox);
	event_free(m->erase);
	event_free(m->late);
	event_free(m->greet);
	event_free(m->calm);
	event_free(m->ready);
	event_free(m->watch);
	event_free(m->unmark);
	event_free(m->audit);
	free(m);
}

/* Otherwise another host's messages about vTPMs that nobody has would be kept for ever.  All are
 * looked at when there are twice as many as were kept the last time, so that each costs a look
 * or two, however many there are. */
static void drop_spare(struct vtpmd *d, bool full)
{
	struct move **at = &d->moves, *m;

	if (d->move_count < MOVES_MAX && d->move_count < 2 * d->moves_kept + MOVES_IDLE)
		return;
	while ((m = *at)) {
		if (!move_is_spare(m, full)) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		tree_remove(&d->moves_by_uuid, m->r.uuid, &m->by_uuid, compare_moves);
		waiter_cancel(&m->anchored);
		free_move(m);
		d->move_count--;
	}
	d->moves_kept = d->move_count;
}

struct move *move_new_marked(struct vtpmd *d, const struct move_record *r)
{
	struct move *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->d = d;
	m->r = *r;
	m->outbox = json_array();
	m->erase = evtimer_new(d->base, on_erase, m);
	m->late = evtimer_new(d->base, move_on_late, m);
	m->greet = evtimer_new(d->base, on_greet, m);
	m->calm = evtimer_new(d->base, move_on_calm, m);
	m->ready = evtimer_new(d->base, on_board_ready, m);
	m->watch = evtimer_new(d->base, move_on_watch, m);
	m->unmark = evtimer_new(d->base, move_on_unmark, m);
	m->audit = evtimer_new(d->base, on_audit, m);
	if (!m->outbox || !m->erase || !m->late || !m->greet || !m->calm || !m->ready ||
	    !m->watch || !m->unmark || !m->audit) {
		free(m);
		return NULL;
	}
	m->next = d->moves;
	d->moves = m;
	d->move_count++;
	tree_add(&d->moves_by_uuid, m->r.uuid, &m->by_uuid, compare_moves);
	return m;
}

struct move *move_new(struct vtpmd *d, const struct move_record *r)
{
	drop_spare(d, false);
	if (d->move_count >= MOVES_MAX)
		drop_spare(d, true);
	return d->move_count < MOVES_MAX ? move_new_marked(d, r) : NULL;
}

/* Its manager may have stored all, and vtpmd not have heard of that: what its description says is of
 * the offer then. */
static void describe_found(struct move *m, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};

	m->is_copy = v->meta.is_copy;
	memcpy(m->copy_of, v->meta.copy_of, sizeof(m->copy_of));
	if (move_describe(m, v, &e)) {
		log_about(LOG_ERR, VTPM_ABOUT(v), "%s", e.text);
		move_set_why(m, e.text);
		return;
	}
	vtpm_keep_meta(v);
}

void move_resume_one(struct move *m)
{
	enum handover_state before = m->r.h.state;
	struct handover_todo todo;
	size_t i;

	m->pends = false;
	move_note_facts(m);
	/* what it was to be told of may have been lost with the crash */
	if (is_in(m, IN(RELEASED) | IN(OWNED)))
		audit_state(m, ", as its record says");
	/* an earlier vtpmd may have left an older record beside it */
	if (!is_in(m, IN(HERE) | IN(TAKEN) | IN(ABSENT) | IN(AWAY)))
		event_add(m->audit, &audit_after);
	if (move_vtpm(m))
		move_describe_come(m, move_vtpm(m));
	handover_restart(&m->r.h, &todo);
	if (move_vtpm(m) && is_in(m, IN(PREPARED)))
		describe_found(m, move_vtpm(m));
	if (move_vtpm(m) && is_in(m, IN(PREPARED) | IN(BACK) | IN(UNSURE)))
		guests_arrive(&move_vtpm(m)->guests, true, NULL);
	/* what is not recorded is not told: TICK does it again */
	for (i = 0; i < todo.n; i++)
		if (todo.item[i].act != HANDOVER_ACTIVATE && !do_one(m, &todo, i, before))
			return;
	move_recall_away(m);
}

/* A vTPM that may run was started by registry_load().  Nothing is erased before it is known what
 * the host's TPM has of it. */
void move_resume(struct vtpmd *d)
{
	struct move *m;

	for (m = d->moves; m; m = m->next) {
		m->pends = is_in(m, IN(INCOMING) | IN(ABSENT) | IN(AWAY));
		if (m->pends)
			event_add(m->erase, &soon);
		else
			move_resume_one(m);
	}
}

void move_end(struct vtpmd *d)
{
	struct move *m;

	while ((m = d->moves)) {
		d->moves = m->next;
		free_move(m);
	}
	d->moves_by_uuid = NULL;
	d->move_count = d->moves_kept = 0;
}

void move_on_hello(struct vtpm *v)
{
	struct move *m = move_find(v->d, v->meta.uuid);

	if (m && move_is_incoming(v))
		event_add(m->greet, &soon);
}

/* What the destination's manager stored is of these keys. */
static void take_identity(struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	if (v && m->ek.n && identity_take(&v->meta, m->ek.p, m->ek.n) < 0)
		log_about(LOG_WARNING, VTPM_ABOUT(v),
			  "the endorsement keys that its last host told are not its");
}

/* What its description says of one that is whole is written before its guest stands still: without a
 * state it is none all the same (move_whole.c). */
static void describe_whole(struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	if (!v || !v->meta.creating)
		return;
	take_identity(m);
	v->meta.creating = false;
	v->meta.is_copy = m->is_copy;
	memcpy(v->meta.copy_of, m->copy_of, sizeof(v->meta.copy_of));
	vtpm_keep_meta(v);
	/* its manager is not to use what another vTPM of this host has */
	v->meta.is_copy = false;
	v->meta.creating = true;
}

static void fail_import(struct move *m, const char *why)
{
	move_set_why(m, why);
	(void)!move_step(m, HANDOVER_LOST, NULL);
}

/* All is stored, and what the host's TPM has of it opens it after a power cut. */
static void end_import(struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	m->imported = false;
	if (v) {
		/* it is whole: from now on it is only ever opened */
		v->making = v->meta.creating = false;
		vtpm_keep_meta(v);
		anchor_note(m->d->anchor, v);
	}
	(void)!move_step(m, HANDOVER_IMPORTED, NULL);
}

static void look_at_board(struct move *m, unsigned int most, const char *why)
{
	if (++m->looks < most)
		event_add(m->ready, m->furnished ? &board_every : &guest_every);
	else
		fail_import(m, why);
}

/* An HVM guest that runs finds its TPM on its board: before anybody lets it.  xl may still be
 * making the guest's devices: then the manager has not adopted the guest yet. */
static void on_board_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;
	struct vtpm *v = move_vtpm(m);
	const char *why = "";

	if (!is_in(m, IN(IMPORTING)) || !v)
		return;
	if (!m->furnished && !move_guest_has_board(v)) {
		look_at_board(m, move_is_carried(m) ? CARRIED_LOOKS : GUEST_LOOKS,
			      "Its guest, which runs at the other host, did not come: "
			      "`vtpmctl migrate-receive`'s lines here say why.");
		return;
	}
	if (!m->furnished) {
		if (move_guest_give(v, &m->board, &why)) {
			fail_import(m, why);
			return;
		}
		m->furnished = true;
		m->looks = 0;
	}
	if (crb_is_ready(m->r.uuid))
		end_import(m);
	else
		look_at_board(m, BOARD_LOOKS,
			      "The TPM on the board of its guest did not get ready: see "
			      "vtpmd's log.");
}

static void furnish_guest(struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	if (!v || (!m->board.n && !move_guest_has_board(v))) {
		end_import(m);
		return;
	}
	m->furnished = false;
	m->looks = 0;
	event_active(m->ready, EV_TIMEOUT, 0);
}

static void on_import_anchored(void *ctx, const struct error *e)
{
	struct move *m = ctx;

	if (e) {
		fail_import(m, e->text);
		return;
	}
	m->is_anchored = true;
	if (m->imported)
		furnish_guest(m);
	else
		describe_whole(m);
}

/* Has the TPM take the header that is stored, and the epoch of this run. */
static void anchor_import(struct move *m, struct vtpm *v)
{
	m->is_anchored = false;
	m->header = store_seq(&v->store, CHANNEL_OBJECT_HEADER);
	move_set_mark(m, HANDOVER_ARRIVING);
	anchor_made(m->d->anchor, v);
	waiter_cancel(&m->anchored);
	m->anchored = (struct waiter){.done = on_import_anchored, .ctx = m};
	anchor_wait(m->d->anchor, &m->anchored);
}

/* The guest stands still: nothing more is asked of the TPM, unless the manager had to make
 * another header. */
static void take_imported(struct move *m, struct vtpm *v)
{
	bool is_other = store_seq(&v->store, CHANNEL_OBJECT_HEADER) != m->header;
	struct error e = {.cause = CAUSE_NONE};

	if (move_describe(m, v, &e)) {
		fail_import(m, e.text);
		return;
	}
	/* else that was done with the header */
	if (is_other || !m->is_anchored)
		take_identity(m);
	m->imported = true;
	if (is_other)
		anchor_import(m, v);
	else if (m->is_anchored)
		furnish_guest(m);
}

/* Its manager has its keys, and waits for the guest's memory to be copied. */
static void take_made(struct move *m, struct vtpm *v)
{
	m->imported = m->touched = m->stays = false;
	m->r.came = 0;
	event_del(v->timer);
	anchor_import(m, v);
}

/* What its manager sealed, and what of its TPM is in domain 0. */
static int keep_export(struct move *m, const uint8_t *bytes, size_t len)
{
	struct vtpm *v = move_vtpm(m);
	struct move_bytes board = {NULL, 0};
	size_t room = len + MOVE_BOARD_MAX + 8;
	uint8_t *out = malloc(room);
	int rc = out ? 0 : -ENOMEM;

	if (!rc && v)
		rc = move_guest_take(v, &board);
	if (!rc)
		rc = move_parcel_encode(
			&(struct move_parcel){{bytes, len}, {board.p, board.n}}, out,
			&room);
	move_drop_bytes(&board);
	if (rc) {
		free(out);
		move_set_why(
			m, "What of its TPM is on its guest's board could not be taken");
		return rc;
	}
	move_drop_bytes(&m->export);
	m->export = (struct move_bytes){out, room};
	return 0;
}

/* Whether nothing that was acknowledged is lost when the source goes on with what it had.  Of a
 * manager that has begun anew that is so if it found what had come. */
static bool is_as_it_came(struct move *m, const uint8_t *bytes, size_t len)
{
	struct cursor c = cursor_reader(bytes, len);
	uint8_t touch = cursor_u8(&c);
	uint64_t found = touch == MOVE_ANEW ? cursor_u64(&c) : 0;

	if (!cursor_done(&c))
		return false;
	m->touched = touch == MOVE_TOUCHED;
	m->stays = touch != MOVE_UNTOUCHED &&
		   !(touch == MOVE_ANEW && m->r.came && found == m->r.came);
	if (m->stays)
		move_set_why(m, move_stays(m));
	return !m->stays;
}

static enum handover_kind answer_of(struct move *m, uint8_t step, const uint8_t *bytes,
				    size_t len)
{
	struct vtpm *v = move_vtpm(m);

	switch (step) {
	case CHANNEL_MOVE_JUDGE:
		return HANDOVER_JUDGED_GOOD;
	case CHANNEL_MOVE_FREEZE:
		return keep_export(m, bytes, len) ? HANDOVER_LOST : HANDOVER_EXPORTED;
	case CHANNEL_MOVE_OFFER:
		if (v && is_in(m, IN(INCOMING)))
			take_made(m, v);
		return move_keep_bytes(&m->accept, bytes, len) ? HANDOVER_LOST
							       : HANDOVER_MADE;
	case CHANNEL_MOVE_DEACTIVATE:
		return is_as_it_came(m, bytes, len) ? HANDOVER_UNTOUCHED
						    : HANDOVER_TOUCHED;
	default:
		return HANDOVER_LOST;
	}
}

void move_on_peer(void *ctx, uint8_t step, uint32_t cause, const uint8_t *bytes,
		  size_t len)
{
	struct vtpm *v = ctx;
	struct move *m = move_find(v->d, v->meta.uuid);
	enum handover_kind kind;

	if (!m)
		return;
	if (cause) {
		text_clean(m->why, sizeof(m->why), bytes, len);
		kind = step == CHANNEL_MOVE_JUDGE ? HANDOVER_JUDGED_BAD : HANDOVER_LOST;
	} else if (step == CHANNEL_MOVE_IMPORT) {
		if (is_in(m, IN(IMPORTING)))
			take_imported(m, v);
		return;
	} else {
		kind = answer_of(m, step, bytes, len);
	}
	if (kind == HANDOVER_JUDGED_GOOD && is_in(m, IN(JUDGING))) {
		move_mark_leaving(m);
		return;
	}
	/* an answer that fits no state any more */
	(void)!move_step(m, kind, NULL);
}

void move_on_gone(struct vtpm *v)
{
	struct move *m = move_find(v->d, v->meta.uuid);

	if (!m)
		return;
	if (!m->holds && !m->forgets)
		waiter_cancel(&m->anchored);
	if (v->meta.error.cause)
		move_set_why(m, v->meta.error.text);
	else if (!m->why[0])
		move_set_why(m, v->meta.wanted
					? "its manager ended"
					: "it was stopped, which has ended the move");
	(void)!move_step(m, HANDOVER_LOST, NULL);
}

int move_bind(const struct vtpm *v, const uint8_t *request, size_t len, uint8_t *out,
	      size_t *out_len)
{
	const struct move *m = move_find(v->d, v->meta.uuid);
	const struct image *image = &v->body->image;
	struct cursor c = cursor_reader(request, len);
	struct move_binding b = {.manager = {image->manager, IMAGE_HASH_SIZE}};
	int rc;

	if (!m || cursor_u16(&c) != sizeof(b.key) || !image->known)
		return -EINVAL;
	cursor_copy(&c, b.key, sizeof(b.key));
	if (!cursor_done(&c))
		return -EINVAL;
	if (image->has_kernel)
		b.kernel = (struct binding_part){image->kernel, IMAGE_HASH_SIZE};
	memcpy(b.uuid, v->meta.uuid, sizeof(b.uuid));
	rc = crypt_sha256(&(struct crypt_part){m->offer.p, m->offer.n}, 1, b.offer);
	return rc ? rc : move_binding_encode(&b, out, out_len);
}
