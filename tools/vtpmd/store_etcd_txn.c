/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/store_etcd_private.h"
#include "lib/crypt.h"
#include "tools/vtpmd/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_MS 10000 /* a claim that nobody uses is given back */

struct store_pool store_pool;

/* -- the queue of a vTPM ------------------------------------------------------- */

static void free_op(struct place_op *op)
{
	for (size_t i = 0; i < op->n; i++)
		free(op->changes[i].buf);
	free(op);
	store_pool.ops--;
}

/* The first one, which is over. */
void store_txn_pop(struct place *p)
{
	struct place_op *op = p->ops;

	p->ops = op->next;
	if (op->call)
		etcd_cancel(op->call);
	free_op(op);
}

/* What is in a queue is sent again until it is over. */
static void retry_later(void)
{
	static const struct timeval often = {.tv_usec = STORE_TXN_RETRY_MS * 1000};

	if (!evtimer_pending(store_pool.retry, NULL))
		event_add(store_pool.retry, &often);
}

struct place_op *store_txn_add(struct place *p, enum op_kind kind)
{
	struct place_op *op = calloc(1, sizeof(*op)), **at = &p->ops;

	if (!op)
		return NULL;
	op->p = p;
	op->kind = kind;
	op->id = ++store_pool.last_id;
	while (*at)
		at = &(*at)->next;
	*at = op;
	store_pool.ops++;
	retry_later();
	return op;
}

int store_txn_change(struct place_op *op, const char *name, const void *buf, size_t len)
{
	struct change *c = &op->changes[op->n];

	if (op->n == STORE_TXN_CHANGES_MAX || strlen(name) >= sizeof(c->name))
		return -EINVAL;
	strcpy(c->name, name);
	c->len = len;
	c->buf = NULL;
	if (buf) {
		c->buf = malloc(len + 1);
		if (!c->buf)
			return -ENOMEM;
		memcpy(c->buf, buf, len);
	}
	op->n++;
	return 0;
}

struct place_op *store_txn_last(struct place *p)
{
	struct place_op *op = p->ops;

	while (op && op->next)
		op = op->next;
	return op;
}

int store_txn_replace(struct place_op *op, const void *buf, size_t len)
{
	struct change *c = &op->changes[0];
	uint8_t *copy = malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, buf, len);
	free(c->buf);
	c->buf = copy;
	c->len = len;
	return 0;
}

/* Takes the last one out again: it could not be made. */
void store_txn_drop_last(struct place *p, struct place_op *op)
{
	struct place_op **at = &p->ops;

	while (*at != op)
		at = &(*at)->next;
	*at = NULL;
	free_op(op);
}

/* What is in etcd once the changes of a queue are made, as far as memory shows it. */
void store_txn_apply(struct place_op *op)
{
	for (size_t i = 0; i < op->n; i++)
		if (mirror_set(&store_pool.session->mirror, op->p, op->changes[i].name,
			       op->changes[i].buf, op->changes[i].len))
			store_pool.session->mirror.overflow = true;
}

/* Its claim is another's, or nobody's: what waits is told so, and memory is read again. */
void store_txn_lose(struct place *p)
{
	struct store *s = p->user;

	p->mine = p->taken = p->own_pending = p->before_pending = false;
	p->own_rev = 0;
	p->user = NULL;
	p->asked_ms = 0;
	/* it calls back, and may ask for more, which is refused then */
	if (s)
		store_tell(s, STORE_LOST);
	while (p->ops) {
		struct store_put *put = p->ops->put;

		store_txn_pop(p);
		if (put)
			store_put_end(put, -ESTALE);
	}
	session_resync(store_pool.session);
}

/* A write of what nobody had: it is another's by now, or gone, with what it says. */
static void drop_write(struct place *p)
{
	struct store_put *put = p->ops->put;

	p->own_pending = false;
	p->own_rev = 0;
	store_txn_pop(p);
	if (put)
		store_put_end(put, -ESTALE);
	session_resync(store_pool.session);
}

static void tell_claim(struct place *p, int rc)
{
	struct store *s = p->user;

	p->claim_rc = rc;
	/* a refusal that nobody waits for is not the next one's */
	p->answered = s || !rc;
	p->asked_ms = 0;
	p->claimed_ms = session_now_ms();
	if (rc)
		p->user = NULL;
	if (s)
		store_tell(s, STORE_CLAIMED);
}

