/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handovers whose operator is gone: nobody is left waiting where one side can decide alone.
 * A source that has not released takes its vTPM back when its guest runs again, since xl gave
 * the migration up, or when nothing is heard for long; while the guest's memory is copied that is
 * when nobody carries the move any more.  A destination that has nothing yet gives up: while its
 * source's connection is there after hours.  One that is prepared, or a source that has released,
 * waits: only the other side knows.
 */
#include "tools/vtpmd/move_private.h"

#include <event2/event.h>

#define FROZEN_LOOK_MS 500
#define SERVES_LOOK_MS 1000
#define COMING_LOOK_MS 2000
#define COMING_S       (4 * 3600) /* a guest's memory has to be copied meanwhile */

#define SERVES (1u << HANDOVER_OFFERED | 1u << HANDOVER_JUDGING | 1u << HANDOVER_PROVED)
#define FROZEN (1u << HANDOVER_EXPORTING | 1u << HANDOVER_FROZEN | 1u << HANDOVER_HELD)
#define COMING (1u << HANDOVER_INCOMING | 1u << HANDOVER_ACCEPTED)

static void look_again(struct move *m, int ms)
{
	event_add(m->watch,
		  &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static bool is_overdue(const struct move *m, int seconds)
{
	return stamp_ms() - m->heard_ms > (int64_t)seconds * 1000;
}

void move_watch(struct move *m)
{
	unsigned int in = 1u << m->r.h.state;

	m->heard_ms = stamp_ms();
	if (in & FROZEN)
		look_again(m, FROZEN_LOOK_MS);
	else if (in & SERVES)
		look_again(m, SERVES_LOOK_MS);
	else if (in & COMING && !event_pending(m->watch, EV_TIMEOUT, NULL))
		look_again(m, COMING_LOOK_MS);
}

static void look_at_source(struct move *m, const struct vtpm *v, bool serves)
{
	const char *why = NULL;

	if (!serves && v && !move_guest_rests(v))
		why = "Its guest runs here again: `xl migrate` has given up.";
	else if (is_overdue(m, MOVE_ALONE_S) && !(serves && move_is_carried(m)))
		why = "Nobody went on with it: the vTPM goes on here.";
	if (why) {
		move_set_why(m, why);
		(void)!move_step(m, HANDOVER_CANCEL, NULL);
	} else {
		look_again(m, serves ? SERVES_LOOK_MS : FROZEN_LOOK_MS);
	}
}

void move_note_alone(struct move *m)
{
	/* of the others what was heard last counts */
	if ((SERVES | COMING) >> m->r.h.state & 1)
		move_watch(m);
}

/* A guest's memory is copied over the connection that carries the move; without a guest its source
 * sends it at once. */
static int patience_for(const struct move *m)
{
	const struct vtpm *v = move_vtpm(m);

	if (!move_is_carried(m) ||
	    (m->r.h.state == HANDOVER_ACCEPTED && v && !v->guests.has_company))
		return MOVE_ALONE_S;
	return COMING_S;
}

void move_on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct move *m = ctx;
	unsigned int in = 1u << m->r.h.state;

	if (in & (FROZEN | SERVES)) {
		look_at_source(m, move_vtpm(m), in & SERVES);
	} else if (in & COMING && is_overdue(m, patience_for(m))) {
		move_set_why(m, "Its last host did not go on with it.");
		(void)!move_step(m, HANDOVER_LOST, NULL);
	} else if (in & COMING) {
		look_again(m, COMING_LOOK_MS);
	}
}
