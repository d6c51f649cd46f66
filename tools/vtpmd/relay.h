/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of one manager's allowed commands to the host's TPM.  Every relay has
 * its own open file of /dev/tpmrm0, so that the kernel's resource manager keeps
 * the managers' objects and sessions apart, and flushes them when it is closed.
 * A slow command blocks nobody but its own manager.
 */
#ifndef VTPMD_RELAY_H
#define VTPMD_RELAY_H

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
/* One command at a time (-EBUSY); done is called later, or, after relay_free(),
 * never.  -ENODEV: there is no TPM. */
int __must_check relay_submit(struct relay *r, const uint8_t *cmd, size_t len,
			      relay_done *done, void *ctx);
void relay_free(struct relay *r);

#endif
