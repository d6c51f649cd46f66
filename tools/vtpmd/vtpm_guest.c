/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/vtpm_guest.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/xen.h"
#include "lib/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* A guest's; libxl numbers them from 0. */
#define DEVICES_MAX 4

static struct guests_place place_of(struct vtpm *v)
{
	return (struct guests_place){
		.xen = v->d->xen,
		.run_dir = v->d->run_dir,
		.vtpm = v->meta.uuid,
	};
}

void vtpm_guest_load(struct vtpm *v)
{
	const struct guests_place p = place_of(v);

	guests_load(&p, &v->guests);
	if (v->guests.launched)
		v->meta.launched = true;
}

static void on_released(void *ctx)
{
	struct vtpmd *d = ctx;
	struct vtpm *v;

	for (v = d->vtpms; v; v = v->next) {
		const struct guests_place p = place_of(v);

		guests_released(&p, &v->guests);
	}
}

int vtpm_guest_watch(struct vtpmd *d)
{
	return d->xen ? xen_watch(d->xen, NULL, on_released, d) : 0;
}

/* Whether the device at path, libxl's copy of a backend's nodes, is this vTPM's and of
 * another domain than its stub domain. */
static bool is_orphan(const struct vtpm *v, const char *path)
{
	char node[128], text[128];
	uint8_t uuid[16];
	int domid;

	snprintf(node, sizeof(node), "%s/uuid", path);
	if (xen_read(v->d->xen, node, text, sizeof(text)) || uuid_parse(text, uuid) ||
	    memcmp(uuid, v->meta.uuid, sizeof(uuid)))
		return false;
	snprintf(node, sizeof(node), "%s/backend", path);
	return !xen_read(v->d->xen, node, text, sizeof(text)) &&
	       sscanf(text, "/local/domain/%d/", &domid) == 1 &&
	       (!v->body_alive || v->body->domid != domid);
}

static bool has_lost(const struct vtpm *v, uint32_t domid)
{
	char path[64];

	if (v->state == VTPM_RUNNING && v->status.at.tv_sec &&
	    v->status.value[STATUS_GUEST_DOMID] == domid)
		return false;
	for (unsigned int i = 0; i < DEVICES_MAX; i++) {
		snprintf(path, sizeof(path), "/libxl/%u/device/vtpm/%u", domid, i);
		if (is_orphan(v, path))
			return true;
	}
	return false;
}

unsigned int vtpm_guest_lost(const struct vtpm *v, uint32_t domids[static GUESTS_MAX])
{
	unsigned int count = 0;

	for (unsigned int i = 0; v->d->xen && i < v->guests.count; i++)
		if (has_lost(v, v->guests.one[i].domid))
			domids[count++] = v->guests.one[i].domid;
	return count;
}

void vtpm_guest_set_launched(struct vtpm *v, bool launched)
{
	const struct guests_place p = place_of(v);

	if (v->meta.launched != launched) {
		v->meta.launched = launched;
		vtpm_keep_meta(v);
	}
	if (guests_set_launched(&p, &v->guests, launched))
		log_about(LOG_ERR, VTPM_ABOUT(v),
			  "vtpmd cannot write its run folder: see `df /run`");
	anchor_launched(v->d->anchor, v);
}

static void note_launch(struct vtpm *v, const struct guests_verdict *judged)
{
	char uuid[37];

	uuid_unparse_lower(judged->uuid, uuid);
	vtpm_audit(v, "launch", v->d->xen ? uuid : NULL);
	if (v->meta.launched)
		return;
	vtpm_guest_set_launched(v, true);
	log_about(LOG_NOTICE, VTPM_ABOUT(v),
		  "serves measured guests only, until it is stopped");
}

