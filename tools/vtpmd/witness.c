/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/witness.h"
#include "lib/pool.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/helper.h"
#include "tools/vtpmd/log.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/vtpms.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD_MS \
	30000 /* longer than this host hears nothing of etcd, when it is connected */
#define USED_AGAIN_MS 300
#define AT_ONCE_MS    1000 /* who fails within it is asked again each time */

enum host_step { HOST_IDLE, HOST_TO_ASK, HOST_ASKED, HOST_HEARD, HOST_SILENT };

/* Another host of the list. */
struct asked_host {
	char name[POOL_NAME_MAX + 1], address[ADDRESS_MAX];
	enum host_step step; /* of the present round, or the last one */
	int64_t silent_ms;   /* when it was waited for in vain; 0: it was not */
	bool was_gone;	     /* it did not answer, and its lease had run out then */
	char at[STAMP_SIZE]; /* of its last answer; empty: none */
	int64_t told_ms;     /* the same */
	uint64_t cluster_id, revision;
	char why[320]; /* it does not answer; empty: it does, or was not asked */
};

/* What is newest of what was told of a vTPM in this round. */
struct heard {
	uint8_t uuid[16];
	/* When others were asked, this host had claimed it, by that claim: another one may have had it
	 * before a later one. */
	bool claimed;
	unsigned int claim;
	bool has;
	struct witness_said said;
	char by[POOL_NAME_MAX + 1];
	enum witness_use use;
	char used_by[POOL_NAME_MAX + 1]; /* who said that */
};

struct asker {
	struct witness *w;
	struct helper helper;
	struct asked_host *host; /* NULL: nobody is asked */
	int64_t asked_ms;
};

struct witness {
	struct vtpmd *d;
	struct asked_host hosts[POOL_HOSTS_MAX];
	unsigned int host_count;
	uint64_t list; /* the number of the list that has them; 0: there is none */
	struct asker askers[WITNESS_AT_ONCE];
	struct event *next, *again, *hello;
	bool is_hello_due, sweeps;
	int64_t hello_ms; /* when all are asked again without a start */
	/* a round */
	bool runs;
	unsigned int readied; /* of the connection in which it began */
	unsigned int stretch; /* of this host's lease, in the same moment */
	unsigned int n;
	struct heard heard[WITNESS_VTPMS_MAX];
	char question[2 * WITNESS_ASK_MAX + 1]; /* hexadecimal */
	struct witness_figures figures;
};

/* -- the hosts ----------------------------------------------------------------------- */

static void copy_part(char *out, size_t room, const struct binding_part *part)
{
	snprintf(out, room, "%.*s", (int)part->n, (const char *)part->p);
}

static bool is_named(const struct binding_part *part, const char *name)
{
	return part->n == strlen(name) && !memcmp(part->p, name, part->n);
}

/* A host of the list, with what was known of it. */
static void add_host(struct witness *w, const struct asked_host *old, unsigned int n,
		     const struct pool_host *h)
{
	struct asked_host *one = &w->hosts[w->host_count++];

	memset(one, 0, sizeof(*one));
	for (unsigned int i = 0; i < n; i++)
		if (is_named(&h->name, old[i].name))
			*one = old[i];
	copy_part(one->name, sizeof(one->name), &h->name);
	copy_part(one->address, sizeof(one->address), &h->address);
}

static void take_hosts(struct witness *w, struct pool *p)
{
	static struct asked_host old[POOL_HOSTS_MAX];
	unsigned int n = w->host_count;
	struct pool_host h;

	memcpy(old, w->hosts, sizeof(old));
	w->host_count = 0;
	w->list = p->number;
	while (pool_next_host(&p->host, &h))
		if (!is_named(&h.name, store_etcd_host()) &&
		    w->host_count < ARRAY_SIZE(w->hosts))
			add_host(w, old, n, &h);
}

