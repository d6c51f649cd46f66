/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as texts, "2026-01-31T12:00:00.250Z": UTC, and in the order of strcmp().  They tell
 * people when something was; the time of day can be set, so no duration is taken from them.
 */
#ifndef XVTPM_STAMP_H
#define XVTPM_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#define STAMP_SIZE 32

void stamp_now(char out[STAMP_SIZE]);
/* Whether a text is such a time; the fraction may be left out. */
bool stamp_ok(const char *text);
/* Whether a was surely later than b.  Of times without fraction in one second: no. */
bool stamp_later(const char *a, const char *b);
/* Whether what is stamped so was surely done since that time, and before now.  A stamp that
 * lies ahead was made by a clock that was wrong, and proves nothing. */
bool stamp_since(const char *stamp, const char *since, const char *now);

/* Milliseconds of CLOCK_MONOTONIC, never 0: what durations are measured with. */
int64_t stamp_ms(void);

#endif
