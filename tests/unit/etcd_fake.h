/* SPDX-License-Identifier: Apache-2.0 */
/* An etcd in memory, in place of tools/vtpmd/etcd/etcd.c, of which each answer may get lost. */
#ifndef XVTPM_UNIT_ETCD_FAKE_H
#define XVTPM_UNIT_ETCD_FAKE_H

#include "tests/unit/unit.h"
#include "tools/vtpmd/store_etcd_private.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS	  64
#define PAIR_ROOM 16384

enum outcome {
	DONE,
	LOST_ANSWER, /* done, and nobody hears of it */
	LOST,	     /* not done, and nobody hears of it */
	LATE,	     /* as LOST, and done by do_late() */
	FULL,
	DENIED,
};

static struct pair {
	char key[PROTO_KEY_MAX];
	uint8_t value[PAIR_ROOM];
	size_t len;
	int64_t create, mod, lease;
} pairs[KEYS];

struct etcd_call {
	struct etcd_call *next;
	enum etcd_method method;
	uint8_t *buf;
	size_t len;
	etcd_done *done;
	void *ctx;
};

static struct etcd_call *calls, *watch;
static size_t asked_for; /* bytes of what the watch asks for */
static int64_t revision, lease;
static uint64_t cluster = 77;
static enum outcome outcomes[8];
static size_t txns, outcome_at;
static uint8_t late[65536];
static size_t late_len;
static struct etcd_options options;
/* Called before a transaction of the store's is done, and when one is. */
static void (*fake_step)(bool done);
static struct event_base *base;

int etcd_new(struct event_base *b, const struct etcd_options *o, struct etcd **out,
	     struct error *e)
{
	if (!options.on_link) /* the store's comes first, those of members.c follow */
		options = *o;
	*out = (struct etcd *)&options;
	return 0;
}

void etcd_free(struct etcd *c)
{
	while (calls)
		etcd_cancel(calls);
	if (watch)
		etcd_cancel(watch);
}

bool etcd_is_up(const struct etcd *c)
{
	return true;
}

const char *etcd_trouble(const struct etcd *c)
{
	return "";
}

const char *etcd_member(const struct etcd *c)
{
	return "fake";
}

static struct etcd_call *new_call(enum etcd_method method, const uint8_t *buf, size_t len,
				  etcd_done *done, void *ctx)
{
	struct etcd_call *call = calloc(1, sizeof(*call));

	*call = (struct etcd_call){
		.method = method, .len = len, .done = done, .ctx = ctx};
	call->buf = malloc(len + 1);
	memcpy(call->buf, buf, len);
	return call;
}

int etcd_call(struct etcd *c, enum etcd_method method, const uint8_t *buf, size_t len,
	      etcd_done *done, void *ctx, struct etcd_call **out)
{
	struct etcd_call **at = &calls;

	while (*at)
		at = &(*at)->next;
	*out = *at = new_call(method, buf, len, done, ctx);
	return 0;
}

int etcd_watch(struct etcd *c, const uint8_t *buf, size_t len, etcd_done *done, void *ctx,
	       struct etcd_call **out)
{
	assert_null(watch);
	*out = watch = new_call(ETCD_WATCH, buf, len, done, ctx);
	asked_for = len;
	return 0;
}

void etcd_cancel(struct etcd_call *call)
{
	struct etcd_call **at = &calls;

	while (*at && *at != call)
		at = &(*at)->next;
	if (*at)
		*at = call->next;
	if (watch == call)
		watch = NULL;
	free(call->buf);
	free(call);
}

static struct pair *find_pair(const char *key)
{
	for (size_t i = 0; i < KEYS; i++)
		if (pairs[i].mod && !strcmp(pairs[i].key, key))
			return &pairs[i];
	return NULL;
}

static void put_head(struct cursor *w)
{
	size_t head = proto_open(w, 1);

	proto_put_number(w, 1, cluster);
	proto_put_number(w, 3, (uint64_t)revision);
	proto_close(w, head);
}

