/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/peer.h"
#include "lib/binding.h"
#include "lib/measure.h"
#include "lib/text.h"
#include "tools/vtpmd/work.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

/* Nothing but success, or rc and its sentence. */
static void peer_answer(struct peer *p, const struct channel_frame *f, int rc)
{
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, strerror(-rc));
	else
		peer_reply(p, f->type, f->id, NULL, 0);
}

static void peer_answer_malformed(struct peer *p, const struct channel_frame *f)
{
	peer_refuse(p, f->type, f->id, EINVAL, "The request is malformed.");
}

/* Sends what was written to out, which is freed.  rc, or -EMSGSIZE: why there is
 * nothing. */
static int peer_answer_written(struct peer *p, const struct channel_frame *f,
			       uint8_t *out, const struct cursor *w, int rc,
			       const char *why)
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

#define PUT_PAUSE_US 300000

static void peer_store_get(struct peer *p, const struct channel_frame *f,
			   struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint8_t *buf;
	size_t len;
	int rc;

	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	rc = store_get(p->env.store, object, &buf, &len);
	if (rc) {
		peer_answer(p, f, rc);
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

/* What the journal says of a put that is over. */
static void log_put(struct peer *p, uint16_t object, uint64_t seq, int rc)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (p->put.rc)
		log_about(LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_STORE_GOOD),
			  "after %lld s the disk %s",
			  (long long)(now.tv_sec - p->put.since.tv_sec),
			  rc ? strerror(-rc) : "took the state");
	else if (rc)
		peer_log(p, LOG_ERR, PEER_ABOUT(p),
			 "object %u, generation %llu was not stored: %s", object,
			 (unsigned long long)seq, strerror(-rc));
}

static void end_put(struct peer *p, int rc)
{
	struct channel_frame f = {.type = CHANNEL_PUT, .id = p->put.id};

	log_put(p, p->put.put->object, p->put.put->head.seq, rc);
	store_put_free(p->put.put);
	p->put.put = NULL;
	p->put.rc = 0;
	peer_answer(p, &f, rc);
}

/* Nothing that was not stored may be acknowledged, and what the guest was promised
 * before must not be given up: wait for the disk.  Before the manager is ready, somebody
 * waits for its start, and gets progress. */
static bool wait_for_disk(struct peer *p, int rc)
{
	struct timeval pause = {.tv_usec = PUT_PAUSE_US};

	if (!p->ready || !may_pass(rc) || event_add(p->put.again, &pause))
		return false;
	if (!p->put.rc)
		log_about(LOG_ERR, PEER_ABOUT(p, .id = LOG_ID_STORE_WAITS),
			  "its state cannot be stored (%s): the guest waits until the "
			  "disk takes it",
			  strerror(-rc));
	p->put.rc = rc;
	return true;
}

static void on_peer_put(void *ctx, int rc)
{
	struct peer *p = ctx;

	if (!rc && p->owner->stored(p->ctx, p->put.put->object))
		return;
	if (!wait_for_disk(p, rc))
		end_put(p, rc);
}

void peer_put_counts(struct peer *p, int rc)
{
	if (p->put.put)
		end_put(p, rc);
}

static void put_again(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	int rc = store_put_run(p->put.put);

	if (rc)
		on_peer_put(p, rc);
}

static void peer_store_put(struct peer *p, const struct channel_frame *f,
			   struct cursor *c)
{
	uint16_t object = cursor_u16(c);
	uint64_t seq = cursor_u64(c);
	struct store_put *put = NULL;
	int rc;

