/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks that are stepped, for LD_PRELOAD: the file named by CLOCK holds two numbers of
 * seconds, which are added to the time of day, and to CLOCK_MONOTONIC (so that time passes
 * for the program).  Each call looks again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void steps(long *of_day, long *monotonic)
{
	const char *path = getenv("CLOCK");
	FILE *f = path ? fopen(path, "re") : NULL;

	*of_day = *monotonic = 0;
	if (f && fscanf(f, "%ld %ld", of_day, monotonic) != 2)
		*of_day = *monotonic = 0;
	if (f)
		fclose(f);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);
	long of_day, monotonic;

	steps(&of_day, &monotonic);
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		t->tv_sec += of_day;
	if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE ||
	    id == CLOCK_MONOTONIC_RAW || id == CLOCK_BOOTTIME)
		t->tv_sec += monotonic;
	return rc;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}
