/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/wear.h"

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
