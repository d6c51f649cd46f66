/* SPDX-License-Identifier: Apache-2.0 */
/* Which guest of Xen moves along with a vTPM, and whether it is suspended. */
#include "tools/vtpmd/crb.h"
#include "tools/vtpmd/guests.h"
#include "tools/vtpmd/move_board.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/presence.h"
#include "tools/vtpmd/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

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

/* All that had it and live, since a manager that its guest took over may tell of any: what
 * the toolstack says counts. */
/* vtpm-crb's file, which stays for a guest that is saved. */
static bool has_board_file(const struct vtpm *v)
{
	char uuid[37], name[64];

	uuid_unparse_lower(v->meta.uuid, uuid);
	snprintf(name, sizeof(name), "crb-%s", uuid);
	return !faccessat(v->d->run_dir, name, F_OK, 0);
}

bool move_guest_saved(const struct vtpm *v, struct guest *saved)
{
	const struct guest *last = &v->guests.last;

	if (!last->on || (v->d->xen && is_there(v, last)) || has_board_file(v))
		return false;
	*saved = *last;
	return true;
}

bool move_guest_rests(const struct vtpm *v)
{
	const struct guests *g = &v->guests;

	for (unsigned int i = 0; has_body(v) && i < g->count; i++)
		if (is_there(v, &g->one[i]) && vtpm_guest_is_given(v, g->one[i].domid) &&
		    !xen_is_suspended(v->d->xen, g->one[i].domid))
			return false;
	return true;
}

bool move_guest_runs(const struct vtpm *v)
{
	const struct guests *g = &v->guests;
	uint32_t domid;
	int rc = 0;

	for (unsigned int i = 0; has_body(v) && i < g->count; i++) {
		domid = g->one[i].domid;
		if (is_there(v, &g->one[i]) && vtpm_guest_is_given(v, domid) &&
		    !guests_is_incoming(v->d->xen, domid, &rc) &&
		    !xen_is_suspended(v->d->xen, domid))
			return true;
	}
	return false;
}

bool move_guest_has_board(const struct vtpm *v)
{
	const struct guest *last = &v->guests.last;

	return has_body(v) && last->on && is_there(v, last) &&
	       crb_is_wanted(v->d, last->domid);
}

int move_guest_take(struct vtpm *v, struct move_bytes *board)
{
	struct move_board *b;
	size_t len = MOVE_BOARD_MAX;
	uint8_t *out;
	int rc;

	if (!move_guest_has_board(v) || !vtpm_guest_is_given(v, v->guests.last.domid)) {
		*board = (struct move_bytes){NULL, 0};
		return 0;
	}
	b = calloc(1, sizeof(*b));
	out = malloc(len);
	rc = b && out ? crb_take_board(v->d, v->meta.uuid, b) : -ENOMEM;
	if (!rc)
		rc = move_board_encode(b, out, &len);
	free(b);
	if (rc)
		free(out);
	else
		*board = (struct move_bytes){out, len};
	return rc;
}

int move_guest_give(struct vtpm *v, const struct move_bytes *board, const char **why)
{
	struct crb_guest g = vtpm_guest_crb(v, v->guests.last.domid);
	struct move_board *b = malloc(sizeof(*b));
	int rc = b ? move_board_decode(board->p, board->n, b) : -ENOMEM;

	*why = "The registers of its guest's TPM did not come along, or make no sense here: "
	       "install one release on both hosts.";
	if (!rc) {
		/* what is none is forgotten */
		(void)presence_requested(v->d, v->meta.uuid, b->request);
		g.ppi_request = v->meta.presence.request;
		g.restored = true;
		g.moved = b;
		crb_release(v->meta.uuid);
		rc = crb_start(v->d, &g, why);
	}
	free(b);
	return rc;
}
