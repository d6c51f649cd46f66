/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_answer.h"
#include "lib/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

void control_answer_with(struct control *c, json_t *line)
{
	control_send(c, line);
	control_idle(c);
}

/* A sentence may quote what somebody else wrote: a name in a backup, an error of xl. */
void control_answer_word(struct control *c, const char *word, const char *text)
{
	char clean[sizeof(((struct error *)0)->text)];

	text_clean(clean, sizeof(clean), text, strlen(text));
	control_answer_with(
		c, json_pack("{s:b, s:s, s:s}", "ok", 0, "error", clean, "cause", word));
}

void control_answer_refuse(struct control *c, int rc, const struct error *e)
{
	const char *word = error_word(e->cause);

	if (rc == -EEXIST)
		word = "exists";
	else if (rc == -EBUSY)
		word = "busy";
	control_answer_word(c, word, e->text);
}

void control_answer_no_such(struct control *c)
{
	char text[128];

	snprintf(text, sizeof(text), "There is no vTPM %s: see `vtpmctl list`.", c->name);
	control_answer_word(c, "no-such-vtpm", text);
}

void control_answer_ok(struct control *c, const uint8_t uuid[16])
{
	char text[37];

	uuid_unparse_lower(uuid, text);
	control_answer_with(c, json_pack("{s:b, s:s}", "ok", 1, "uuid", text));
}

void control_answer_malformed(struct control *c)
{
	control_answer_word(c, "internal", "The request is malformed.");
}

static void on_anchored(void *ctx, const struct error *e)
{
	struct control *c = ctx;
	struct error late = {.cause = CAUSE_NONE};

	if (!e) {
		control_answer_ok(c, c->uuid);
		return;
	}
	error_set(&late, 0, e->cause,
		  "That was done, but the host's TPM does not have it: %s", e->text);
	control_answer_refuse(c, -EIO, &late);
}

void control_answer_anchored(struct control *c, const uint8_t uuid[16])
{
	memcpy(c->uuid, uuid, sizeof(c->uuid));
	c->anchored = (struct anchor_waiter){.done = on_anchored, .ctx = c};
	anchor_wait(c->d->anchor, &c->anchored);
}
