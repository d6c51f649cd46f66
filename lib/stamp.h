/* SPDX-License-Identifier: Apache-2.0 */
/* Times as texts, "2026-01-31T12:00:00.250Z": UTC, and in the order of strcmp(). */
#ifndef XVTPM_STAMP_H
#define XVTPM_STAMP_H

#include <stdbool.h>

#define STAMP_SIZE 32

void stamp_now(char out[STAMP_SIZE]);
/* Whether a text is such a time; the fraction may be left out. */
bool stamp_ok(const char *text);
/* Whether a was surely later than b.  Of times without fraction in one second: no. */
bool stamp_later(const char *a, const char *b);

#endif
