/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VTPMD_ANCHOR_WAITER_H
#define VTPMD_ANCHOR_WAITER_H

#include <stdint.h>
#include "lib/error.h"

/* Who waits until the TPM has all that was so far.  Lives in its owner until it is
 * called or cancelled. */
struct anchor_waiter {
	struct anchor_waiter *next;
	uint64_t need;
	/* e: NULL, or why the TPM does not have it. */
	void (*done)(void *ctx, const struct error *e);
	void *ctx;
};

#endif
