/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/quantile.h"

double quantile(const uint64_t counts[LATENCY_BUCKETS], double first, double q)
{
	double total = 0, rank, upper = first, lower = 0;
	size_t i;

	for (i = 0; i < LATENCY_BUCKETS; i++)
		total += (double)counts[i];
	if (total <= 0)
		return -1;
	rank = q * total;
	for (i = 0; i < LATENCY_BUCKETS - 1; i++) {
		if ((double)counts[i] >= rank && counts[i])
			return lower + (upper - lower) * rank / (double)counts[i];
		rank -= (double)counts[i];
		lower = upper;
		upper *= 2;
	}
	return lower;
}
