/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer_serve.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/tpm_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_LINES_A_MINUTE 60
#define TEXT_MAX	   1000

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
		log_line(LOG_WARNING, "vTPM %s: too many lines, no more in this minute",
			 p->env.name);
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
	if (!out) {
		answer(p, f, -ENOMEM);
		return;
	}
	w = cursor_writer(out, CHANNEL_PAYLOAD_MAX - 4);
	cursor_put_u16(&w, CHANNEL_VERSION);
	rc = p->owner->hello(p->ctx, mode, uuid, seq, &w, &why);
	if (!rc && !cursor_ok(&w))
		rc = -EMSGSIZE;
	if (!rc)
		p->greeted = true;
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_reply(p, f->type, f->id, out, w.pos);
	free(out);
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

static void serve_put(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint64_t seq = cursor_u64(c);
	size_t len = cursor_left(c);
	const uint8_t *bytes = cursor_bytes(c, len);
	int rc;

	if (!cursor_done(c) || !len) {
		malformed(p, f);
		return;
	}
	rc = store_put(p->env.store, object, seq, bytes, len);
	if (rc && may_log(p))
		log_line(LOG_ERR,
			 "vTPM %s: object %u, generation %llu was not stored: %s",
			 p->env.name, object, (unsigned long long)seq, strerror(-rc));
	answer(p, f, rc);
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
			log_line(LOG_WARNING,
				 "vTPM %s: TPM command %s (0x%x) was refused: %s",
				 p->env.name, v.name ? v.name : "unknown", v.code, v.why);
		peer_refuse(p, f->type, f->id, -rc, v.why);
		return;
	}
	log_line(LOG_DEBUG, "vTPM %s: %s", p->env.name, v.name);
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
		log_line(rc ? LOG_WARNING : LOG_DEBUG, "vTPM %s: tunnel to KMS %s: %s",
			 p->env.name, p->env.config->kms_address,
			 rc ? strerror(-rc) : "open");
	if (rc)
		answer(p, &f, rc);
	else
		peer_reply(p, f.type, f.id, data, len);
}

static void serve_kms(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t max = 0;
	int rc = -EBUSY;

	if (p->kms_type) {
		answer(p, f, rc);
		return;
	}
	if (f->type == CHANNEL_KMS_RECV)
		max = cursor_u32(c);
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
	else if (!p->env.config->kms_address)
		rc = -EDESTADDRREQ;
	else
		rc = tunnel_open(p->tunnel, p->env.config->kms_address);
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
	p->owner->ready(p->ctx, seq);
}

/* The rest of a payload as a terminated text. */
static void take_text(struct cursor *c, char text[TEXT_MAX + 1])
{
	size_t n = cursor_left(c) < TEXT_MAX ? cursor_left(c) : TEXT_MAX;

	cursor_copy(c, text, n);
	text[n] = 0;
}

static void serve_fail(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint32_t cause = cursor_u32(c);

	if (!cursor_ok(c)) {
		malformed(p, f);
		return;
	}
	take_text(c, text);
	answer(p, f, 0);
	p->owner->fail(p->ctx, cause, text);
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
		log_line(level < LOG_ERR ? LOG_ERR : level, "vTPM %s: says: %s",
			 p->env.name, text);
	answer(p, f, 0);
}

static void (*const serve[])(struct peer *, const struct channel_frame *,
			     struct cursor *) = {
	[CHANNEL_HELLO] = serve_hello,	 [CHANNEL_GET] = serve_get,
	[CHANNEL_PUT] = serve_put,	 [CHANNEL_TPM] = serve_tpm,
	[CHANNEL_KMS_OPEN] = serve_kms,	 [CHANNEL_KMS_SEND] = serve_kms,
	[CHANNEL_KMS_RECV] = serve_kms,	 [CHANNEL_KMS_CLOSE] = serve_kms_close,
	[CHANNEL_READY] = serve_ready,	 [CHANNEL_FAIL] = serve_fail,
	[CHANNEL_STATUS] = serve_status, [CHANNEL_LOG] = serve_log,
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
