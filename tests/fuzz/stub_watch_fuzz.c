/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub kernel's watches between a program and what xenstored sends.  Input: moves, a
 * byte each, with the bytes that make a pair.  After each one the page is in order, and
 * no event was lost for good: one that was dropped is made up for while there is room.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/cursor.h"
#include "stubdom/kernel/watch.h"

#define PAIR_MAX 4096 /* as a message of xenstore's carries at most */

static const char *const paths[] = {
	"backend/vtpm", "/local/domain/5/device/vtpm/0/state", "/a", "/a/b", "@x", "/"};

static struct cursor in;

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

/* A pair for one of the paths, or for something deep below it, in memory of its size;
 * now and then cut short, or with a zero in its middle. */
static char *make_pair(bool deep, size_t *n)
{
	uint8_t kind = cursor_u8(&in), harm;
	const char *path = paths[kind % ARRAY_SIZE(paths)];
	const char *token = kind & 0x80 ? "t2" : "vtpm";
	size_t below = deep ? cursor_u8(&in) * (size_t)(cursor_u8(&in) % 14) : 0;
	char *pair = malloc(PAIR_MAX), *exact;

	*n = (size_t)snprintf(pair, PAIR_MAX, "%s%s", path, below ? "/" : "");
	memset(pair + *n, 'q', below);
	*n += below;
	pair[(*n)++] = '\0';
	*n += (size_t)snprintf(pair + *n, PAIR_MAX - *n, "%s", token) + 1;
	harm = cursor_u8(&in);
	if (harm == 77)
		*n -= 1 + cursor_u8(&in) % 3;
	else if (harm == 78)
		pair[cursor_u8(&in) % *n] = '\0';
	exact = malloc(*n);
	memcpy(exact, pair, *n);
	free(pair);
	return exact;
}

static void take_event(struct watch *w)
{
	size_t n, token;
	const char *event = watch_first(w, &n);

	if (!event)
		return;
	require(event >= w->event && event + n <= w->event + w->queued,
		"an event lies in its page");
	require(watch_is_pair(event, n, &token), "an event is a pair");
	watch_drop_first(w);
}

static void check_dropped(const struct watch *w)
{
	size_t at = 0, next = 0, n;

	if (watch_first(w, &n))
		return;
	for (; watch_next(w, &next, &n); at = next)
		require(!w->record[at], "a dropped event is made up for");
}

static void move(struct watch *w)
{
	uint8_t what = cursor_u8(&in) % 6;
	char *pair;
	size_t n;

	if (what == 4) {
		take_event(w);
		return;
	}
	pair = make_pair(what == 2 || what == 3, &n);
	if (what < 2)
		(void)!watch_add(w, pair, n);
	else if (what < 4)
		watch_put(w, pair, n);
	else
		watch_remove(w, pair, n);
	free(pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct watch *w = calloc(1, sizeof(*w));

	in = cursor_reader(data, size);
	while (cursor_left(&in)) {
		move(w);
		require(w->used <= sizeof(w->record) && w->queued <= sizeof(w->event),
			"records and events fit");
		check_dropped(w);
	}
	free(w);
	return 0;
}
