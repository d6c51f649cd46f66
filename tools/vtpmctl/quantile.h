/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles of what happened between two samples of counts in doubling buckets
 * (STATUS_LATENCY of include/channel.h). */
#ifndef XVTPM_QUANTILE_H
#define XVTPM_QUANTILE_H

#include <stddef.h>
#include <stdint.h>
#include "include/channel.h"

/* counts[n] events took at most first << n, and more than the bound before it.  The
 * time, in the unit of first, that the share q (0 to 1) did not exceed: within its
 * bucket taken as evenly spread, so it is right within a factor of two.  -1: there
 * were no events.  For the last bucket, which has no end, its lower bound. */
double quantile(const uint64_t counts[LATENCY_BUCKETS], double first, double q);

#endif
