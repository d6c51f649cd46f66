/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launch of a guest that moves along with its vTPM.  What was measured goes in the OFFER.
 * The images themselves, which vtpmctl sends, are held there by the xl that has the guest then;
 * vtpmd keeps the launch's file, as of a launch that was made there.
 */
#include "lib/measure.h"
#include "lib/text.h"
#include "tools/vtpmd/control.h"
#include "tools/vtpmd/launch.h"
#include "tools/vtpmd/move_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uuid/uuid.h>

/* Writes what was measured of the guest that has the vTPM.  -ENOENT: nothing, or it is void */
static int find_launch(const struct vtpm *v, struct cursor *list, uint8_t guest[16])
{
	uint8_t of[16];

	if (v->d->xen && !move_guest(v, of))
		return -ENOENT;
	return launch_find_of(v->d->run_dir, v->d->xen ? of : NULL, v->meta.uuid, list,
			      guest);
}

static char *show_hex(const uint8_t *bytes, size_t len)
{
	char *hex = malloc(2 * len + 1);

	if (hex)
		hex_encode(bytes, len, hex);
	return hex;
}

static json_t *pack_launch(const uint8_t guest[16], const uint8_t *list, size_t len,
			   const char *key)
{
	char *hex = show_hex(list, len), uuid[37];
	json_t *launch;

	uuid_unparse_lower(guest, uuid);
	launch = hex ? json_pack("{s:s, s:s}", "uuid", uuid, key, hex) : NULL;
	free(hex);
	return launch;
}

json_t *move_launch_describe(const struct vtpm *v)
{
	uint8_t *list = malloc(MEASURE_MAX), guest[16];
	struct cursor w = cursor_writer(list, list ? MEASURE_MAX : 0);
	json_t *launch = NULL;

	if (list && !find_launch(v, &w, guest))
		launch = pack_launch(guest, list, w.pos, "list");
	free(list);
	return launch;
}

int move_launch_take(struct move *m, const json_t *description)
{
	const json_t *launch = json_object_get(description, "launch");
	const char *uuid = json_string_value(json_object_get(launch, "uuid"));
	const char *hex = json_string_value(json_object_get(launch, "list"));
	const char *guest = json_string_value(json_object_get(description, "guest"));
	size_t len = hex ? strlen(hex) / 2 : 0;
	uint8_t *list;

	free(m->launch.p);
	m->launch = (struct move_bytes){NULL, 0};
	if (!launch)
		return 0;
	/* a launch is of the guest that comes along */
	if (!uuid || uuid_parse(uuid, m->launched) || !len || len > MEASURE_MAX ||
	    (m->d->xen && (!guest || strcasecmp(guest, uuid) != 0)))
		return -EBADMSG;
	list = malloc(len);
	if (!list)
		return -ENOMEM;
	if (hex_decode(hex, list, &len) || !measure_check(list, len)) {
		free(list);
		return -EBADMSG;
	}
	m->launch = (struct move_bytes){list, len};
	return 0;
}

static void answer_launch(struct control *c, json_t *launch)
{
	json_object_set_new(launch, "ok", json_true());
	control_answer_with(c, launch);
}

/* Makes the launch's file of a guest that comes. */
static void keep_launch(struct control *c, const struct move *m)
{
	struct launch l = {.vtpms = 1, .list = m->launch.p, .len = m->launch.n};
	char name[LAUNCH_NAME_SIZE], path[512];
	struct error e = {.cause = CAUSE_NONE};
	json_t *answer;
	int rc;

	memcpy(l.domain, m->launched, sizeof(l.domain));
	memcpy(l.vtpm[0], m->r.uuid, sizeof(l.vtpm[0]));
	launch_sweep(c->d->run_dir);
	if (launch_held(c->d->run_dir, l.domain)) {
		control_answer_word(c, "busy",
				    "A guest with the uuid of the one that comes was "
				    "launched here, and its xl is there: see `xl list`.");
		return;
	}
	rc = launch_keep(c->d->run_dir, &l);
	if (rc) {
		error_set(&e, rc, CAUSE_INTERNAL,
			  "What was measured of the guest could not be kept in %s: %s; "
			  "see its disk's space and permissions.",
			  c->d->run, strerror(-rc));
		control_answer_refuse(c, rc, &e);
		return;
	}
	answer = pack_launch(l.domain, l.list, l.len, "measurements");
	launch_name(l.domain, name);
	snprintf(path, sizeof(path), "%s/%s", c->d->run, name);
	json_object_set_new(answer, "lease", json_string(path));
	answer_launch(c, answer);
}

void move_launch_on_control(struct control *c, struct move *m)
{
	const struct vtpm *v = m ? move_vtpm(m) : NULL;
	uint8_t *list, guest[16] = {0};
	struct cursor w;

	if (!v) {
		control_answer_no_such(c);
		return;
	}
	if (m->r.h.state == HANDOVER_ACCEPTED && m->launch.n) {
		keep_launch(c, m);
		return;
	}
	list = malloc(MEASURE_MAX);
	w = cursor_writer(list, list ? MEASURE_MAX : 0);
	if (!list || m->r.h.state == HANDOVER_ACCEPTED || find_launch(v, &w, guest))
		w.pos = 0;
	answer_launch(c, pack_launch(guest, list, w.pos, "measurements"));
	free(list);
}
