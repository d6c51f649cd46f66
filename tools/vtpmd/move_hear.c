/* SPDX-License-Identifier: Apache-2.0 */
/* What another host says of a vTPM that moves. */
#include "lib/text.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/store_etcd.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#define IN(state) (1u << HANDOVER_##state)
/* Of an ACCEPT's body: key, proof, label and lengths (lib/move.h). */
#define BODY_MAX (MOVE_KEY_MAX + MOVE_ACCEPT_MAX + 64)

static bool hears_in(const struct move *m, unsigned int states)
{
	return states >> m->r.h.state & 1;
}

static int take_export(struct move *m, struct binding_part body)
{
	struct move_parcel parcel;
	int rc = move_parcel_decode(body.p, body.n, &parcel);

	if (!rc)
		rc = move_keep_bytes(&m->export, parcel.sealed.p, parcel.sealed.n);
	return rc ? rc : move_keep_bytes(&m->board, parcel.board.p, parcel.board.n);
}

/* What a record says of a vTPM counts as far as that is there: one that was deleted may come
 * again, and one that was made again is this host's. */
static void compare_here(struct move *m, uint8_t kind)
{
	static const uint8_t none[HANDOVER_TXID_SIZE];

	if (kind == HANDOVER_MSG_OFFER &&
	    hears_in(m, IN(HERE) | IN(TAKEN) | IN(OWNED) | IN(UNSURE) | IN(STRAY)) &&
	    !move_vtpm(m))
		m->r.h.state = memcmp(m->r.h.gone, none, sizeof(none)) ? HANDOVER_AWAY
								       : HANDOVER_ABSENT;
	else if (move_is_own(m))
		m->r.h.state = HANDOVER_HERE;
}

/* An OFFER, to a host that has nothing of the vTPM.  Why it is refused; NULL: *rc tells whether
 * it was taken in. */
static const char *hear_offer(struct move *m, const char *peer,
			      const struct move_message *msg, int *rc)
{
	struct move_record was;
	const char *why;

	/* another host of the pool would start what is only prepared, when this one is away */
	if (store_etcd_is(m->d->store))
		return "Its vTPMs are in a pool's etcd, into which none moves from another "
		       "host's folder.";
	if (move_vtpm(m))
		return "What it was here is still being erased: try again.";
	/* one that is heard again */
	if (!memcmp(msg->txid, m->r.h.txid, sizeof(msg->txid)))
		return NULL;
	why = move_old_pool(m->d);
	why = why ? why : move_limit_take(m->d, peer);
	if (why)
		return why;
	move_recall_away(m);
	was = m->r;
	*rc = move_take_offer(m, msg->body.p, msg->body.n);
	if (*rc)
		return NULL;
	m->away = was;
	if (was.h.state != HANDOVER_AWAY || !strcmp(was.peer, peer))
		m->away.peer[0] = '\0';
	/* what waits is for the host with which it was */
	if (move_is_with_other(m, peer))
		json_array_clear(m->outbox);
	/* an earlier transfer's is no reason of this one's */
	m->why[0] = '\0';
	snprintf(m->r.peer, sizeof(m->r.peer), "%s", peer);
	move_note_other(m);
	return NULL;
}

/* Whether it answers what was asked by an earlier vtpmd, or in an earlier doubt. */
static bool is_late_answer(const struct move *m, const struct move_message *msg)
{
	return msg->kind == HANDOVER_MSG_KEPT &&
	       (msg->body.n != sizeof(m->nonce) ||
		memcmp(msg->body.p, m->nonce, sizeof(m->nonce)) != 0);
}

/* What the other host says is of its own vTPMs, and what it has somebody type is typed there. */
static void quote_peer(struct move *m, struct binding_part said)
{
	int n = snprintf(m->why, sizeof(m->why), "%s says: ", m->r.peer);

	text_clean(m->why + n, sizeof(m->why) - (size_t)n, said.p, said.n);
}

