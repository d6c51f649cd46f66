/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of one manager's allowed commands to the host's TPM.  Every relay has
 * its own open file of /dev/tpmrm0, so that the kernel's resource manager keeps
 * the managers' objects and sessions apart, and flushes them when it is closed.
 * A slow command blocks its own manager only.
 */
#ifndef VTPMD_RELAY_H
#define VTPMD_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <event2/event.h>
#include "compiler.h"

/* rc 0 and the TPM's response, or a negative errno. */
typedef void relay_done(void *ctx, int rc, const uint8_t *rsp, size_t len);

struct relay;

/* target: a device node, or unix:PATH, a stream of raw TPM commands (swtpm; for
 * tests: it has no resource manager).  NULL: out of memory. */
struct relay *relay_new(struct event_base *base, const char *target);
bool relay_busy(const struct relay *r);
/* One command at a time (-EBUSY), which goes to the TPM in wait_ms; done is called later,
 * or, after relay_free(), never.  -ENODEV: there is no TPM. */
int __must_check relay_submit(struct relay *r, const uint8_t *cmd, size_t len,
			      unsigned int wait_ms, relay_done *done, void *ctx);
/* Closes the TPM's file, so that the kernel flushes what was made through it; a command
 * that is under way ends with -ECANCELED. */
void relay_reset(struct relay *r);
void relay_free(struct relay *r);

#endif
