/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/store_etcd_private.h"
#include "tools/vtpmd/log.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#define END_MS 1000
#define TIDY_S 2

bool store_etcd_is(const char *root)
{
	return !strncmp(root, STORE_ETCD_SCHEME, strlen(STORE_ETCD_SCHEME));
}

static struct place *place_of(const struct store *s)
{
	return store_pool.session ? mirror_find(&store_pool.session->mirror, s->uuid)
				  : NULL;
}

/* -- store.h ------------------------------------------------------------------------- */

struct lister {
	void (*each)(void *ctx, const char *uuid);
	void *ctx;
};

static void list_place(void *ctx, struct place *p)
{
	struct lister *l = ctx;
	char text[37];

	uuid_unparse_lower(p->uuid, text);
	if (mirror_get(p, "vtpm.json"))
		l->each(l->ctx, text);
}

static int etcd_list(const char *root, void (*each)(void *ctx, const char *uuid),
		     void *ctx)
{
	struct lister l = {each, ctx};

	if (!store_pool.session)
		return -ENOTCONN;
	mirror_each(&store_pool.session->mirror, list_place, &l);
	return 0;
}

static int etcd_open(struct store *s, const char *root, bool create)
{
	struct place *p = place_of(s);

	s->dir = s->lease = -1;
	if (!store_pool.session)
		return -ENOTCONN;
	if (!create)
		return p && p->gen_mod ? 0 : -ENOENT;
	if (p && (p->gen_mod || p->ops))
		return -EEXIST;
	p = mirror_place(&store_pool.session->mirror, s->uuid);
	if (!p || !store_txn_add(p, OP_CREATE))
		return -ENOMEM;
	store_txn_send(p);
	return 0;
}

static void etcd_close(struct store *s)
{
	struct place *p = place_of(s);

	if (!p || p->user != s)
		return;
	/* vtpmd ends: its lease goes, or the same host has it again */
	p->user = NULL;
	p->asked_ms = 0;
}

static bool is_releasing(const struct place *p)
{
	const struct place_op *op = p->ops;

	while (op && op->kind != OP_RELEASE)
		op = op->next;
	return op != NULL;
}

/* Whether it is removed behind that, as one whose making was given up. */
static bool is_going(const struct place_op *op)
{
	while (op && op->kind != OP_REMOVE)
		op = op->next;
	return op != NULL;
}

static bool is_coming(const struct place *p)
{
	const struct place_op *op = p->ops;

	while (op && op->kind != OP_CREATE && (op->kind != OP_CLAIM || op->again))
		op = op->next;
	return op && !is_going(op);
}

/* Whether etcd has it, or is about to. */
static bool is_made(const struct place *p)
{
	return p->gen_mod || p->mine || is_coming(p);
}

bool store_etcd_put_back(void)
{
	return store_pool.session && store_pool.session->put_back;
}

int store_etcd_may(struct error *e)
{
	const struct session *s = store_pool.session;

	if (!s)
		return 0;
	if (!s->put_back)
		return store_pool.o.may ? store_pool.o.may(store_pool.o.ctx, e) : 0;
	return error_set(
		e, -ESTALE, CAUSE_ROLLED_BACK,
		"etcd's data are not those that this host knew: revision %lld was seen, and it is "
		"revision %lld, or another cluster. Bring the newest back and restart vtpmd, or, "
		"when these are meant, `vtpmctl pool accept --yes` on each host.",
		(long long)s->seen.revision, (long long)s->found);
}

static bool is_full(const struct member *m)
{
	return m->known && strstr(m->status.errors, "NOSPACE");
}

/* What keeps etcd from answering, or from taking what is to be stored, as far as this host sees
 * it, and what mends that. */
static void etcd_waits_for(const struct store *s, char *text, size_t room)
{
	size_t n = members_count(store_pool.members), up = 0, led = 0;
	const char *why = session_trouble(store_pool.session);
	bool full = store_pool.last_rc == -ENOSPC;

	for (size_t i = 0; i < n; i++) {
		const struct member *m = members_at(store_pool.members, i);

		up += m->known;
		led += m->known && m->status.leader;
		full = full || is_full(m);
	}
	if (full && !why[0]) {
		snprintf(text, room,
			 "its quota is used up: compact, defrag and disarm its alarm "
			 "(docs/pool.md)");
		return;
	}
	snprintf(text, room, "%.100s; of %zu members %zu answer%s%s%s",
		 why[0] ? why : "it has not answered", n, up, up == 1 ? "s" : "",
		 up && !led ? ", without a leader" : "",
		 2 * up <= n || !led ? ": have a majority of them run" : "");
}