/* Tells the journal once a domain: SAME is a driver that came back. */
static void note_guest(struct vtpm *v, uint32_t domid,
		       const struct guests_verdict *judged)
{
	v->refused[0] = '\0';
	if (judged->what == CHANNEL_GUEST_SAME)
		return;
	log_limited(&v->limits.lines, LOG_NOTICE, VTPM_ABOUT(v), "domain %u is %s%s",
		    domid, judged->measured ? "measured" : "not measured",
		    judged->what == CHANNEL_GUEST_RESUMED ? ", and goes on with its PCRs"
							  : "");
	if (judged->measured)
		note_launch(v, judged);
}

static enum guests_served served(const struct vtpm *v)
{
	if (v->meta.measured)
		return GUESTS_MEASURED;
	return v->meta.launched ? GUESTS_MEASURED_UNTIL_STOPPED : GUESTS_ALL;
}

static int answer(struct vtpm *v, uint32_t domid, uint64_t on, struct cursor *list,
		  struct cursor *out, const char **why)
{
	const struct guests_place p = place_of(v);
	struct guests_verdict judged;
	int rc = guests_judge(&p, &v->guests, domid, on, served(v), &judged, list);

	if (rc) {
		snprintf(v->refused, sizeof(v->refused), "domain %u: %s", domid,
			 judged.why);
		*why = judged.why;
		return rc;
	}
	cursor_put_u8(out, (uint8_t)judged.what);
	cursor_put_u8(out, judged.measured);
	cursor_put_u64(out, judged.on);
	if (judged.what == CHANNEL_GUEST_NEW)
		cursor_put(out, list->wr, list->pos);
	note_guest(v, domid, &judged);
	return 0;
}

int vtpm_guest_on_ask(void *ctx, uint32_t domid, uint64_t on, struct cursor *out,
		      const char **why)
{
	struct vtpm *v = ctx;
	uint8_t *list;
	struct cursor w;
	int rc;

	/* a manager outside Xen has no guests, but those that tests play */
	if (!v->d->xen && !v->d->unix_dir)
		return -ENOENT;
	list = malloc(MEASURE_MAX);
	if (!list)
		return -ENOMEM;
	w = cursor_writer(list, MEASURE_MAX);
	rc = answer(v, domid, on, &w, out, why);
	free(list);
	return rc;
}

int vtpm_guest_resume(struct vtpm *v, const uint8_t *launched)
{
	const struct guests_place p = place_of(v);
	int64_t on = v->status.value[STATUS_POWER_ON];

	return guests_resume(&p, &v->guests, on > 0 ? (uint64_t)on : 0, launched);
}

void vtpm_guest_revoke(struct vtpm *v)
{
	const struct guests_place p = place_of(v);

	guests_revoke(&p, &v->guests);
}

bool vtpm_guest_restores(struct vtpm *v, const uint8_t uuid[16])
{
	const struct guests_place p = place_of(v);

	return guests_restores(&p, &v->guests) &&
	       !memcmp(v->guests.saved, uuid, sizeof(v->guests.saved));
}

void vtpm_guest_launched(struct vtpm *v, const uint8_t uuid[16], bool restored)
{
	const struct guests_place p = place_of(v);

	if (!restored)
		guests_boots(&p, &v->guests, uuid);
	if (!v->meta.launched)
		memcpy(v->launcher, uuid, sizeof(v->launcher));
	/* nobody else would tell a manager without Xen that a guest comes */
	if (!v->d->xen && !restored && v->peer && !v->greeting)
		peer_event(v->peer, CHANNEL_EVENT_GUEST);
}

void vtpm_guest_failed(struct vtpm *v, const uint8_t uuid[16])
{
	if (!memcmp(v->guests.saved, uuid, sizeof(v->guests.saved)))
		vtpm_guest_revoke(v);
	if (!v->meta.launched || memcmp(v->launcher, uuid, sizeof(v->launcher)))
		return;
	vtpm_guest_set_launched(v, false);
	log_about(LOG_NOTICE, VTPM_ABOUT(v),
		  "the launch failed: it serves the guests that it served before");
}