/* -- transactions ---------------------------------------------------------------- */

static void put_seq(struct cursor *w, const struct place *p, const struct place_op *op,
		    const char *name, uint16_t object)
{
	const struct mirror_value *v = mirror_get(p, name);
	const uint8_t *buf = v ? v->buf : NULL;
	size_t i, len = v ? v->len : 0;
	uint8_t hash[32] = {0};
	uint64_t seq = 0;

	for (i = 0; i < op->n; i++)
		if (!strcmp(op->changes[i].name, name)) {
			buf = op->changes[i].buf;
			len = op->changes[i].len;
		}
	if (buf) {
		const struct crypt_part part = {buf, len};

		(void)!store_object_seq(object, buf, len, &seq);
		(void)!crypt_sha256(&part, 1, hash);
	}
	cursor_put_u64(w, seq);
	cursor_put(w, hash, sizeof(hash));
}

/* The id follows from all that it does: the same one is never two transactions, and one
 * that is asked for again, behind the same gen, has the same. */
static int fill_gen(struct place_op *op)
{
	struct cursor w = cursor_writer(op->gen, sizeof(op->gen));
	struct crypt_part parts[3 + 2 * STORE_TXN_CHANGES_MAX];
	uint8_t head[16], hash[32];
	struct cursor h = cursor_writer(head, sizeof(head));
	size_t i, n = 0;

	cursor_put_u64(&h, (uint64_t)op->kind);
	cursor_put_u64(&h, (uint64_t)op->gen_mod);
	parts[n++] = (struct crypt_part){store_pool.run, sizeof(store_pool.run)};
	parts[n++] = (struct crypt_part){op->p->uuid, sizeof(op->p->uuid)};
	parts[n++] = (struct crypt_part){head, sizeof(head)};
	for (i = 0; i < op->n; i++) {
		const struct change *c = &op->changes[i];

		parts[n++] = (struct crypt_part){c->name, strlen(c->name) + 1};
		parts[n++] = (struct crypt_part){c->buf ? c->buf : (void *)"", c->len};
	}
	if (crypt_sha256(parts, n, hash))
		return -EIO;
	cursor_put(&w, hash, MIRROR_ID_SIZE);
	put_seq(&w, op->p, op, "header", CHANNEL_OBJECT_HEADER);
	put_seq(&w, op->p, op, "permall", CHANNEL_OBJECT_PERMALL);
	return cursor_done(&w) ? 0 : -EIO;
}

static void txn_changes(struct cursor *c, const struct place_op *op)
{
	const struct mirror *m = &store_pool.session->mirror;
	char key[PROTO_KEY_MAX];

	for (size_t i = 0; i < op->n; i++) {
		const struct change *one = &op->changes[i];

		mirror_key(m, op->p, one->name, key);
		if (one->buf)
			proto_txn_put(c, key, one->buf, one->len, 0);
		else
			proto_txn_delete(c, key, false);
	}
}

/* gen goes first, so that a watch sees whose transaction it is before the rest. */
static void write_txn(struct cursor *c, const struct place_op *op)
{
	const struct mirror *m = &store_pool.session->mirror;
	char owner[PROTO_KEY_MAX], gen[PROTO_KEY_MAX], key[PROTO_KEY_MAX];
	size_t n = strlen(m->host);

	mirror_key(m, op->p, "owner", owner);
	mirror_key(m, op->p, "gen", gen);
	proto_txn_compare(c, owner, PROTO_MOD, op->owner_mod);
	if (op->kind != OP_RELEASE)
		proto_txn_compare(c, gen, PROTO_MOD, op->gen_mod);
	if (op->kind == OP_RELEASE) {
		proto_txn_delete(c, owner, false);
	} else if (op->kind == OP_REMOVE) {
		mirror_key(m, op->p, "", key);
		proto_txn_delete(c, key, true);
	} else {
		proto_txn_put(c, gen, op->gen, sizeof(op->gen), 0);
	}
	if (op->kind == OP_CREATE || op->kind == OP_CLAIM) {
		proto_txn_put(c, owner, m->host, n, store_pool.session->lease);
		mirror_key(m, op->p, "host", key);
		proto_txn_put(c, key, m->host, n, 0);
	}
	txn_changes(c, op);
	proto_txn_else_get(c, owner);
	proto_txn_else_get(c, gen);
}