static int etcd_claim(struct store *s, struct error *e)
{
	struct place *p = place_of(s);
	int rc = store_etcd_may(e);
	char why[300];

	if (rc)
		return rc;
	if (!p)
		return error_set(
			e, -ENOENT, CAUSE_STORE,
			"The vTPM is not in the pool any more: see `vtpmctl list` "
			"on the other hosts.");
	rc = p->answered ? p->claim_rc : 0;
	p->answered = false;
	if (rc == -ETIMEDOUT) {
		etcd_waits_for(s, why, sizeof(why));
		return error_set(
			e, rc, CAUSE_STORE,
			"etcd has not let this host have the vTPM within %d s (%s); see "
			"`vtpmctl pool show`.",
			STORE_ETCD_CLAIM_S, why);
	}
	if (rc == -EBUSY)
		return error_set(
			e, rc, CAUSE_LEASE,
			"The vTPM is in use on the host %s: stop it there first, or "
			"wait until that host's lease has run out.",
			p->owner);
	if (rc)
		return error_set(e, rc, CAUSE_STORE,
				 "The vTPM could not be claimed in etcd: %s%s.",
				 strerror(-rc),
				 rc == -ENOSPC	 ? ": `etcdctl alarm list`, and compact, "
						   "defrag and disarm it (docs/pool.md)"
				 : rc == -EACCES ? ": see the role of this host's user "
						   "(docs/pool.md); `vtpmctl doctor` "
						   "names the right"
						 : "");
	if (!is_made(p))
		return error_set(
			e, -ENOENT, CAUSE_NO_STATE,
			"The vTPM was not made in etcd: `vtpmctl delete` it, and "
			"make it again.");
	p->user = s;
	if (p->mine && !is_releasing(p))
		return 0;
	if (!is_coming(p) && !store_txn_add(p, OP_CLAIM))
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	if (!p->asked_ms) {
		p->asked_ms = session_now_ms();
		p->slow = false;
	}
	store_txn_send(p);
	return -EAGAIN;
}

static void etcd_release(struct store *s, bool later)
{
	struct place *p = place_of(s);

	if (!p)
		return;
	p->user = NULL;
	p->asked_ms = 0;
	if (!is_releasing(p) && store_txn_add(p, OP_RELEASE))
		store_txn_send(p);
}

static int etcd_get(struct store *s, const char *name, size_t max, uint8_t **buf,
		    size_t *len)
{
	struct place *p = place_of(s);
	const struct mirror_value *v = p ? mirror_get(p, name) : NULL;

	if (!v)
		return -ENOENT;
	if (v->len > max)
		return -EFBIG;
	*buf = malloc(v->len + 1);
	if (!*buf)
		return -ENOMEM;
	memcpy(*buf, v->buf, v->len);
	*len = v->len;
	return 0;
}

/* Whether another host has it: what this one knows of it is not for keeping. */
static bool is_anothers(const struct place *p)
{
	return !p->mine && !is_coming(p) && p->owner_mod &&
	       strcmp(p->owner, store_pool.session->mirror.host) != 0;
}

/* Whether this host has it, or is about to, when what is asked for now is sent. */
static bool is_held(const struct place *p)
{
	bool held = p->mine;

	for (const struct place_op *op = p->ops; op; op = op->next)
		if (op->kind == OP_CREATE || op->kind == OP_CLAIM)
			held = true;
		else if (op->kind == OP_RELEASE || op->kind == OP_REMOVE)
			held = false;
	return held;
}

static bool etcd_is_held(const struct store *s)
{
	struct place *p = place_of(s);

	return p && is_held(p);
}

/* Whether it does nothing but set that value, and etcd has not heard of it: then it may set it to
 * something else.  So while etcd does not answer a queue does not grow. */
static bool is_to_set(const struct place_op *op, const char *name)
{
	return op && op->kind == OP_WRITE && !op->sent && !op->call && !op->put &&
	       op->n == 1 && op->changes[0].buf && !strcmp(op->changes[0].name, name);
}

