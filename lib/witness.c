/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/witness.h"
#include "lib/cursor.h"

#include <errno.h>
#include <string.h>

/* Of an answer. */
enum { TELLS_NOTHING, TELLS_SEEN, TELLS_USES };

static void put_part(struct cursor *w, const void *p, size_t n)
{
	cursor_put_u16(w, (uint16_t)n);
	cursor_put(w, p, n);
}

static void put_head(struct cursor *w, uint8_t kind)
{
	cursor_put_u8(w, kind);
	put_part(w, WITNESS_LABEL, strlen(WITNESS_LABEL));
}

static struct binding_part take_part(struct cursor *r, size_t min, size_t max)
{
	size_t n = cursor_u16(r);

	if (n < min || n > max)
		cursor_fail(r);
	return (struct binding_part){cursor_bytes(r, n), n};
}

static void take_head(struct cursor *r, uint8_t kind)
{
	size_t n = strlen(WITNESS_LABEL);
	struct binding_part label;

	if (cursor_u8(r) != kind)
		cursor_fail(r);
	label = take_part(r, n, n);
	if (label.p && memcmp(label.p, WITNESS_LABEL, n) != 0)
		cursor_fail(r);
}

static unsigned int take_count(struct cursor *r)
{
	unsigned int n = cursor_u16(r);

	if (n > WITNESS_VTPMS_MAX)
		cursor_fail(r);
	return cursor_ok(r) ? n : 0;
}

static int end_writing(const struct cursor *w, size_t *len)
{
	if (!cursor_ok(w))
		return -EMSGSIZE;
	*len = w->pos;
	return 0;
}

int witness_question_encode(const struct witness_question *q, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	if (q->n > WITNESS_VTPMS_MAX || !q->pool.n || q->pool.n > WITNESS_POOL_MAX)
		return -EMSGSIZE;
	put_head(&w, WITNESS_ASKS);
	put_part(&w, q->pool.p, q->pool.n);
	cursor_put_u16(&w, (uint16_t)q->n);
	for (unsigned int i = 0; i < q->n; i++)
		cursor_put(&w, q->uuid[i], sizeof(q->uuid[i]));
	return end_writing(&w, len);
}

int witness_question_decode(const uint8_t *in, size_t len, struct witness_question *q)
{
	struct cursor r = cursor_reader(in, len);

	take_head(&r, WITNESS_ASKS);
	q->pool = take_part(&r, 1, WITNESS_POOL_MAX);
	q->n = take_count(&r);
	for (unsigned int i = 0; i < q->n; i++)
		cursor_copy(&r, q->uuid[i], sizeof(q->uuid[i]));
	return cursor_done(&r) ? 0 : -EBADMSG;
}

static void put_said(struct cursor *w, const struct witness_said *s)
{
	cursor_put(w, s->uuid, sizeof(s->uuid));
	cursor_put(w, s->header, sizeof(s->header));
	cursor_put_u64(w, s->header_seq);
	cursor_put_u64(w, s->epoch);
	cursor_put_u64(w, s->permall);
	cursor_put(w, s->base, sizeof(s->base));
	cursor_put_u64(w, s->base_seq);
	cursor_put_u8(w, (uint8_t)s->use);
}

static void take_said(struct cursor *r, struct witness_said *s)
{
	uint8_t use;

	cursor_copy(r, s->uuid, sizeof(s->uuid));
	cursor_copy(r, s->header, sizeof(s->header));
	s->header_seq = cursor_u64(r);
	s->epoch = cursor_u64(r);
	s->permall = cursor_u64(r);
	cursor_copy(r, s->base, sizeof(s->base));
	s->base_seq = cursor_u64(r);
	use = cursor_u8(r);
	if (use > WITNESS_OTHERS)
		cursor_fail(r);
	s->use = (enum witness_use)use;
}

int witness_answer_encode(const struct witness_answer *a, uint8_t *out, size_t *len)
{
	struct cursor w = cursor_writer(out, *len);

	if (a->n > WITNESS_VTPMS_MAX || (a->n && !a->known && !a->uses))
		return -EMSGSIZE;
	put_head(&w, WITNESS_TELLS);
	cursor_put_u8(&w, a->known ? TELLS_SEEN : a->uses ? TELLS_USES : TELLS_NOTHING);
	cursor_put_u64(&w, a->cluster_id);
	cursor_put_u64(&w, a->revision);
	cursor_put_u16(&w, (uint16_t)a->n);
	for (unsigned int i = 0; i < a->n; i++)
		put_said(&w, &a->said[i]);
	return end_writing(&w, len);
}

int witness_answer_decode(const uint8_t *in, size_t len, struct witness_answer *a)
{
	struct cursor r = cursor_reader(in, len);
	uint8_t what;

	take_head(&r, WITNESS_TELLS);
	what = cursor_u8(&r);
	a->known = what == TELLS_SEEN;
	a->uses = what == TELLS_USES;
	a->cluster_id = cursor_u64(&r);
	a->revision = cursor_u64(&r);
	a->n = take_count(&r);
	if (what > TELLS_USES || (a->n && what == TELLS_NOTHING))
		cursor_fail(&r);
	for (unsigned int i = 0; i < a->n; i++)
		take_said(&r, &a->said[i]);
	return cursor_done(&r) ? 0 : -EBADMSG;
}
