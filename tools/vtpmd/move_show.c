/* SPDX-License-Identifier: Apache-2.0 */
/* What `vtpmctl show` tells of a vTPM's handover. */
#include "tools/vtpmd/move_private.h"

/* This host's, or nothing any more. */
#define NONE                                                                  \
	(1u << HANDOVER_HERE | 1u << HANDOVER_TAKEN | 1u << HANDOVER_ABSENT | \
	 1u << HANDOVER_AWAY)

json_t *move_show(const struct vtpm *v)
{
	const struct move *m = move_find(v->d, v->meta.uuid);

	if (!m || NONE >> m->r.h.state & 1)
		return json_null();
	return json_pack("{s:s, s:s}", "step", handover_word(m->r.h.state), "peer",
			 m->r.peer);
}