/* Without a list that is signed nobody is asked. */
static void load_hosts(struct witness *w)
{
	struct error e = {.cause = CAUSE_NONE};
	struct move_bytes list = {NULL, 0};
	struct config *c;
	struct pool p;
	bool has = false;

	if (config_get(&w->d->host, w->d->config, &c, &e))
		return;
	if (!move_read_pool(w->d, &list))
		has = !pool_open(list.p, list.n, c->host.policy_key,
				 sizeof(c->host.policy_key), &p);
	if (has) {
		take_hosts(w, &p);
	} else {
		w->host_count = 0;
		w->list = 0;
	}
	move_drop_bytes(&list);
	config_put(c);
}

static void note_silent(struct asked_host *h, const char *why)
{
	if (!h->why[0])
		log_line(
			LOG_WARNING,
			"the host %s does not tell what it has seen of the pool's vTPMs: %s",
			h->name, why);
	h->step = HOST_SILENT;
	h->silent_ms = session_now_ms();
	h->was_gone = !store_etcd_is_alive(h->name);
	snprintf(h->why, sizeof(h->why), "%s", why);
}

static void note_heard(struct asked_host *h, const struct witness_answer *a)
{
	if (h->why[0])
		log_line(LOG_NOTICE,
			 "the host %s tells what it has seen of the pool's vTPMs again",
			 h->name);
	h->step = HOST_HEARD;
	h->silent_ms = 0;
	h->was_gone = false;
	h->why[0] = '\0';
	stamp_now(h->at);
	h->told_ms = session_now_ms();
	h->cluster_id = a->cluster_id;
	h->revision = a->revision;
}

static unsigned int count_hosts(const struct witness *w, enum host_step step)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->host_count; i++)
		n += w->hosts[i].step == step;
	return n;
}

static bool has_heard(const struct witness *w, const char *name)
{
	for (unsigned int i = 0; i < w->host_count; i++)
		if (!strcmp(w->hosts[i].name, name))
			return w->hosts[i].step == HOST_HEARD;
	return true; /* it is not in the list any more, and its word does not count */
}

/* -- a round -------------------------------------------------------------------------- */

static bool is_newer(const struct witness_said *a, const struct witness_said *b)
{
	return witness_said_seq(a) > witness_said_seq(b) ||
	       (witness_said_seq(a) == witness_said_seq(b) &&
		a->header_seq > b->header_seq);
}

/* Of what was not asked for nothing counts. */
static void keep_said(struct witness *w, const struct asked_host *h,
		      const struct witness_said *s, bool known)
{
	for (unsigned int i = 0; i < w->n; i++) {
		struct heard *one = &w->heard[i];

		if (memcmp(one->uuid, s->uuid, sizeof(one->uuid)) != 0)
			continue;
		/* the host that has it knows best */
		if (s->use == WITNESS_MINE ||
		    (s->use != WITNESS_FREE && one->use == WITNESS_FREE)) {
			one->use = s->use;
			snprintf(one->used_by, sizeof(one->used_by), "%s", h->name);
		}
		if (!known || (one->has && !is_newer(s, &one->said)))
			continue;
		one->has = true;
		one->said = *s;
		snprintf(one->by, sizeof(one->by), "%s", h->name);
	}
}

static void hear(struct witness *w, struct asked_host *h, const char *hex)
{
	static uint8_t bytes[WITNESS_ANSWER_MAX];
	static struct witness_answer a;
	size_t len = sizeof(bytes);

	if (!hex || hex_decode(hex, bytes, &len) ||
	    witness_answer_decode(bytes, len, &a)) {
		note_silent(h, "its answer makes no sense: install one release on all "
			       "hosts");
		return;
	}
	if (a.known)
		note_heard(h, &a);
	else
		note_silent(h, "its own anchor is not known there, or it is not in this "
			       "pool: see `vtpmctl doctor` there");
	/* it did answer, and is asked each time who has a vTPM */
	if (a.uses)
		h->silent_ms = 0;
	for (unsigned int i = 0; i < a.n; i++)
		keep_said(w, h, &a.said[i], a.known);
}

static bool is_fresh(const struct witness *w, const struct vtpm *v)
{
	return w->list && v->witness.readied && v->witness.list == w->list &&
	       v->witness.readied == store_etcd_connection();
}

