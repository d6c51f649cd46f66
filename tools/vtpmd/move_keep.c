/* SPDX-License-Identifier: Apache-2.0 */
/* The records of handovers: read when vtpmd starts, and stored at each step that a crash must not
 * undo. */
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define IN(state) (1u << HANDOVER_##state)
/* A guest stands still while they are written. */
#define AT_ONCE (IN(PREPARED) | IN(RELEASED) | IN(OWNED))
/* The record of which is INCOMING. */
#define GIVEN_UP (IN(INCOMING) | IN(ACCEPTED) | IN(IMPORTING))

static bool kept_in(const struct move *m, unsigned int states)
{
	return states >> m->r.h.state & 1;
}

static void log_not_written(const struct move *m, int rc)
{
	log_line(
		LOG_ERR,
		"the record of %s's handover cannot be written to %s (%s): see the disk's "
		"space",
		m->r.name, m->d->store, strerror(-rc));
}

static void put_away(struct move_record *r, const struct move_record *away)
{
	strcpy(r->name, away->name);
	strcpy(r->peer, away->peer);
	r->ak = away->ak;
}

void move_recall_away(struct move *m)
{
	if (!m->away.peer[0] || !kept_in(m, IN(AWAY)))
		return;
	put_away(&m->r, &m->away);
	m->away.peer[0] = '\0';
}

/* Nothing has executed a command of what is only prepared. */
static void note_came(struct move *m, enum handover_state before)
{
	struct vtpm *v = move_vtpm(m);

	if (before == HANDOVER_PREPARED && kept_in(m, IN(OWNED)) && v)
		m->r.came = store_seq(&v->store, CHANNEL_OBJECT_PERMALL);
}

/* Returns whether what follows may be done.  A crash is what handover.h knows; a record of which
 * nobody knows whether it is on the disk is not.  But that a vTPM comes is given up, since after
 * a crash it is, too. */
bool move_store_record(struct move *m, enum handover_state before)
{
	bool untouched, in_place = kept_in(m, AT_ONCE);
	struct move_record r;
	int rc;

	note_came(m, before);
	r = m->r;
	if (m->away.peer[0] && kept_in(m, IN(INCOMING) | IN(AWAY)))
		put_away(&r, &m->away);
	rc = move_record_write(m->d->folder, &r, in_place ? &m->room : NULL, &untouched);

	m->recorded |= !rc;
	m->is_room &= rc != 0;
	/* that the one before could not be is no reason of this state */
	if (!rc && m->unwritten)
		m->why[0] = '\0';
	m->unwritten &= rc != 0;
	if (!rc)
		return true;
	if (kept_in(m, IN(INCOMING))) {
		m->lost = true;
		move_set_why(m, MOVE_NOT_WRITTEN);
	}
	/* whatever record there is leads to ABSENT, or there is none; after a start the host's
	 * TPM says as much */
	if (kept_in(m, IN(INCOMING)) || before == m->r.h.state ||
	    (GIVEN_UP >> before & 1 && kept_in(m, IN(ABSENT) | IN(AWAY)))) {
		log_not_written(m, rc);
		return true;
	}
	if (untouched) {
		if (!m->unwritten)
			log_not_written(m, rc);
		m->unwritten = true;
		return false;
	}
	log_line(
		LOG_CRIT,
		"the record of %s's handover cannot be written to %s (%s): vtpmd ends, and "
		"goes on from the last record; see the disk's space",
		m->r.name, m->d->store, strerror(-rc));
	exit(EXIT_FAILURE);
}

/* While its guest runs.  A disk that is full or fails has the records written as all others are, or not
 * at all. */
void move_make_room(struct move *m)
{
	struct move_record r = m->r;
	int rc;

	if (!kept_in(m, IN(PROVED) | IN(ACCEPTED)) || m->room.side)
		return;
	r.h.state = kept_in(m, IN(PROVED)) ? HANDOVER_HERE : HANDOVER_INCOMING;
	rc = move_record_make_room(m->d->folder, &r, &m->room);
	m->is_room = rc == 1;
	if (rc < 0)
		log_not_written(m, rc);
}

/* A record that was made for its room alone says what no record says. */
void move_give_room_back(struct move *m)
{
	if (kept_in(m, IN(PROVED) | IN(EXPORTING) | IN(FROZEN) | IN(HELD) | IN(ACCEPTED) |
			       IN(IMPORTING) | AT_ONCE | IN(CONFIRMED)))
		return;
	if (m->is_room && move_record_remove(m->d->folder, m->r.uuid))
		m->recorded = true;
	m->is_room = false;
	m->room = (struct twin_own){.side = 0};
}

int move_settle_record(struct move *m)
{
	int rc = m->room.side || m->is_twin ? move_record_settle(m->d->folder, m->r.uuid)
					    : 0;

	if (rc)
		return rc;
	m->room = (struct twin_own){.side = 0};
	m->is_twin = false;
	return 0;
}

void move_describe_come(const struct move *m, struct vtpm *v)
{
	if (!m->recorded || !v->meta.creating || store_is_leased(&v->store) ||
	    kept_in(m, IN(INCOMING) | IN(ABSENT) | IN(AWAY) | IN(STRAY)) ||
	    !store_has(&v->store, CHANNEL_OBJECT_PERMALL))
		return;
	v->meta.creating = false;
	(void)vtpm_keep_meta(v); /* tries again by itself */
}

/* Records that are loaded: there may be some more than of moves, of vTPMs that had a mark. */
#define RECORDS_MAX (2 * MOVES_MAX)

struct loading {
	struct vtpmd *d;
	size_t n;
};

static struct move *load_move(struct loading *l, const struct move_record *r)
{
	struct move *m = l->n++ < RECORDS_MAX ? move_new_marked(l->d, r) : NULL;

	if (!m)
		l->d->records_rc = l->n > RECORDS_MAX ? -E2BIG : -ENOMEM;
	return m;
}

static void load_record(void *ctx, const struct move_record *r)
{
	struct move *m = load_move(ctx, r);

	if (m)
		m->recorded = true;
}

/* Nobody knows whether it has moved. */
static void load_lost_record(void *ctx, const uint8_t uuid[16], int rc)
{
	struct move_record r = {.h.state = HANDOVER_HERE};
	struct move *m;

	memcpy(r.uuid, uuid, sizeof(r.uuid));
	uuid_unparse_lower(uuid, r.name);
	m = load_move(ctx, &r);
	if (m)
		m->unread = rc;
}

/* A vtpmd that was killed within seconds of a step has left records with two sides.  Plain ones cost a
 * read each. */
static void settle_found(struct vtpmd *d)
{
	const struct timeval now = {0, 0};
	struct move *m;

	for (m = d->moves; m; m = m->next) {
		m->is_twin = m->recorded;
		/* of a disk that is full it is tried again */
		if (m->is_twin && move_settle_record(m))
			event_add(m->audit, &now);
	}
}

void move_init(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct loading l = {.d = d};
	int rc = move_record_each(d->folder, &l, load_record, load_lost_record);

	if (rc)
		d->records_rc = rc;
	settle_found(d);
	if (move_lacks_records(d, &e))
		log_line(LOG_ERR, "no vTPM moves: %s", e.text);
}