/* What a transaction whose comparison failed has found. */
struct found {
	int64_t owner_mod, gen_mod;
	char owner[MIRROR_HOST_MAX];
	uint8_t id[MIRROR_ID_SIZE];
};

static void note_found(void *ctx, const struct proto_kv *kv)
{
	struct found *f = ctx;

	if (kv->key_len > 6 && !memcmp(kv->key + kv->key_len - 6, "/owner", 6)) {
		f->owner_mod = kv->mod_revision;
		if (kv->value_len < sizeof(f->owner))
			memcpy(f->owner, kv->value, kv->value_len);
	} else if (kv->value_len == MIRROR_GEN_SIZE) {
		f->gen_mod = kv->mod_revision;
		memcpy(f->id, kv->value, sizeof(f->id));
	}
}

bool store_txn_was_here(const struct place *p)
{
	const struct mirror_value *v = mirror_get(p, "host");
	const char *host = store_pool.session->mirror.host;

	return v && v->len == strlen(host) && !memcmp(v->buf, host, v->len);
}

static void finish_op(struct place *p, int64_t owner_mod, int64_t gen_mod)
{
	struct place_op *op = p->ops;
	struct store_put *put = op->put;
	enum op_kind kind = op->kind;
	bool again = op->again;

	p->own_pending = p->before_pending = false;
	p->round = store_pool.session->mirror.round;
	/* of one that nobody had, another's may have come before it */
	if (put || !p->mine)
		store_txn_apply(op);
	if (kind != OP_RELEASE) {
		p->gen_mod = gen_mod;
		p->own_rev = gen_mod > p->own_rev ? gen_mod : p->own_rev;
		memcpy(p->gen, op->gen, sizeof(p->gen));
	}
	if (kind == OP_CREATE || kind == OP_CLAIM) {
		p->taken_over = kind == OP_CLAIM &&
				(again ? p->taken_over : !store_txn_was_here(p));
		if (mirror_set(&store_pool.session->mirror, p, "host",
			       (const uint8_t *)store_pool.session->mirror.host,
			       strlen(store_pool.session->mirror.host)))
			store_pool.session->mirror.overflow = true;
		/* a copy of what was sent before can do nothing any more */
		for (struct place_op *next = op->next; next; next = next->next)
			next->sent = false;
		p->mine = true;
		p->taken = false;
		p->owner_mod = owner_mod;
		strcpy(p->owner, store_pool.session->mirror.host);
	} else if (kind == OP_RELEASE || kind == OP_REMOVE) {
		p->mine = p->taken = false;
		p->owner_mod = 0;
		p->owner[0] = '\0';
	}
	if (kind == OP_REMOVE)
		p->gen_mod = 0;
	store_txn_pop(p);
	if (put)
		store_put_end(put, 0);
	else if ((kind == OP_CREATE || kind == OP_CLAIM) && !again)
		tell_claim(p, 0);
}

static void claim_again(struct place *p);

static bool is_of(const struct found *f, const struct place_op *op)
{
	return op && op->sent && f->gen_mod && !memcmp(f->id, op->gen, sizeof(f->id));
}

/* The claim of a place whose lease had ended, while nobody is known to have taken it. */
static void refuse_again(struct place *p, const struct found *f)
{
	struct place_op *op = p->ops;
	bool ours = f->owner_mod && !strcmp(f->owner, store_pool.session->mirror.host);

	if (is_of(f, op) && ours) {
		finish_op(p, f->owner_mod, f->gen_mod);
	} else if (f->owner_mod && !ours) {
		store_txn_lose(p);
	} else if (is_of(f, op->next)) {
		/* what was under way when the lease ended had been done before that */
		store_txn_pop(p);
		finish_op(p, p->owner_mod, f->gen_mod);
		if (p->mine)
			claim_again(p);
	} else if (!f->owner_mod && f->gen_mod == op->gen_mod) {
		p->owner_mod = 0; /* the watch has not told that it went */
	} else {
		store_txn_lose(p);
	}
}

/* A write of what is claimed. */
static void refuse_write(struct place *p, const struct found *f)
{
	struct place_op *op = p->ops;
	bool ours = f->owner_mod && !strcmp(f->owner, store_pool.session->mirror.host);

	if (is_of(f, op) && (ours || !f->owner_mod)) {
		finish_op(p, ours ? f->owner_mod : p->owner_mod, f->gen_mod);
		if (!ours && p->mine && !store_txn_is_claiming_again(p))
			claim_again(p);
	} else if (!f->owner_mod && f->gen_mod == op->gen_mod) {
		/* the lease ended, and nobody has taken it */
		claim_again(p);
	} else {
		store_txn_lose(p);
	}
}