static const char *word_use(enum witness_use use)
{
	return use == WITNESS_MINE ? "it" : "another host";
}

static bool waits(const struct vtpm *v)
{
	return v->state == VTPM_QUEUED || v->moves;
}

/* Of one that runs, and whose guest is not answered until that is over. */
static void note_use(struct vtpm *v)
{
	struct vtpm_witness *own = &v->witness;

	if (own->use != WITNESS_FREE && !own->used_ms)
		log_about(LOG_ERR, VTPM_ABOUT(v),
			  "answers nothing, as the host %s says that %s has it, and etcd "
			  "does not say so here: these are two etcd, one a copy of the "
			  "other; `vtpmctl stop` it here, or end the wrong etcd",
			  own->used_by, word_use(own->use));
	own->used_ms = own->use != WITNESS_FREE ? session_now_ms() : 0;
}

/* What was told of it in this round.  What somebody said before stays, unless that one has
 * answered now. */
static void take_heard(struct witness *w, struct vtpm *v, const struct heard *h, bool all)
{
	struct vtpm_witness *own = &v->witness;
	bool counts = h->claimed && v->store.claimed && h->claim == own->claim;

	own->use = h->use;
	snprintf(own->used_by, sizeof(own->used_by), "%s", h->used_by);
	if (own->by[0] && has_heard(w, own->by))
		own->by[0] = '\0';
	if (h->has && (!own->by[0] || is_newer(&h->said, &own->said))) {
		own->said = h->said;
		snprintf(own->by, sizeof(own->by), "%s", h->by);
	}
	if (all) {
		own->readied = w->readied;
		own->list = w->list;
	}
	if (counts && own->use == WITNESS_FREE)
		own->sure = w->stretch;
	if (own->step != WITNESS_ASKED)
		return;
	if (!waits(v) && v->store.claimed)
		note_use(v);
	own->hosts = w->host_count;
	own->heard = count_hosts(w, HOST_HEARD);
	own->step = waits(v) ? WITNESS_HEARD : WITNESS_NOT_ASKED;
	vtpm_witnessed(v);
}

static void end_round(struct witness *w)
{
	bool all = count_hosts(w, HOST_HEARD) == w->host_count;
	struct vtpm *v;

	w->runs = false;
	w->sweeps = all && w->host_count;
	for (unsigned int i = 0; i < w->n; i++) {
		v = vtpms_find_uuid(w->d, w->heard[i].uuid);
		if (v)
			take_heard(w, v, &w->heard[i], all);
	}
}

static void ask_about(struct witness *w, struct vtpm *v)
{
	struct heard *h = &w->heard[w->n++];

	h->has = false;
	h->use = WITNESS_FREE;
	h->claimed = v->store.claimed;
	h->claim = v->witness.claim;
	memcpy(h->uuid, v->meta.uuid, sizeof(h->uuid));
	if (v->witness.step == WITNESS_WAITS)
		v->witness.step = WITNESS_ASKED;
}

/* Of those that do not wait: whether not all hosts were heard of it. */
static bool is_stale(const struct witness *w, const struct vtpm *v)
{
	return v->witness.step == WITNESS_NOT_ASKED && !is_fresh(w, v);
}

/* Those that wait; and of the others those of which not all hosts were heard. */
static void choose_vtpms(struct witness *w)
{
	struct vtpm *v;

	w->n = 0;
	for (v = w->d->vtpms; v && w->n < WITNESS_VTPMS_MAX; v = v->next)
		if (v->witness.step == WITNESS_WAITS)
			ask_about(w, v);
	for (v = w->d->vtpms; v && w->n < WITNESS_VTPMS_MAX; v = v->next)
		if (is_stale(w, v))
			ask_about(w, v);
}

static int write_question(struct witness *w)
{
	static struct witness_question q;
	const char *pool = strrchr(w->d->store, '/') + 1;
	uint8_t bytes[WITNESS_ASK_MAX];
	size_t len = sizeof(bytes);
	int rc;

	q.pool = (struct binding_part){(const uint8_t *)pool, strlen(pool)};
	q.n = w->n;
	for (unsigned int i = 0; i < w->n; i++)
		memcpy(q.uuid[i], w->heard[i].uuid, sizeof(q.uuid[i]));
	rc = witness_question_encode(&q, bytes, &len);
	if (!rc)
		hex_encode(bytes, len, w->question);
	return rc;
}

