/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a guest is not launched: sentences that `vtpmctl launch` and `vtpmctl check` say
 * alike.  Each has its row in docs/errors.md; tests/host/refusals compares the two.
 */
#ifndef XVTPM_VTPMCTL_REFUSAL_H
#define XVTPM_VTPMCTL_REFUSAL_H

#include <stdbool.h>

#define REFUSALS_MAX 24

struct refusal {
	char text[512];
	bool by_xl; /* with `xl create` it does not start, or without its TPM */
};

struct refusals {
	unsigned int count;
	struct refusal one[REFUSALS_MAX];
};

/* Each adds a sentence, when there is room, and returns false. */
bool refusals_add(struct refusals *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool refusals_add_by_xl(struct refusals *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints the first one on standard error, or all.  Returns an exit status. */
int refusals_print(const struct refusals *r, bool all);

#endif
