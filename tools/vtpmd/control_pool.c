/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/control_pool.h"
#include "lib/text.h"
#include "tools/vtpmd/anchor.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/move_private.h"
#include "tools/vtpmd/pool_keys.h"
#include "tools/vtpmd/pool_move.h"
#include "tools/vtpmd/registry_pool.h"
#include "tools/vtpmd/store_etcd.h"
#include "tools/vtpmd/witness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *show_member(const struct member *m)
{
	const struct proto_status *s = &m->status;

	if (!m->known)
		return json_pack("{s:s, s:b, s:s}", "address", m->name, "up", 0, "error",
				 m->trouble);
	return json_pack("{s:s, s:b, s:s, s:b, s:b, s:I, s:I, s:I, s:s}", "address",
			 m->name, "up", 1, "version", s->version, "leads",
			 s->leader == s->member, "leader", s->leader != 0, "size",
			 (json_int_t)s->size, "used", (json_int_t)s->used, "quota",
			 (json_int_t)(s->quota ? s->quota : MEMBERS_QUOTA), "alarms",
			 s->errors);
}

static json_t *show_members(const struct members *all)
{
	json_t *array = json_array();

	for (size_t i = 0; i < members_count(all); i++)
		json_array_append_new(array, show_member(members_at(all, i)));
	return array;
}

/* Those whose leases run, with the vTPMs that each has. */
static json_t *show_hosts(const struct vtpmd *d, const struct store_etcd_facts *f)
{
	json_t *array = json_array();

	for (size_t i = 0; i < f->host_count; i++) {
		json_int_t n = 0;

		for (struct vtpm *v = d->vtpms; v; v = v->next)
			n += !strcmp(store_etcd_owner(&v->store), f->hosts[i].name);
		json_array_append_new(array, json_pack("{s:s, s:I}", "name",
						       f->hosts[i].name, "vtpms", n));
	}
	return array;
}

static json_t *show_pool(struct vtpmd *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct store_etcd_facts f;
	struct witness_figures w;
	json_t *names;
	char id[17];

	store_etcd_facts(&f);
	witness_figures(d, &w);
	names = move_list_names(d);
	(void)!store_etcd_may(&e);
	snprintf(id, sizeof(id), "%016" PRIx64, f.cluster_id);
	return json_pack("{s:b, s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:o, s:I, s:o, s:o, "
			 "s:o, s:b, s:s, s:o, s:o, s:s, s:s*, s:o, s:I, s:b}",
			 "ok", 1, "pool", strrchr(d->store, '/') + 1, "host", f.host,
			 "member", f.member, "trouble", f.trouble, "put_back", f.put_back,
			 "cluster_id", id, "revision", (json_int_t)f.revision, "found",
			 f.put_back ? json_integer(f.found) : json_null(), "lease_ms",
			 (json_int_t)f.lease_ms, "hosts", show_hosts(d, &f), "members",
			 show_members(f.members), "list", names ? names : json_null(),
			 "unpublished", move_list_is_unpublished(d), "refused", e.text,
			 "folder", pool_move_names(d), "key", pool_keys_show(d), "own",
			 d->folder, "cert", d->pool.cert, "witnesses", witness_show(d),
			 "witnessed", (json_int_t)w.witnessed, "majority",
			 d->pool.majority);
}

void control_op_pool(struct control *c, struct vtpm *none, const json_t *request)
{
	pool_keys_save(c->d); /* who asks may want the copy, too */
	if (store_etcd_is(c->d->store))
		control_answer_with(c, show_pool(c->d));
	else
		control_answer_word(c, "not-configured",
				    "The store of this vtpmd is a folder, and no pool's: "
				    "`vtpmctl pool init` or `join`, and restart vtpmd.");
}

static json_t *encode_hex(const uint8_t *p, size_t n)
{
	char *hex = malloc(2 * n + 1);
	json_t *text;

	if (!hex)
		return NULL;
	hex_encode(p, n, hex);
	text = json_string(hex);
	free(hex);
	return text;
}