static bool has_waiting(const struct witness *w)
{
	const struct vtpm *v = w->d->vtpms;

	while (v && v->witness.step != WITNESS_WAITS)
		v = v->next;
	return v != NULL;
}

static bool has_stale(const struct witness *w)
{
	const struct vtpm *v = w->d->vtpms;

	while (v && !is_stale(w, v))
		v = v->next;
	return v != NULL;
}

/* Whether a start waits that needs a majority's answers. */
static bool has_needy(const struct witness *w)
{
	const struct vtpm *v = w->d->pool.majority ? w->d->vtpms : NULL;

	while (v && (v->witness.step != WITNESS_WAITS || is_fresh(w, v)))
		v = v->next;
	return v != NULL;
}

/* Whether it did not answer as its lease had run out, which it has again. */
static bool is_back(const struct asked_host *h)
{
	return h->was_gone && store_etcd_is_alive(h->name);
}

/* Whether a host did not answer a while ago, and is not waited for again: by starts one that etcd does
 * not show either until it was asked without a start. */
static bool is_passed_over(const struct asked_host *h, bool hello)
{
	int64_t s = hello || store_etcd_is_alive(h->name)
			    ? WITNESS_SILENT_S
			    : WITNESS_HELLO_S + WITNESS_ANSWER_S;

	if (is_back(h))
		return false;
	return h->silent_ms && session_now_ms() < h->silent_ms + s * 1000;
}

/* Whether this host has lost etcd, or its lease did not run, since the last round began. */
static bool is_parted(const struct witness *w)
{
	return w->readied != store_etcd_connection() ||
	       w->stretch != store_etcd_stretch();
}

static void begin_round(struct witness *w)
{
	bool hello = w->is_hello_due, all;

	load_hosts(w);
	if (!hello && !has_waiting(w) && !(w->sweeps && has_stale(w)))
		return;
	all = has_needy(w);
	/* it may have been this host that reached nobody */
	for (unsigned int i = 0; i < w->host_count && is_parted(w); i++)
		w->hosts[i].silent_ms = 0;
	w->is_hello_due = w->sweeps = false;
	w->readied = store_etcd_connection();
	w->stretch = store_etcd_stretch();
	choose_vtpms(w);
	w->runs = true;
	if (write_question(w))
		w->host_count = 0; /* no pool has such a name */
	for (unsigned int i = 0; i < w->host_count; i++)
		w->hosts[i].step = !all && is_passed_over(&w->hosts[i], hello)
					   ? HOST_SILENT
					   : HOST_TO_ASK;
}

static void on_told(void *ctx, json_t *said, const struct error *e)
{
	struct asker *a = ctx;
	struct asked_host *h = a->host;
	char late[64];

	a->host = NULL;
	snprintf(late, sizeof(late), "it has not answered within %u s",
		 a->helper.limit_s);
	if (said)
		hear(a->w, h, json_string_value(json_object_get(said, "answer")));
	else
		note_silent(h, a->helper.late ? late : e->text);
	/* no start is delayed by one that refuses, and it may answer in a moment */
	if (h->step == HOST_SILENT && session_now_ms() < a->asked_ms + AT_ONCE_MS)
		h->silent_ms = 0;
	event_active(a->w->next, EV_TIMEOUT, 0);
}

static void ask_host(struct witness *w, struct asker *a, struct asked_host *h)
{
	const char *const args[HELPER_ARGS] = {"--peer",   h->name, "--address",
					       h->address, "--ask", w->question};
	struct error e = {.cause = CAUSE_NONE};

	a->helper.limit_s =
		store_etcd_is_alive(h->name) ? WITNESS_ANSWER_S : WITNESS_GONE_S;
	if (helper_run(&a->helper, "witness", args, &e)) {
		note_silent(h, e.text);
		return;
	}
	a->host = h;
	a->asked_ms = session_now_ms();
	h->step = HOST_ASKED;
}