static void put_pair(struct cursor *w, uint32_t field, const struct pair *p)
{
	size_t kv = proto_open(w, field);

	proto_put_bytes(w, 1, p->key, strlen(p->key));
	proto_put_number(w, 2, (uint64_t)p->create);
	proto_put_number(w, 3, (uint64_t)p->mod);
	proto_put_bytes(w, 5, p->value, p->len);
	proto_close(w, kv);
}

static uint8_t events[65536];
static struct cursor event_writer;
static size_t event_count;

static void note_change(const struct pair *p, bool deleted)
{
	size_t event = proto_open(&event_writer, 11);

	if (deleted)
		proto_put_number(&event_writer, 1, 1);
	put_pair(&event_writer, 2, p);
	proto_close(&event_writer, event);
	event_count++;
}

static void text_of(const struct proto_field *f, char key[PROTO_KEY_MAX])
{
	assert_in_range(f->len, 1, PROTO_KEY_MAX - 1);
	memcpy(key, f->bytes, f->len);
	key[f->len] = '\0';
}

static void set_pair(const char *key, const uint8_t *value, size_t len, int64_t of_lease)
{
	struct pair *p = find_pair(key);

	for (size_t i = 0; !p && i < KEYS; i++)
		if (!pairs[i].mod) {
			p = &pairs[i];
			strcpy(p->key, key);
			p->create = revision;
		}
	assert_non_null(p);
	assert_true(len <= PAIR_ROOM);
	memcpy(p->value, value, len);
	p->len = len;
	p->mod = revision;
	p->lease = of_lease;
	note_change(p, false);
}

static void drop_pair(struct pair *p)
{
	static struct pair gone;

	gone = (struct pair){.mod = revision};
	strcpy(gone.key, p->key);
	p->mod = 0;
	note_change(&gone, true);
}

static void do_put(const struct proto_field *op)
{
	struct cursor c = cursor_reader(op->bytes, op->len);
	struct proto_field f, value = {0};
	char key[PROTO_KEY_MAX] = "";
	int64_t of_lease = 0;

	while (proto_next(&c, &f)) {
		if (f.number == 1)
			text_of(&f, key);
		if (f.number == 2)
			value = f;
		if (f.number == 3)
			of_lease = (int64_t)f.value;
	}
	set_pair(key, value.bytes, value.len, of_lease);
}

static void do_delete(const struct proto_field *op)
{
	struct cursor c = cursor_reader(op->bytes, op->len);
	char key[PROTO_KEY_MAX] = "";
	struct proto_field f;
	bool prefix = false;

	while (proto_next(&c, &f)) {
		if (f.number == 1)
			text_of(&f, key);
		prefix = prefix || f.number == 2;
	}
	for (size_t i = 0; i < KEYS; i++)
		if (pairs[i].mod && (prefix ? !strncmp(pairs[i].key, key, strlen(key))
					    : !strcmp(pairs[i].key, key)))
			drop_pair(&pairs[i]);
}

static bool compares(const struct proto_field *compare)
{
	struct cursor c = cursor_reader(compare->bytes, compare->len);
	char key[PROTO_KEY_MAX] = "";
	int64_t wanted = -1;
	struct proto_field f;
	struct pair *p;

	while (proto_next(&c, &f)) {
		if (f.number == 3)
			text_of(&f, key);
		if (f.number == 6)
			wanted = (int64_t)f.value;
	}
	p = find_pair(key);
	return (p ? p->mod : 0) == wanted;
}

/* Does it, and writes the answer. */
static void do_txn(const uint8_t *buf, size_t len, struct cursor *w)
{
	struct cursor c = cursor_reader(buf, len), op, in;
	struct proto_field f, inner, key;
	char name[PROTO_KEY_MAX];
	bool yes = true;

	while (proto_next(&c, &f))
		if (f.number == 1 && !compares(&f))
			yes = false;
	revision += yes;
	c = cursor_reader(buf, len);
	put_head(w);
	proto_put_number(w, 2, yes);
	while (proto_next(&c, &f)) {
		if (f.number != (yes ? 2 : 3))
			continue;
		op = cursor_reader(f.bytes, f.len);
		assert_true(proto_next(&op, &inner));
		if (inner.number == 2)
			do_put(&inner);
		else if (inner.number == 3)
			do_delete(&inner);
		if (inner.number != 1)
			continue;
		in = cursor_reader(inner.bytes, inner.len);
		assert_true(proto_next(&in, &key));
		text_of(&key, name);
		if (find_pair(name)) {
			size_t response = proto_open(w, 3), range = proto_open(w, 1);

			put_pair(w, 2, find_pair(name));
			proto_close(w, range);
			proto_close(w, response);
		}
	}
	assert_true(cursor_done(&c));
}