/* The body of a message that this state has a use for. */
static int take_body(struct move *m, const struct move_message *msg)
{
	/* a manager gets it in one frame, with OFFER and list of hosts, and ends at one that is longer
	 * than frames are */
	if (msg->kind == HANDOVER_MSG_ACCEPT && msg->body.n > BODY_MAX)
		return -EBADMSG;
	if (msg->kind == HANDOVER_MSG_ACCEPT && hears_in(m, IN(OFFERED)))
		return move_keep_bytes(&m->accept, msg->body.p, msg->body.n);
	if (msg->kind == HANDOVER_MSG_EXPORT && hears_in(m, IN(ACCEPTED)))
		return take_export(m, msg->body);
	if (msg->kind == HANDOVER_MSG_ASK && msg->body.n != sizeof(m->question))
		return -EBADMSG;
	if (msg->kind == HANDOVER_MSG_ASK)
		memcpy(m->question, msg->body.p, sizeof(m->question));
	if (msg->kind == HANDOVER_MSG_REFUSE &&
	    !memcmp(msg->txid, m->r.h.txid, sizeof(msg->txid)))
		quote_peer(m, msg->body);
	return 0;
}

#define TWO_RUN                                                                      \
	"Both hosts run it, as separate TPMs: keep the one that its guest has, and " \
	"`vtpmctl delete` the other."

/* Said once: the other host says so again and again, and what else it says has no part in that. */
static void tell_contest(struct move *m, const struct move_message *msg)
{
	const struct handover_event ev = {(enum handover_kind)msg->kind, msg->txid};

	if (!handover_contests(&m->r.h, &ev))
		return;
	move_set_why(m, TWO_RUN);
	if (m->contested)
		return;
	m->contested = true;
	log_line(LOG_CRIT, "%s was taken here, or released by %s, and is there, too: %s",
		 m->r.name, m->r.peer, m->why);
}

bool move_is_with_other(const struct move *m, const char *peer)
{
	return m->r.peer[0] && strcmp(m->r.peer, peer) != 0;
}

/* Whether its sender waits for an answer, and has that in no other way. */
static bool is_question(const struct move_message *msg)
{
	static const enum handover_kind questions[] = {
		HANDOVER_MSG_RELEASED,	HANDOVER_MSG_ACCEPT, HANDOVER_MSG_PREPARED,
		HANDOVER_MSG_ACTIVATED, HANDOVER_MSG_BACK,   HANDOVER_MSG_ASK,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(questions); i++)
		if (questions[i] == (enum handover_kind)msg->kind)
			return true;
	return false;
}

/* A host offers what is here already, or moves between this one and another. */
static int refuse_twin(const struct move *m, const struct move_message *msg,
		       json_t *apart)
{
	static const char why[] =
		"It is here already, or was: see `vtpmctl list` and `vtpmctl "
		"migrate --moved` here.";
	struct move_bytes body = {(uint8_t *)why, sizeof(why) - 1};
	json_t *refusal = move_encode(m, HANDOVER_MSG_REFUSE, msg->txid, body);

	return json_array_append_new(apart, refusal) ? -ENOMEM : 0;
}

static int refuse_again(const struct move *m, const struct move_message *msg,
			json_t *apart)
{
	struct move_bytes body = {(uint8_t *)m->why, strlen(m->why)};
	json_t *refusal = move_encode(m, HANDOVER_MSG_REFUSE, msg->txid, body);

	if (!body.n)
		return refuse_twin(m, msg, apart);
	return json_array_append_new(apart, refusal) ? -ENOMEM : 0;
}

/* A host with which the vTPM is in no transfer now, and that asks about an earlier one: in which it
 * had moved there; or that was called off, which that host did not hear.  It is told of that alone,
 * and nothing is changed. */
