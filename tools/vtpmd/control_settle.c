/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_settle.h"
#include "tools/vtpmd/control_answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void remove_now(struct control *c, struct vtpm *v)
{
	struct error e = {.cause = CAUSE_NONE};
	uint8_t uuid[16];
	int rc;

	memcpy(uuid, v->meta.uuid, sizeof(uuid));
	rc = registry_remove(v, &e);
	if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_anchored(c, uuid);
}

/* A creation that failed leaves nothing, unless a state was stored already. */
static void create_failed(struct control *c, struct vtpm *v)
{
	struct error why = v->meta.error, e = {.cause = CAUSE_NONE};
	bool stored = store_has(&v->store, CHANNEL_OBJECT_PERMALL);
	size_t n = strlen(why.text);
	const char *dot = n && why.text[n - 1] == '.' ? "" : "."; /* ends the sentence */

	if (stored)
		snprintf(why.text + n, sizeof(why.text) - n,
			 "%s The vTPM exists: `vtpmctl start %s` when that is mended.",
			 dot, v->meta.name);
	else if (!registry_remove(v, &e))
		snprintf(why.text + n, sizeof(why.text) - n, "%s Nothing was created.",
			 dot);
	control_answer_refuse(c, -EIO, &why);
}

static void on_progress(void *ctx, const char *text)
{
	json_t *line = json_pack("{s:s}", "progress", text);

	if (line)
		control_send(ctx, line);
}

static void on_settled(void *ctx, struct vtpm *v)
{
	struct control *c = ctx;
	bool up = c->what == CREATE || c->what == START;

	c->waiting = false;
	if (c->what == DELETE && v->state != VTPM_RUNNING)
		remove_now(c, v);
	else if (c->what == STOP && c->ran && v->state != VTPM_RUNNING)
		control_answer_anchored(c, v->meta.uuid);
	else if (c->what == CREATE && v->state == VTPM_RUNNING)
		control_answer_anchored(c, v->meta.uuid);
	else if (up == (v->state == VTPM_RUNNING))
		control_answer_ok(c, v->meta.uuid);
	else if (c->what == CREATE && v->state == VTPM_FAILED)
		create_failed(c, v);
	else if (up && v->state == VTPM_FAILED)
		control_answer_refuse(c, -EIO, &v->meta.error);
	else
		control_answer_word(
			c, "busy",
			"Someone else changed the vTPM's state meanwhile: see "
			"`vtpmctl list`.");
}

void control_settle(struct control *c, struct vtpm *v)
{
	if (vtpm_settled(v)) {
		on_settled(c, v);
		return;
	}
	c->waiter = (struct vtpm_waiter){
		.progress = on_progress,
		.settled = on_settled,
		.ctx = c,
	};
	c->waiting = true;
	vtpm_wait(v, &c->waiter);
}
