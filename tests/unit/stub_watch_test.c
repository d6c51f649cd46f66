/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "stubdom/kernel/watch.h"

#define PAIR(path, token) path "\0" token, sizeof(path "\0" token)

static void pairs(void **state)
{
	size_t token;

	assert_true(watch_is_pair(PAIR("a/b", "t"), &token));
	assert_int_equal(token, 4);
	assert_true(watch_is_pair(PAIR("", ""), &token));
	assert_false(watch_is_pair("", 0, &token));
	assert_false(watch_is_pair("a", 2, &token));
	assert_false(watch_is_pair("a", 1, &token));
	assert_false(watch_is_pair("a\0b", 3, &token));
	assert_false(watch_is_pair("a\0b\0c", 6, &token));
}

static void adds_and_removes(void **state)
{
	struct watch w = {0};

	assert_int_equal(watch_add(&w, PAIR("a", "1")), 0);
	assert_int_equal(watch_add(&w, PAIR("a", "1")), -EEXIST);
	assert_int_equal(watch_add(&w, PAIR("a", "2")), 0);
	watch_remove(&w, PAIR("a", "3"));
	watch_remove(&w, PAIR("a", "1"));
	assert_int_equal(watch_add(&w, PAIR("a", "1")), 0);
	watch_remove(&w, PAIR("a", "1"));
	watch_remove(&w, PAIR("a", "2"));
	assert_int_equal(w.used, 0);
}

static void refuses_too_many(void **state)
{
	char pair[WATCH_PAIR_MAX + 2] = {0};
	struct watch w = {0};
	int rc, n = 0;

	memset(pair, 'x', WATCH_PAIR_MAX);
	assert_int_equal(watch_add(&w, pair, WATCH_PAIR_MAX + 2), -EINVAL);
	memset(pair, 0, sizeof(pair));
	do {
		rc = snprintf(pair, sizeof(pair), "device/%d", n++);
		rc = watch_add(&w, pair, (size_t)rc + 2);
	} while (!rc);
	assert_int_equal(rc, -ENOSPC);
	assert_true(n > 100);
}

static void events_reach_their_watch(void **state)
{
	struct watch w = {0};
	const char *event;
	size_t n;

	assert_int_equal(watch_add(&w, PAIR("a/b", "t")), 0);
	watch_put(&w, PAIR("a/b", "t"));
	watch_put(&w, PAIR("a/b/c", "t"));
	watch_put(&w, PAIR("a/bc", "t"));
	watch_put(&w, PAIR("a", "t"));
	watch_put(&w, PAIR("a/b", "other"));
	watch_put(&w, "a/b", 4);
	event = watch_first(&w, &n);
	assert_int_equal(n, 6);
	assert_memory_equal(event, "a/b\0t", 6);
	watch_drop_first(&w);
	event = watch_first(&w, &n);
	assert_int_equal(n, 8);
	assert_memory_equal(event, "a/b/c\0t", 8);
	watch_drop_first(&w);
	assert_null(watch_first(&w, &n));
	watch_drop_first(&w);
}

/* A storm: what is dropped comes back as one event for the watched path. */
static void storm_leaves_one_event(void **state)
{
	struct watch w = {0};
	const char *event, *last = NULL;
	size_t n, total = 0;

	assert_int_equal(watch_add(&w, PAIR("a", "t")), 0);
	assert_int_equal(watch_add(&w, PAIR("b", "t")), 0);
	for (int i = 0; i < 100000; i++)
		watch_put(&w, PAIR("a/deep/down", "t"));
	assert_true(w.queued <= sizeof(w.event));
	while ((event = watch_first(&w, &n))) {
		last = n == 4 ? "watched" : "deep";
		total++;
		assert_memory_equal(event, "a", 1);
		watch_drop_first(&w);
	}
	assert_non_null(last);
	assert_string_equal(last, "watched");
	assert_true(total > 10 && total < 1000);
}

static void event_longer_than_the_room(void **state)
{
	static char pair[4096];
	struct watch w = {0};
	size_t n;

	memset(pair, 'x', sizeof(pair));
	memcpy(pair, "a/", 2);
	memcpy(pair + sizeof(pair) - 3, "\0t", 3);
	assert_int_equal(watch_add(&w, PAIR("a", "t")), 0);
	watch_put(&w, pair, sizeof(pair));
	assert_non_null(watch_first(&w, &n));
	assert_int_equal(n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(adds_and_removes),
		cmocka_unit_test(refuses_too_many),
		cmocka_unit_test(events_reach_their_watch),
		cmocka_unit_test(storm_leaves_one_event),
		cmocka_unit_test(event_longer_than_the_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