void control_op_pool_list(struct control *c, struct vtpm *none, const json_t *request)
{
	struct move_bytes list = {NULL, 0};
	json_t *hex = NULL;

	if (store_etcd_is(c->d->store) && !move_read_pool(c->d, &list))
		hex = encode_hex(list.p, list.n);
	move_drop_bytes(&list);
	control_answer_with(
		c, json_pack("{s:b, s:o}", "ok", 1, "list", hex ? hex : json_null()));
}

static void answer_witness(struct control *c, const json_t *request)
{
	const char *hex = json_string_value(json_object_get(request, "question"));
	const char *peer = json_string_value(json_object_get(request, "peer"));
	static uint8_t in[WITNESS_ASK_MAX], out[WITNESS_ANSWER_MAX];
	size_t len = sizeof(in), out_len;

	if (!hex || !peer || hex_decode(hex, in, &len) ||
	    witness_tell(c->d, peer, in, len, out, &out_len))
		control_answer_malformed(c);
	else
		control_answer_with(c, json_pack("{s:b, s:o}", "ok", 1, "answer",
						 encode_hex(out, out_len)));
}

static void on_witness_known(void *ctx, const struct error *e)
{
	struct control *c = ctx;
	json_t *request = c->held;

	if (c->late)
		event_free(c->late);
	c->late = NULL;
	c->held = NULL;
	answer_witness(c, request);
	json_decref(request);
}

/* The host's TPM has not told yet: who has a vTPM is told without it. */
static void on_witness_late(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c = ctx;

	waiter_cancel(&c->waiter);
	on_witness_known(c, NULL);
}

void control_op_pool_witness(struct control *c, struct vtpm *none, const json_t *request)
{
	static const struct timeval soon = {.tv_sec = 1};

	c->held = json_incref((json_t *)request);
	c->waiter = (struct waiter){.done = on_witness_known, .ctx = c};
	c->late = evtimer_new(c->d->base, on_witness_late, c);
	if (c->late && !event_add(c->late, &soon))
		anchor_ask_known(c->d->anchor, &c->waiter);
	else
		on_witness_known(c, NULL);
}

static void on_pool_anchored(void *ctx, const struct error *e)
{
	struct control *c = ctx;

	if (e)
		control_answer_refuse(c, -EIO, e);
	else
		control_answer_with(c, json_pack("{s:b}", "ok", 1));
}

static void on_pool_accepted(void *ctx, const struct error *e)
{
	struct control *c = ctx;

	if (e) {
		control_answer_refuse(c, -EIO, e);
		return;
	}
	c->waiter = (struct waiter){.done = on_pool_anchored, .ctx = c};
	anchor_wait(c->d->anchor, &c->waiter);
}

/* What the host's TPM has is known, or need not be. */
static void accept_pool(void *ctx, const struct error *e)
{
	struct control *c = ctx;

	if (e) {
		control_answer_refuse(c, -EIO, e);
		return;
	}
	c->waiter = (struct waiter){.done = on_pool_accepted, .ctx = c};
	registry_pool_accept(c->d, &c->waiter);
}

void control_op_pool_accept(struct control *c, struct vtpm *none, const json_t *request)
{
	if (!store_etcd_is(c->d->store) || store_etcd_put_back()) {
		accept_pool(c, NULL);
		return;
	}
	c->waiter = (struct waiter){.done = accept_pool, .ctx = c};
	anchor_wait_known(c->d->anchor, &c->waiter);
}

void control_op_pool_move(struct control *c, struct vtpm *none, const json_t *request)
{
	const char *to = json_string_value(json_object_get(request, "to"));
	struct error e = {.cause = CAUSE_NONE};
	uint8_t uuid[16];
	int rc;

	if (!c->name[0] || !to ||
	    (strcmp(to, "pool") != 0 && strcmp(to, "folder") != 0)) {
		control_answer_malformed(c);
		return;
	}
	pool_keys_save(c->d); /* what is moved out is opened with it */
	rc = pool_move(c->d, c->name, to[0] == 'f', uuid, &e);
	if (rc == -EINPROGRESS)
		control_answer_with(c, json_pack("{s:b, s:b}", "ok", 1, "moves", 1));
	else if (rc)
		control_answer_refuse(c, rc, &e);
	else
		control_answer_ok(c, uuid);
}
