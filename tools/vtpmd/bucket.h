/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket: some at once, then one in a while. */
#ifndef VTPMD_BUCKET_H
#define VTPMD_BUCKET_H

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"

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

#endif