static int answer_txn(const struct etcd_call *call, struct cursor *w)
{
	bool of_store = call->len > 200; /* not the one that shows the lease */
	enum outcome o = of_store && outcome_at < 8 ? outcomes[outcome_at++] : DONE;

	txns += of_store;
	switch (o) {
	case DONE:
	case LOST_ANSWER:
		if (fake_step && of_store)
			fake_step(false);
		do_txn(call->buf, call->len, w);
		if (fake_step)
			fake_step(true);
		return o == DONE ? 0 : -ETIMEDOUT;
	case LATE:
		memcpy(late, call->buf, late_len = call->len);
		return -ETIMEDOUT;
	case FULL:
		return -ENOSPC;
	case DENIED:
		return -EACCES;
	default:
		return -ETIMEDOUT;
	}
}

static __attribute__((unused)) void do_late(void)
{
	uint8_t buf[65536];
	struct cursor w = cursor_writer(buf, sizeof(buf));

	do_txn(late, late_len, &w);
}

static int answer_call(const struct etcd_call *call, struct cursor *w)
{
	switch (call->method) {
	case ETCD_TXN:
		return answer_txn(call, w);
	case ETCD_RANGE:
		put_head(w);
		for (size_t i = 0; i < KEYS; i++)
			if (pairs[i].mod)
				put_pair(w, 2, &pairs[i]);
		return 0;
	case ETCD_LEASE_GRANT:
		put_head(w);
		proto_put_number(w, 2, (uint64_t)++lease);
		proto_put_number(w, 3, 30);
		return 0;
	default:
		put_head(w);
		proto_put_number(w, 2, (uint64_t)lease);
		proto_put_number(w, 3, 30);
		return 0;
	}
}

static void send_events(void)
{
	uint8_t buf[65536];
	struct cursor w = cursor_writer(buf, sizeof(buf));

	if (!watch)
		return;
	put_head(&w);
	cursor_put(&w, events, event_writer.pos);
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
	watch->done(watch->ctx, 0, buf, w.pos);
}

/* The events so far, in a message behind which there are more of the same revision. */
static __attribute__((unused)) void send_part(void)
{
	uint8_t buf[65536];
	struct cursor w = cursor_writer(buf, sizeof(buf));

	assert_non_null(watch);
	put_head(&w);
	proto_put_number(&w, 7, 1);
	cursor_put(&w, events, event_writer.pos);
	event_writer = cursor_writer(events, sizeof(events));
	event_count = 0;
	watch->done(watch->ctx, 0, buf, w.pos);
}

static bool events_first; /* a watch is faster than an answer */

static void serve(void)
{
	static uint8_t buf[65536];
	struct etcd_call *call;

	while ((call = calls)) {
		struct cursor w = cursor_writer(buf, sizeof(buf));
		int rc = answer_call(call, &w);

		calls = call->next;
		if (events_first && event_count)
			send_events();
		call->done(call->ctx, rc, buf, rc ? 0 : w.pos);
		free(call->buf);
		free(call);
	}
	if (event_count)
		send_events();
}

static void on_serve(evutil_socket_t fd, short what, void *ctx)
{
	static bool told;

	if (!told) {
		told = true;
		options.on_link(options.ctx, true);
	}
	if (watch && !event_count && watch->len) {
		watch->len = 0; /* it is created */
		send_events();
	}
	serve();
}

/* Of the host "one". */
static void write_certificate(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *f = fopen(path, "w");

	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)"one", -1, -1, 0);
	X509_set_pubkey(x, key);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

#endif
