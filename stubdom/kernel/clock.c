/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <linux/time.h>
#include "stubdom/kernel/clock.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/file.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"

#define MILLISECOND 1000000ULL
#define MICROSECOND 1000ULL

static int put_time(uint64_t ns, uint64_t to)
{
	struct __kernel_timespec {
		int64_t sec, nsec;
	} t = {(int64_t)(ns / TIME_SECOND), (int64_t)(ns % TIME_SECOND)};

	return copy_to_user(to, &t, sizeof(t));
}

/* 0 and the span's end on time_now()'s scale, which never wraps. */
static int add_span(uint64_t from, uint64_t base, uint64_t *until)
{
	int64_t t[2];
	int rc = copy_from_user(t, from, sizeof(t));

	if (rc)
		return rc;
	if (t[0] < 0 || t[1] < 0 || t[1] >= (int64_t)TIME_SECOND)
		return -EINVAL;
	*until = TIME_NEVER;
	if ((uint64_t)t[0] < INT64_MAX / TIME_SECOND - 1)
		*until = base + (uint64_t)t[0] * TIME_SECOND + (uint64_t)t[1];
	return 0;
}

int clock_deadline(uint64_t span, uint64_t *until)
{
	*until = TIME_NEVER;
	return span ? add_span(span, time_now(), until) : 0;
}

/* Nanoseconds on one of the clocks. */
static int read_clock(uint64_t id, uint64_t *ns)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI:
		*ns = time_of_day();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = time_now();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = process_uptime();
		return 0;
	default:
		return -EINVAL;
	}
}

long clock_time(uint64_t to)
{
	uint64_t now = time_of_day() / TIME_SECOND;
	int rc = to ? copy_to_user(to, &now, sizeof(now)) : 0;

	return rc ? rc : (long)now;
}

long clock_gettimeofday(uint64_t to, uint64_t zone)
{
	uint64_t now = time_of_day();
	uint64_t t[2] = {now / TIME_SECOND, now % TIME_SECOND / MICROSECOND};
	uint32_t utc[2] = {0, 0};
	int rc = to ? copy_to_user(to, t, sizeof(t)) : 0;

	return rc || !zone ? rc : copy_to_user(zone, utc, sizeof(utc));
}

long clock_gettime(uint64_t id, uint64_t to)
{
	uint64_t ns;
	int rc = read_clock(id, &ns);

	return rc ? rc : put_time(ns, to);
}

long clock_getres(uint64_t id, uint64_t to)
{
	uint64_t ns;
	int rc = read_clock(id, &ns);

	return rc || !to ? rc : put_time(1, to);
}

/* No signal ever cuts a sleep short: there is never a rest. */
static void sleep_until(uint64_t until)
{
	while (time_now() < until)
		evtchn_wait(until);
}

long clock_nanosleep(uint64_t id, uint64_t flags, uint64_t span, uint64_t rest)
{
	uint64_t now, until;
	int rc = read_clock(id, &now);

	if (!rc)
		rc = add_span(span, flags & TIMER_ABSTIME ? 0 : now, &until);
	if (rc)
		return rc;
	if (until != TIME_NEVER)
		until = until > now ? time_now() + (until - now) : 0;
	sleep_until(until);
	return 0;
}

long clock_sleep(uint64_t span, uint64_t rest)
{
	return clock_nanosleep(CLOCK_MONOTONIC, 0, span, rest);
}

long clock_poll(uint64_t fds, uint64_t n, uint64_t milliseconds)
{
	int32_t ms = (int32_t)milliseconds;
	uint64_t until = TIME_NEVER;

	if (ms >= 0)
		until = ms ? time_now() + (uint64_t)ms * MILLISECOND : 0;
	return file_poll(fds, n, until);
}

long clock_ppoll(uint64_t fds, uint64_t n, uint64_t span, uint64_t mask)
{
	uint64_t until;
	int rc = clock_deadline(span, &until);

	return rc ? rc : file_poll(fds, n, until);
}
