/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/queue.h"
#include "tools/vtpmd/vtpm.h"

#include <stddef.h>

static void append_to_line(struct queue_line *l, struct vtpm *v)
{
	v->queued = (struct queue_place){.in = l, .before = l->last};
	if (l->last)
		l->last->queued.behind = v;
	else
		l->first = v;
	l->last = v;
}

void queue_leave(struct vtpm *v)
{
	struct queue_place *p = &v->queued;

	if (!p->in)
		return;
	if (p->before)
		p->before->queued.behind = p->behind;
	else
		p->in->first = p->behind;
	if (p->behind)
		p->behind->queued.before = p->before;
	else
		p->in->last = p->before;
	*p = (struct queue_place){.in = NULL};
}

static struct queue_line *line_of(struct vtpm *v)
{
	struct queue *q = &v->d->queue;

	if (v->state == VTPM_QUEUED)
		return &q->begins;
	if (v->state == VTPM_ANCHORING)
		return v->urgent ? &q->urgent : &q->later;
	return vtpm_is(v, VTPM_COMING | VTPM_IN(ABORTING)) ? &q->coming : NULL;
}

void queue_put(struct vtpm *v)
{
	struct queue_line *l = line_of(v);

	queue_leave(v);
	if (l)
		append_to_line(l, v);
}

void queue_hold(struct vtpm *v)
{
	queue_leave(v);
	append_to_line(&v->d->queue.held, v);
}

void queue_let_go(struct vtpmd *d)
{
	while (d->queue.held.first)
		queue_put(d->queue.held.first);
}