static int etcd_set(struct store *s, const char *name, const void *buf, size_t len)
{
	struct place *p = place_of(s);
	struct place_op *op;
	int rc;

	if (!p)
		return -ENOENT;
	if (store_pool.session->put_back)
		return p->mine ? -ESTALE : 0;
	if (!is_held(p))
		return -EPERM;
	if (len + STORE_TXN_KEYS_ROOM > ETCD_REQUEST_MAX)
		return -EFBIG;
	op = store_txn_last(p);
	if (is_to_set(op, name)) {
		rc = store_txn_replace(op, buf, len);
		if (rc)
			return rc;
		store_txn_apply(op);
		return 0;
	}
	op = store_txn_add(p, OP_WRITE);
	if (!op)
		return -ENOMEM;
	rc = store_txn_change(op, name, buf, len);
	if (rc) {
		store_txn_drop_last(p, op);
		return rc;
	}
	store_txn_apply(op);
	store_txn_send(p);
	return 0;
}

static int etcd_erase(struct store *s, const char *name, bool whole)
{
	struct place *p = place_of(s);
	char prev[MIRROR_NAME_MAX + 8];
	struct place_op *op;
	int rc = 0;

	if (!p)
		return -ENOENT;
	snprintf(prev, sizeof(prev), "%s.prev", name);
	if (store_pool.session->put_back)
		return -ESTALE;
	if (!mirror_get(p, prev) && (!whole || !mirror_get(p, name)))
		return 0;
	if (!is_held(p))
		return -EPERM;
	op = store_txn_add(p, OP_WRITE);
	if (!op)
		return -ENOMEM;
	if (mirror_get(p, prev))
		rc = store_txn_change(op, prev, NULL, 0);
	if (!rc && whole && mirror_get(p, name))
		rc = store_txn_change(op, name, NULL, 0);
	if (rc) {
		store_txn_drop_last(p, op);
		return rc;
	}
	store_txn_apply(op);
	store_txn_send(p);
	return 0;
}

/* As store_folder.c's; 1: it is stored already. */
static int compare_put(const struct store_put *put, const struct mirror_value *old)
{
	struct envelope_head h;
	int rc = envelope_head_parse(put->object, old->buf, old->len, &h);

	if (rc)
		return rc;
	if (put->head.seq == h.seq && old->len == put->len &&
	    !memcmp(old->buf, put->buf, put->len))
		return 1;
	return put->head.seq <= h.seq ? -ESTALE : 0;
}

/* The header before it is kept, for one that the anchor knows better (anchor.h). */
static int add_put(struct place_op *op, struct store_put *put,
		   const struct mirror_value *old)
{
	int rc = store_txn_change(op, store_name(put->object), put->buf, put->len);

	if (!rc && old && put->object == CHANNEL_OBJECT_HEADER)
		rc = store_txn_change(op, "header.prev", old->buf, old->len);
	return rc;
}

static int etcd_put(struct store_put *put)
{
	struct place *p = place_of(put->store);
	const struct mirror_value *old;
	struct place_op *op;
	int rc;

	if (!p)
		return -ESTALE;
	old = mirror_get(p, store_name(put->object));
	rc = old ? compare_put(put, old) : 0;
	if (rc) {
		store_put_end(put, rc < 0 ? rc : 0);
		return 0;
	}
	op = store_txn_add(p, OP_WRITE);
	if (!op)
		return -ENOMEM;
	rc = add_put(op, put, old);
	if (rc || store_txn_size(op) > ETCD_REQUEST_MAX) {
		store_txn_drop_last(p, op);
		return rc ? rc : -EFBIG;
	}
	if (put->now) {
		store_txn_apply(op);
		store_put_end(put, 0);
	} else {
		op->put = put;
	}
	store_txn_send(p);
	return 0;
}

static int etcd_remove(struct store *s, const char *root)
{
	struct place *p = place_of(s);

	if (!p)
		return 0;
	while (p->values)
		if (mirror_set(&store_pool.session->mirror, p, p->values->name, NULL, 0))
			break;
	p->user = NULL;
	p->asked_ms = 0;
	if (!is_going(p->ops) && !store_txn_add(p, OP_REMOVE))
		return -ENOMEM;
	store_txn_send(p);
	return 0;
}

