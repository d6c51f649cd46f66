/* SPDX-License-Identifier: Apache-2.0 */
/* How long commands took: counts in buckets whose bounds double, so that a fixed few
 * hold microseconds and seconds alike.  Fits STATUS_LATENCY of include/channel.h. */
#ifndef XVTPM_LATENCY_H
#define XVTPM_LATENCY_H

#include <stdint.h>
#include "include/channel.h"

struct latency {
	uint64_t sum_ns;
	uint64_t count[LATENCY_BUCKETS];
};

void latency_add(struct latency *l, uint64_t ns);

#endif