static void refuse_claim(struct place *p, const struct found *f)
{
	bool ours = f->owner_mod && !strcmp(f->owner, store_pool.session->mirror.host);

	if (is_of(f, p->ops) && ours) {
		finish_op(p, f->owner_mod, f->gen_mod);
	} else if (f->owner_mod && !ours) {
		p->owner_mod = f->owner_mod;
		strcpy(p->owner, f->owner);
		store_txn_pop(p);
		p->own_pending = false;
		tell_claim(p, -EBUSY);
	} else if (!f->gen_mod) {
		store_txn_pop(p);
		p->own_pending = false;
		tell_claim(p, -ENOENT);
	} else if (!f->owner_mod) {
		p->owner_mod = 0; /* its key went while the watch did not run */
	}
	/* it is asked for again, when the watch has told of another gen */
}

/* The comparison failed. */
static void refuse_op(struct place *p, const struct found *f)
{
	struct place_op *op = p->ops;
	bool ours = f->owner_mod && !strcmp(f->owner, store_pool.session->mirror.host);

	if (op->kind == OP_RELEASE || (op->kind == OP_REMOVE && !f->gen_mod))
		finish_op(p, 0, 0);
	else if (op->kind == OP_REMOVE)
		store_txn_lose(p);
	else if (op->kind == OP_CLAIM && op->again)
		refuse_again(p, f);
	else if (op->kind == OP_CLAIM)
		refuse_claim(p, f);
	else if (op->kind == OP_WRITE && p->mine)
		refuse_write(p, f);
	else if (is_of(f, op) && (ours || op->kind == OP_WRITE))
		finish_op(p, f->owner_mod, f->gen_mod);
	else if (op->kind == OP_CREATE)
		store_txn_lose(p);
	else if (f->owner_mod || !f->gen_mod)
		drop_write(p);
}

static bool is_refusal(int rc)
{
	return rc == -ENOSPC || rc == -EACCES || rc == -EINVAL || rc == -ENOENT;
}

static bool is_first_claim(const struct place_op *op)
{
	return op->kind == OP_CREATE || (op->kind == OP_CLAIM && !op->again);
}

/* Someone waits for this claim, and is told instead of waiting for an operator of etcd.  What was
 * asked for behind it is given up as well. */
static void refuse_coming(struct place *p, int rc)
{
	while (p->ops) {
		struct store_put *put = p->ops->put;

		store_txn_pop(p);
		if (put)
			store_put_end(put, rc);
	}
	p->own_pending = false;
	tell_claim(p, rc);
}

/* A transaction that etcd does not take now. */
static void delay_op(struct place *p, int rc)
{
	struct place_op *op = p->ops;
	struct store_put *put = op->put;

	if (rc != store_pool.last_rc && is_refusal(rc))
		log_line(
			LOG_ERR, "etcd refuses what is to be stored: %s%s", strerror(-rc),
			rc == -ENOSPC
				? "; see its quota: `etcdctl alarm list`, compact, defrag, "
				  "`etcdctl alarm disarm`"
			: rc == -EACCES ? "; see the role of this host's user"
					: "");
	if (is_refusal(rc))
		store_pool.last_rc = rc;
	op->not_before =
		session_now_ms() + (is_refusal(rc) ? 10 : 1) * STORE_TXN_RETRY_MS;
	if (is_refusal(rc) && rc != -ENOENT && is_first_claim(op)) {
		refuse_coming(p, rc);
		return;
	}
	if (!put || !is_refusal(rc))
		return;
	/* the manager's guest waits, and it comes again */
	store_txn_pop(p);
	store_put_end(put, rc == -ENOSPC ? -ENOSPC : -EIO);
}

static void on_txn(void *ctx, int rc, const uint8_t *buf, size_t len)
{
	struct place_op *op = ctx;
	struct place *p = op->p;
	struct found f = {0};
	struct proto_reply r;

	op->call = NULL;
	if (!rc && proto_txn_reply(buf, len, &r, note_found, &f))
		rc = -ETIMEDOUT;
	if (!rc && !session_accepts(store_pool.session, &r.header))
		rc = -ETIMEDOUT;
	if (rc) {
		delay_op(p, rc);
	} else {
		store_pool.last_rc = 0;
		if (r.succeeded)
			finish_op(p, r.header.revision, r.header.revision);
		else
			refuse_op(p, &f);
	}
	if (p->ops == op && !op->not_before)
		op->not_before = session_now_ms() + STORE_TXN_RETRY_MS;
	store_txn_send(p);
}

