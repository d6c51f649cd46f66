/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/measure.h"
#include "tools/vtpmd/peer_serve.h"
#include "lib/binding.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/tpm_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_LINES_A_MINUTE 60
#define TEXT_MAX	   1000
#define PUT_PAUSE_US	   300000

/* Whether a line about or from this manager may go into the log. */
static bool may_log(struct peer *p)
{
	time_t minute = time(NULL) / 60;

	if (minute != p->log_minute) {
		p->log_minute = minute;
		p->log_left = LOG_LINES_A_MINUTE;
	}
	if (p->log_left <= 0)
		return false;
	if (--p->log_left == 0)
		log_about(LOG_WARNING, PEER_ABOUT(p),
			  "too many lines, no more in this minute");
	return true;
}

static void answer(struct peer *p, const struct channel_frame *f, int rc)
{
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, strerror(-rc));
	else
		peer_reply(p, f->type, f->id, NULL, 0);
}

static void malformed(struct peer *p, const struct channel_frame *f)
{
	peer_refuse(p, f->type, f->id, EINVAL, "The request is malformed.");
}

/* Sends what was written to out, which is freed, or why there is nothing. */
static int answer_written(struct peer *p, const struct channel_frame *f, uint8_t *out,
			  const struct cursor *w, int rc, const char *why)
{
	if (!rc && !cursor_ok(w))
		rc = -EMSGSIZE;
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_reply(p, f->type, f->id, out, w->pos);
	free(out);
	return rc;
}

static void serve_hello(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t min = cursor_u16(c), max = cursor_u16(c);
	uint8_t mode = cursor_u8(c), uuid[16];
	const char *why = "vtpmd refused it.";
	struct cursor w;
	uint64_t seq;
	uint8_t *out;
	int rc;

	cursor_copy(c, uuid, sizeof(uuid));
	seq = cursor_u64(c);
	if (!cursor_ok(c) || mode > CHANNEL_RESUMED) {
		p->broken = "its HELLO is malformed";
		return;
	}
	if (min > CHANNEL_VERSION || max < CHANNEL_VERSION) {
		peer_refuse(p, f->type, f->id, EPROTO,
			    "vtpmd speaks version 1 of the host channel: install vtpmd "
			    "and the vTPM manager of one release.");
		return;
	}
	out = malloc(CHANNEL_PAYLOAD_MAX);
	w = cursor_writer(out, out ? CHANNEL_PAYLOAD_MAX - 4 : 0);
	cursor_put_u16(&w, CHANNEL_VERSION);
	rc = out ? p->owner->hello(p->ctx, mode, uuid, seq, &w, &why) : -ENOMEM;
	if (!answer_written(p, f, out, &w, rc, why)) {
		p->greeted = true;
		p->ready = mode == CHANNEL_RESUMED;
	}
}

static void serve_get(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint8_t *buf;
	size_t len;
	int rc;

	if (!cursor_done(c)) {
		malformed(p, f);
		return;
	}
	rc = store_get(p->env.store, object, &buf, &len);
	if (rc) {
		answer(p, f, rc);
		return;
	}
	peer_reply(p, f->type, f->id, buf, len);
	free(buf);
}

/* The disk's fault, which may pass; everything else is the manager's or final. */
static bool may_pass(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EIO || rc == -EROFS ||
	       rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

static int put(struct peer *p, const uint8_t *payload, size_t len)
{
	struct cursor c = cursor_reader(payload, len);
	uint16_t object = cursor_u16(&c);
	uint64_t seq = cursor_u64(&c);

	return store_put(p->env.store, object, seq, payload + c.pos, len - c.pos);
}

static void end_put(struct peer *p, int rc)
{
	struct channel_frame f = {.type = CHANNEL_PUT, .id = p->put.id};

	log_about(LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_STORE_GOOD),
		  "after %lld s the disk %s", (long long)(time(NULL) - p->put.since),
		  rc ? strerror(-rc) : "took the state");
	free(p->put.payload);
	p->put.payload = NULL;
	answer(p, &f, rc);
}

static void put_again(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	struct timeval pause = {.tv_usec = PUT_PAUSE_US};

	p->put.rc = put(p, p->put.payload, p->put.len);
	if (!may_pass(p->put.rc) || event_add(p->put.again, &pause))
		end_put(p, p->put.rc);
}

/* Nothing that was not stored may be acknowledged, and what the guest was promised
 * before must not be given up: wait for the disk. -ENOMEM */
static int wait_for_disk(struct peer *p, const struct channel_frame *f, int rc)
{
	struct timeval pause = {.tv_usec = PUT_PAUSE_US};

	if (!p->put.again)
		p->put.again = evtimer_new(p->env.base, put_again, p);
	if (p->put.payload || !p->put.again)
		return -EBUSY;
	p->put.payload = malloc(f->len);
	if (!p->put.payload || event_add(p->put.again, &pause)) {
		free(p->put.payload);
		p->put.payload = NULL;
		return -ENOMEM;
	}
	memcpy(p->put.payload, f->payload, f->len);
	p->put.len = f->len;
	p->put.id = f->id;
	p->put.rc = rc;
	p->put.since = time(NULL);
	log_about(LOG_ERR, PEER_ABOUT(p, .id = LOG_ID_STORE_WAITS),
		  "its state cannot be stored (%s): the guest waits until the "
		  "disk takes it",
		  strerror(-rc));
	return 0;
}