	if (!cursor_ok(c) || !cursor_left(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	rc = store_put_new(p->env.store, object, seq, f->payload + c->pos, cursor_left(c),
			   on_peer_put, p, &put);
	if (rc)
		log_put(p, object, seq, rc);
	else
		rc = p->owner->put(p->ctx, put);
	if (rc) {
		store_put_free(put);
		peer_answer(p, f, rc);
		return;
	}
	p->put.id = f->id;
	p->put.put = put;
	clock_gettime(CLOCK_MONOTONIC, &p->put.since);
	put_again(-1, 0, p);
}

/* CHANNEL_RENEW */
static void peer_store_renew(struct peer *p, const struct channel_frame *f,
			     struct cursor *c)
{
	uint8_t reply[4];
	struct cursor w = cursor_writer(reply, sizeof(reply));
	uint32_t ms = 0;
	int rc = store_lease_ms(p->env.store, &ms);

	if (p->owner->may_answer && ms && !p->owner->may_answer(p->ctx))
		ms = 0;
	cursor_put_u32(&w, ms);
	if (rc)
		peer_answer(p, f, rc);
	else
		peer_reply(p, f->type, f->id, reply, sizeof(reply));
}

bool peer_is_greeted(const struct peer *p)
{
	return p && p->greeted;
}

int peer_store_error(const struct peer *p)
{
	return p->put.rc;
}

/* The manager is gone, and what waits with it. */
static void peer_store_end(struct peer *p)
{
	if (p->put.again)
		event_free(p->put.again);
	store_put_free(p->put.put);
}

/* Completion of the tunnel's calls. */
static void peer_kms_answered(void *ctx, int rc, const uint8_t *data, size_t len)
{
	struct peer *p = ctx;
	struct channel_frame f = {.type = p->kms_type, .id = p->kms_id};

	p->kms_type = 0;
	if (f.type == CHANNEL_KMS_OPEN)
		peer_log(p, rc ? LOG_WARNING : LOG_DEBUG, PEER_ABOUT(p),
			 "tunnel to KMS %s: %s", p->kms_address,
			 rc ? strerror(-rc) : "open");
	if (rc)
		peer_answer(p, &f, rc);
	else
		peer_reply(p, f.type, f.id, data, len);
}

/* The manager names a place in the list of addresses, never an address. */
static int open_tunnel(struct peer *p, unsigned int nth)
{
	const struct config *c = *p->env.config;
	int rc = -EDESTADDRREQ;

	if (c && c->host.has_kms)
		rc = address_nth(c->host.kms_address, nth, p->kms_address);
	return rc ? rc : tunnel_open(p->tunnel, p->kms_address);
}

/* CHANNEL_KMS_OPEN, _SEND, _RECV */
static void peer_kms(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t max = 0, nth = 0;
	int rc = -EBUSY;

	if (p->kms_type) {
		peer_answer(p, f, rc);
		return;
	}
	if (f->type == CHANNEL_KMS_RECV)
		max = cursor_u32(c);
	if (f->type == CHANNEL_KMS_OPEN && f->len)
		nth = cursor_u16(c);
	if (!cursor_ok(c)) {
		peer_answer_malformed(p, f);
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
		peer_answer(p, f, rc);
	}
}

static void peer_kms_close(struct peer *p, const struct channel_frame *f,
			   struct cursor *c)
{
	tunnel_close(p->tunnel);
	p->kms_type = 0;
	peer_answer(p, f, 0);
}

/* As long as a start may take (vtpm.h). */
#define PEER_TPM_S 180
/* A start takes some 40 commands, a copy's some 70. */
#define BURST	200
#define EACH_MS 500

static struct tpm_filter_host pinned(const struct peer_env *env)
{
	const struct config *c = *env->config;
	struct tpm_filter_host host = {.srk = c ? c->host.srk_handle : 0,
				       .uuid = {env->store->uuid, env->copy_of}};

	if (host.srk) {
		host.policy_key = c->host.policy_key;
		host.policy_key_len = sizeof(c->host.policy_key);
	}
	return host;
}

static void on_peer_tpm(void *ctx, int rc, const uint8_t *rsp, size_t len)
{
	struct peer *p = ctx;
	struct channel_frame f = {.type = CHANNEL_TPM, .id = p->tpm.id};

	if (rc) {
		peer_answer(p, &f, rc);
		return;
	}
	tpm_filter_answered(&p->tpm.filter, &p->tpm.asked, rsp, len);
	peer_reply(p, f.type, f.id, rsp, len);
}

static void refuse_peer(struct peer *p, const struct channel_frame *f,
			const struct tpm_filter_verdict *v)
{
	peer_log(p, LOG_WARNING, PEER_ABOUT(p, .id = LOG_ID_REFUSED),
		 "TPM command %s (0x%x) was refused: %s", v->name ? v->name : "unknown",
		 v->code, v->why);
	peer_refuse(p, f->type, f->id, EPERM, v->why);
}

static void peer_tpm(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	const struct tpm_filter_host host = pinned(&p->env);
	struct tpm_filter_verdict v;
	unsigned int wait;
	int rc;

	rc = tpm_filter_check(&p->tpm.filter, &host, f->payload, f->len, &v);
	if (!rc && !evtimer_pending(p->tpm.shut, NULL)) {
		rc = -EPERM;
		v.why = "its vTPM neither starts nor makes new key slots";
	}
	if (rc) {
		refuse_peer(p, f, &v);
		return;
	}
	if (relay_busy(p->relay)) {
		peer_answer(p, f, -EBUSY);
		return;
	}
	wait = bucket_wait(&p->env.limits->tpm, BURST, EACH_MS, (uint64_t)stamp_ms());
	log_about(LOG_DEBUG, PEER_ABOUT(p), "%s%s", v.name, wait ? ", slowed down" : "");
	rc = relay_submit(p->relay, f->payload, f->len, wait, on_peer_tpm, p);
	if (rc) {
		peer_answer(p, f, rc);
		return;
	}
	p->tpm.id = f->id;
	p->tpm.asked = v;
}

void peer_tpm_fill(struct peer_limits *limits)
{
	limits->tpm = (struct bucket){0};
}

void peer_tpm_open(struct peer *p)
{
	const struct timeval limit = {.tv_sec = PEER_TPM_S};

	event_add(p->tpm.shut, &limit);
}

static void peer_tpm_close(struct peer *p)
{
	event_del(p->tpm.shut);
	relay_reset(p->relay);
	p->tpm.filter = (struct tpm_filter){0};
}

static void on_shut(evutil_socket_t fd, short what, void *ctx)
{
	peer_tpm_close(ctx);
}

/* 0 or -ENOMEM */
static int peer_tpm_init(struct peer *p)
{
	p->relay = relay_new(p->env.base, p->env.tpm);
	p->tpm.shut = evtimer_new(p->env.base, on_shut, p);
	return p->relay && p->tpm.shut ? 0 : -ENOMEM;
}

static void peer_tpm_end(struct peer *p)
{
	relay_free(p->relay);
	if (p->tpm.shut)
		event_free(p->tpm.shut);
}

#define TEXT_MAX 1000

static const char other_release[] =
	"The vTPM manager is of another release than vtpmd, and they do not understand each "
	"other: install both of one release.";

static void serve_hello(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint16_t min = cursor_u16(c), max = cursor_u16(c), version;
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
	version = channel_version(min, max, mode);
	if (!version) {
		peer_refuse(p, f->type, f->id, EPROTO, other_release);
		if (mode == CHANNEL_STARTING)
			p->owner->fail(p->ctx, CAUSE_VERSION, other_release);
		return;
	}
	out = malloc(CHANNEL_PAYLOAD_MAX);
	w = cursor_writer(out, out ? CHANNEL_PAYLOAD_MAX - 4 : 0);
	cursor_put_u16(&w, version);
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
static void take_peer_text(struct cursor *c, char text[TEXT_MAX + 1])
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
	take_peer_text(c, text);
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
static void serve_attest(struct peer *p, const struct channel_frame *f, struct cursor *c)
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

static void serve_moved(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint8_t step = cursor_u8(c);
	uint32_t cause = cursor_u32(c);
	size_t n = cursor_left(c);
	const uint8_t *bytes = cursor_bytes(c, n);

	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	peer_answer(p, f, 0);
	p->owner->moved(p->ctx, step, cause, bytes, n);
}

static void serve_guest(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	struct peer_guest g = {.domid = cursor_u32(c)};
	const char *why = "vtpmd could not judge it.";
	struct cursor w;
	uint8_t *out;
	int rc;

	g.on = cursor_u64(c);
	g.device = cursor_left(c) ? cursor_bytes(c, 16) : NULL;
	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	out = malloc(CHANNEL_PAYLOAD_MAX);
	w = cursor_writer(out, out ? CHANNEL_PAYLOAD_MAX - 4 : 0);
	rc = out ? p->owner->guest(p->ctx, &g, &w, &why) : -ENOMEM;
	(void)peer_answer_written(p, f, out, &w, rc, why);
}

static void serve_refused(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	char text[TEXT_MAX + 1];
	uint32_t domid;

	/* a number and a text, too */
	if (!take_cause(p, f, c, &domid, text))
		return;
	p->owner->refused(p->ctx, domid, text);
	peer_answer(p, f, 0);
}

static void serve_cleared(struct peer *p, const struct channel_frame *f, struct cursor *c)
{
	uint32_t response = cursor_u32(c);
	const char *why = "vtpmd did not ask for it.";
	int rc;

	if (!cursor_done(c)) {
		peer_answer_malformed(p, f);
		return;
	}
	rc = p->owner->cleared(p->ctx, response, &why);
	if (rc)
		peer_refuse(p, f->type, f->id, -rc, why);
	else
		peer_answer(p, f, 0);
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
	take_peer_text(c, text);
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
	[CHANNEL_CLEARED] = serve_cleared,   [CHANNEL_REFUSED] = serve_refused,
	[CHANNEL_MOVED] = serve_moved,	     [CHANNEL_RENEW] = peer_store_renew,
};

/* Milliseconds of vtpmd that a request of this type is counted as; never 0. */
/* Those that read or write files, or ask others; a state is written and synchronised. */
static unsigned int peer_cost(uint16_t type)
{
	switch (type) {
	case CHANNEL_HELLO:
	case CHANNEL_CONFIG:
	case CHANNEL_IDENTITY:
	case CHANNEL_KMS_OPEN:
	case CHANNEL_GUEST:
	case CHANNEL_CLEARED:
	case CHANNEL_REFUSED:
	case CHANNEL_QUOTE:
	case CHANNEL_MOVED:
		return 16;
	case CHANNEL_PUT:
		return 4;
	default:
		return 1;
	}
}

static void peer_serve(struct peer *p, const struct channel_frame *f)
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

/* A manager waits for each answer; one that leaves this much unread is broken. */
#define UNREAD_MAX (4 * CHANNEL_PAYLOAD_MAX)
/* Reads in one turn, which ends with the first request. */
#define TURN_READS 16
/* Milliseconds of requests, by peer_cost(), that a vTPM's managers may ask for at once;
 * then they get a millisecond in a millisecond. */
#define REQUESTS_MS 1024

static void fill_peer(struct peer *p, uint16_t type, uint32_t id, const void *head,
		      size_t head_len, const void *body, size_t body_len)
{
	uint8_t header[CHANNEL_HEADER_SIZE];

	channel_header(header, type, id, head_len + body_len);
	if (evbuffer_add(p->out, header, sizeof(header)) ||
	    (head_len && evbuffer_add(p->out, head, head_len)) ||
	    (body_len && evbuffer_add(p->out, body, body_len)))
		p->broken = "there is no memory for its answers";
	if (evbuffer_get_length(p->out) > UNREAD_MAX)
		p->broken = "it does not read its answers";
}

static void flush(struct peer *p)
{
	ssize_t n = 1;

	while (evbuffer_get_length(p->out) && n > 0) {
		size_t len = evbuffer_get_contiguous_space(p->out);

		n = p->wire->write(p->wire, evbuffer_pullup(p->out, (ssize_t)len), len);
		if (n < 0)
			p->ended = true;
		else
			evbuffer_drain(p->out, (size_t)n);
	}
	p->wire->want_write(p->wire, evbuffer_get_length(p->out) > 0);
}

/* Gives this peer a turn after the next poll, in which the others have theirs: to flush,
 * to read on, or to end. */
static void again(struct peer *p)
{
	static const struct timeval now;

	if (event_add(p->turn, &now))
		log_line(LOG_ERR, "there is no memory for a turn of %s", p->env.name);
}

void peer_reply(struct peer *p, uint16_t type, uint32_t id, const void *data, size_t len)
{
	static const uint8_t success[4];

	if (len > CHANNEL_PAYLOAD_MAX - sizeof(success)) {
		peer_refuse(p, type, id, EFBIG, "The answer is too long.");
		return;
	}
	fill_peer(p, type | CHANNEL_REPLY, id, success, sizeof(success), data, len);
	again(p);
}

void peer_refuse(struct peer *p, uint16_t type, uint32_t id, int error, const char *why)
{
	uint8_t status[4];
	struct cursor w = cursor_writer(status, sizeof(status));

	cursor_put_u32(&w, (uint32_t)error);
	fill_peer(p, type | CHANNEL_REPLY, id, status, sizeof(status), why, strlen(why));
	again(p);
}

void peer_event_with(struct peer *p, uint16_t type, const void *payload, size_t len)
{
	fill_peer(p, type, 0, payload, len, NULL, 0);
	again(p);
}

void peer_event(struct peer *p, uint16_t type)
{
	peer_event_with(p, type, NULL, 0);
}

/* When the request is served: at once, or when there is enough in the bucket for it. */
static void set_due(struct peer *p)
{
	unsigned int cost = peer_cost(p->held.type);
	uint64_t now = (uint64_t)stamp_ms();

	p->due_ms = now +
		    bucket_wait(&p->env.limits->requests, REQUESTS_MS / cost, cost, now);
}

/* Reads until a request is whole; whether there may be more to read. */
static bool read_request(struct peer *p)
{
	size_t room;
	uint8_t *at;
	ssize_t n;
	int i, rc;

	for (i = 0; i < TURN_READS; i++) {
		at = channel_reader_room(&p->in, &room);
		n = p->wire->read(p->wire, at, room);
		if (n < 0)
			p->ended = true;
		if (n <= 0)
			return false;
		rc = channel_reader_add(&p->in, (size_t)n);
		if (rc < 0)
			p->broken = "it does not speak the host channel's protocol";
		if (rc)
			p->holds = rc > 0;
		if (rc)
			break;
	}
	if (p->holds) {
		channel_reader_take(&p->in, &p->held);
		set_due(p);
	}
	return true;
}

/* Serves the request that it holds, if it is due; else it has a turn when it is. */
static void serve_held(struct peer *p)
{
	uint64_t now = (uint64_t)stamp_ms(), wait = p->due_ms > now ? p->due_ms - now : 0;
	const struct timeval tv = {.tv_usec = (suseconds_t)wait * 1000};
	struct channel_frame f = p->held;

	if (wait) {
		if (event_add(p->turn, &tv))
			p->broken = "there is no memory for its turn";
		return;
	}
	p->holds = false;
	peer_serve(p, &f);
	free(f.payload);
}

bool peer_is_held(const struct peer *p)
{
	return p->holds;
}

static void drop_peer(struct peer *p)
{
	if (p->broken)
		peer_log(p, LOG_WARNING, PEER_ABOUT(p), "its manager is dropped: %s",
			 p->broken);
	log_left_out(&p->env.limits->lines, PEER_ABOUT(p));
	p->owner->gone(p->ctx);
}

/* Serves one request at most.  While a state is being stored none is taken. */
static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *p = ctx;
	bool more = p->holds;

	if (!p->put.put && !p->holds && !p->broken)
		more = read_request(p);
	if (p->holds)
		serve_held(p);
	if (!p->broken)
		flush(p);
	if (p->broken || p->ended)
		drop_peer(p);
	else if (more && !p->put.put && !p->holds)
		again(p);
}

static void on_peer_ready(void *ctx)
{
	again(ctx);
}

int peer_new(const struct peer_env *env, struct wire *wire,
	     const struct peer_owner *owner, void *ctx, struct peer **out)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p) {
		wire->free(wire);
		return -ENOMEM;
	}
	p->env = *env;
	p->wire = wire;
	p->owner = owner;
	p->ctx = ctx;
	p->out = evbuffer_new();
	p->turn = evtimer_new(env->base, on_turn, p);
	p->put.again = evtimer_new(env->base, put_again, p);
	p->tunnel = tunnel_new(env->base, peer_kms_answered, p);
	if (peer_tpm_init(p) || !p->out || !p->turn || !p->put.again || !p->tunnel) {
		peer_free(p);
		return -ENOMEM;
	}
	priority_of_peers(p->turn);
	wire->ctx = p;
	wire->ready = on_peer_ready;
	again(p);
	*out = p;
	return 0;
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	peer_store_end(p);
	peer_tpm_end(p);
	tunnel_free(p->tunnel);
	if (p->turn)
		event_free(p->turn);
	if (p->out)
		evbuffer_free(p->out);
	channel_reader_reset(&p->in);
	if (p->holds)
		free(p->held.payload);
	p->wire->free(p->wire);
	free(p);
}
