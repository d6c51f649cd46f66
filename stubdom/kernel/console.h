/* SPDX-License-Identifier: Apache-2.0 */
/* The domain's console: a ring of text that xenconsoled, in dom0, empties. */
#ifndef STUB_CONSOLE_H
#define STUB_CONSOLE_H

/* Maps the ring, and has print.h write to it. */
void console_init(void);

#endif
