/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/quote.h"
#include "lib/text.h"
#include "lib/crypt.h"
#include "tools/vtpmd/helper.h"
#include "tools/vtpmd/identity.h"
#include "tools/vtpmd/move.h"
#include "tools/vtpmd/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_S	  30
#define LOG_MAX	  (256 * 1024)
#define HASH_SIZE CRYPT_HASH_SIZE
#define WAIT_MS	  18000 /* less than the manager does: stubdom/manager/hostchan.c */
/* For one vTPM. */
#define BURST	6
#define EACH_MS 10000

struct quote {
	struct vtpmd *d;
	struct vtpm *v; /* whose quote is under way; NULL: its vTPM is gone */
	struct vtpm *first,
		*last; /* of those who wait, in the order in which they came */
	uint32_t id;
	struct helper tpm;
	uint8_t binding[BINDING_SIZE_MAX];
	size_t binding_len;
	uint8_t *log; /* of the host, as it was bound */
	size_t log_len;
};

static json_t *encode(const uint8_t *bytes, size_t len)
{
	char *text = malloc(BASE64URL_SIZE(len) + 1);
	json_t *string;

	if (!text)
		return NULL;
	base64url_encode(bytes, len, text);
	string = json_string(text);
	free(text);
	return string;
}

static json_t *keys(const struct vtpm *v)
{
	json_t *array = json_array();
	unsigned int i;

	for (i = 0; i < v->meta.eks; i++)
		json_array_append_new(array,
				      encode(v->meta.ek[i].bytes, v->meta.ek[i].len));
	return array;
}

/* What the child printed, with what vtpmd has to say beside it. */
static char *compose(const struct quote *q, json_t *said)
{
	char *text = NULL;

	if (!json_object_set_new(said, "binding", encode(q->binding, q->binding_len)) &&
	    !json_object_set_new(said, "ek", keys(q->v)) &&
	    (!q->log || !json_object_set_new(said, "log", encode(q->log, q->log_len))))
		text = json_dumps(said, JSON_COMPACT);
	return text;
}

static void answer_quote(struct quote *q, json_t *said, const struct error *e)
{
	char *text = NULL;

	if (json_object_get(said, "quote"))
		text = compose(q, said);
	if (text) {
		peer_reply(q->v->peer, CHANNEL_QUOTE, q->id, text, strlen(text));
	} else {
		log_about(LOG_ERR, VTPM_ABOUT(q->v), "no quote of the host's TPM: %s",
			  said ? "vtpmctl gave none" : e->text);
		peer_refuse(q->v->peer, CHANNEL_QUOTE, q->id, EIO,
			    "The host's TPM gave no quote.");
	}
	free(text);
}

static void drop_log(struct quote *q)
{
	free(q->log);
	q->log = NULL;
	q->log_len = 0;
}

static void start_next(struct quote *q);

static void on_quote_tpm(void *ctx, json_t *said, const struct error *e)
{
	struct quote *q = ctx;

	if (q->v)
		answer_quote(q, said, e);
	q->v = NULL;
	drop_log(q);
	start_next(q);
}

static int quote_host(struct quote *q)
{
	const struct crypt_part part = {q->binding, q->binding_len};
	struct error e = {.cause = CAUSE_NONE};
	char hex[2 * HASH_SIZE + 1];
	const char *const args[HELPER_ARGS] = {"--qualify", hex};
	uint8_t hash[HASH_SIZE];
	int rc = crypt_sha256(&part, 1, hash);

	if (rc)
		return rc;
	hex_encode(hash, sizeof(hash), hex);
	return helper_run(&q->tpm, "quote", args, &e);
}

static struct binding_part take_part(struct cursor *c)
{
	size_t n = cursor_u16(c);

	return (struct binding_part){cursor_bytes(c, n), n};
}

/* What the manager may say. -EINVAL */
static int take_request(const uint8_t *request, size_t len, struct binding *b)
{
	struct cursor c = cursor_reader(request, len);

	memset(b, 0, sizeof(*b));
	b->nonce = take_part(&c);
	b->user = take_part(&c);
	b->ak = take_part(&c);
	b->quote = take_part(&c);
	b->guest_log = take_part(&c);
	if (!cursor_done(&c) || b->nonce.n < BINDING_NONCE_MIN ||
	    b->nonce.n > BINDING_NONCE_MAX || b->user.n > BINDING_USER_MAX ||
	    b->ak.n < 2 + 20 || b->ak.n > BINDING_NAME_MAX || b->quote.n != HASH_SIZE ||
	    (b->guest_log.n && b->guest_log.n != HASH_SIZE))
		return -EINVAL;
	return 0;
}

/* What vtpmd knows by itself. */
static int bind_known(struct quote *q, const struct vtpm *v, struct binding *b,
		      const char **why)
{
	const struct crypt_part part = {q->log, q->log_len};
	const struct image *image = &v->body->image;
	uint8_t names[META_EKS][TPM2_NAME_MAX], log[HASH_SIZE];
	struct tpm2_public key;

	*why = "vtpmd does not know what this manager was started from: restart the vTPM.";
	if (!image->known)
		return -ENODATA;
	*why = "vtpmd does not know this vTPM's endorsement keys.";
	memcpy(b->uuid, v->meta.uuid, sizeof(b->uuid));
	for (b->keys = 0; !identity_key(&v->meta, (unsigned int)b->keys, &key);
	     b->keys++) {
		b->ek[b->keys].p = names[b->keys];
		if (tpm2_public_name(&key, names[b->keys], &b->ek[b->keys].n))
			return -ENODATA;
	}
	if (!b->keys)
		return -ENODATA;
	if (image->has_kernel)
		b->kernel = (struct binding_part){image->kernel, IMAGE_HASH_SIZE};
	b->manager = (struct binding_part){image->manager, IMAGE_HASH_SIZE};
	if (q->log && crypt_sha256(&part, 1, log))
		return -EIO;
	if (q->log)
		b->host_log = (struct binding_part){log, sizeof(log)};
	q->binding_len = sizeof(q->binding);
	return binding_encode(b, q->binding, &q->binding_len);
}

