/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_rekey.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REKEY_MS      60000 /* a TPM and a KMS have to be heard */
#define REKEY_LOOK_MS 3000 /* then who waits is told what for, when it is the store ... */
#define REKEY_LATE_MS 30000 /* ... and waits for that no longer */

static void still_rekeying(struct control *c)
{
	control_answer_word(
		c, "busy",
		"The vTPM has not answered yet: `journalctl -u vtpmd` will tell; it "
		"opens as before, whatever comes of it.");
}

/* Whether its new keys wait for the store, and *why. */
static bool waits_for_store(struct vtpm *v, char *why, size_t room)
{
	int rc = v->peer ? peer_store_error(v->peer) : 0;

	if (!rc && !store_put_busy(&v->store))
		return false;
	if (store_is_leased(&v->store))
		store_waits_for(&v->store, why, room);
	else
		snprintf(why, room, "%s", rc ? strerror(-rc) : "it has not answered");
	return true;
}

static const char *store_word(const struct vtpm *v)
{
	return store_is_leased(&v->store) ? "etcd" : "the disk";
}

/* The manager waits until it is stored, and goes on then. */
static void answer_late(struct control *c, const struct vtpm *v, const char *why)
{
	struct error e = {.cause = CAUSE_NONE};

	error_set(
		&e, -ETIMEDOUT, CAUSE_STORE,
		"New keys of %s wait for %s, and so does its guest (%s). What was asked for "
		"goes on when that takes them; until then it opens as before.",
		v->meta.name, store_word(v), why);
	control_answer_refuse(c, -EIO, &e);
}

static void tell_store(struct control *c, const struct vtpm *v, const char *why)
{
	char text[340];
	json_t *line;

	snprintf(text, sizeof(text), "waiting for %s: %s", store_word(v), why);
	line = json_pack("{s:s}", "progress", text);
	if (line)
		control_send(c, line);
}

static void look_later(struct control *c)
{
	ask_begin(&c->ask, c->name, ASK_REKEY, 0, REKEY_LOOK_MS);
}

/* Some time has gone by without an answer. */
static void look(struct control *c, struct vtpm *v)
{
	int64_t waits = stamp_ms() - c->since_ms;
	char why[200];

	if (waits >= REKEY_MS) {
		still_rekeying(c);
		return;
	}
	if (waits_for_store(v, why, sizeof(why))) {
		if (waits >= REKEY_LATE_MS) {
			answer_late(c, v, why);
			return;
		}
		if (!c->told)
			tell_store(c, v, why);
		c->told = true;
	}
	look_later(c);
}

void control_on_rekeyed(struct control *c, struct vtpm *v)
{
	if (v->rekey.asked)
		look(c, v);
	else if (v->rekey.error.cause != CAUSE_NONE)
		control_answer_refuse(c, -EIO, &v->rekey.error);
	else
		control_answer_ok(c, v->meta.uuid);
}

void control_op_rekey(struct control *c, struct vtpm *v, const json_t *request)
{
	char why[200];

	c->since_ms = stamp_ms();
	c->told = false;
	if (v->rekey.asked && waits_for_store(v, why, sizeof(why)))
		answer_late(c, v, why);
	else if (v->rekey.asked)
		still_rekeying(c);
	else if (vtpm_rekey(v, json_is_true(json_object_get(request, "deep"))))
		look_later(c);
	else
		control_answer_not_running(
			c, v,
			"The vTPM does not run: its key slots are made anew while its state "
			"is open; `vtpmctl start` it first.");
}
