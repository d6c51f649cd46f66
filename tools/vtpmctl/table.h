/* SPDX-License-Identifier: Apache-2.0 */
/* Columns for a terminal of 100: as wide as what is in them, numbers on the right. */
#ifndef XVTPM_TABLE_H
#define XVTPM_TABLE_H

#include "include/channel.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS 10
#define TABLE_CELL    48
#define TABLE_WIDTH   100

struct table_row {
	char cell[TABLE_COLUMNS][TABLE_CELL];
	char note[400]; /* a sentence for the lines below; "": none */
};

/* right: bit n, column n is of numbers.  A first cell that is longer than 24 has its
 * line to itself, so that the rest fits. */
void table_print(const char *const *heads, size_t columns, uint32_t right,
		 const struct table_row *rows, size_t count);

/* What tables say of a vTPM's JSON object; "-" for what is not there. */
const char *table_text(const json_t *object, const char *key);
void table_number(const json_t *value, char out[TABLE_CELL]);
/* 59s, 59m, 23h59m, 99d23h */
void table_time(int64_t seconds, char out[TABLE_CELL]);
/* 999, 9.9k, 999M, ...: a count in at most five signs. */
void table_count(double value, char out[TABLE_CELL]);

/* Quantiles of what happened between two samples of counts in doubling buckets
 * (STATUS_LATENCY of include/channel.h). */

/* counts[n] events took at most first << n, and more than the bound before it.  The
 * time, in the unit of first, that the share q (0 to 1) did not exceed: within its
 * bucket taken as evenly spread, so it is right within a factor of two.  -1: there
 * were no events.  For the last bucket, which has no end, its lower bound. */
double quantile(const uint64_t counts[LATENCY_BUCKETS], double first, double q);

#endif