/* securityfs tells no size before the file's end.  A log that is not there is left out. */
static void read_quote_log(struct quote *q)
{
	FILE *f = q->d->host_log ? fopen(q->d->host_log, "re") : NULL;
	bool whole;

	drop_log(q);
	if (!f)
		return;
	q->log = malloc(LOG_MAX + 1);
	if (q->log)
		q->log_len = fread(q->log, 1, LOG_MAX + 1, f);
	whole = q->log && !ferror(f) && q->log_len <= LOG_MAX;
	fclose(f);
	if (!whole)
		log_line(
			LOG_WARNING,
			"%s is left out of deep quotes: it cannot be read, or has more than "
			"%d KiB",
			q->d->host_log, LOG_MAX / 1024);
	if (!whole || !q->log_len)
		drop_log(q);
}

/* Whose turn it is. */
static int begin_quote(struct quote *q, struct vtpm *v, const char **why)
{
	struct binding b;
	int rc;

	*why = "The host's TPM quotes for others.";
	if ((uint64_t)stamp_ms() - v->quote.since_ms > WAIT_MS)
		return -EAGAIN;
	if (move_is_incoming(v)) {
		q->binding_len = sizeof(q->binding);
		rc = move_bind(v, v->quote.request, v->quote.len, q->binding,
			       &q->binding_len);
	} else {
		rc = take_request(v->quote.request, v->quote.len, &b);
		read_quote_log(q);
		if (!rc)
			rc = bind_known(q, v, &b, why);
	}
	if (!rc) {
		*why = "vtpmctl could not be started.";
		rc = quote_host(q);
	}
	if (rc) {
		log_limited(&v->limits.lines, LOG_ERR, VTPM_ABOUT(v), "no deep quote: %s",
			    *why);
		return rc;
	}
	q->v = v;
	q->id = v->quote.id;
	return 0;
}

static void wait_for_turn(struct quote *q, struct vtpm *v)
{
	v->quote.waits = true;
	v->quote.behind = NULL;
	v->quote.before = q->last;
	if (q->last)
		q->last->quote.behind = v;
	else
		q->first = v;
	q->last = v;
}

static void leave_line(struct quote *q, struct vtpm *v)
{
	struct vtpm_quote *own = &v->quote;

	if (!own->waits)
		return;
	own->waits = false;
	if (own->before)
		own->before->quote.behind = own->behind;
	else
		q->first = own->behind;
	if (own->behind)
		own->behind->quote.before = own->before;
	else
		q->last = own->before;
}

static void start_next(struct quote *q)
{
	const char *why;
	struct vtpm *v;
	int rc;

	while (!q->tpm.pid && (v = q->first)) {
		leave_line(q, v);
		rc = begin_quote(q, v, &why);
		if (rc)
			peer_refuse(v->peer, CHANNEL_QUOTE, v->quote.id, -rc, why);
	}
}

/* Once for each `vtpmctl attest`. */
static bool asked_by_host(struct vtpm *v, const struct binding *b)
{
	struct vtpm_attest *a = &v->attest;

	if (!a->pending || a->quoted || b->nonce.n != a->nonce_len ||
	    memcmp(b->nonce.p, a->nonce, a->nonce_len) != 0)
		return false;
	a->quoted = true;
	return true;
}

int quote_on_peer(void *ctx, uint32_t id, const uint8_t *request, size_t len,
		  const char **why)
{
	struct vtpm *v = ctx;
	struct vtpm_quote *own = &v->quote;
	struct binding b;
	int rc = move_is_incoming(v) ? 0 : take_request(request, len, &b);

	*why = "The request is malformed.";
	if (rc || len > sizeof(own->request))
		return -EINVAL;
	*why = "This vTPM asks for quotes too often.";
	if (own->waits ||
	    (!move_is_incoming(v) && !asked_by_host(v, &b) &&
	     !bucket_take(&own->bucket, BURST, EACH_MS, (uint64_t)stamp_ms())))
		return -EAGAIN;
	memcpy(own->request, request, len);
	own->len = len;
	own->id = id;
	own->since_ms = (uint64_t)stamp_ms();
	wait_for_turn(v->d->quote, v);
	start_next(v->d->quote);
	return 0;
}

void quote_forget(struct vtpm *v)
{
	struct quote *q = v->d->quote;

	if (q)
		leave_line(q, v);
	if (q && q->v == v)
		q->v = NULL;
}

int quote_init(struct vtpmd *d)
{
	struct quote *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->d = d;
	d->quote = q;
	return helper_init(&q->tpm, d, LIMIT_S, on_quote_tpm, q);
}

void quote_end(struct vtpmd *d)
{
	struct quote *q = d->quote;

	if (!q)
		return;
	helper_end(&q->tpm);
	drop_log(q);
	free(q);
	d->quote = NULL;
}
