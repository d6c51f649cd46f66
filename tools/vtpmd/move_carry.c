/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who carries a move: one connection to the control socket, from its first request of the
 * transfer until it ends.  At the source that is the one of `vtpmctl migrate`, or of
 * `--continue`; at the destination that of the process of `vtpmctl migrate-receive` which serves
 * the other host.  What an operator types beside it is refused, and gets none of its answers and
 * messages.  But for a host that says nothing for MOVE_ALONE_S of what is here, or was: it may hold
 * its connection as long as it likes, and an operator goes on.
 */
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/move_private.h"

#define IN(state) (1u << HANDOVER_##state)
/* No transfer is under way. */
#define AT_REST (IN(HERE) | IN(TAKEN) | IN(ABSENT) | IN(AWAY) | IN(STRAY))
/* This host is the destination. */
#define COMES                                                                     \
	(IN(INCOMING) | IN(ACCEPTED) | IN(IMPORTING) | IN(PREPARED) | IN(OWNED) | \
	 IN(GIVING) | IN(YIELDING) | IN(BACK) | IN(UNSURE))

/* While a guest's memory is copied nothing is said of the vTPM. */
#define WITHOUT_WORDS (IN(INCOMING) | IN(ACCEPTED) | IN(IMPORTING))

static bool is_silent(const struct move *m)
{
	return m->carrier && m->carrier->role == CONTROL_SERVES_PEER &&
	       m->client != m->carrier && !(WITHOUT_WORDS >> m->r.h.state & 1) &&
	       stamp_ms() - m->heard_ms > MOVE_ALONE_S * 1000;
}

static struct control *find_carrier(const struct move *m)
{
	return AT_REST >> m->r.h.state & 1 || is_silent(m) ? NULL : m->carrier;
}

bool move_is_carried(const struct move *m)
{
	return find_carrier(m) != NULL;
}

void move_note_role(struct control *c, bool for_peer)
{
	if (c->role == CONTROL_NO_ROLE)
		c->role = for_peer ? CONTROL_SERVES_PEER : CONTROL_OPERATES;
}

/* The other host may have begun a connection anew, while the older one still waits: the newer one
 * takes over.  An operator's that waits for the manager keeps its place. */
bool move_is_beside(const struct move *m, const struct control *c)
{
	const struct control *carrier = find_carrier(m);

	if (!carrier || carrier == c)
		return false;
	return c->role == CONTROL_OPERATES ||
	       (carrier->role == CONTROL_OPERATES && m->client == carrier);
}

void move_carry(struct move *m, struct control *c)
{
	const struct control *carrier = find_carrier(m);

	if (carrier == c || AT_REST >> m->r.h.state & 1)
		return;
	/* a host that asks the source of a move carries nothing */
	if (c->role == CONTROL_SERVES_PEER &&
	    ((carrier && carrier->role == CONTROL_OPERATES) ||
	     !(COMES >> m->r.h.state & 1)))
		return;
	move_lay_down(c);
	if (m->carrier)
		m->carrier->carries = NULL;
	m->carrier = c;
	c->carries = m;
}

void move_lay_down(struct control *c)
{
	struct move *m = c->carries;

	if (!m)
		return;
	m->carrier = NULL;
	c->carries = NULL;
	move_note_alone(m);
}
