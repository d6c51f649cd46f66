/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/watch.h"

static size_t text_end(const char *text, size_t at, size_t n)
{
	while (at < n && text[at])
		at++;
	return at;
}

bool watch_is_pair(const char *pair, size_t n, size_t *token)
{
	size_t end = text_end(pair, 0, n);

	*token = end + 1;
	return end < n && *token < n && text_end(pair, *token, n) == n - 1;
}

/* The record's pair at `at`, and its size. */
static const char *pair_at(const struct watch *w, size_t at, size_t *n)
{
	size_t token = text_end(w->record, at + 1, w->used) + 1;

	*n = text_end(w->record, token, w->used) + 1 - (at + 1);
	return &w->record[at + 1];
}

const char *watch_next(const struct watch *w, size_t *at, size_t *n)
{
	const char *pair;

	if (*at >= w->used)
		return NULL;
	pair = pair_at(w, *at, n);
	*at += 1 + *n;
	return pair;
}

static bool find_watch(const struct watch *w, const char *pair, size_t n, size_t *at)
{
	const char *known;
	size_t next = 0, m;

	for (*at = 0; (known = watch_next(w, &next, &m)); *at = next)
		if (m == n && !memcmp(known, pair, n))
			return true;
	return false;
}

int watch_add(struct watch *w, const char *pair, size_t n)
{
	size_t at;

	if (n > WATCH_PAIR_MAX || !watch_is_pair(pair, n, &at))
		return -EINVAL;
	if (find_watch(w, pair, n, &at))
		return -EEXIST;
	if (1 + n > sizeof(w->record) - w->used)
		return -ENOSPC;
	w->record[w->used] = false;
	memcpy(&w->record[w->used + 1], pair, n);
	w->used += (uint16_t)(1 + n);
	return 0;
}

void watch_remove(struct watch *w, const char *pair, size_t n)
{
	size_t at;

	if (!find_watch(w, pair, n, &at))
		return;
	w->used -= (uint16_t)(1 + n);
	memmove(&w->record[at], &w->record[at + 1 + n], w->used - at);
}

/* The watched path is the event's, or a folder above it, or special ("@..."). */
static bool covers(const char *watched, const char *path)
{
	size_t n = strlen(watched);

	if (memcmp(watched, path, n < strlen(path) ? n : strlen(path)) ||
	    n > strlen(path))
		return false;
	return !path[n] || path[n] == '/' || (n && path[n - 1] == '/');
}

static bool queue(struct watch *w, const char *pair, size_t n)
{
	uint16_t length = (uint16_t)n;

	if (n + sizeof(length) > sizeof(w->event) - w->queued)
		return false;
	memcpy(&w->event[w->queued], &length, sizeof(length));
	memcpy(&w->event[w->queued + sizeof(length)], pair, n);
	w->queued += (uint16_t)(n + sizeof(length));
	return true;
}

/* Events for the watches whose own were dropped, as far as there is room. */
static void make_up(struct watch *w)
{
	size_t at = 0, next = 0, n;
	const char *pair;

	for (; (pair = watch_next(w, &next, &n)); at = next)
		if (w->record[at] && queue(w, pair, n))
			w->record[at] = false;
}

void watch_put(struct watch *w, const char *pair, size_t n)
{
	size_t at = 0, next = 0, m, token, own;
	const char *known;
	bool room = true, done = false;

	if (!watch_is_pair(pair, n, &token))
		return;
	for (; (known = watch_next(w, &next, &m)); at = next) {
		own = strlen(known) + 1;
		if (strcmp(known + own, pair + token) || !covers(known, pair))
			continue;
		if (!done)
			room = queue(w, pair, n);
		done = true;
		if (!room)
			w->record[at] = true;
	}
	/* A single event that is longer than all the room. */
	if (!w->queued)
		make_up(w);
}

static size_t first_size(const struct watch *w)
{
	uint16_t length;

	memcpy(&length, w->event, sizeof(length));
	return length;
}

const char *watch_first(const struct watch *w, size_t *n)
{
	if (!w->queued)
		return NULL;
	*n = first_size(w);
	return &w->event[sizeof(uint16_t)];
}

void watch_drop_first(struct watch *w)
{
	size_t n;

	if (!w->queued)
		return;
	n = first_size(w) + sizeof(uint16_t);
	w->queued -= (uint16_t)n;
	memmove(w->event, w->event + n, w->queued);
	make_up(w);
}