/* Whether someone waits for an answer, of this round or the next one. */
static bool is_awaited(const struct witness *w)
{
	const struct vtpm *v = w->d->vtpms;

	while (v && v->witness.step != WITNESS_WAITS && v->witness.step != WITNESS_ASKED)
		v = v->next;
	return v != NULL;
}

/* All at once while a start waits, so that those that do not answer delay it as one does. */
static void ask_hosts(struct witness *w)
{
	unsigned int most = is_awaited(w) ? WITNESS_AT_ONCE : WITNESS_HELLO_AT_ONCE;
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->host_count && n < most; i++) {
		if (w->hosts[i].step != HOST_TO_ASK)
			continue;
		while (n < most && w->askers[n].host)
			n++;
		if (n < most)
			ask_host(w, &w->askers[n], &w->hosts[i]);
	}
}

static void on_next(evutil_socket_t fd, short what, void *ctx)
{
	struct witness *w = ctx;

	if (!w->runs)
		begin_round(w);
	if (!w->runs)
		return;
	ask_hosts(w);
	if (count_hosts(w, HOST_TO_ASK) || count_hosts(w, HOST_ASKED))
		return; /* on_told() follows */
	end_round(w);
	event_active(w->next, EV_TIMEOUT, 0);
}

static bool has_one_back(const struct witness *w)
{
	for (unsigned int i = 0; i < w->host_count; i++)
		if (is_back(&w->hosts[i]))
			return true;
	return false;
}

/* The first one soon after the start, when the pool is read. */
static void on_hello(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval often = {.tv_sec = WITNESS_LOOK_S};
	struct witness *w = ctx;

	event_add(w->hello, &often);
	if (session_now_ms() < w->hello_ms && !has_one_back(w))
		return;
	w->hello_ms = session_now_ms() + WITNESS_HELLO_S * 1000;
	w->is_hello_due = true;
	event_active(w->next, EV_TIMEOUT, 0);
}

/* -- a start -------------------------------------------------------------------------- */

/* The generation of what etcd has; 0: nothing that makes sense. */
static uint64_t stored_seq(struct vtpm *v, uint16_t object)
{
	uint64_t seq = 0;
	uint8_t *buf;
	size_t len;

	if (v->store.ops->get(&v->store, store_name(object), CHANNEL_PAYLOAD_MAX, &buf,
			      &len))
		return 0;
	if (store_object_seq(object, buf, len, &seq))
		seq = 0;
	free(buf);
	return seq;
}

static int refuse_older(struct vtpm *v, const char *what, uint64_t found, uint64_t seen,
			struct error *e)
{
	return error_set(
		e, -ESTALE, CAUSE_ROLLED_BACK,
		"The %s of %s in etcd is generation %llu, and the host %s has seen %llu: "
		"etcd's data were put back. Bring the newest back, or, if these are meant, "
		"accept them there and here: `vtpmctl host anchor --accept %s --yes`.",
		what, v->meta.name, (unsigned long long)found, v->witness.by,
		(unsigned long long)seen, v->meta.name);
}

/* Whether another host has seen more than etcd has. */
static int compare_said(struct vtpm *v, struct error *e)
{
	const struct witness_said *s = &v->witness.said;
	uint64_t state, header;

	if (!v->witness.by[0])
		return 0;
	state = stored_seq(v, CHANNEL_OBJECT_PERMALL);
	if (witness_said_seq(s) > state)
		return refuse_older(v, "state", state, witness_said_seq(s), e);
	header = stored_seq(v, CHANNEL_OBJECT_HEADER);
	if (s->header_seq > header)
		return refuse_older(v, "header", header, s->header_seq, e);
	return 0;
}

/* What is newer than etcd's becomes this host's knowledge. */
static void learn(struct vtpm *v)
{
	const struct witness_said *s = &v->witness.said;
	struct anchor_entry e = {.epoch = s->epoch,
				 .permall = s->permall,
				 .base_seq = s->base_seq,
				 .pooled = true};

	memcpy(e.uuid, s->uuid, sizeof(e.uuid));
	memcpy(e.header, s->header, sizeof(e.header));
	memcpy(e.base, s->base, sizeof(e.base));
	anchor_learn(v->d->anchor, v, &e);
}

