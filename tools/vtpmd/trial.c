/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/trial.h"
#include "lib/channel.h"
#include "lib/text.h"
#include "tools/vtpmd/backup.h"
#include "tools/vtpmd/body.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/meta.h"
#include "tools/vtpmd/peer.h"
#include "tools/vtpmd/pool_keys.h"
#include "tools/vtpmd/trail.h"
#include "tools/vtpmd/vtpm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

/* No vTPM's name: these begin with a letter or a digit. */
#define BODY_NAME "_trial"
#define EXIT_S	  5 /* after READY or FAIL */

struct trial_object {
	uint8_t *bytes;
	size_t len;
};

static struct trial {
	struct store store; /* the first member: store_trial's operations cast it */
	struct trial_object object[2]; /* by place_of() */
	struct vtpmd *d;
	struct meta meta;
	struct config *config;
	struct body *body;
	struct peer *peer;
	struct peer_limits limits;
	struct event *timer, *over;
	bool told;	    /* READY or FAIL: error is what came of it */
	struct error error; /* cause none: it opens */
	json_t *backup;	    /* NULL: what an earlier vtpmd left is being ended */
	trial_done *done;   /* NULL: nobody waits */
	void *ctx;
} * trial;

/* -- the store: the two objects of a backup, in memory ---------------------- */

static struct trial_object *place_of(struct store *s, const char *name)
{
	struct trial *t = (struct trial *)s;

	if (!strcmp(name, store_name(CHANNEL_OBJECT_HEADER)))
		return &t->object[0];
	return strcmp(name, store_name(CHANNEL_OBJECT_PERMALL)) ? NULL : &t->object[1];
}

static int trial_get(struct store *s, const char *name, size_t max, uint8_t **buf,
		     size_t *len)
{
	const struct trial_object *o = place_of(s, name);

	if (!o || !o->bytes)
		return -ENOENT;
	if (o->len > max)
		return -EFBIG;
	*buf = malloc(o->len + 1);
	if (!*buf)
		return -ENOMEM;
	memcpy(*buf, o->bytes, o->len);
	(*buf)[o->len] = 0;
	*len = o->len;
	return 0;
}

static int trial_set(struct store *s, const char *name, const void *buf, size_t len)
{
	struct trial_object *o = place_of(s, name);
	uint8_t *copy = o ? malloc(len + 1) : NULL;

	if (!copy)
		return o ? -ENOMEM : 0;
	memcpy(copy, buf, len);
	free(o->bytes);
	*o = (struct trial_object){copy, len};
	return 0;
}

/* What a start puts (its TPM's clock, a recovery slot) is of this trial alone. */
static int trial_put(struct store_put *p)
{
	store_put_end(p, trial_set(p->store, store_name(p->object), p->buf, p->len));
	return 0;
}

static int trial_erase(struct store *s, const char *name, bool whole)
{
	return 0;
}

static const struct store_ops store_trial = {
	.get = trial_get,
	.set = trial_set,
	.put = trial_put,
	.erase = trial_erase,
};

static int take_object(struct trial *t, uint16_t object, const json_t *backup)
{
	const json_t *all = json_object_get(backup, "objects");
	const char *hex = json_string_value(json_object_get(all, store_name(object)));
	size_t len = hex ? strlen(hex) / 2 : 0;
	uint8_t *bytes = malloc(len + 1);
	uint64_t seq;
	int rc = hex && bytes && len <= CHANNEL_PAYLOAD_MAX ? hex_decode(hex, bytes, &len)
							    : -EBADMSG;

	if (!rc)
		rc = store_object_seq(object, bytes, len, &seq);
	if (!rc)
		rc = trial_set(&t->store, store_name(object), bytes, len);
	free(bytes);
	return rc;
}

/* -- its life ---------------------------------------------------------------- */

static void free_trial(struct trial *t)
{
	peer_free(t->peer);
	if (t->body)
		t->body->ops->free(t->body);
	if (t->timer)
		event_free(t->timer);
	if (t->over)
		event_free(t->over);
	config_put(t->config);
	json_decref(t->backup);
	for (size_t i = 0; i < ARRAY_SIZE(t->object); i++)
		free(t->object[i].bytes);
	free(t);
	if (trial == t)
		trial = NULL;
}

static void audit_trial(const struct trial *t)
{
	bool opens = t->error.cause == CAUSE_NONE;
	struct audit_event a = {.event = opens ? "verify" : "verify-failed",
				.vtpm = t->meta.name,
				.detail = opens ? NULL : error_word(t->error.cause)};
	char uuid[37];

	uuid_unparse_lower(t->meta.uuid, uuid);
	a.uuid = uuid;
	(void)trail_add(t->d, &a);
	log_line(opens ? LOG_NOTICE : LOG_WARNING, "a backup of vTPM %s %s%s",
		 t->meta.name, opens ? "opens here" : "does not open here: ",
		 opens ? "" : t->error.text);
}