static void serve_put(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint64_t seq = cursor_u64(c);
	int rc;

	if (!cursor_ok(c) || !cursor_left(c)) {
		malformed(p, f);
		return;
	}
	rc = put(p, f->payload, f->len);
	/* before it is ready, somebody waits for its start, and is told */
	if (p->ready && may_pass(rc) && !wait_for_disk(p, f, rc))
		return;
	if (rc && may_log(p))
		log_about(LOG_ERR, PEER_ABOUT(p),
			  "object %u, generation %llu was not stored: %s", object,
			  (unsigned long long)seq, strerror(-rc));
	answer(p, f, rc);
}

int peer_store_error(const struct peer *p)
{
	return p->put.payload ? p->put.rc : 0;
}

void peer_serve_end(struct peer *p)
{
	if (p->put.again)
		event_free(p->put.again);
	free(p->put.payload);
}

static void on_tpm(void *ctx, int rc, const uint8_t *rsp, size_t len)
{
	struct peer *p = ctx;
	struct channel_frame f = {.type = CHANNEL_TPM, .id = p->tpm_id};

	if (rc)
		answer(p, &f, rc);
	else
		peer_reply(p, f.type, f.id, rsp, len);
}

static void serve_tpm(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	struct tpm_filter_verdict v;
	int rc;

	rc = tpm_filter_check(f->payload, f->len, p->env.config->srk_handle, &v);
	if (rc) {
		if (may_log(p))
			log_about(LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_REFUSED),
				  "TPM command %s (0x%x) was refused: %s",
				  v.name ? v.name : "unknown", v.code, v.why);
		peer_refuse(p, f->type, f->id, -rc, v.why);
		return;
	}
	log_about(LOG_DEBUG, PEER_ABOUT(p), "%s", v.name);
	rc = relay_submit(p->relay, f->payload, f->len, on_tpm, p);
	if (rc)
		answer(p, f, rc);
	else
		p->tpm_id = f->id;
}

void peer_serve_tunnel(void *ctx, int rc, const uint8_t *data, size_t len)
{
	struct peer *p = ctx;
	struct channel_frame f = {.type = p->kms_type, .id = p->kms_id};

	p->kms_type = 0;
	if (f.type == CHANNEL_KMS_OPEN)
		log_about(rc ? LOG_WARNING : LOG_DEBUG, PEER_ABOUT(p),
			  "tunnel to KMS %s: %s", p->kms_address,
			  rc ? strerror(-rc) : "open");
	if (rc)
		answer(p, &f, rc);
	else
		peer_reply(p, f.type, f.id, data, len);
}

/* The manager names a place in the list of addresses, never an address. */
static int open_tunnel(struct peer *p, unsigned int nth)
{
	int rc = -EDESTADDRREQ;

	if (p->env.config->kms_address)
		rc = address_nth(p->env.config->kms_address, nth, p->kms_address);
	return rc ? rc : tunnel_open(p->tunnel, p->kms_address);
}

static void serve_kms(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t max = 0, nth = 0;
	int rc = -EBUSY;

	if (p->kms_type) {
		answer(p, f, rc);
		return;
	}
	if (f->type == CHANNEL_KMS_RECV)
		max = cursor_u32(c);
	if (f->type == CHANNEL_KMS_OPEN && f->len)
		nth = cursor_u16(c);
	if (!cursor_ok(c)) {
		malformed(p, f);
		return;
	}
	p->kms_type = f->type;
	p->kms_id = f->id;
	if (f->type == CHANNEL_KMS_RECV)
		rc = tunnel_recv(p->tunnel, max);
	else if (f->type == CHANNEL_KMS_SEND)
		rc = tunnel_send(p->tunnel, f->payload, f->len);
	else
		rc = open_tunnel(p, nth);
	if (rc) {
		p->kms_type = 0;
		answer(p, f, rc);
	}
}

static void serve_kms_close(struct peer *p, const struct channel_frame *f,
			    struct cursor *c)
{
	tunnel_close(p->tunnel);
	p->kms_type = 0;
	answer(p, f, 0);
}

static void serve_ready(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint64_t seq = cursor_u64(c);

	if (!cursor_done(c)) {
		malformed(p, f);
		return;
	}
	answer(p, f, 0);
	p->ready = true;
	p->owner->ready(p->ctx, seq);
}

/* The rest of a payload as a terminated text. */
static void take_text(struct cursor *c, char text[TEXT_MAX + 1])
{
	size_t n = cursor_left(c) < TEXT_MAX ? cursor_left(c) : TEXT_MAX;

	cursor_copy(c, text, n);
	text[n] = 0;
}