static int lack_majority(struct vtpm *v, struct error *e)
{
	const struct vtpm_witness *own = &v->witness;

	if (!v->d->pool.majority || 2 * (own->heard + 1) > own->hosts + 1)
		return 0;
	return error_set(
		e, -EACCES, CAUSE_STORE,
		"%u of the %u other hosts of the pool tell what they have seen of %s, and "
		"`vtpmd --pool-witness majority` asks for more than half of all, with this "
		"one: `vtpmctl pool show` says why, `vtpmctl peer remove` takes one that is "
		"lost out of the list.",
		own->heard, own->hosts, v->meta.name);
}

/* It starts with what is known. */
static void tell_unwitnessed(struct witness *w, struct vtpm *v)
{
	const struct vtpm_witness *own = &v->witness;
	char text[80];

	if (own->heard == own->hosts)
		return;
	if (is_fresh(w, v)) {
		log_about(LOG_NOTICE, VTPM_ABOUT(v),
			  "starts, as etcd says that no host has it; %u of the %u other "
			  "hosts of the pool do not answer",
			  own->hosts - own->heard, own->hosts);
		return;
	}
	w->figures.unwitnessed++;
	snprintf(text, sizeof(text), "%u of %u other hosts of the pool answered",
		 own->heard, own->hosts);
	log_about(LOG_WARNING, VTPM_ABOUT(v),
		  "starts with what is known here, as %s what they have seen of it: "
		  "`vtpmctl pool show` says which did not",
		  text);
	(void)!vtpm_audit(v, "unwitnessed", text);
}

/* Whether another host has it, though etcd has let this one claim it.  -EAGAIN: it is asked again, as
 * that may pass in a moment. */
static int compare_use(struct witness *w, struct vtpm *v, struct error *e)
{
	static const struct timeval again = {.tv_usec = USED_AGAIN_MS * 1000};
	struct vtpm_witness *own = &v->witness;
	int64_t now = session_now_ms();

	if (own->use == WITNESS_FREE)
		return 0;
	if (!own->used_ms)
		own->used_ms = now;
	if (now < own->used_ms + WITNESS_USED_S * 1000 && !event_add(w->again, &again)) {
		own->step = WITNESS_WAITS;
		return -EAGAIN;
	}
	return error_set(
		e, -EBUSY, CAUSE_LEASE,
		"%s is in use: the host %s says that %s has it, and etcd says here that "
		"nobody has. If that stays so these are two etcd, one a copy of the other: "
		"`vtpmctl pool show` on both hosts tells with which members they speak.",
		v->meta.name, own->used_by, word_use(own->use));
}

/* All were heard that are. */
static int judge(struct witness *w, struct vtpm *v, struct error *e)
{
	int rc = compare_use(w, v, e);

	if (rc) {
		w->figures.refused += rc != -EAGAIN;
		return rc;
	}
	rc = compare_said(v, e);
	if (rc) {
		w->figures.refused++;
		learn(v);
		return rc;
	}
	/* of what all were heard this host has seen all that was written since */
	if (!is_fresh(w, v))
		rc = lack_majority(v, e);
	if (!rc)
		tell_unwitnessed(w, v);
	return rc;
}

int witness_may_start(struct vtpm *v, struct error *e)
{
	struct witness *w = v->d->witness;
	int rc;

	if (!w || !v->witness.due)
		return 0;
	if (v->witness.step != WITNESS_HEARD) {
		if (v->witness.step == WITNESS_NOT_ASKED) {
			v->witness.step = WITNESS_WAITS;
			event_active(w->next, EV_TIMEOUT, 0);
		}
		return -EAGAIN;
	}
	v->witness.step = WITNESS_NOT_ASKED;
	rc = judge(w, v, e);
	if (rc != -EAGAIN)
		v->witness.used_ms = 0;
	if (!rc)
		v->witness.due = false;
	return rc;
}

