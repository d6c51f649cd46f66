/* SPDX-License-Identifier: Apache-2.0 */
/* The domain's console: a ring of text that xenconsoled, in dom0, empties. */
#ifndef STUB_CONSOLE_H
#define STUB_CONSOLE_H

#include <stddef.h>

/* Maps the ring.  What was written before went to Xen's own log. */
void console_init(void);
/* Waits while the ring is full, but for a second at most: a xenconsoled that stopped
 * must not stop the vTPM.  What does not fit then is lost. */
void console_write(const char *text, size_t len);
/* Waits, for a while, until all of it was read. */
void console_drain(void);

#endif
