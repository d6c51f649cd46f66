/* SPDX-License-Identifier: Apache-2.0 */
/* The backup of a vTPM that has moved: by its record the next vtpmd would erase it. */
#include "tools/vtpmd/move_private.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#define NOWHERE (1u << HANDOVER_ABSENT | 1u << HANDOVER_AWAY)
/* A record that says nothing of another host's copy. */
#define HERE_ALONE                                                           \
	(1u << HANDOVER_HERE | 1u << HANDOVER_TAKEN | 1u << HANDOVER_OWNED | \
	 1u << HANDOVER_ABSENT)

int move_may_restore(struct vtpmd *d, const uint8_t uuid[16], bool lost, struct error *e)
{
	const struct move *m;
	int rc = move_lacks_records(d, e);

	if (rc)
		return rc;
	move_know_marks(d);
	m = move_find(d, uuid);
	if (m && m->unread)
		return move_refuse_unread(m, e);
	if (!m || HERE_ALONE >> m->r.h.state & 1)
		return 0;
	if (m->r.h.state != HANDOVER_AWAY)
		return move_refuse_in_handover(m, m->r.name, e);
	if (lost)
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_STATE_EXISTS,
		"The vTPM %s has moved to %s, which may run it, newer than this backup: "
		"restore one that was made there; this one needs `vtpmctl recover` there. "
		"When %s is lost for good, `vtpmctl restore --replace --yes` has it here.",
		m->r.name, m->r.peer, m->r.peer);
}

int move_restores(struct vtpmd *d, const uint8_t uuid[16], struct error *e)
{
	struct move *m = move_find(d, uuid);
	struct move_record here;
	int rc;

	if (!m || !(NOWHERE >> m->r.h.state & 1))
		return 0;
	here = m->r;
	here.h.state = HANDOVER_HERE;
	rc = move_record_write(d->folder, &here, NULL, NULL);
	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The record of %s's handover could not be written to "
				 "%s: %s; see its disk's space and permissions.",
				 m->r.name, d->store, strerror(-rc));
	m->r = here;
	m->recorded = true;
	event_del(m->erase);
	m->erase_fails = false;
	return 0;
}
