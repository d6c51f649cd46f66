/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often one vTPM has the host's TPM write its NV memory, which bears some 100,000
 * writes, without an operator: for starts after its own end, and for headers that its manager
 * stores.  What an operator asks for fills both buckets; nothing that a manager does.
 */
#ifndef VTPMD_WEAR_H
#define VTPMD_WEAR_H

#include "tools/vtpmd/bucket.h"

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
