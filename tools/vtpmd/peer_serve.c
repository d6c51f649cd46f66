/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/measure.h"
#include "tools/vtpmd/peer_serve.h"
#include "lib/binding.h"
#include "lib/text.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/peer_answer.h"
#include "tools/vtpmd/peer_kms.h"
#include "tools/vtpmd/peer_store.h"
#include "tools/vtpmd/peer_tpm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1000

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
	if (p->said_hello || !cursor_ok(c) || mode > CHANNEL_RESUMED) {
		p->broken =
			p->said_hello ? "it said HELLO twice" : "its HELLO is malformed";
		return;
	}
	p->said_hello = true;
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
	if (!peer_answer_written(p, f, out, &w, rc, why)) {
		p->greeted = true;
		p->ready = mode == CHANNEL_RESUMED;
		if (mode == CHANNEL_STARTING)
			peer_tpm_open(p);
	}
}

static void serve_ready(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint64_t seq = cursor_u64(c);

	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	peer_answer(p, f, 0);
	peer_tpm_close(p);
	p->ready = true;
	p->owner->ready(p->ctx, seq);
}

/* The rest of a payload as a text that is printable. */
static void take_text(struct cursor *c, char text[TEXT_MAX + 1])
{
	size_t n = cursor_left(c);

	text_clean(text, TEXT_MAX + 1, cursor_bytes(c, n), n);
}

/* u32 cause | text.  false: it was malformed, and is answered. */
static bool take_cause(struct peer *p, const struct channel_frame *f, struct cursor *c,
		       uint32_t *cause, char text[TEXT_MAX + 1])
{
	*cause = cursor_u32(c);
	if (!cursor_ok(c)) {
		peer_answer_malformed(p, f);
		return false;
	}
	take_text(c, text);
	return true;
}

static void serve_fail(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint32_t cause;

	if (!take_cause(p, f, c, &cause, text))
		return;
	if (p->said_fail) {
		p->broken = "it said FAIL twice";
		return;
	}
	p->said_fail = true;
	peer_answer(p, f, 0);
	peer_tpm_close(p);
	p->owner->fail(p->ctx, cause, text);
}

static void serve_rekeyed(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint32_t cause;

	if (!take_cause(p, f, c, &cause, text))
		return;
	peer_tpm_close(p);
	if (p->owner->rekeyed(p->ctx, cause, text))
		peer_answer(p, f, 0);
	else
		peer_refuse(p, f->type, f->id, EPERM, "Nobody asked for new keys.");
}

static void serve_config(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint8_t *out = malloc(CHANNEL_PAYLOAD_MAX);
	struct cursor w = cursor_writer(out, out ? CHANNEL_PAYLOAD_MAX - 4 : 0);
	const char *why = "vtpmd refused it.";
	int rc = out ? p->owner->config(p->ctx, &w, &why) : -ENOMEM;

	(void)peer_answer_written(p, f, out, &w, rc, why);
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

/* Evidence is as long as a payload may be. */
static void take_evidence(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t cause = cursor_u32(c);
	size_t n = cursor_left(c);
	char *text = malloc(n + 1);

	if (!cursor_ok(c)) {
		peer_answer_malformed(p, f);
	} else if (!text) {
		peer_answer(p, f, -ENOMEM);
	} else {
		text_clean(text, n + 1, cursor_bytes(c, n), n);
		peer_answer(p, f, 0);
		p->owner->attested(p->ctx, cause, text);
	}
	free(text);
}

static void serve_attest(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint8_t out[4 + 2 + BINDING_NONCE_MAX + 2 + BINDING_USER_MAX];
	struct cursor w = cursor_writer(out, sizeof(out));
	const char *why = "vtpmd refused it.";
	int rc;

	if (f->len) {
		take_evidence(p, f, c);
		return;
	}
	rc = p->owner->attest(p->ctx, &w, &why);
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_reply(p, f->type, f->id, out, w.pos);
}

static void serve_guest(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t domid = cursor_u32(c);
	uint64_t on = cursor_u64(c);
	const char *why = "vtpmd could not judge it.";
	struct cursor w;
	uint8_t *out;
	int rc;

	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	out = malloc(CHANNEL_PAYLOAD_MAX);
	w = cursor_writer(out, out ? CHANNEL_PAYLOAD_MAX - 4 : 0);
	rc = out ? p->owner->guest(p->ctx, domid, on, &w, &why) : -ENOMEM;
	if (rc)
		peer_log(p, LOG_ERR, PEER_ABOUT(p, .id = LOG_ID_REFUSED),
			 "domain %u is refused: %s", domid, why);
	(void)peer_answer_written(p, f, out, &w, rc, why);
}

static void serve_status(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	peer_answer(p, f, 0);
	p->owner->status(p->ctx, f->payload, f->len);
}

static void serve_log(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint8_t level = cursor_u8(c);

	if (!cursor_ok(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	take_text(c, text);
	/* nothing that a manager says is an emergency of the host, or debugging */
	if (level < LOG_ERR || level > LOG_INFO)
		level = level < LOG_ERR ? LOG_ERR : LOG_INFO;
	peer_log(p, level, PEER_ABOUT(p), "says: %s", text);
	peer_answer(p, f, 0);
}

static void (*const serve[])(struct peer *, const struct channel_frame *,
			     struct cursor *) = {
	[CHANNEL_HELLO] = serve_hello,	     [CHANNEL_GET] = peer_store_get,
	[CHANNEL_PUT] = peer_store_put,	     [CHANNEL_TPM] = peer_tpm,
	[CHANNEL_KMS_OPEN] = peer_kms,	     [CHANNEL_KMS_SEND] = peer_kms,
	[CHANNEL_KMS_RECV] = peer_kms,	     [CHANNEL_KMS_CLOSE] = peer_kms_close,
	[CHANNEL_READY] = serve_ready,	     [CHANNEL_FAIL] = serve_fail,
	[CHANNEL_STATUS] = serve_status,     [CHANNEL_LOG] = serve_log,
	[CHANNEL_CONFIG] = serve_config,     [CHANNEL_REKEYED] = serve_rekeyed,
	[CHANNEL_IDENTITY] = serve_identity, [CHANNEL_QUOTE] = serve_quote,
	[CHANNEL_ATTEST] = serve_attest,     [CHANNEL_GUEST] = serve_guest,
};

/* Those that read or write files, or ask others; a state is written and synchronised. */
unsigned int peer_cost(uint16_t type)
{
	switch (type) {
	case CHANNEL_HELLO:
	case CHANNEL_CONFIG:
	case CHANNEL_IDENTITY:
	case CHANNEL_KMS_OPEN:
	case CHANNEL_GUEST:
	case CHANNEL_QUOTE:
		return 16;
	case CHANNEL_PUT:
		return 4;
	default:
		return 1;
	}
}

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
