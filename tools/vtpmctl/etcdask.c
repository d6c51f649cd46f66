/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/etcdask.h"
#include "tools/vtpmd/etcd/etcd.h"
#include "tools/vtpmd/etcd/proto.h"
#include "tools/vtpmd/etcd/where.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_US	     20000
#define REQUEST_ROOM 4096 /* of a transaction, besides its value */

struct etcdask {
	struct event_base *base;
	struct etcd *etcd;
	char prefix[WHERE_PREFIX_MAX], host[MIRROR_HOST_MAX];

	char trouble[400]; /* of the last connection that was lost */
	bool is_answered;
	int rc; /* of the answer */
	uint8_t *answer;
	size_t answer_len;
};

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A member that ends each connection is up for a moment each time, and then has no trouble. */
static void on_link(void *ctx, bool up)
{
	struct etcdask *a = ctx;

	if (!up)
		snprintf(a->trouble, sizeof(a->trouble), "%s", etcd_trouble(a->etcd));
}

static void drop_answer(struct etcdask *a)
{
	free(a->answer);
	a->answer = NULL;
	a->answer_len = 0;
}

static void on_answer(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct etcdask *a = ctx;

	drop_answer(a);
	a->is_answered = true;
	a->rc = rc;
	if (rc)
		return;
	a->answer = malloc(len + 1);
	if (!a->answer) {
		a->rc = -ENOMEM;
		return;
	}
	memcpy(a->answer, buf, len);
	a->answer_len = len;
}

static void turn_loop(struct etcdask *a)
{
	static const struct timeval step = {.tv_usec = STEP_US};

	(void)event_base_loopexit(a->base, &step);
	(void)event_base_dispatch(a->base);
}

static int cannot_reach(const struct etcdask *a, struct error *e)
{
	const char *now = etcd_trouble(a->etcd), *why = now[0] ? now : a->trouble;

	return error_set(e, -ETIMEDOUT, CAUSE_STORE,
			 "etcd cannot be used (%.110s): see that its members run at the "
			 "addresses of --store, and that they and this host have "
			 "certificates of each other's CAs (docs/pool.md)",
			 why[0] ? why : "it does not answer");
}

/* Asks until there is an answer; what nobody knows is asked again, so it has to be something that
 * can be done twice.  Returns the answer's rc; -ETIMEDOUT: there was none, *e says why. */
static int ask_etcd(struct etcdask *a, enum etcd_method method, const struct cursor *c,
		    struct error *e)
{
	int64_t end = monotonic_ms() + ETCDASK_MS;
	struct etcd_call *call;

	if (!cursor_ok(c))
		return error_set(e, -EMSGSIZE, CAUSE_INTERNAL,
				 "what etcd is to be asked is too long");
	do {
		a->is_answered = false;
		if (!etcd_is_up(a->etcd) ||
		    etcd_call(a->etcd, method, c->wr, c->pos, on_answer, a, &call)) {
			turn_loop(a);
			continue;
		}
		while (!a->is_answered)
			turn_loop(a);
		if (a->rc != -ETIMEDOUT)
			return a->rc;
	} while (monotonic_ms() < end);
	return cannot_reach(a, e);
}

int etcdask_open(const struct hostconf_store *s, struct etcdask **out, struct error *e)
{
	struct etcdask *a = calloc(1, sizeof(*a));
	struct etcd_options o = {.ca = s->ca,
				 .cert = s->cert,
				 .key = s->key,
				 .on_link = on_link,
				 .ctx = a};
	int64_t end;
	int rc;

	*out = NULL;
	if (a)
		a->base = event_base_new();
	if (!a || !a->base) {
		free(a);
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "there is no memory");
	}
	rc = where_prefix(s->url, a->prefix, e);
	o.endpoints = s->url + strlen(WHERE_SCHEME);
	if (!rc)
		rc = where_host(s->cert, a->host, e);
	if (!rc)
		rc = etcd_new(a->base, &o, &a->etcd, e);
	end = monotonic_ms() + ETCDASK_MS;
	while (!rc && !etcd_is_up(a->etcd) && monotonic_ms() < end)
		turn_loop(a);
	if (!rc && !etcd_is_up(a->etcd))
		rc = cannot_reach(a, e);
	if (rc)
		etcdask_close(a);
	else
		*out = a;
	return rc;
}

void etcdask_close(struct etcdask *a)
{
	if (!a)
		return;
	etcd_free(a->etcd);
	event_base_free(a->base);
	drop_answer(a);
	free(a);
}

const char *etcdask_host(const struct etcdask *a)
{
	return a->host;
}

const char *etcdask_prefix(const struct etcdask *a)
{
	return a->prefix;
}

const char *etcdask_pool(const struct etcdask *a)
{
	static char name[WHERE_PREFIX_MAX];
	const char *from = a->prefix + strlen("/xen-vtpm/1/");

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(from, "/"), from);
	return name;
}

/* -- rights ------------------------------------------------------------------------ */

/* A transaction that never does what it asks for, since no revision is that high: etcd looks at
 * the rights for it all the same. */
static int try_put(struct etcdask *a, const char *key, struct error *e)
{
	uint8_t buf[REQUEST_ROOM];
	struct cursor c = cursor_writer(buf, sizeof(buf));
	char whole[PROTO_KEY_MAX];

	snprintf(whole, sizeof(whole), "%s%s", a->prefix, key);
	proto_txn_compare(&c, whole, PROTO_MOD, INT64_MAX);
	proto_txn_put(&c, whole, "", 0, 0);
	return ask_etcd(a, ETCD_TXN, &c, e);
}

