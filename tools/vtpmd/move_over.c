/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handovers that are over.
 *
 * At the destination a record is of no use once the source has said that it is over (DONE, GONE),
 * and the host's TPM has no mark of it: the source has erased what it had, and its TPM knows, so
 * that it asks nothing more; and of a vTPM that is here, what no record says is what this one says.
 * So it goes by itself.
 *
 * At the source the record AWAY stays.  The destination may not have heard that it is over; and
 * when it has, nothing but this record tells that a backup which is restored here would be a second
 * one, for as long as there are backups, of which no host knows.  An operator knows: move_drop().
 */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <uuid/uuid.h>

#define IN(state) (1u << HANDOVER_##state)
/* In which this host waits for a word of the other one, and a crash leads there, too. */
#define WAITS                                                                 \
	(IN(RELEASED) | IN(CONFIRMED) | IN(PREPARED) | IN(OWNED) | IN(BACK) | \
	 IN(YIELDING) | IN(DOUBT) | IN(UNSURE))
/* In which nothing is said to the other host, or what is said is said again without a record. */
#define DROPPABLE (IN(AWAY) | IN(HERE) | IN(TAKEN))

static bool over_in(const struct move *m, unsigned int states)
{
	return states >> m->r.h.state & 1;
}

static bool is_waited_for(const struct move *m)
{
	return m->client || m->waits || m->forgets || m->holds ||
	       event_pending(m->erase, EV_TIMEOUT, NULL);
}

bool move_is_spare(const struct move *m, bool full)
{
	/* it says what no move says, too: there is no such vTPM */
	if (over_in(m, IN(ABSENT)))
		return !move_vtpm(m) && !is_waited_for(m);
	/* of one that came to nothing it has the reason, until vtpmd ends */
	return over_in(m, IN(HERE)) && !m->recorded && !m->unread && (m->over || full) &&
	       !move_has_mark(m) && !is_waited_for(m);
}

bool move_is_own(const struct move *m)
{
	static const uint8_t none[HANDOVER_TXID_SIZE];

	return over_in(m, IN(ABSENT)) && move_vtpm(m) && !m->waits &&
	       !event_pending(m->erase, EV_TIMEOUT, NULL) &&
	       (m->erased || !memcmp(m->r.h.txid, none, sizeof(none)));
}

/* Else nothing but the record may say that the vTPM is whole. */
static bool is_described(const struct move *m)
{
	const struct vtpm *v = move_vtpm(m);

	return !v || !evtimer_pending(v->keep, NULL);
}

void move_settle(struct move *m)
{
	int rc;

	if (!m->over || !over_in(m, IN(HERE)) || !m->recorded || move_has_mark(m) ||
	    !is_described(m) || !anchor_owes_nothing(m->d->anchor))
		return;
	rc = move_record_remove(m->d->folder, m->r.uuid);
	if (rc)
		log_line(LOG_ERR, "the record of %s's handover, which is over, stays: %s",
			 m->r.name, strerror(-rc));
	/* a disk that fails is tried again when vtpmd begins anew */
	m->over = !rc;
	m->recorded = rc != 0;
}

void move_settle_found(struct move *m)
{
	if (!over_in(m, IN(HERE)) || !move_vtpm(m) || m->unread)
		return;
	m->over = true;
	move_settle(m);
}

int move_drop(struct move *m, const char **why)
{
	*why = "Its handover is not over: `vtpmctl migrate --continue` goes on with it.";
	if (!over_in(m, DROPPABLE))
		return -EOPNOTSUPP;
	*why = "It is here: its record goes by itself, or with its next move.";
	if (move_vtpm(m))
		return -EOPNOTSUPP;
	*why = "What was here of it is still being erased: try again.";
	if (move_is_erasing(m) || (over_in(m, IN(AWAY)) && !m->r.h.forgotten))
		return -EOPNOTSUPP;
	*why = "Its record could not be removed: see the store's disk.";
	if (move_record_remove(m->d->folder, m->r.uuid))
		return -EOPNOTSUPP;
	log_line(LOG_NOTICE, "the record of %s's handover with %s (%s) was forgotten",
		 m->r.name, m->r.peer, handover_word(m->r.h.state));
	m->r.h = (struct handover){.state = HANDOVER_ABSENT};
	m->recorded = m->over = false;
	json_array_clear(m->outbox);
	return 0;
}

/* As if the other host had said that it has it. */
int move_disown(struct move *m, const char **why)
{
	uint8_t txid[HANDOVER_TXID_SIZE];
	int rc = 0;

	*why = "It was not released to another host: see `vtpmctl show` here.";
	if (!over_in(m, IN(RELEASED) | IN(DOUBT)))
		return -EOPNOTSUPP;
	log_line(
		LOG_NOTICE,
		"%s, which was released to %s, runs elsewhere, as an operator says: what "
		"is left of it here is erased",
		m->r.name, m->r.peer);
	memcpy(txid, m->r.h.txid, sizeof(txid));
	if (over_in(m, IN(DOUBT)))
		rc = move_step(m, HANDOVER_MSG_KEPT, txid);
	if (!rc && over_in(m, IN(RELEASED)))
		rc = move_step(m, HANDOVER_MSG_ACTIVATED, txid);
	if (!rc && over_in(m, IN(CONFIRMED)))
		rc = move_step(m, HANDOVER_FINISH, NULL);
	return rc;
}

/* By its name, unless another one has that. */
static const char *call_move(const struct move *m, const struct vtpm *v, const char *uuid)
{
	return v ? v->meta.name : uuid;
}

/* quiet_s: for how long nothing was heard of it; -1: since vtpmd began */
static json_t *show_move(const struct move *m)
{
	const struct vtpm *v = move_vtpm(m);
	json_int_t quiet = m->heard_ms ? (stamp_ms() - m->heard_ms) / 1000 : -1;
	char uuid[37];

	uuid_unparse_lower(m->r.uuid, uuid);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I}", "name", m->r.name, "uuid",
			 uuid, "call", call_move(m, v, uuid), "state",
			 handover_word(m->r.h.state), "peer", m->r.peer, "here",
			 v != NULL, "quiet_s", quiet);
}

void move_list_on_control(struct control *c, bool waiting)
{
	json_t *all = json_array();
	const struct move *m;
	json_int_t n = 0;

	for (m = c->d->moves; m; m = m->next) {
		n++;
		if (waiting ? over_in(m, WAITS) && !m->client && !move_is_carried(m)
			    : !over_in(m, IN(ABSENT)) &&
				      !(over_in(m, IN(HERE)) && move_vtpm(m)))
			json_array_append_new(all, show_move(m));
	}
	control_answer_with(c, json_pack("{s:b, s:o, s:I, s:i, s:s?}", "ok", 1, "moves",
					 all, "records", n, "limit", MOVES_MAX,
					 "old_list", move_see_old_pool(c->d)));
}
