/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl show` tells of a vTPM's handover, and the audit log of its end. */
#include "lib/text.h"
#include "tools/vtpmd/move_private.h"

#include <stdio.h>
#include <string.h>

/* This host's, or nothing any more. */
#define NONE                                                                  \
	(1u << HANDOVER_HERE | 1u << HANDOVER_TAKEN | 1u << HANDOVER_ABSENT | \
	 1u << HANDOVER_AWAY)

/* Which way it goes. */
#define BACK (1u << HANDOVER_GIVING | 1u << HANDOVER_YIELDING | 1u << HANDOVER_BACK)
#define IN                                                                              \
	(1u << HANDOVER_INCOMING | 1u << HANDOVER_ACCEPTED | 1u << HANDOVER_IMPORTING | \
	 1u << HANDOVER_PREPARED | 1u << HANDOVER_OWNED | 1u << HANDOVER_UNSURE)

static const char *find_way(enum handover_state state)
{
	if (BACK >> state & 1)
		return "back";
	return IN >> state & 1 ? "in" : "out";
}

json_t *move_show(const struct vtpm *v)
{
	const struct move *m = move_find(v->d, v->meta.uuid);

	if (!m || NONE >> m->r.h.state & 1)
		return json_null();
	/* one that is stray goes nowhere */
	return json_pack("{s:s, s:s, s:s?}", "step", handover_word(m->r.h.state), "peer",
			 m->r.peer, "way",
			 m->r.h.state == HANDOVER_STRAY ? NULL : find_way(m->r.h.state));
}

const char *move_explain_removal(const struct vtpm *v, char text[MOVE_REMOVAL_TEXT])
{
	const struct move *m = move_find(v->d, v->meta.uuid);
	char hex[2 * HANDOVER_TXID_SIZE + 1];
	bool gone;

	if (!m || !handover_is_empty(&m->r.h) || !m->r.peer[0])
		return NULL;
	gone = !memcmp(m->r.h.txid, m->r.h.gone, sizeof(m->r.h.gone));
	hex_encode(m->r.h.txid, sizeof(m->r.h.txid), hex);
	snprintf(text, MOVE_REMOVAL_TEXT, "%s %s, transfer %s",
		 gone ? "it moved to" : "it is not here, after a move from", m->r.peer,
		 hex);
	return text;
}