/* What it compares: as memory has it, but a claim, which may be this host's of before. */
static void set_compared(struct place_op *op)
{
	const struct place *p = op->p;
	bool ours = !strcmp(p->owner, store_pool.session->mirror.host);

	op->gen_mod = op->kind == OP_CREATE ? 0 : p->gen_mod;
	if (op->kind == OP_CREATE)
		op->owner_mod = 0;
	else if (op->kind == OP_CLAIM)
		op->owner_mod = ours ? p->owner_mod : 0;
	else
		op->owner_mod = p->mine ? p->owner_mod : 0;
}

size_t store_txn_size(const struct place_op *op)
{
	size_t n = STORE_TXN_KEYS_ROOM;

	for (size_t i = 0; i < op->n; i++)
		n += op->changes[i].len;
	return n;
}

/* The first of a vTPM's queue, if it is not under way. */
void store_txn_send(struct place *p)
{
	struct place_op *op = p->ops;
	struct cursor c;
	uint8_t *buf;

	if (!op || op->call || !store_pool.session->ready ||
	    session_now_ms() < op->not_before)
		return;
	if ((op->kind == OP_CLAIM || op->kind == OP_CREATE) &&
	    !session_valid(store_pool.session))
		return;
	/* what was sent is compared with what it was, until it is known to be over */
	if (!op->sent || op->kind == OP_CLAIM || !p->mine)
		set_compared(op);
	if (op->kind == OP_RELEASE && !p->mine) {
		finish_op(p, 0, 0);
		return;
	}
	buf = malloc(store_txn_size(op));
	if (!buf || fill_gen(op)) {
		free(buf);
		return;
	}
	c = cursor_writer(buf, store_txn_size(op));
	write_txn(&c, op);
	op->not_before = 0;
	if (cursor_ok(&c) && !etcd_call(store_pool.session->etcd, ETCD_TXN, buf, c.pos,
					on_txn, op, &op->call)) {
		op->sent = true;
		if (op->again && p->own_pending && op->next && op->next->sent &&
		    !memcmp(p->own_id, op->next->gen, sizeof(p->own_id))) {
			memcpy(p->before_id, p->own_id, sizeof(p->before_id));
			p->before_pending = true;
		}
		memcpy(p->own_id, op->gen, sizeof(p->own_id));
		p->own_pending = true;
	}
	free(buf);
}

/* -- what others do ---------------------------------------------------------------- */

static void claim_again(struct place *p)
{
	struct place_op *op = calloc(1, sizeof(*op)), *first = p->ops;

	if (!op) {
		store_txn_lose(p);
		return;
	}
	if (first && first->call) {
		etcd_cancel(first->call);
		first->call = NULL;
	}
	*op = (struct place_op){.next = first, .p = p, .kind = OP_CLAIM, .again = true};
	p->ops = op;
	store_pool.ops++;
	retry_later();
}

bool store_txn_is_claiming_again(const struct place *p)
{
	return p->ops && p->ops->again;
}

/* It is of this host, but its lease is gone: if nobody has taken it, it goes on. */
static void reclaim(void *ctx, struct place *p)
{
	if (p->mine && !store_txn_is_claiming_again(p))
		claim_again(p);
}

void store_txn_on_lease_lost(void *ctx)
{
	mirror_each(&store_pool.session->mirror, reclaim, NULL);
}

static bool is_going(const struct place *p)
{
	return p->ops && p->ops->sent &&
	       (p->ops->kind == OP_RELEASE || p->ops->kind == OP_REMOVE);
}

static void look_at_place(void *ctx, struct place *p)
{
	bool changed = p->changed;

	p->changed = false;
	/* what we did ourselves, whose answer has not come */
	if (is_going(p))
		p->taken = changed = false;
	if (p->mine && p->taken) {
		if (p->owner_mod || changed)
			store_txn_lose(p);
		else if (!store_txn_is_claiming_again(p))
			claim_again(p);
	} else if (changed && p->mine) {
		store_txn_lose(p);
	}
	if (changed && !store_pool.loading && store_pool.o.on_foreign)
		store_pool.o.on_foreign(store_pool.o.ctx, p->uuid,
					mirror_get(p, "vtpm.json") != NULL);
	if (!p->owner_mod && !p->mine && !store_pool.loading && store_pool.o.on_free)
		store_pool.o.on_free(store_pool.o.ctx, p->uuid);
	store_txn_send(p);
}