/* u32 cause | text; answered either way.  false: it was malformed. */
static bool take_cause(struct peer *p, const struct channel_frame *f, struct cursor *c,
		       uint32_t *cause, char text[TEXT_MAX + 1])
{
	*cause = cursor_u32(c);
	if (!cursor_ok(c)) {
		malformed(p, f);
		return false;
	}
	take_text(c, text);
	answer(p, f, 0);
	return true;
}

static void serve_fail(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint32_t cause;

	if (take_cause(p, f, c, &cause, text))
		p->owner->fail(p->ctx, cause, text);
}

static void serve_rekeyed(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint32_t cause;

	if (take_cause(p, f, c, &cause, text))
		p->owner->rekeyed(p->ctx, cause, text);
}

static void serve_config(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint8_t *out = malloc(CHANNEL_PAYLOAD_MAX);
	struct cursor w = cursor_writer(out, out ? CHANNEL_PAYLOAD_MAX - 4 : 0);
	const char *why = "vtpmd refused it.";
	int rc = out ? p->owner->config(p->ctx, &w, &why) : -ENOMEM;

	(void)answer_written(p, f, out, &w, rc, why);
}

static void serve_identity(struct peer *p, const struct channel_frame *f,
			   struct cursor *c)
{
	const char *why = "vtpmd refused it.";
	uint8_t reply[4];
	struct cursor w = cursor_writer(reply, sizeof(reply));
	uint32_t known = 0;
	int rc = p->owner->identity(p->ctx, f->payload, f->len, &known, &why);

	cursor_put_u32(&w, known);
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_reply(p, f->type, f->id, reply, sizeof(reply));
}

static void serve_quote(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	const char *why = "vtpmd refused it.";
	int rc = p->owner->quote(p->ctx, f->id, f->payload, f->len, &why);

	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
}

static void serve_attest(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint8_t out[4 + BINDING_NONCE_MAX];
	struct cursor w = cursor_writer(out, sizeof(out));
	const char *why = "vtpmd refused it.";
	uint32_t cause;
	int rc;

	if (f->len) {
		cause = cursor_u32(c);
		if (!cursor_ok(c)) {
			malformed(p, f);
			return;
		}
		answer(p, f, 0);
		p->owner->attested(p->ctx, cause, f->payload + c->pos, cursor_left(c));
		return;
	}
	rc = p->owner->attest(p->ctx, &w, &why);
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_reply(p, f->type, f->id, out, w.pos);
}

static void serve_launch(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t domid = cursor_u32(c);
	const char *why = "It was not started by vtpmctl launch.";
	struct cursor w;
	uint8_t *out;
	int rc;

	if (!cursor_done(c)) {
		malformed(p, f);
		return;
	}
	out = malloc(MEASURE_MAX);
	w = cursor_writer(out, out ? MEASURE_MAX : 0);
	rc = out ? p->owner->launch(p->ctx, domid, &w, &why) : -ENOMEM;
	(void)answer_written(p, f, out, &w, rc, why);
}

static void serve_status(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	answer(p, f, 0);
	p->owner->status(p->ctx, f->payload, f->len);
}

static void serve_log(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint8_t level = cursor_u8(c);

	if (!cursor_ok(c)) {
		malformed(p, f);
		return;
	}
	take_text(c, text);
	/* nothing that a manager says is an emergency of the host */
	if (may_log(p))
		log_about(level < LOG_ERR ? LOG_ERR : level, PEER_ABOUT(p), "says: %s",
			  text);
	answer(p, f, 0);
}

static void (*const serve[])(struct peer *, const struct channel_frame *,
			     struct cursor *) = {
	[CHANNEL_HELLO] = serve_hello,	     [CHANNEL_GET] = serve_get,
	[CHANNEL_PUT] = serve_put,	     [CHANNEL_TPM] = serve_tpm,
	[CHANNEL_KMS_OPEN] = serve_kms,	     [CHANNEL_KMS_SEND] = serve_kms,
	[CHANNEL_KMS_RECV] = serve_kms,	     [CHANNEL_KMS_CLOSE] = serve_kms_close,
	[CHANNEL_READY] = serve_ready,	     [CHANNEL_FAIL] = serve_fail,
	[CHANNEL_STATUS] = serve_status,     [CHANNEL_LOG] = serve_log,
	[CHANNEL_CONFIG] = serve_config,     [CHANNEL_REKEYED] = serve_rekeyed,
	[CHANNEL_IDENTITY] = serve_identity, [CHANNEL_QUOTE] = serve_quote,
	[CHANNEL_ATTEST] = serve_attest,     [CHANNEL_LAUNCH] = serve_launch,
};

void peer_serve(struct peer *p, const struct channel_frame *f)
{
	struct cursor c = cursor_reader(f->payload, f->len);

	if (!f->id || f->type & CHANNEL_REPLY) {
		p->broken = "it sent what only vtpmd may send";
		return;
	}
	if (!p->greeted && f->type != CHANNEL_HELLO) {
		p->broken = "it did not begin with HELLO";
		return;
	}
	if (f->type >= ARRAY_SIZE(serve) || !serve[f->type])
		peer_refuse(p, f->type, f->id, ENOSYS,
			    "vtpmd does not know the request.");
	else
		serve[f->type](p, f, &c);
}
