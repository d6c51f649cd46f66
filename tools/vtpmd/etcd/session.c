/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/etcd/session.h"
#include "tools/vtpmd/etcd/where.h"
#include "tools/vtpmd/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE	 6 /* keys: of ours each is half a MiB at most */
#define SMALL	 1024
#define AGAIN_MS 300
#define TELL_MS	 60000 /* of lines in the journal that say the same */
#define DENIED_S 5     /* until an operator may have given the right */
#define PROBE_MS 1000  /* between two renewals that others have this host make */

int64_t session_now_ms(void)
{
	struct timespec now;

	/* one that goes on while the host sleeps, as etcd's does */
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool session_valid(const struct session *s)
{
	return s->lease && session_now_ms() < s->renewed_ms + (int64_t)s->o.ttl * 1000;
}

uint32_t session_left_ms(const struct session *s)
{
	int64_t left =
		s->renewed_ms + (int64_t)s->o.ttl * 1000 * 2 / 3 - session_now_ms();

	return s->lease && !s->put_back && left > 0 ? (uint32_t)left : 0;
}

bool session_is_promised(const struct session *s)
{
	return session_now_ms() < s->promised_ms;
}

/* The lease runs since that moment. */
static void note_renewed(struct session *s, int64_t ms)
{
	s->renewed_ms = ms;
	s->promised_ms = ms + (int64_t)s->o.ttl * 1000 * 2 / 3;
}

const char *session_trouble(const struct session *s)
{
	if (s->put_back)
		return "its data were put back, or it is another cluster";
	if (s->mirror.overflow)
		return "there is more in the pool than this host can keep";
	if (!etcd_is_up(s->etcd))
		return etcd_trouble(s->etcd);
	if (s->ready)
		return "";
	return s->denied
		       ? "it does not let this host's user read and write what the pool "
			 "has: see its role (docs/pool.md)"
		       : "it is being read";
}

bool session_accepts(struct session *s, const struct proto_header *h)
{
	if (s->put_back)
		return false;
	if (!s->seen.cluster_id)
		s->seen.cluster_id = h->cluster_id;
	if (h->cluster_id == s->seen.cluster_id && h->revision >= 0) {
		if (h->revision > s->seen.revision)
			s->seen.revision = h->revision;
		return true;
	}
	s->put_back = true;
	s->found = h->revision;
	log_line(LOG_ERR,
		 "etcd at %s is another cluster than it was: nothing is stored until the "
		 "first one is there again, or `vtpmctl pool accept --yes`",
		 etcd_member(s->etcd));
	return false;
}

/* Says in the journal that etcd can be used, or why it cannot: when that has changed, and at most once
 * a minute each, as it may change often. */
static void tell_link(struct session *s)
{
	int64_t now = session_now_ms(), *last = &s->told_ms[s->ready];

	if ((s->ready && s->told_ready) || (*last && now < *last + TELL_MS))
		return;
	*last = now;
	s->told_ready = s->ready;
	if (s->ready)
		log_line(LOG_INFO, "connected to etcd at %s", etcd_member(s->etcd));
	else
		log_line(LOG_INFO, "not connected to etcd: %s", session_trouble(s));
}

/* Of an answer on the way to "ready": the journal has it, once a minute, when etcd did not let this
 * host's user do it. */
static void note_denied(struct session *s, int rc, const char *verb, const char *key,
			const char *host)
{
	int64_t now = session_now_ms();

	if (rc != -EACCES)
		return;
	s->denied = true;
	if (s->denied_ms && now < s->denied_ms + TELL_MS)
		return;
	s->denied_ms = now;
	log_line(
		LOG_ERR,
		"etcd does not let this host %s %s%s%s: give its user the role for the pool",
		verb, s->mirror.prefix, key, host);
}

static void advance(struct session *s);

/* Of what was asked for: it is not there; once more in a moment. */
static void ask_again(struct session *s)
{
	struct timeval soon = {.tv_usec = AGAIN_MS * 1000};

	event_add(s->again, &soon);
}

/* The same of what failed with rc. */
static void ask_later(struct session *s, int rc)
{
	struct timeval later = {.tv_sec = DENIED_S};

	if (rc == -EACCES)
		event_add(s->again, &later);
	else
		ask_again(s);
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	advance(ctx);
}

/* One question of advance(); its answer goes on. */
static void ask(struct session *s, enum etcd_method method, const struct cursor *c,
		etcd_done *done)
{
	struct etcd_call *call;

	if (cursor_ok(c) && !etcd_call(s->etcd, method, c->wr, c->pos, done, s, &call))
		s->asking = true;
	else
		ask_again(s);
}

/* -- the lease ------------------------------------------------------------------ */

static void lose_lease(struct session *s)
{
	if (!s->lease)
		return;
	s->lease = 0;
	s->ready = false;
	log_line(LOG_WARNING, "etcd has ended this host's lease");
	s->o.on_lease_lost(s->o.ctx);
	ask_again(s);
}

static void on_renewed(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct session *s = ctx;
	struct proto_reply r;

	s->renewing = false;
	if (rc == -ENOENT) {
		lose_lease(s);
		return;
	}
	if (rc || proto_lease_reply(buf, len, &r) || !session_accepts(s, &r.header) ||
	    r.id != s->lease)
		return;
	if (!r.ttl) {
		lose_lease(s);
		return;
	}
	s->stretch += !session_left_ms(s);
	/* the moment of the question counts, not that of the answer */
	note_renewed(s, s->renew_sent_ms);
}

static void renew_now(struct session *s)
{
	struct etcd_call *call;
	uint8_t buf[SMALL];
	struct cursor c = cursor_writer(buf, sizeof(buf));

	if (!s->lease || s->renewing)
		return;
	s->renew_sent_ms = session_now_ms();
	proto_lease_id(&c, s->lease);
	s->renewing = !etcd_call(s->etcd, ETCD_LEASE_KEEPALIVE, buf, c.pos, on_renewed, s,
				 &call);
}

void session_probe(struct session *s)
{
	if (session_now_ms() >= s->renew_sent_ms + PROBE_MS)
		renew_now(s);
}

static void on_renew_time(evutil_socket_t fd, short what, void *ctx)
{
	renew_now(ctx);
	tell_link(ctx); /* what changed within a minute */
}

static void on_shown(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct session *s = ctx;
	struct proto_reply r;

	s->asking = false;
	note_denied(s, rc, "write", "alive/", s->mirror.host);
	if (rc || proto_txn_reply(buf, len, &r, NULL, NULL) ||
	    !session_accepts(s, &r.header)) {
		/* shown once more, unless it has run out meanwhile */
		s->granted = rc == -EACCES ? s->granted : 0;
		ask_later(s, rc);
		return;
	}
	s->lease = s->granted;
	note_renewed(s, s->renewed_ms);
	s->stretch++;
	s->granted = 0;
	s->denied = false;
	advance(s);
}

/* So that nobody else can revoke it, who may not write this key. */
static void show_lease(struct session *s)
{
	uint8_t buf[SMALL];
	struct cursor c = cursor_writer(buf, sizeof(buf));
	char key[PROTO_KEY_MAX];

	snprintf(key, sizeof(key), "%salive/%s", s->mirror.prefix, s->mirror.host);
	proto_txn_put(&c, key, s->mirror.host, strlen(s->mirror.host), s->granted);
	ask(s, ETCD_TXN, &c, on_shown);
}

static void on_granted(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct session *s = ctx;
	struct proto_reply r;

	s->asking = false;
	note_denied(s, rc, "use", "", "");
	if (rc || proto_lease_reply(buf, len, &r) || !r.id ||
	    !session_accepts(s, &r.header)) {
		ask_later(s, rc);
		return;
	}
	s->granted = r.id;
	show_lease(s);
}

static void want_lease(struct session *s)
{
	uint8_t buf[SMALL];
	struct cursor c = cursor_writer(buf, sizeof(buf));

	if (s->granted) {
		show_lease(s);
		return;
	}
	s->renewed_ms = session_now_ms();
	proto_lease_grant(&c, s->o.ttl);
	ask(s, ETCD_LEASE_GRANT, &c, on_granted);
}

/* -- the mirror ------------------------------------------------------------------ */

static void keep_kv(void *ctx, const struct proto_kv *kv)
{
	struct session *s = ctx;

	mirror_apply(&s->mirror, kv);
	proto_mark_key(&s->after, kv);
}

static void on_page(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct session *s = ctx;
	struct proto_reply r;

	s->asking = false;
	note_denied(s, rc, "read", "", "");
	if (rc || proto_range_reply(buf, len, &r, NULL, NULL) ||
	    (!s->put_back && !session_accepts(s, &r.header))) {
		/* compacted: from its begin, as it is now; or longer than a message may be,
		 * as others may write what is longer than ours */
		s->after.len = 0;
		s->page = rc == -ERANGE || rc == -EACCES ? s->page : 1;
		ask_later(s, rc);
		return;
	}
	if (!s->snapshot_rev) {
		s->snapshot_rev = r.header.revision;
		mirror_begin(&s->mirror);
	}
	if (proto_range_reply(buf, len, &r, keep_kv, s) || !r.more) {
		mirror_end(&s->mirror);
		s->rev = s->snapshot_rev;
		s->synced = true;
		s->denied = false;
		s->page = PAGE;
	}
	advance(s);
}

static void want_page(struct session *s)
{
	uint8_t buf[2 * PROTO_KEY_MAX + SMALL];
	struct cursor c = cursor_writer(buf, sizeof(buf));

	if (!s->after.len)
		s->snapshot_rev = 0;
	proto_range(&c, s->mirror.prefix, &s->after, s->page, s->snapshot_rev);
	ask(s, ETCD_RANGE, &c, on_page);
}

static void apply_event(void *ctx, const struct proto_kv *kv)
{
	struct session *s = ctx;

	mirror_apply(&s->mirror, kv);
	if (kv->mod_revision > s->rev)
		s->rev = kv->mod_revision;
}

static void set_ready(struct session *s)
{
	s->readied += !s->ready;
	s->ready = true;
	s->denied = false;
	tell_link(s);
}

static void on_watched(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct session *s = ctx;
	struct proto_reply r;
	int64_t before;

	if (rc) {
		s->watch = NULL;
		s->ready = false;
		ask_again(s);
		return;
	}
	if (proto_watch_reply(buf, len, &r, NULL, NULL)) {
		/* what it tells of is not known: all is read anew */
		session_resync(s);
		return;
	}
	if (!session_accepts(s, &r.header))
		return;
	if (r.canceled) {
		etcd_cancel(s->watch);
		s->watch = NULL;
		s->ready = false;
		if (r.compact_revision)
			session_resync(s);
		else
			ask_again(s);
		return;
	}
	before = s->rev;
	if (proto_watch_reply(buf, len, &r, apply_event, s))
		return;
	/* the rest of the last revision may be in the next message */
	if (r.fragment && s->rev > before)
		s->rev--;
	set_ready(s);
	if (!r.fragment)
		s->o.on_change(s->o.ctx);
}

/* A read that a majority stands for: what it says is not older than what was seen, unless
 * etcd's data were put back. */
static void on_checked(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct session *s = ctx;
	struct proto_reply r;

	s->asking = false;
	note_denied(s, rc, "read", "", "");
	if (rc || proto_range_reply(buf, len, &r, NULL, NULL)) {
		ask_later(s, rc);
		return;
	}
	s->checked = r.header.revision >= s->seen.revision;
	if (!s->checked &&
	    (!s->seen.cluster_id || r.header.cluster_id == s->seen.cluster_id)) {
		s->put_back = true;
		s->found = r.header.revision;
		log_line(
			LOG_ERR,
			"etcd at %s has older data than it had, revision %lld and not %lld: "
			"nothing is stored until the newest are put back and vtpmd is "
			"restarted, or `vtpmctl pool accept --yes`",
			etcd_member(s->etcd), (long long)s->found,
			(long long)s->seen.revision);
	}
	s->checked = session_accepts(s, &r.header);
	advance(s);
}

static void want_check(struct session *s)
{
	uint8_t buf[2 * PROTO_KEY_MAX + SMALL];
	struct cursor c = cursor_writer(buf, sizeof(buf));

	proto_range(&c, s->mirror.prefix, NULL, 1, 0);
	ask(s, ETCD_RANGE, &c, on_checked);
}

static void want_watch(struct session *s)
{
	uint8_t buf[2 * PROTO_KEY_MAX + SMALL];
	struct cursor c = cursor_writer(buf, sizeof(buf));

	proto_watch(&c, s->mirror.prefix, s->rev + 1);
	if (!cursor_ok(&c) || etcd_watch(s->etcd, buf, c.pos, on_watched, s, &s->watch))
		ask_again(s);
}

void session_accept(struct session *s)
{
	log_line(LOG_NOTICE, "etcd's data are accepted as they are");
	s->put_back = s->checked = false;
	s->seen = (struct session_seen){0};
	s->rev = 0;
	s->lease = s->granted = 0;
	mirror_forget(&s->mirror);
	session_resync(s);
}

void session_resync(struct session *s)
{
	s->synced = s->ready = false;
	s->after.len = 0;
	if (s->watch) {
		etcd_cancel(s->watch);
		s->watch = NULL;
	}
	ask_again(s);
}

/* What is next on the way to "ready". */
static void advance(struct session *s)
{
	if (!etcd_is_up(s->etcd) || s->asking || s->mirror.overflow)
		return;
	if (s->put_back) {
		if (!s->synced)
			want_page(s);
		return;
	}
	if (!s->checked)
		want_check(s);
	else if (!s->lease)
		want_lease(s);
	else if (!s->synced)
		want_page(s);
	else if (!s->watch)
		want_watch(s);
	else if (!s->ready) {
		set_ready(s);
		s->o.on_change(s->o.ctx);
	}
}

static void on_link(void *ctx, bool up)
{
	struct session *s = ctx;

	if (up) {
		renew_now(s);
		advance(s);
		return;
	}
	s->ready = s->asking = s->checked = s->denied = false;
	s->watch = NULL;
	tell_link(s);
}

/* -- its life ---------------------------------------------------------------------- */

int session_new(const struct session_options *o, struct session **out, struct error *e)
{
	struct session *s = calloc(1, sizeof(*s));
	struct etcd_options to = {.endpoints = o->url + strlen(WHERE_SCHEME),
				  .ca = o->ca,
				  .cert = o->cert,
				  .key = o->key,
				  .on_link = on_link,
				  .ctx = s};
	int rc;

	if (!s)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	s->o = *o;
	if (!s->o.ttl)
		s->o.ttl = SESSION_TTL_S;
	s->page = PAGE;
	s->seen = o->seen;
	rc = where_prefix(o->url, s->mirror.prefix, e);
	if (!rc)
		rc = etcd_new(o->base, &to, &s->etcd, e);
	if (!rc)
		rc = where_host(o->cert, s->mirror.host, e);
	if (!rc) {
		struct timeval often = {.tv_sec = s->o.ttl / 3};

		s->renew = event_new(o->base, -1, EV_PERSIST, on_renew_time, s);
		s->again = evtimer_new(o->base, on_again, s);
		if (!s->renew || !s->again || event_add(s->renew, &often))
			rc = error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	}
	if (rc)
		session_free(s);
	else
		*out = s;
	return rc;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	etcd_free(s->etcd);
	if (s->renew)
		event_free(s->renew);
	if (s->again)
		event_free(s->again);
	mirror_free(&s->mirror);
	free(s);
}