/* Of t->over, from the loop: the body is gone, and nothing calls back any more. */
static void on_trial_over(evutil_socket_t fd, short what, void *ctx)
{
	struct trial *t = ctx;

	trial = NULL;
	if (t->backup)
		audit_trial(t);
	if (t->done)
		t->done(t->ctx, t->error.cause == CAUSE_NONE ? NULL : &t->error,
			t->backup);
	free_trial(t);
}

static void fail_trial(struct trial *t, enum cause cause, const char *text)
{
	if (!t->told)
		error_set(&t->error, 0, cause == CAUSE_NONE ? CAUSE_INTERNAL : cause,
			  "%s", text);
	t->told = true;
}

static void end_soon(struct trial *t)
{
	event_add(t->timer, &(struct timeval){.tv_sec = EXIT_S});
}

/* Of t->timer: it did not become ready, or does not end by itself. */
static void on_trial_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct trial *t = ctx;

	fail_trial(t, CAUSE_RESOURCES,
		   "The backup's manager did not become ready in time: when this host is "
		   "not just busy, see `journalctl -u vtpmd`.");
	t->body->ops->end(t->body);
}

/* -- what its manager says --------------------------------------------------- */

static int on_trial_hello(void *ctx, uint8_t mode, const uint8_t uuid[16], uint64_t seq,
			  struct cursor *out, const char **why)
{
	struct trial *t = ctx;

	if (mode != CHANNEL_STARTING || t->told) {
		*why = "It is on trial.";
		return -ESHUTDOWN;
	}
	channel_tlv_put(out, CONFIG_UUID, t->meta.uuid, sizeof(t->meta.uuid));
	channel_tlv_put(out, CONFIG_NAME, t->meta.name, strlen(t->meta.name));
	channel_tlv_put_u8(out, CONFIG_CREATE, 0);
	channel_tlv_put_u8(out, CONFIG_TRIAL, 1);
	cursor_put(out, t->config->tlvs, t->config->len);
	pool_keys_put(t->d, t->config, false, out);
	return 0;
}

static void on_trial_ready(void *ctx, uint64_t seq)
{
	struct trial *t = ctx;

	t->told = true;
	end_soon(t);
}

static void on_trial_fail(void *ctx, uint32_t cause, const char *text)
{
	struct trial *t = ctx;

	fail_trial(t, (enum cause)cause, text);
	end_soon(t);
}

static int on_trial_put(void *ctx, const struct store_put *put)
{
	return 0;
}

static bool on_trial_stored(void *ctx, uint16_t object)
{
	return false;
}

static int on_trial_config(void *ctx, struct cursor *out, const char **why)
{
	*why = "It is on trial.";
	return -EPERM;
}

static int on_trial_guest(void *ctx, const struct peer_guest *guest, struct cursor *out,
			  const char **why)
{
	*why = "it is a backup on trial, which serves no guest";
	return -EPERM;
}

static int on_trial_cleared(void *ctx, uint32_t response, const char **why)
{
	return -EPERM;
}

/* A deep rekey that the backup was taken in the midst of is finished in memory. */
static bool on_trial_rekeyed(void *ctx, uint32_t cause, const char *text)
{
	return true;
}

/* The manager itself compares them with the header. */
static int on_trial_identity(void *ctx, const uint8_t *keys, size_t len, uint32_t *known,
			     const char **why)
{
	*known = 0;
	return 0;
}

static int on_trial_quote(void *ctx, uint32_t id, const uint8_t *request, size_t len,
			  const char **why)
{
	*why = "It is on trial.";
	return -EPERM;
}

static void on_trial_attested(void *ctx, uint32_t cause, const char *text)
{
}

static void on_trial_status(void *ctx, const uint8_t *tlvs, size_t len)
{
}

static void on_trial_peer_gone(void *ctx)
{
	struct trial *t = ctx;

	peer_free(t->peer);
	t->peer = NULL;
	t->body->ops->lost(t->body);
}

static const struct peer_owner trial_peer_owner = {
	.hello = on_trial_hello,
	.ready = on_trial_ready,
	.put = on_trial_put,
	.stored = on_trial_stored,
	.config = on_trial_config,
	.guest = on_trial_guest,
	.cleared = on_trial_cleared,
	.rekeyed = on_trial_rekeyed,
	.identity = on_trial_identity,
	.quote = on_trial_quote,
	.attested = on_trial_attested,
	.fail = on_trial_fail,
	.status = on_trial_status,
	.gone = on_trial_peer_gone,
};

