/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/stamp.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECONDS_LEN 19 /* "2026-01-31T12:00:00" */

void stamp_now(char out[STAMP_SIZE])
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, STAMP_SIZE, "%FT%T", &tm);
	snprintf(out + n, STAMP_SIZE - n, ".%03dZ", (int)(now.tv_nsec / 1000000 % 1000));
}

bool stamp_ok(const char *text)
{
	struct tm tm;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end || end - text != SECONDS_LEN)
		return false;
	if (!strcmp(end, "Z"))
		return true;
	return end[0] == '.' && isdigit((unsigned char)end[1]) &&
	       isdigit((unsigned char)end[2]) && isdigit((unsigned char)end[3]) &&
	       !strcmp(end + 4, "Z");
}

bool stamp_later(const char *a, const char *b)
{
	/* '.' comes before 'Z': within b's second nothing is later than b without fraction */
	return strcmp(a, b) > 0;
}

bool stamp_since(const char *stamp, const char *since, const char *now)
{
	return stamp_later(stamp, since) && !stamp_later(stamp, now);
}

int64_t stamp_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}