/* What is ready to be sent again may be of any place; later it is what etcd told of, and retry's
 * timer sees to the others. */
void store_txn_on_change(void *ctx)
{
	struct session *s = store_pool.session;
	bool all;

	if (!s)
		return;
	all = store_pool.readied != s->readied;
	store_pool.readied = s->readied;
	if (store_pool.accepting && s->ready) {
		store_pool.accepting = false;
		all = true;
		mirror_each(&s->mirror, look_at_place, NULL);
		store_pool.o.on_accepted(store_pool.o.ctx);
	}
	if (all)
		mirror_each(&s->mirror, look_at_place, NULL);
	mirror_each_touched(&s->mirror, look_at_place, NULL);
	if (all)
		mirror_sweep(&s->mirror);
}

/* Ends the puts for which no manager waits any more, as its vTPM was stopped: nothing is sent
 * to an etcd whose data were put back, and the vTPM is stopped when they are over. */
static void drop_unwaited(struct place *p)
{
	struct place_op **at = &p->ops, *op;

	while ((op = *at)) {
		struct store_put *put = op->put;

		if (!put || put->done) {
			at = &op->next;
			continue;
		}
		*at = op->next;
		if (op->call)
			etcd_cancel(op->call);
		free_op(op);
		store_put_end(put, -ESTALE);
	}
}

/* What was asked for behind a creation is not wanted without it. */
static void drop_behind(struct place_op **at, int rc)
{
	while (*at) {
		struct place_op *op = *at;
		struct store_put *put = op->put;

		*at = op->next;
		free_op(op);
		if (put)
			store_put_end(put, rc);
	}
}

static bool is_followed(const struct place_op *op, enum op_kind kind)
{
	for (op = op->next; op; op = op->next)
		if (op->kind == kind)
			return true;
	return false;
}

/* Whoever waits for the claim is told that etcd does not take it.  One that was sent may have been
 * done, or may be yet, and is taken back when that is known. */
static void give_up_claim(struct place *p, struct place_op **at)
{
	struct place_op *op = *at;
	bool creates = op->kind == OP_CREATE, sent = op->sent;
	enum op_kind back = creates ? OP_REMOVE : OP_RELEASE;

	if (!sent) {
		*at = op->next;
		free_op(op);
	}
	if (creates)
		drop_behind(sent ? &op->next : at, -ETIMEDOUT);
	if (sent && !is_followed(op, back) && !store_txn_add(p, back))
		return; /* there is no memory: later */
	tell_claim(p, -ETIMEDOUT);
}

static void look_at_claim(struct place *p)
{
	int64_t waits = p->asked_ms ? session_now_ms() - p->asked_ms : 0;
	struct place_op **at = &p->ops;

	while (*at && !is_first_claim(*at))
		at = &(*at)->next;
	if (!*at || !p->user)
		return;
	if (waits >= store_pool.claim_ms) {
		give_up_claim(p, at);
	} else if (waits >= store_pool.slow_ms && !p->slow) {
		p->slow = true;
		store_tell(p->user, STORE_SLOW);
	}
}

static void send_place(void *ctx, struct place *p)
{
	if (store_pool.session->put_back)
		drop_unwaited(p);
	look_at_claim(p);
	store_txn_send(p);
}

void store_txn_on_retry(evutil_socket_t fd, short what, void *ctx)
{
	mirror_each(&store_pool.session->mirror, send_place, NULL);
	if (store_pool.ops)
		retry_later();
}

/* Claimed, and nobody came for it: who asked has gone. */
static void tidy_place(void *ctx, struct place *p)
{
	if (!p->answered || !p->mine || p->ops ||
	    session_now_ms() - p->claimed_ms < UNUSED_MS)
		return;
	p->answered = false;
	p->user = NULL;
	if (store_txn_add(p, OP_RELEASE))
		store_txn_send(p);
}

void store_txn_on_tidy(evutil_socket_t fd, short what, void *ctx)
{
	mirror_each(&store_pool.session->mirror, tidy_place, NULL);
	mirror_sweep(&store_pool.session->mirror);
}