static bool etcd_is_here(const struct store *s)
{
	struct place *p = place_of(s);

	return p && (p->owner_mod ? p->mine : store_txn_was_here(p));
}

static bool etcd_is_settled(const struct store *s)
{
	struct place *p = place_of(s);

	/* what waits for data that were put back is given up, or done when vtpmd starts anew */
	return !p || !p->ops || store_etcd_put_back();
}

/* Between two leases nothing is certain of a claim until it is made anew. */
static int etcd_lease_ms(const struct store *s, uint32_t *ms)
{
	struct place *p = place_of(s);

	if (!p || !p->mine)
		return -ESTALE;
	*ms = store_txn_is_claiming_again(p) ? 0 : session_left_ms(store_pool.session);
	return 0;
}

const struct store_ops store_etcd = {
	.list = etcd_list,
	.open = etcd_open,
	.close = etcd_close,
	.claim = etcd_claim,
	.release = etcd_release,
	.get = etcd_get,
	.set = etcd_set,
	.put = etcd_put,
	.erase = etcd_erase,
	.remove = etcd_remove,
	.is_here = etcd_is_here,
	.is_settled = etcd_is_settled,
	.lease_ms = etcd_lease_ms,
	.is_held = etcd_is_held,
	.waits_for = etcd_waits_for,
};

bool store_etcd_is_taken_over(const struct store *s)
{
	struct place *p = place_of(s);

	return p && p->mine && p->taken_over;
}

const char *store_etcd_owner(const struct store *s)
{
	struct place *p = place_of(s);

	return p && p->owner_mod ? p->owner : "";
}

const char *store_etcd_other_owner(const struct store *s)
{
	struct place *p = place_of(s);

	return p && is_anothers(p) ? p->owner : "";
}

enum witness_use store_etcd_use(const uint8_t uuid[16], const char *asker)
{
	const struct session *s = store_pool.session;
	const struct place *p = s ? mirror_find(&store_pool.session->mirror, uuid) : NULL;

	if (!p)
		return WITNESS_FREE;
	/* its manager may answer also while etcd cannot be reached, or has ended the lease */
	if (p->mine)
		return session_is_promised(s) && !is_releasing(p) ? WITNESS_MINE
								  : WITNESS_FREE;
	if (s->put_back || !s->ready || !p->owner_mod || !strcmp(p->owner, asker))
		return WITNESS_FREE;
	if (!strcmp(p->owner, s->mirror.host))
		return WITNESS_MINE;
	/* what has changed since may not have come here: who asks does so again */
	session_probe(store_pool.session);
	return WITNESS_OTHERS;
}

bool store_etcd_is_alive(const char *host)
{
	const struct mirror *m = store_pool.session ? &store_pool.session->mirror : NULL;

	for (size_t i = 0; m && i < m->host_count; i++)
		if (!strcmp(m->hosts[i].name, host))
			return true;
	return false;
}

int store_etcd_done(const struct store *s)
{
	const struct place *p = place_of(s);

	if (!p || !p->mine || !s->claimed || s->lost || store_etcd_put_back())
		return -ESTALE;
	return p->ops ? -EAGAIN : 0;
}

uint64_t store_etcd_last(const uint8_t uuid[16])
{
	struct place *p = store_pool.session
				  ? mirror_find(&store_pool.session->mirror, uuid)
				  : NULL;
	uint64_t last = 0;

	for (const struct place_op *op = p ? p->ops : NULL; op; op = op->next)
		last = op->id > last ? op->id : last;
	return last;
}

static bool is_over(const struct place *p, uint64_t change)
{
	for (const struct place_op *op = p->ops; op; op = op->next)
		if (op->id && op->id <= change)
			return false;
	return true;
}

int store_etcd_has_done(const struct store *s, uint64_t change)
{
	const struct place *p = place_of(s);

	if (!p || s->lost || store_etcd_put_back())
		return -ESTALE;
	if (!is_over(p, change))
		return -EAGAIN;
	return p->mine ? 0 : -ESTALE;
}

int store_etcd_has_gone(const uint8_t uuid[16], uint64_t change)
{
	const struct place *p = store_pool.session
					? mirror_find(&store_pool.session->mirror, uuid)
					: NULL;

	if (!p)
		return 0;
	if (store_etcd_put_back())
		return -ESTALE;
	if (!is_over(p, change))
		return -EAGAIN;
	return p->gen_mod ? -ESTALE : 0;
}