static int try_read(struct etcdask *a, struct error *e)
{
	uint8_t buf[REQUEST_ROOM];
	struct cursor c = cursor_writer(buf, sizeof(buf));

	proto_range(&c, a->prefix, NULL, 1, 0);
	return ask_etcd(a, ETCD_RANGE, &c, e);
}

static int refuse_right(const struct etcdask *a, int rc, const char *right,
			const char *key, const char *prefix, struct error *e)
{
	if (rc == -ETIMEDOUT || e->text[0])
		return rc;
	return error_set(e, rc, CAUSE_STORE,
			 "etcd lets the user %s, the CN of --store-cert, not %s %s%s: "
			 "`etcdctl role grant-permission %s %s %s%s%s`, of a role that "
			 "that user has (docs/pool.md)",
			 a->host, right, a->prefix, key, a->host, right, a->prefix, key,
			 prefix);
}

int etcdask_rights(struct etcdask *a, struct error *e)
{
	char key[PROTO_KEY_MAX];
	int rc = try_read(a, e);

	if (rc)
		return refuse_right(a, rc, "read", "", " --prefix", e);
	rc = try_put(a, "v/rights", e);
	if (rc)
		return refuse_right(a, rc, "readwrite", "v/", " --prefix", e);
	snprintf(key, sizeof(key), "alive/%s", a->host);
	rc = try_put(a, key, e);
	if (rc)
		return refuse_right(a, rc, "readwrite", key, "", e);
	/* no host has such a name */
	rc = try_put(a, "alive/~", e);
	if (rc == -EACCES)
		return 0;
	if (rc)
		return refuse_right(a, rc, "read", "", " --prefix", e);
	return error_set(
		e, -EACCES, CAUSE_STORE,
		"etcd lets the user %s write the alive keys of other hosts too, whose leases "
		"it could end: `etcdctl auth enable` if that was not done, and give the user "
		"the role of docs/pool.md and no other",
		a->host);
}

/* -- values ------------------------------------------------------------------------- */

struct reader {
	const char *key; /* whole */
	struct etcdask_value *v;
	int rc;
};

static void read_kv(void *ctx, const struct proto_kv *kv)
{
	struct reader *r = ctx;

	if (kv->key_len != strlen(r->key) || memcmp(kv->key, r->key, kv->key_len) ||
	    r->v->buf)
		return;
	r->v->buf = malloc(kv->value_len + 1);
	if (!r->v->buf) {
		r->rc = -ENOMEM;
		return;
	}
	memcpy(r->v->buf, kv->value, kv->value_len);
	r->v->len = kv->value_len;
	r->v->mod = kv->mod_revision;
}

int etcdask_get(struct etcdask *a, const char *key, struct etcdask_value *v,
		struct error *e)
{
	uint8_t buf[REQUEST_ROOM];
	struct cursor c = cursor_writer(buf, sizeof(buf));
	char whole[PROTO_KEY_MAX];
	struct reader r = {whole, v, 0};
	struct proto_reply reply;
	int rc;

	*v = (struct etcdask_value){0};
	snprintf(whole, sizeof(whole), "%s%s", a->prefix, key);
	proto_range(&c, whole, NULL, 1, 0);
	rc = ask_etcd(a, ETCD_RANGE, &c, e);
	if (rc)
		return refuse_right(a, rc, "read", "", " --prefix", e);
	rc = proto_range_reply(a->answer, a->answer_len, &reply, read_kv, &r);
	if (!rc)
		rc = r.rc;
	return rc ? error_set(e, rc, CAUSE_STORE, "etcd's answer makes no sense") : 0;
}

/* Whether the value that is there is the one that was to be put: an answer got lost. */
static int compare_value(struct etcdask *a, const char *key, const void *buf, size_t len,
			 struct error *e)
{
	struct etcdask_value v;
	int rc = etcdask_get(a, key, &v, e);

	if (!rc && (!v.buf || v.len != len || memcmp(v.buf, buf, len)))
		rc = -EEXIST;
	free(v.buf);
	return rc;
}

int etcdask_put(struct etcdask *a, const char *key, int64_t mod, const void *buf,
		size_t len, struct error *e)
{
	uint8_t *request = malloc(len + REQUEST_ROOM);
	char whole[PROTO_KEY_MAX];
	struct proto_reply reply;
	struct cursor c;
	int rc;

	if (!request)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "there is no memory");
	c = cursor_writer(request, len + REQUEST_ROOM);
	snprintf(whole, sizeof(whole), "%s%s", a->prefix, key);
	proto_txn_compare(&c, whole, PROTO_MOD, mod);
	proto_txn_put(&c, whole, buf, len, 0);
	rc = ask_etcd(a, ETCD_TXN, &c, e);
	free(request);
	if (rc == -ENOSPC)
		return error_set(e, rc, CAUSE_STORE,
				 "etcd takes nothing, as its quota is used up: see "
				 "`etcdctl alarm list`, compact, defrag, `etcdctl alarm "
				 "disarm`");
	if (rc)
		return refuse_right(a, rc, "readwrite", key, "", e);
	rc = proto_txn_reply(a->answer, a->answer_len, &reply, NULL, NULL);
	if (rc)
		return error_set(e, rc, CAUSE_STORE, "etcd's answer makes no sense");
	return reply.succeeded ? 0 : compare_value(a, key, buf, len, e);
}
