/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/bucket.h"

bool bucket_take(struct bucket *b, unsigned int burst, unsigned int every_ms,
		 uint64_t now_ms)
{
	uint64_t from = b->spent_ms > now_ms ? b->spent_ms : now_ms;

	if (from + every_ms > now_ms + (uint64_t)burst * every_ms)
		return false;
	b->spent_ms = from + every_ms;
	return true;
}

unsigned int bucket_wait(struct bucket *b, unsigned int burst, unsigned int every_ms,
			 uint64_t now_ms)
{
	uint64_t from = b->spent_ms > now_ms ? b->spent_ms : now_ms;
	uint64_t full = now_ms + (uint64_t)burst * every_ms;

	b->spent_ms = from + every_ms;
	return b->spent_ms > full ? (unsigned int)(b->spent_ms - full) : 0;
}

void wear_fill(struct wear *w)
{
	*w = (struct wear){0};
}

unsigned int wear_start(struct wear *w, uint64_t now_ms)
{
	return bucket_wait(&w->starts, WEAR_STARTS, WEAR_START_EVERY_MS, now_ms);
}

bool wear_header(struct wear *w, uint64_t now_ms)
{
	return bucket_take(&w->headers, WEAR_HEADERS, WEAR_HEADER_EVERY_MS, now_ms);
}