bool store_etcd_has(const struct store *s, const char *name)
{
	const struct place *p = place_of(s);

	return p && mirror_get(p, name);
}

int store_etcd_rename(struct store *s, const char *from, const char *to)
{
	struct place *p = place_of(s);
	const struct mirror_value *v = p ? mirror_get(p, from) : NULL;
	struct place_op *op;
	int rc;

	if (store_etcd_done(s))
		return -ESTALE;
	if (!v)
		return -ENOENT;
	op = store_txn_add(p, OP_WRITE);
	if (!op)
		return -ENOMEM;
	rc = store_txn_change(op, to, v->buf, v->len);
	if (!rc)
		rc = store_txn_change(op, from, NULL, 0);
	if (rc) {
		store_txn_drop_last(p, op);
		return rc;
	}
	store_txn_apply(op);
	store_txn_send(p);
	return 0;
}

void store_etcd_tell_again(const uint8_t uuid[16])
{
	struct place *p = store_pool.session
				  ? mirror_find(&store_pool.session->mirror, uuid)
				  : NULL;

	if (!p || p->mine)
		return;
	p->changed = true;
	mirror_touch(&store_pool.session->mirror, p);
}

void store_etcd_each_value(const struct store *s,
			   void (*each)(void *ctx, const char *name), void *ctx)
{
	const struct place *p = place_of(s);

	for (struct mirror_value *v = p ? p->values : NULL; v; v = v->next)
		each(ctx, v->name);
}

int64_t store_etcd_foreign(const struct store *s, struct store_etcd_put *put)
{
	struct place *p = place_of(s);
	struct cursor c;

	if (!p || p->mine || p->ops || !p->gen_mod)
		return 0;
	c = cursor_reader(p->gen + MIRROR_ID_SIZE, sizeof(p->gen) - MIRROR_ID_SIZE);
	put->header = cursor_u64(&c);
	cursor_copy(&c, put->hash, sizeof(put->hash));
	put->permall = cursor_u64(&c);
	return cursor_ok(&c) ? p->gen_mod : 0;
}

void store_etcd_facts(struct store_etcd_facts *f)
{
	const struct session *s = store_pool.session;

	*f = (struct store_etcd_facts){
		.host = s->mirror.host,
		.member = etcd_is_up(s->etcd) ? etcd_member(s->etcd) : "",
		.trouble = session_trouble(s),
		.put_back = s->put_back,
		.cluster_id = s->seen.cluster_id,
		.revision = s->seen.revision,
		.found = s->found,
		.lease_ms = session_left_ms(s),
		.hosts = s->mirror.hosts,
		.host_count = s->mirror.host_count,
		.members = store_pool.members,
	};
}

static void lose_any(void *ctx, struct place *p)
{
	if (p->mine || p->ops)
		store_txn_lose(p);
}

void store_etcd_lose_all(void)
{
	mirror_each(&store_pool.session->mirror, lose_any, NULL);
}

void store_etcd_accept(void)
{
	store_etcd_lose_all();
	store_pool.accepting = true;
	session_accept(store_pool.session);
}

const uint8_t *store_etcd_list_of_hosts(size_t *len)
{
	*len = store_pool.session ? store_pool.session->mirror.list_len : 0;
	return *len ? store_pool.session->mirror.list : NULL;
}

const char *store_etcd_host(void)
{
	return store_pool.session->mirror.host;
}

unsigned int store_etcd_connection(void)
{
	return store_pool.session ? store_pool.session->readied : 0;
}

unsigned int store_etcd_stretch(void)
{
	return store_pool.session ? store_pool.session->stretch : 0;
}

struct session_seen store_etcd_seen(void)
{
	return store_pool.session ? store_pool.session->seen : (struct session_seen){0};
}

/* -- begin and end ------------------------------------------------------------------- */

/* What this host had last, and nobody has since: its stub domain may run. */
static void take_own(void *ctx, struct place *p)
{
	bool ours = !strcmp(p->owner, store_pool.session->mirror.host);

	p->changed = false;
	if ((p->owner_mod ? ours : store_txn_was_here(p)) && !p->mine && !p->ops &&
	    store_txn_add(p, OP_CLAIM))
		store_txn_send(p);
}

