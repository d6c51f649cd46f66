/* SPDX-License-Identifier: Apache-2.0 */
/* What is here of a vTPM in a handover, as the host's TPM knows it: before anything is erased, and
 * before another host is told what has it erase its own. */
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/move_private.h"

#include <string.h>

#define COMING \
	(1u << HANDOVER_INCOMING | 1u << HANDOVER_ACCEPTED | 1u << HANDOVER_IMPORTING)

/* Whether the TPM has a header of it: it is not one that is being made. */
static bool is_made(const struct anchor_entry *e)
{
	static const uint8_t none[sizeof(e->header)];

	return e && memcmp(e->header, none, sizeof(none)) != 0;
}

/* Whether header and state are those that the TPM knows. */
static bool can_run(const struct move *m, struct vtpm *v)
{
	struct error ignored = {.cause = CAUSE_NONE};

	/* one that comes is described as whole before it is (move.c) */
	if (v->meta.creating || !store_has(&v->store, CHANNEL_OBJECT_PERMALL))
		return false;
	return vtpm_is(v, VTPM_BEGUN) || (!anchor_check(m->d->anchor, v, &ignored) &&
					  store_known(&v->store, CHANNEL_OBJECT_PERMALL));
}

bool move_is_whole(const struct move *m)
{
	struct vtpm *v = move_vtpm(m);

	if (!v)
		return false;
	return m->found.kind ? can_run(m, v) : is_made(anchor_find(m->d->anchor, v));
}

void move_note_facts(struct move *m)
{
	const struct anchor *a = m->d->anchor;
	struct vtpm *v = move_vtpm(m);
	const struct anchor_entry *e = v ? anchor_find(a, v) : NULL;
	bool nothing = anchor_knows_nothing(a, m->r.uuid);

	m->r.h.missing = m->r.h.unmarked = false;
	if (!anchor_is_known(a) || (v && store_is_leased(&v->store)))
		return;
	m->lacks = m->lacks && v && !can_run(m, v);
	if (!(COMING >> m->r.h.state & 1))
		m->r.h.missing = nothing ? v != NULL : !v || m->lacks;
	m->r.h.unmarked = is_made(e) && !e->mark.kind;
}