/* -- what its body says ------------------------------------------------------ */

static void on_trial_wire(void *ctx, struct wire *wire)
{
	struct trial *t = ctx;
	struct peer_env env = {
		.base = t->d->base,
		.name = t->meta.name,
		.tpm = t->d->tpm,
		.store = &t->store,
		.config = &t->config,
		.limits = &t->limits,
	};

	peer_free(t->peer);
	if (peer_new(&env, wire, &trial_peer_owner, t, &t->peer)) {
		t->peer = NULL;
		t->body->ops->lost(t->body);
	}
}

static int on_trial_asked(void *ctx)
{
	return 0;
}

static bool on_trial_unused(void *ctx)
{
	return true;
}

static void on_trial_gone(void *ctx, enum cause cause, const char *why)
{
	struct trial *t = ctx;

	fail_trial(t, cause, why);
	event_del(t->timer);
	event_active(t->over, EV_TIMEOUT, 0);
}

static void on_trial_progress(void *ctx, const char *text)
{
}

static const struct body_owner trial_body_owner = {
	.wire = on_trial_wire,
	.asked = on_trial_asked,
	.unused = on_trial_unused,
	.gone = on_trial_gone,
	.progress = on_trial_progress,
};

/* NULL: out of memory. */
static struct trial *new_trial(struct vtpmd *d, bool process)
{
	struct trial *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->d = d;
	t->store.ops = &store_trial;
	t->timer = evtimer_new(d->base, on_trial_timer, t);
	t->over = event_new(d->base, -1, 0, on_trial_over, t);
	t->body = process ? process_new() : domain_new();
	if (!t->timer || !t->over || !t->body) {
		free_trial(t);
		return NULL;
	}
	t->body->d = d;
	t->body->name = BODY_NAME;
	t->body->uuid = t->meta.uuid;
	t->body->owner = &trial_body_owner;
	t->body->ctx = t;
	return t;
}

/* What the backup says, and what this host has to open it with. */
static int furnish_trial(struct trial *t, const json_t *backup, struct error *e)
{
	int rc = meta_parse(backup, &t->meta);

	if (!rc)
		rc = take_object(t, CHANNEL_OBJECT_HEADER, backup);
	if (!rc)
		rc = take_object(t, CHANNEL_OBJECT_PERMALL, backup);
	if (rc)
		return rc == -ENOMEM ? error_set(e, rc, CAUSE_RESOURCES,
						 "There is no memory for the backup.")
				     : backup_not_whole(e);
	memcpy(t->store.uuid, t->meta.uuid, sizeof(t->store.uuid));
	t->body->memory = t->meta.memory;
	rc = describe_stored(&t->meta, &t->store, e);
	if (!rc)
		rc = config_get(&t->d->host, t->d->config, &t->config, e);
	return rc ? rc : config_covers(t->config, t->meta.policy, e);
}

int trial_begin(struct vtpmd *d, json_t *backup, trial_done *done, void *ctx,
		struct error *e)
{
	struct trial *t;
	int rc;

	if (trial)
		return error_set(e, -EBUSY, CAUSE_INTERNAL,
				 "Another backup is being opened on trial: try again in "
				 "a minute.");
	t = new_trial(d, d->processes);
	if (!t)
		return error_set(e, -ENOMEM, CAUSE_RESOURCES, "There is no memory.");
	rc = furnish_trial(t, backup, e);
	if (!rc)
		rc = t->body->ops->start(t->body, e);
	if (rc) {
		free_trial(t);
		return rc;
	}
	t->backup = json_incref(backup);
	t->done = done;
	t->ctx = ctx;
	trial = t;
	event_add(t->timer, &(struct timeval){.tv_sec = VTPM_START_S});
	return 0;
}

void trial_cancel(const void *ctx)
{
	if (!trial || !trial->done || trial->ctx != ctx)
		return;
	trial->done = NULL;
	fail_trial(trial, CAUSE_INTERNAL, "Nobody waits for it any more.");
	trial->body->ops->end(trial->body);
}

void trial_sweep(struct vtpmd *d)
{
	struct trial *t = d->processes ? NULL : new_trial(d, false);

	if (!t)
		return;
	if (t->body->ops->adopt(t->body)) {
		free_trial(t);
		return;
	}
	t->told = true;
	trial = t;
	t->body->ops->end(t->body);
}

void trial_end(void)
{
	if (trial)
		free_trial(trial);
}
