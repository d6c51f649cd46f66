/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket: some at once, then one in a while. */
#ifndef VTPMD_BUCKET_H
#define VTPMD_BUCKET_H

#include "include/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t spent_ms; /* until when all of it is there again; 0: full */
};

/* Takes one of `burst`, each of which takes every_ms to come back; false: it is empty.
 * now_ms never goes back. */
bool __must_check bucket_take(struct bucket *b, unsigned int burst, unsigned int every_ms,
			      uint64_t now_ms);
/* Takes one in any case; milliseconds until it is there.  Who waits for each before the
 * next waits every_ms at most. */
unsigned int __must_check bucket_wait(struct bucket *b, unsigned int burst,
				      unsigned int every_ms, uint64_t now_ms);

/*
 * How often one vTPM has the host's TPM write its NV memory, which bears some 100,000
 * writes, without an operator: for starts after its own end, and for headers that its manager
 * stores.  What an operator asks for fills both buckets; nothing that a manager does.
 */

#define WEAR_STARTS	    20
#define WEAR_START_EVERY_MS (30 * 60 * 1000)
/* A deep rekey stores two, and one that it has to finish first stores one. */
#define WEAR_HEADERS	     4
#define WEAR_HEADER_EVERY_MS (4 * 60 * 60 * 1000)

/* Starts zeroed: full. */
struct wear {
	struct bucket starts, headers;
};

/* An operator has asked for a start or for new keys. */
void wear_fill(struct wear *w);
/* One more start, which costs a write: in how many milliseconds it may begin. */
unsigned int __must_check wear_start(struct wear *w, uint64_t now_ms);
/* Whether one more header may be stored. */
bool __must_check wear_header(struct wear *w, uint64_t now_ms);

#endif
