/* SPDX-License-Identifier: Apache-2.0 */
/* Asks running managers, and answers once all of them have told, or left, or did not in
 * time. */
#ifndef VTPMD_ASK_H
#define VTPMD_ASK_H

#include "include/compiler.h"
#include "tools/vtpmd/vtpmd.h"

#include <stdbool.h>
#include <time.h>

/* How long list and the figures wait for what managers tell of themselves; one that runs
 * a long command is shown without. */
#define ASK_TABLE_MS 1500

/* The answer that is waited for. */
enum ask_what {
	ASK_STATUS,
	ASK_REKEY,  /* to vtpm_rekey() */
	ASK_ATTEST, /* to attest_begin() */
};

struct ask {
	struct ask *next; /* in d->asks, while it waits */
	struct vtpmd *d;
	const char *name; /* of the one vTPM that is asked; NULL: all */
	enum ask_what what;
	struct timespec since; /* a status of then or later is an answer */
	/* the first one that may owe it: those before it have told, or will not; as of so many
	 * changes of d->vtpms */
	const struct vtpm *at;
	uint64_t changes;
	struct event *limit, *done;
};

/* answer() is called from the loop.  -ENOMEM; ask_end() follows then, too */
int __must_check ask_init(struct ask *a, struct vtpmd *d, event_callback_fn answer,
			  void *ctx);
/* Asks the vTPM name, which stays, or all, for their status: those that have told it within
 * fresh_ms are not asked again.  Of all, those that are mute are not waited for: whose manager
 * waits for the disk, has asked for too much, or has left a question unanswered for as long
 * as a table waits. */
void ask_begin(struct ask *a, const char *name, enum ask_what what, unsigned int fresh_ms,
	       unsigned int limit_ms);
/* answer() is not called any more. */
void ask_end(struct ask *a);
/* An answer came, or will not: who waits for one looks again. */
void ask_check(struct vtpmd *d);

#endif
