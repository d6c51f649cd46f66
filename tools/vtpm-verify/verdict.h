/* SPDX-License-Identifier: Apache-2.0 */
/* Why evidence is refused: any number of reasons, each a word for programs and a
 * sentence for people.  None: it is accepted. */

#ifndef VERIFY_VERDICT_H
#define VERIFY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define VERDICT_REASONS 64

struct verdict {
	size_t reasons; /* more than VERDICT_REASONS are counted, not kept */
	struct {
		const char *word;
		char text[400];
	} reason[VERDICT_REASONS];
	/* what was found, for anyone who reads the verdict; "": not known */
	char host[64], vtpm[37];
	/* the log is of the guest's firmware; the policy names that firmware, or does not */
	bool firmware_is_bound, firmware_is_unbound;
};

void verdict_add(struct verdict *v, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void verdict_print(const struct verdict *v, bool json, FILE *to);

#endif