/* Runs the loop, in which nothing else is yet (or any more), until it is so. */
static bool run_until(bool (*is_done)(void), int64_t ms)
{
	static const struct timeval often = {.tv_usec = 20000};
	int64_t end = session_now_ms() + ms;

	while (!is_done() && session_now_ms() < end) {
		(void)event_base_loopexit(store_pool.o.base, &often);
		(void)event_base_dispatch(store_pool.o.base);
	}
	return is_done();
}

static bool is_read(void)
{
	const struct session *s = store_pool.session;

	return s->ready || (s->put_back && s->synced);
}

static bool has_no_ops(void)
{
	return !store_pool.ops;
}

/* A host that may claim nothing runs all the same, and tells why. */
static bool may_begin(void)
{
	struct error e = {.cause = CAUSE_NONE};

	if (store_pool.session->put_back)
		return false; /* session.c has told */
	if (!store_etcd_may(&e))
		return true;
	log_line(LOG_ERR, "%s", e.text);
	return false;
}

int store_etcd_begin(const struct store_etcd_options *o, struct error *e)
{
	struct session_options to = {.base = o->base,
				     .url = o->url,
				     .ca = o->ca,
				     .cert = o->cert,
				     .key = o->key,
				     .ttl = o->ttl,
				     .seen = o->seen,
				     .on_change = store_txn_on_change,
				     .on_lease_lost = store_txn_on_lease_lost};
	static const struct timeval often = {.tv_sec = TIDY_S};
	int rc;

	store_pool.o = *o;
	store_add(STORE_ETCD_SCHEME, &store_etcd);
	store_pool.loading = true;
	store_pool.slow_ms = STORE_ETCD_SLOW_S * 1000;
	store_pool.claim_ms = STORE_ETCD_CLAIM_S * 1000;
	store_pool.readied = 0;
	store_pool.retry = evtimer_new(o->base, store_txn_on_retry, NULL);
	store_pool.tidy = event_new(o->base, -1, EV_PERSIST, store_txn_on_tidy, NULL);
	if (!store_pool.retry || !store_pool.tidy ||
	    RAND_bytes(store_pool.run, sizeof(store_pool.run)) != 1)
		return error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.");
	rc = session_new(&to, &store_pool.session, e);
	if (rc)
		return rc;
	if (!run_until(is_read, STORE_ETCD_WAIT_S * 1000))
		return error_set(
			e, -ETIMEDOUT, CAUSE_STORE,
			"The pool cannot be read from etcd: %s. See that its members run at "
			"the addresses of the store, and let this host in (docs/pool.md); "
			"vtpmd.service tries that again by itself.",
			session_trouble(store_pool.session));
	if (may_begin())
		mirror_each(&store_pool.session->mirror, take_own, NULL);
	if (!run_until(has_no_ops, STORE_ETCD_WAIT_S * 1000))
		return error_set(
			e, -ETIMEDOUT, CAUSE_STORE,
			"What this host had in the pool cannot be claimed in etcd: "
			"%s.",
			session_trouble(store_pool.session));
	store_pool.loading = false;
	if (members_new(o->base,
			&(struct etcd_options){.endpoints =
						       o->url + strlen(STORE_ETCD_SCHEME),
					       .ca = o->ca,
					       .cert = o->cert,
					       .key = o->key},
			&store_pool.members, e))
		return -EINVAL;
	return event_add(store_pool.tidy, &often)
		       ? error_set(e, -ENOMEM, CAUSE_INTERNAL, "There is no memory.")
		       : 0;
}

void store_etcd_end(void)
{
	if (!store_pool.session)
		return;
	store_pool.o.on_foreign = NULL;
	store_pool.o.on_free = NULL;
	(void)run_until(has_no_ops, END_MS);
	for (size_t i = 0; i < ARRAY_SIZE(store_pool.session->mirror.places); i++)
		for (struct place *p = store_pool.session->mirror.places[i]; p;
		     p = p->next)
			while (p->ops)
				store_txn_pop(p);
	event_free(store_pool.retry);
	event_free(store_pool.tidy);
	members_free(store_pool.members);
	session_free(store_pool.session);
	store_pool.session = NULL;
}
