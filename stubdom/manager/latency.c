/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

void latency_add(struct latency *l, uint64_t ns)
{
	unsigned int n = 0;

	while (n < LATENCY_BUCKETS - 1 && ns > (uint64_t)LATENCY_FIRST_NS << n)
		n++;
	l->count[n]++;
	l->sum_ns += ns;
}