static int hear_former(struct move *m, const struct move_message *msg, json_t *apart)
{
	const struct handover_event ev = {(enum handover_kind)msg->kind, msg->txid};
	const struct move_bytes none = {NULL, 0};
	bool is_current = !memcmp(msg->txid, m->r.h.txid, sizeof(msg->txid));
	bool is_gone = !memcmp(msg->txid, m->r.h.gone, sizeof(msg->txid));
	struct handover_todo todo;
	struct handover h;
	size_t i;

	/* of whose move it is in it is told nothing */
	if (!is_current && !is_gone && msg->kind == HANDOVER_MSG_OFFER)
		return refuse_twin(m, msg, apart);
	/* one that was refused, which its host has not heard yet: of why that was so no other one is told */
	if (is_current && msg->kind == HANDOVER_MSG_OFFER)
		return refuse_again(m, msg, apart);
	if (is_current && msg->kind == HANDOVER_MSG_ABORT)
		return 0;
	/* it is over for both: a source says so again before it forgets it */
	if (!is_current && !is_gone && msg->kind == HANDOVER_MSG_DONE)
		return 0;
	if (!is_gone && (!is_question(msg) || is_current))
		return -EPERM;
	move_forget_later(m);
	move_note_facts(m);
	h = m->r.h;
	if (handover_step(&h, &ev, &todo) || h.state != m->r.h.state)
		return -EPERM;
	for (i = 0; i < todo.n; i++)
		if (todo.item[i].act == HANDOVER_SEND)
			(void)!json_array_append_new(
				apart,
				move_encode(m, todo.item[i].message, todo.txid, none));
	return 0;
}

static void refuse_offer(struct move *m, const char *peer, const struct move_message *msg,
			 const char *why, json_t *apart)
{
	struct move_bytes body = {(uint8_t *)why, strlen(why)};

	if (move_is_with_other(m, peer)) {
		(void)!json_array_append_new(
			apart, move_encode(m, HANDOVER_MSG_REFUSE, msg->txid, body));
		return;
	}
	move_set_why(m, why);
	move_send(m, HANDOVER_MSG_REFUSE, msg->txid);
	move_answer(m);
}

/* Whether it is an OFFER of a new transfer, to a host that has nothing of the vTPM. */
static bool is_new_offer(const struct move *m, const char *peer,
			 const struct move_message *msg)
{
	if (msg->kind != HANDOVER_MSG_OFFER || !hears_in(m, IN(ABSENT) | IN(AWAY)))
		return false;
	return !move_is_with_other(m, peer) ||
	       (memcmp(msg->txid, m->r.h.txid, sizeof(msg->txid)) != 0 &&
		memcmp(msg->txid, m->r.h.gone, sizeof(msg->txid)) != 0);
}

/* The other host's message, that the transport says is the peer's. */
int move_hear(struct vtpmd *d, const char *peer, const struct move_message *msg,
	      json_t *apart)
{
	struct move_record fresh = {.h.state = HANDOVER_ABSENT};
	struct move *m = move_find(d, msg->uuid);
	enum handover_state before;
	const char *why = NULL;
	int rc = 0;

	/* who sends anything else wants what only this host's operator, manager or TPM may say */
	if (!handover_is_message((enum handover_kind)msg->kind))
		return -EBADMSG;
	memcpy(fresh.uuid, msg->uuid, sizeof(fresh.uuid));
	if (!m)
		m = move_new(d, &fresh);
	if (!m)
		return -ENOSPC;
	if (m->unread)
		return m->unread;
	compare_here(m, msg->kind);
	if (is_new_offer(m, peer, msg))
		why = hear_offer(m, peer, msg, &rc);
	else if (move_is_with_other(m, peer))
		return hear_former(m, msg, apart);
	else if (move_is_deaf(m))
		return -EKEYREJECTED;
	if (why) {
		refuse_offer(m, peer, msg, why, apart);
		return 0;
	}
	if (is_late_answer(m, msg))
		return 0;
	if (!rc)
		rc = take_body(m, msg);
	if (rc)
		return rc;
	move_forget_later(m);
	tell_contest(m, msg);
	before = m->r.h.state;
	rc = move_step(m, (enum handover_kind)msg->kind, msg->txid);
	/* until then it can have it given back, and send it again */
	if (msg->kind == HANDOVER_MSG_DONE && before != HANDOVER_HERE &&
	    hears_in(m, IN(HERE)))
		move_limit_return(peer);
	/* who offers anew has given up the last transfer: it is asked to say so */
	if (!rc && msg->kind == HANDOVER_MSG_OFFER &&
	    memcmp(msg->txid, m->r.h.txid, sizeof(msg->txid)) != 0)
		rc = move_step(m, HANDOVER_TICK, NULL);
	return rc;
}