bool witness_has_newer(struct vtpm *v)
{
	struct error ignored = {.cause = CAUSE_NONE};

	return compare_said(v, &ignored) != 0;
}

uint64_t witness_stored(struct vtpm *v)
{
	return stored_seq(v, CHANNEL_OBJECT_PERMALL);
}

bool witness_may_go_on(struct vtpm *v)
{
	struct vtpm_witness *own = &v->witness;
	struct witness *w = v->d->witness;

	if (!w || own->sure == store_etcd_stretch())
		return true;
	if (own->step == WITNESS_NOT_ASKED &&
	    (!own->used_ms || session_now_ms() >= own->used_ms + WITNESS_USED_S * 1000)) {
		own->step = WITNESS_WAITS;
		event_active(w->next, EV_TIMEOUT, 0);
	}
	return false;
}

void witness_forget(struct vtpm *v)
{
	v->witness.by[0] = '\0';
	v->witness.readied = 0;
}

/* -- what is told of it ---------------------------------------------------------------- */

/* Whether it has seen more of etcd, or another cluster, than this host sees, which has heard of
 * etcd since: then etcd's data were put back. */
static bool is_ahead(const struct asked_host *h)
{
	struct session_seen seen = store_etcd_seen();

	if (!h->at[0] || !seen.cluster_id || store_etcd_put_back())
		return false;
	return h->cluster_id != seen.cluster_id ||
	       (h->revision > (uint64_t)seen.revision &&
		session_now_ms() - h->told_ms > AHEAD_MS);
}

static json_t *show_host(const struct asked_host *h)
{
	char id[17];

	snprintf(id, sizeof(id), "%016" PRIx64, h->cluster_id);
	return json_pack("{s:s, s:b, s:s, s:s, s:I, s:b, s:s}", "name", h->name,
			 "answers", h->at[0] && !h->why[0], "at", h->at, "cluster_id",
			 h->at[0] ? id : "", "revision", (json_int_t)h->revision, "ahead",
			 is_ahead(h), "why", h->why);
}

json_t *witness_show(const struct vtpmd *d)
{
	json_t *array = json_array();

	for (unsigned int i = 0; d->witness && i < d->witness->host_count; i++)
		json_array_append_new(array, show_host(&d->witness->hosts[i]));
	return array;
}

void witness_figures(const struct vtpmd *d, struct witness_figures *f)
{
	const struct witness *w = d->witness;

	*f = w ? w->figures : (struct witness_figures){0};
	f->hosts = w ? w->host_count : 0;
	for (const struct vtpm *v = w ? d->vtpms : NULL; v; v = v->next)
		f->witnessed += is_fresh(w, v);
	for (unsigned int i = 0; i < f->hosts; i++) {
		f->silent += w->hosts[i].why[0] != '\0';
		f->ahead += is_ahead(&w->hosts[i]);
	}
}

int witness_new(struct vtpmd *d)
{
	static const struct timeval soon = {.tv_sec = 1};
	struct witness *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	d->witness = w;
	w->d = d;
	w->next = event_new(d->base, -1, 0, on_next, w);
	w->again = evtimer_new(d->base, on_next, w);
	w->hello = evtimer_new(d->base, on_hello, w);
	for (unsigned int i = 0; i < WITNESS_AT_ONCE; i++) {
		w->askers[i].w = w;
		if (helper_init(&w->askers[i].helper, d, WITNESS_ANSWER_S, on_told,
				&w->askers[i]))
			return -ENOMEM;
	}
	return w->next && w->again && w->hello && !event_add(w->hello, &soon) ? 0
									      : -ENOMEM;
}

void witness_free(struct vtpmd *d)
{
	struct witness *w = d->witness;

	if (!w)
		return;
	for (unsigned int i = 0; i < WITNESS_AT_ONCE; i++)
		if (w->askers[i].w)
			helper_end(&w->askers[i].helper);
	if (w->next)
		event_free(w->next);
	if (w->again)
		event_free(w->again);
	if (w->hello)
		event_free(w->hello);
	d->witness = NULL;
	free(w);
}
