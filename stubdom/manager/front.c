/* SPDX-License-Identifier: Apache-2.0 */
#include "stubdom/manager/front.h"

#include <errno.h>

void fronts_add(struct fronts *s, struct front *f)
{
	f->all = s;
	if (s->held && f->ops->hold)
		f->ops->hold(f, true);
	s->front[s->n++] = f;
}

int fronts_open(struct fronts *s, const struct front_config *config)
{
	int rc = 0;

	for (unsigned int i = 0; i < s->n && !rc; i++)
		if (s->front[i]->ops->open)
			rc = s->front[i]->ops->open(s->front[i], config);
	return rc;
}

static bool is_looked_at(const struct fronts *s, const struct front *f)
{
	return !s->held || f->ops->hold;
}

void fronts_hold(struct fronts *s, bool held)
{
	if (s->held == held)
		return;
	s->held = held;
	for (unsigned int i = 0; i < s->n; i++)
		if (s->front[i]->ops->hold)
			s->front[i]->ops->hold(s->front[i], held);
}

void fronts_end(struct fronts *s)
{
	s->ended = true;
}

int fronts_serve(struct fronts *s, struct pollfd *own, int ms)
{
	struct pollfd fds[1 + FRONTS_MAX * FRONT_POLLFDS];
	nfds_t at[FRONTS_MAX], n = 1;
	int rc, events, left;

	if (s->ended)
		return -ESHUTDOWN;
	fds[0] = *own;
	for (unsigned int i = 0; i < s->n; i++) {
		struct front *f = s->front[i];

		at[i] = n;
		if (!is_looked_at(s, f))
			continue;
		n += f->ops->pollfds(f, fds + n);
		left = f->ops->timeout ? f->ops->timeout(f) : -1;
		if (left >= 0 && (ms < 0 || left < ms))
			ms = left;
	}
	own->revents = 0;
	events = poll(fds, n, ms);
	if (events < 0)
		return errno == EINTR ? 1 : -errno;
	own->revents = fds[0].revents;
	for (unsigned int i = 0; i < s->n; i++) {
		rc = is_looked_at(s, s->front[i])
			     ? s->front[i]->ops->ready(s->front[i], fds + at[i])
			     : 0;
		if (s->ended)
			rc = -ESHUTDOWN;
		if (rc)
			return rc;
	}
	return events > 0;
}

void fronts_check_cancel(void *fronts)
{
	struct fronts *s = fronts;

	for (unsigned int i = 0; i < s->n; i++)
		if (s->front[i]->ops->check_cancel)
			s->front[i]->ops->check_cancel(s->front[i]);
}

void fronts_stats(const struct fronts *s, struct front_stats *sum)
{
	*sum = (struct front_stats){0};
	for (unsigned int i = 0; i < s->n; i++) {
		struct front_stats one = {0};

		s->front[i]->ops->stats(s->front[i], &one);
		sum->commands += one.commands;
		sum->refused += one.refused;
		sum->connected |= one.connected;
		if (one.present)
			sum->domid = one.domid;
		sum->present |= one.present;
	}
}

void fronts_close(struct fronts *s)
{
	for (; s->n; s->n--)
		s->front[s->n - 1]->ops->close(s->front[s->n - 1]);
}

void front_refuse(struct front *f, uint32_t domid, const char *why)
{
	const struct front_tpm *tpm = &f->all->tpm;

	if (tpm->refused)
		tpm->refused(tpm->ctx, domid, why);
}

int front_adopt(struct front *f, const struct front_guest *g,
		enum front_firmware *firmware, const char **why)
{
	struct fronts *s = f->all;

	for (unsigned int i = 0; i < s->n; i++) {
		struct front_stats other = {0};

		if (s->front[i] == f)
			continue;
		s->front[i]->ops->stats(s->front[i], &other);
		if (other.present) {
			*why = "this vTPM is in use by another guest; give each guest "
			       "its own";
			front_refuse(f, g->domid, *why);
			return -EBUSY;
		}
	}
	*firmware = f->ops->firmware;
	return s->tpm.adopt(s->tpm.ctx, g, firmware, why);
}
