/* SPDX-License-Identifier: Apache-2.0 */
/* Which guest of Xen moves along with a vTPM, and whether it is suspended. */
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/xen.h"

#include <string.h>

static bool has_body(const struct vtpm *v)
{
	return v->d->xen && vtpm_is(v, VTPM_WITH_BODY);
}

static bool is_there(const struct vtpm *v, const struct guest *g)
{
	uint8_t uuid[16];

	return !xen_uuid(v->d->xen, g->domid, uuid) &&
	       !memcmp(uuid, g->uuid, sizeof(uuid));
}

bool move_guest(const struct vtpm *v, uint8_t uuid[16])
{
	const struct guest *last = &v->guests.last;

	if (!has_body(v) || !last->on || !is_there(v, last) ||
	    !vtpm_guest_is_given(v, last->domid))
		return false;
	memcpy(uuid, last->uuid, 16);
	return true;
}

bool move_guest_can(const struct vtpm *v, const char **why)
{
	uint8_t uuid[16];

	if (!move_guest(v, uuid))
		return true;
	*why = "Its guest is an HVM guest, whose TPM's registers do not move yet: shut it "
	       "down, and move the vTPM without it.";
	return !crb_is_wanted(v->d, v->guests.last.domid);
}

/* All that had it and live, since a manager that its guest took over may tell of any: what
 * the toolstack says counts. */
bool move_guest_rests(const struct vtpm *v)
{
	const struct guests *g = &v->guests;

	for (unsigned int i = 0; has_body(v) && i < g->count; i++)
		if (is_there(v, &g->one[i]) && vtpm_guest_is_given(v, g->one[i].domid) &&
		    !xen_is_suspended(v->d->xen, g->one[i].domid))
			return false;
	return true;
}
