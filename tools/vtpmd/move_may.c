/* SPDX-License-Identifier: Apache-2.0 */
/* What a vTPM that is in a handover, or was, may be used for meanwhile. */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/pool_move.h"

#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

#define IN(state) (1u << HANDOVER_##state)
#define DOUBT_TEXT                                                                         \
	"The vTPM %s was about to move to %s, which may run it, and nothing in the store " \
	"says how that ended: `vtpmctl migrate --continue %s` asks %s."

static bool may_in(const struct move *m, unsigned int states)
{
	return states >> m->r.h.state & 1;
}

int move_refuse_in_handover(const struct move *m, const char *name, struct error *e)
{
	bool comes = may_in(m, IN(INCOMING) | IN(ACCEPTED) | IN(IMPORTING));
	char uuid[37];

	uuid_unparse_lower(m->r.uuid, uuid);
	/* one that is made with the uuid has another name */
	if (may_in(m, IN(AWAY)))
		return error_set(
			e, -EBUSY, CAUSE_LEASE,
			"%s, with the uuid %s, has moved to %s: ask for it there; "
			"when it was deleted there, `vtpmctl migrate --forget %s` "
			"first.",
			m->r.name, uuid, m->r.peer, uuid);
	if (may_in(m, IN(STRAY)))
		return error_set(e, -EBUSY, CAUSE_LEASE, "The vTPM %s is stray: %s", name,
				 m->why);
	if (may_in(m, IN(DOUBT)))
		return error_set(e, -EBUSY, CAUSE_LEASE, DOUBT_TEXT, name, m->r.peer,
				 name, m->r.peer);
	if (move_is_carried(m))
		return error_set(e, -EBUSY, CAUSE_LEASE,
				 "The vTPM %s is in a handover with %s (%s), which goes "
				 "on: wait for its end.",
				 name, m->r.peer, handover_word(m->r.h.state));
	/* of what comes only the source has all */
	return error_set(e, -EBUSY, CAUSE_LEASE,
			 "The vTPM %s is in a handover with %s (%s): `vtpmctl migrate "
			 "--continue %s`%s%s goes on with it.",
			 name, m->r.peer, handover_word(m->r.h.state), name,
			 comes ? " on " : "", comes ? m->r.peer : "");
}

static int refuse_in_handover(const struct vtpm *v, const struct move *m, struct error *e)
{
	return move_refuse_in_handover(m, v->meta.name, e);
}

static int refuse_in_pool_move(const struct vtpm *v, struct error *e)
{
	return error_set(
		e, -EBUSY, CAUSE_INTERNAL,
		"The vTPM %s is being moved between the folder and the pool: try "
		"again in a moment.",
		v->meta.name);
}

int move_lacks_records(const struct vtpmd *d, struct error *e)
{
	int rc = d->records_rc;

	return rc ? error_set(
			    e, rc, CAUSE_STORE,
			    "Not all records of moves, in %s/handovers, could be read, and "
			    "which vTPMs have moved away is not known: %s; bring that folder "
			    "back, and restart vtpmd.",
			    d->folder,
			    rc == -E2BIG ? "there are too many" : strerror(-rc))
		  : 0;
}

int move_refuse_unread(const struct move *m, struct error *e)
{
	char uuid[37];

	uuid_unparse_lower(m->r.uuid, uuid);
	return error_set(
		e, m->unread, CAUSE_STORE,
		"The record of a move, %s/handovers/%s, could not be read, and "
		"whether that vTPM has moved away is not known: %s; bring it back, "
		"and restart vtpmd.",
		m->d->folder, uuid, strerror(-m->unread));
}

/* Where the host's TPM knows of the vTPM, it has the marks of those that may be elsewhere: a record
 * that is lost counts as one that somebody has removed.  And of the pool's the claim counts. */
static int refuse_unknown(const struct vtpm *v, const struct move *m, struct error *e)
{
	if (anchor_is_known(v->d->anchor) || store_is_leased(&v->store))
		return 0;
	return m && m->unread ? move_refuse_unread(m, e) : move_lacks_records(v->d, e);
}

/* What had moved away, from this host's folder, and has come into the pool from elsewhere. */
static bool is_in_pool(const struct vtpm *v, const struct move *m)
{
	return may_in(m, IN(AWAY) | IN(ABSENT)) && store_is_leased(&v->store) &&
	       !move_has_mark(m);
}

int move_may_start(const struct vtpm *v, struct error *e)
{
	const struct move *m;
	int rc;

	if (pool_move_has(v))
		return refuse_in_pool_move(v, e);
	move_know_marks(v->d);
	m = move_find(v->d, v->meta.uuid);
	rc = refuse_unknown(v, m, e);
	if (rc || (m && is_in_pool(v, m)))
		return rc;
	if (!m || handover_runs(&m->r.h) || (may_in(m, IN(INCOMING)) && v->making))
		return 0;
	return refuse_in_handover(v, m, e);
}

int move_may_change(const struct vtpm *v, struct error *e)
{
	const struct move *m;

	if (pool_move_has(v))
		return refuse_in_pool_move(v, e);
	move_know_marks(v->d);
	m = move_find(v->d, v->meta.uuid);
	if (!m || may_in(m, IN(HERE) | IN(TAKEN) | IN(ABSENT) | IN(AWAY) | IN(OWNED) |
				    IN(STRAY)))
		return 0;
	/* the other host has it: a person may delete this one */
	if (may_in(m, IN(UNSURE)) && m->contested)
		return 0;
	return refuse_in_handover(v, m, e);
}

int move_may_stop(const struct vtpm *v, struct error *e)
{
	const struct move *m = move_find(v->d, v->meta.uuid);

	if (!m || handover_runs(&m->r.h) || vtpm_is(v, VTPM_DOWN) ||
	    may_in(m,
		   IN(ABSENT) | IN(AWAY) | IN(INCOMING) | IN(ACCEPTED) | IN(IMPORTING)))
		return 0;
	return refuse_in_handover(v, m, e);
}

bool move_is_incoming(const struct vtpm *v)
{
	const struct move *m = move_find(v->d, v->meta.uuid);

	return m && v->making && may_in(m, IN(INCOMING) | IN(ACCEPTED));
}

bool move_is_away(const struct vtpm *v)
{
	const struct move *m = move_find(v->d, v->meta.uuid);

	return m && may_in(m, IN(AWAY) | IN(ABSENT)) && !is_in_pool(v, m);
}

bool move_waits(const struct vtpm *v)
{
	const struct move *m = move_find(v->d, v->meta.uuid);

	return m && may_in(m, IN(ACCEPTED) | IN(IMPORTING) | IN(PREPARED));
}

const char *move_stays(const struct move *m)
{
	if (m->touched)
		return "A command was executed here since it came: the vTPM stays here.";
	return "Its manager has begun anew since it came, and stored what it did then, so "
	       "whether a command was executed here is not known: the vTPM stays here.  A "
	       "guest that was not started here can be, as after a power cut: see "
	       "docs/migration.md, \"A guest that stays suspended\".";
}
